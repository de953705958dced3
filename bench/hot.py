"""Fifty buyers of one article: everybody wants the same row. Ours beside pgbench running the same guarded statement on it.

Ours are threads of two processes that call `reservations.allocate`, each unit in a transaction of its own (bench/buyers.py);
pgbench's are as many connections. Rounds alternate; every commit is durable. At the end the level must say exactly what both
have taken: `allocated` = units bought + transactions of pgbench.
"""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import sqlalchemy as sa

from bench import pgbench, shop
from bench.data import Size, store_id, variant_id
from inventory.reservations import taking
from retail.kernel import scratch

BUYERS, PROCESSES = 50, 2
LEAST = 0.35
_UNITS = 100_000_000


class Miscounted(RuntimeError):
    """The level does not say what was taken."""


@dataclass(frozen=True, slots=True)
class Hot:
    """What was measured: units per second, ours and pgbench's, medians of the rounds; `ratio` of each round's pair, median;
    our latencies in milliseconds; `taken`: units in all, counted in the database and by those who took them."""

    name: str
    buyers: int
    ours_per_s: float
    limit_per_s: float
    ratio: float
    p50_ms: float
    p99_ms: float
    taken: int

    @property
    def missed(self) -> str | None:
        """What is missed, in words."""
        return None if self.ratio >= LEAST else f"{self.name}: ratio {self.ratio} < {LEAST}"


def measure(at: scratch.Server, *, size: Size, rounds: int, seconds: float, tell: Callable[[str], None]) -> Hot:
    """Let both take units of one article in turn.

    Raises:
        Miscounted: units were lost or taken twice.
    """
    template = shop.template_for(at, size)
    ours: list[float] = []
    theirs: list[float] = []
    latencies: list[tuple[float, float]] = []
    with scratch.database(at, "retail_bench_hot", template) as made:
        _stock_up(made.url)
        taken = _ours(made, 1)[0] + _theirs(made, 1, 0)[0]  # warm: pools and plans
        for number in range(1, rounds + 1):
            limit, per_second = _theirs(made, seconds, number)
            bought, p50, p99 = _ours(made, seconds)
            taken += limit + bought
            theirs.append(per_second)
            ours.append(bought / seconds)
            latencies.append((p50, p99))
            tell(f"round {number}: pgbench {theirs[-1]:,.0f}/s, ours {ours[-1]:,.0f}/s")
        _compare(made.url, taken)
    return Hot(
        f"{BUYERS} buyers of one SKU",
        BUYERS,
        round(statistics.median(ours), 1),
        round(statistics.median(theirs), 1),
        round(statistics.median(one / other for one, other in zip(ours, theirs, strict=True)), 3),
        statistics.median(p50 for p50, _ in latencies),
        statistics.median(p99 for _, p99 in latencies),
        taken,
    )


def _stock_up(url: str) -> None:
    engine = sa.create_engine(url)
    try:
        with engine.begin() as connection:
            connection.execute(
                sa.text("UPDATE stock_level SET on_hand = :units WHERE variant_id = :v AND location_id = :l"),
                {"units": _UNITS, "v": variant_id(1), "l": store_id(1)},
            )
    finally:
        engine.dispose()


def _ours(made: scratch.Scratch, seconds: float) -> tuple[int, float, float]:
    """(units bought, p50, p99 in ms) of all processes."""
    command = [sys.executable, "-m", "bench.buyers", str(seconds), str(BUYERS // PROCESSES)]
    environment = dict(os.environ) | {"DATABASE_URL": made.url}
    running = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(PROCESSES)]
    said = [json.loads(process.communicate()[0]) for process in running]
    return (
        sum(one["bought"] for one in said),
        statistics.mean(one["p50_ms"] for one in said),
        max(one["p99_ms"] for one in said),
    )


def _theirs(made: scratch.Scratch, seconds: float, number: int) -> tuple[int, float]:
    """(transactions, transactions per second) of pgbench; the count is read from what it wrote."""
    before = _written(made.url)
    found = pgbench.run(
        one_unit(),
        pgbench=made.program("pgbench"),
        environment=made.libpq,
        clients=BUYERS,
        seconds=seconds,
        counter=number * 10_000_000,
    )
    return _written(made.url) - before, found.per_second


def one_unit() -> str:
    """The script: one unit of the hot article, promised to a new order."""
    order = "bench_id(20, CAST(:o AS bigint))"
    values = {
        "ids": "ARRAY[bench_id(22, CAST(:o AS bigint))]",
        "variants": "ARRAY[bench_id(4, 1)]",
        "locations": "ARRAY[bench_id(2, 1)]",
        "quantities": "ARRAY[1]",
        "line_ids": "ARRAY[CAST(NULL AS uuid)]",
        "channel": "CAST(NULL AS text)",
        "for_sale": "true",
        "swept": "false",
        "owner_id": order,
        "held_for": "CAST(NULL AS uuid)",
        "expires_at": "CAST(NULL AS timestamptz)",
        "actor": "'pgbench'",
        "now": "now()",
    }
    statement = pgbench.inline(taking._ALLOCATE.text, values)
    return pgbench.script(["n :n + 1", "o :n * 64 + :client_id"], [statement], transaction=True)


def _written(url: str) -> int:
    return _ask(url, "SELECT count(*) FROM stock_movement WHERE actor = 'pgbench'")


def _compare(url: str, taken: int) -> None:
    allocated = _ask(
        url,
        "SELECT allocated FROM stock_level WHERE variant_id = :variant_id AND location_id = :location_id",
        variant_id=variant_id(1),
        location_id=store_id(1),
    )
    promised = _ask(url, "SELECT sum(quantity) FROM reservation WHERE state = 'allocated'")
    if not taken == allocated == promised:
        raise Miscounted(f"{taken} units were taken, the level says {allocated}, the reservations {promised}")


def _ask(url: str, question: str, **params: str) -> int:
    engine = sa.create_engine(url)
    try:
        with engine.connect() as connection:
            return int(connection.execute(sa.text(question), params).scalar_one())
    finally:
        engine.dispose()


def write_json(hot: Hot, path: Path) -> None:
    """build/bench-hot.json."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(hot), indent=2) + "\n")
