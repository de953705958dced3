"""Hold, burn and earn of one member, each in its own transaction as orders do, beside pgbench that writes the same rows.

Ours are threads of two processes that call the ledger's doors (bench/members.py); pgbench's are as many connections, which
write every row that ours write from plain values, in as many transactions. Rounds alternate; every commit is durable. Then
hold and burn of one member by all, for information: there both wait in one line. At the end the ledger must agree.
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
from sqlalchemy.orm import Session

from bench import pgbench, shop
from bench.data import Size
from bench.members import EARNED, SPENT
from loyalty import audit
from retail.kernel import scratch

PROCESSES = 2
LEAST = 0.35


class BooksDiffer(RuntimeError):
    """The ledger does not agree with its lots and accounts."""


@dataclass(frozen=True, slots=True)
class Points:
    """What was measured: rounds of hold + burn + earn per second, ours and pgbench's, medians; `ratio` of each round's pair,
    median; our latencies of a whole round in milliseconds. `least` is None where there is no goal."""

    name: str
    clients: int
    ours_per_s: float
    limit_per_s: float
    ratio: float
    p50_ms: float
    p99_ms: float
    least: float | None

    @property
    def missed(self) -> str | None:
        """What is missed, in words."""
        if self.least is None or self.ratio >= self.least:
            return None
        return f"{self.name}: ratio {self.ratio} < {self.least}"


def measure(
    at: scratch.Server, *, size: Size, clients: int, rounds: int, seconds: float, tell: Callable[[str], None]
) -> list[Points]:
    """Let both live in turn, among all members and as one.

    Raises:
        BooksDiffer: what was written does not add up.
    """
    template = shop.template_for(at, size)
    with scratch.database(at, "retail_bench_points", template) as made:
        listed = [
            _compare(made, "hold + burn + earn", size.customers, clients, rounds, seconds, LEAST, 0, tell),
            _compare(made, "hold + burn of one member by all", 1, clients, rounds, seconds, None, 1, tell),
        ]
        _audit(made.url)
    return listed


def _compare(
    made: scratch.Scratch,
    name: str,
    members: int,
    clients: int,
    rounds: int,
    seconds: float,
    least: float | None,
    part: int,
    tell: Callable[[str], None],
) -> Points:
    ours: list[float] = []
    theirs: list[float] = []
    latencies: list[tuple[float, float]] = []
    _limit(made, members, clients, 1, part * 100), _ours(made, members, clients, 1)  # warm: pools and plans
    for number in range(1, rounds + 1):
        theirs.append(_limit(made, members, clients, seconds, part * 100 + number))
        lived, p50, p99 = _ours(made, members, clients, seconds)
        ours.append(lived / seconds)
        latencies.append((p50, p99))
        tell(f"round {number}: {name}: pgbench {theirs[-1]:,.0f}/s, ours {ours[-1]:,.0f}/s")
    return Points(
        name,
        clients,
        round(statistics.median(ours), 1),
        round(statistics.median(theirs), 1),
        round(statistics.median(one / other for one, other in zip(ours, theirs, strict=True)), 3),
        round(statistics.median(p50 for p50, _ in latencies), 2),
        round(statistics.median(p99 for _, p99 in latencies), 2),
        least,
    )


def _ours(made: scratch.Scratch, members: int, clients: int, seconds: float) -> tuple[int, float, float]:
    """(rounds, p50, p99 in ms) of all processes."""
    command = [sys.executable, "-m", "bench.members", str(seconds), str(max(1, clients // PROCESSES)), str(members)]
    environment = dict(os.environ) | {"DATABASE_URL": made.url}
    running = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(PROCESSES)]
    said = [json.loads(process.communicate()[0]) for process in running]
    return (
        sum(one["rounds"] for one in said),
        round(statistics.mean(one["p50_ms"] for one in said), 2),
        max(one["p99_ms"] for one in said),
    )


def _limit(made: scratch.Scratch, members: int, clients: int, seconds: float, number: int) -> float:
    """Rounds per second of pgbench."""
    found = pgbench.run(
        limit(members),
        pgbench=made.program("pgbench"),
        environment=made.libpq,
        clients=clients,
        seconds=seconds,
        counter=number * 10_000_000,
    )
    return found.per_second


def limit(members: int) -> str:
    """The script: the rows of a hold, of its burn and (of many members) of an earning, from plain values, a transaction each."""
    given = {
        "customer": "bench_id(5, CAST(:c AS bigint))",
        "lot": "bench_id(10, CAST(:c AS bigint))",
        "order": "bench_id(40, CAST(:o AS bigint))",
        "hold": "bench_id(41, CAST(:o AS bigint))",
        "held": "bench_id(42, CAST(:o AS bigint))",
        "burned": "bench_id(43, CAST(:o AS bigint))",
        "earned": "bench_id(44, CAST(:o AS bigint))",
        "new_lot": "bench_id(45, CAST(:o AS bigint))",
        "event": "bench_id(46, CAST(:o AS bigint))",
        "n": "CAST(:o AS bigint)",
        "spent": str(SPENT),
        "points": str(EARNED),
        "minor": str(EARNED * 100),
    }
    variables = ["n :n + 1", "o :n * 64 + :client_id", f"c random(1, {members})"]
    steps = [
        pgbench.script([], [" ".join(step.format(**given).split())], transaction=True)
        for step in (_ROWS if members > 1 else _ROWS[:2])
    ]
    return pgbench.script(variables, [], transaction=False) + "".join(steps)


_ROWS = (
    """
    WITH moved AS (
        UPDATE points_account SET available = available - {spent}, held = held + {spent} WHERE customer_id = {customer}
    ), taken AS (
        UPDATE points_lot SET remaining = remaining - {spent} WHERE id = {lot}
    ), hold AS (
        INSERT INTO points_hold (id, customer_id, order_id, points, state, created_at)
        VALUES ({hold}, {customer}, {order}, {spent}, 'open', now())
    ), slice AS (
        INSERT INTO points_slice (hold_id, lot_id, points) VALUES ({hold}, {lot}, {spent})
    ), booked AS (
        INSERT INTO points_transaction (id, customer_id, kind, key, order_id, actor, at)
        VALUES ({held}, {customer}, 'hold', 'hold:' || {order}, {order}, 'bench', now())
    )
    INSERT INTO points_entry (transaction_id, position, account, customer_id, lot_id, points)
    VALUES ({held}, 1, 'held', {customer}, NULL, {spent}), ({held}, 2, 'member', {customer}, {lot}, -{spent})
    """,
    """
    WITH settled AS (
        UPDATE points_hold SET state = 'burned', settled_at = now() WHERE order_id = {order}
    ), moved AS (
        UPDATE points_account SET held = held - {spent} WHERE customer_id = {customer}
    ), booked AS (
        INSERT INTO points_transaction (id, customer_id, kind, key, order_id, actor, at)
        VALUES ({burned}, {customer}, 'burn', 'burn:' || {order}, {order}, 'bench', now())
    )
    INSERT INTO points_entry (transaction_id, position, account, customer_id, points)
    VALUES ({burned}, 1, 'held', {customer}, -{spent}), ({burned}, 2, 'burned', {customer}, {spent})
    """,
    """
    WITH booked AS (
        INSERT INTO points_transaction (id, customer_id, kind, key, order_id, reason, spend_minor, actor, at)
        VALUES ({earned}, {customer}, 'earn', 'earn:' || {order}, {order}, 'pickup', {minor}, 'bench', now())
    ), moved AS (
        UPDATE points_account SET available = available + {points} WHERE customer_id = {customer}
    ), lot AS (
        INSERT INTO points_lot (id, customer_id, earned, remaining, source, source_id, available_from, expires_at)
        VALUES ({new_lot}, {customer}, {points}, {points}, 'order', {order}, now(), now() + interval '365 days')
    ), explained AS (
        INSERT INTO points_reason (transaction_id, position, rule_code, rule_version, points, basis)
        VALUES ({earned}, 1, 'base', 0, {points}, {minor})
    ), told AS (
        INSERT INTO event (id, type, aggregate_id, party_id, actor, data, at)
        VALUES ({event}, 'PointsEarned', {order}, {customer}, 'bench',
                jsonb_build_object('customer_id', {customer}, 'order_id', {order}, 'points', {points}), now())
    )
    INSERT INTO points_entry (transaction_id, position, account, customer_id, lot_id, points)
    VALUES ({earned}, 1, 'issued', {customer}, NULL, -{points}), ({earned}, 3, 'member', {customer}, {new_lot}, {points})
    """,
)


def _audit(url: str) -> None:
    engine = sa.create_engine(url)
    try:
        with Session(engine) as session:
            found = next(audit.divergences(session), None)
    finally:
        engine.dispose()
    if found is not None:
        raise BooksDiffer(f"{found.ledger} {found.key}: {found.stored}, rebuilt {found.rebuilt}")


def write_json(listed: list[Points], path: Path) -> None:
    """build/bench-points.json."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([asdict(one) for one in listed], indent=2) + "\n")
