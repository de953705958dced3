"""`make bench`: each figure beside the database's own limit, in interleaved rounds of the same run, on durable commits."""

import json
import random
import statistics
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench import limits, load, pgbench
from bench.data import Size, customer_id
from bench.load import Outcome, http_request
from bench.shop import AGENT_TOKEN, CLIENT_KEY
from retail.kernel.scratch import Scratch
from retail.kernel.web_process import WebServer, web


@dataclass(frozen=True, slots=True)
class Goal:
    """What a figure has to reach: share of the limit, statements at most."""

    ratio: float
    statements: int
    p99_over_p50: float = 5.0
    rss_mib: float = 200.0


@dataclass(slots=True)
class Scenario:
    """One measured route: how to ask it, and the pgbench script of the same work."""

    name: str
    route: str
    goal: Goal
    request: Callable[[int], bytes]
    limit: str
    expect: int = 200
    per_answer: int = 1  # how much of what the limit counts one answer does
    clients: int | None = None  # of ours, where not the run's
    ours: list[float] = field(default_factory=list)
    theirs: list[float] = field(default_factory=list)
    outcome: Outcome = field(default_factory=Outcome)
    asked: int = 0


@dataclass(frozen=True, slots=True)
class Figure:
    """One row of build/bench.json. Rates per second, times in milliseconds, memory of the largest web process."""

    name: str
    clients: int
    ours_per_s: float
    limit_per_s: float
    ratio: float
    p50_ms: float
    p99_ms: float
    statements: int
    rss_mib: float
    errors: int = 0


def scenarios(size: Size, run: str) -> list[Scenario]:
    """The three routes of the first release."""
    dice = random.Random(11)
    band = size.skus // 3

    def place(number: int) -> bytes:
        lines = [{"sku": f"SKU-{i * band + dice.randint(1, band)}", "quantity": 1} for i in range(3)]
        body = {
            "lines": lines,
            "method": "pickup",
            "location": f"S{dice.randint(1, size.stores):03d}",
            "customer_id": customer_id(dice.randint(1, size.customers)),
            "points_to_spend": 100,
            "payment": {"method": "pay_at_pickup"},
        }
        text = json.dumps(body).encode()
        return http_request("POST", "/api/v1/orders", token=CLIENT_KEY, body=text, key=f"{run}-{number}")

    def availability(_: int) -> bytes:
        return http_request("GET", f"/api/v1/availability?sku=SKU-{dice.randint(1, size.skus)}", token=CLIENT_KEY)

    def context(_: int) -> bytes:
        phone = f"%2B8190{dice.randint(1, size.customers):08d}"
        return http_request("GET", f"/api/v1/support/context?phone={phone}", token=AGENT_TOKEN)

    return [
        Scenario("place a 3-line pickup order", "/api/v1/orders", Goal(0.35, 12), place, limits.placing(size), 201),
        Scenario(
            "availability, 1 SKU x 20 stores",
            "/api/v1/availability",
            Goal(0.12, 2),
            availability,
            limits.availability_of_one(size),
        ),
        Scenario("agent's context by phone", "/api/v1/support/context", Goal(0.20, 8), context, limits.context(size)),
    ]


def measure(
    scratch: Scratch,
    *,
    listed: list[Scenario],
    environment: Mapping[str, str],
    clients: int,
    rounds: int,
    seconds: float,
    threads: int,
    folder: Path,
    tell: Callable[[str], None],
) -> list[Figure]:
    """Run every scenario of `listed` `rounds` times, limit and ours in turn; returns a figure each."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "web.log"
    log.unlink(missing_ok=True)
    figures: list[Figure] = []
    with web(
        environment=dict(environment) | {"DATABASE_URL": scratch.url}, log=log, workers=2, threads=threads
    ) as server:
        for scenario in listed:  # caches, plans and pools warm, in both
            _ours(server, scenario, clients, 1.5)
            _limit(scratch, scenario, clients, 1, 0)
            scenario.ours.clear()
            scenario.theirs.clear()
            scenario.outcome = Outcome()
        for number in range(1, rounds + 1):
            for scenario in listed:
                _limit(scratch, scenario, clients, seconds, number)
                _ours(server, scenario, clients, seconds)
                tell(
                    f"round {number}: {scenario.name}: limit {scenario.theirs[-1]:,.0f}/s, ours {scenario.ours[-1]:,.0f}/s"
                )
        rss = server.worker_rss_mib()
    counts = _statements(log)
    for scenario in listed:
        ours, theirs = statistics.median(scenario.ours), statistics.median(scenario.theirs)
        bad = sum(count for status, count in scenario.outcome.statuses.items() if status != scenario.expect)
        if bad:
            tell(
                f"{scenario.name}: {bad} answers were not {scenario.expect}: {scenario.outcome.first_refusal.decode(errors='replace')}"
            )
        figures.append(
            Figure(
                scenario.name,
                clients,
                round(ours, 1),
                round(theirs, 1),
                # of each round by itself: what else the machine does weighs on both halves of a round alike
                round(statistics.median(o / t for o, t in zip(scenario.ours, scenario.theirs, strict=True)), 3),
                round(scenario.outcome.quantile_ms(0.5), 2),
                round(scenario.outcome.quantile_ms(0.99), 2),
                counts.get(scenario.route, 0),
                round(rss, 1),
                bad,
            )
        )
    return figures


def _limit(scratch: Scratch, scenario: Scenario, clients: int, seconds: float, round_number: int) -> None:
    found = pgbench.run(
        scenario.limit,
        pgbench=scratch.program("pgbench"),
        environment=scratch.libpq,
        clients=clients,
        seconds=seconds,
        counter=round_number * 100_000_000,
    )
    scenario.theirs.append(found.per_second)


def _ours(server: WebServer, scenario: Scenario, clients: int, seconds: float) -> None:
    outcome = load.run(
        host="127.0.0.1",
        port=server.port,
        clients=scenario.clients or clients,
        seconds=seconds,
        request=scenario.request,
        start=scenario.asked,
    )
    scenario.asked += 1_000_000
    scenario.ours.append(outcome.per_second * scenario.per_answer)
    scenario.outcome.latencies += outcome.latencies
    scenario.outcome.statuses += outcome.statuses
    scenario.outcome.first_refusal = scenario.outcome.first_refusal or outcome.first_refusal


def _statements(log: Path) -> dict[str, int]:
    """The most statements that one request of each route ran, from the server's own request log."""
    most: dict[str, int] = {}
    for line in log.read_text(errors="replace").splitlines():
        if '"event": "request"' not in line:
            continue
        try:
            record = json.loads(line)
        except ValueError:
            continue  # two processes may write one line into another
        if record["status"] < 400:
            most[record["route"]] = max(most.get(record["route"], 0), record["statements"])
    return most


def verdicts(figures: list[Figure], goals: Mapping[str, Goal]) -> list[str]:
    """What is missed, in words; empty when every goal holds."""
    missed = []
    for figure in figures:
        goal = goals[figure.name]
        checks = (
            (figure.ratio >= goal.ratio, f"ratio {figure.ratio} < {goal.ratio}"),
            (
                figure.p99_ms <= goal.p99_over_p50 * figure.p50_ms,
                f"p99 {figure.p99_ms} ms > {goal.p99_over_p50:g} x p50 {figure.p50_ms} ms",
            ),
            (figure.statements <= goal.statements, f"{figure.statements} statements > {goal.statements}"),
            (figure.rss_mib <= goal.rss_mib, f"{figure.rss_mib} MiB > {goal.rss_mib:g}"),
            (figure.errors == 0, f"{figure.errors} errors"),
        )
        missed += [f"{figure.name}: {words}" for holds, words in checks if not holds]
    return missed


def write_json(figures: list[Figure], path: Path) -> None:
    """build/bench.json: a list of figures."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([asdict(figure) for figure in figures], indent=2) + "\n")
