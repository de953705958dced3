"""Every operation beside every other on one level, on two real connections.

The first has done its work and not committed; the second starts, and waits or ends; then the first commits (or rolls
back). And both start at the same moment. What is there in the end, what each was answered and who was told must be what one
of the two orders one after the other gives (after a roll back: what the second alone gives); nobody deadlocks, nobody is
refused but by a documented refusal, and the accounts agree.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory.queries import BUCKETS, PROMISES
from retail.kernel import clock, db
from retail.kernel.errors import Problem
from tests.inventory.books import balanced
from tests.races.crowded_shelf import OPERATIONS, Work, World, build

pytestmark = [pytest.mark.races, pytest.mark.committed]
PATIENCE_SECONDS = 10.0
# What is refused here whatever comes first, unless something else makes it possible.
REFUSED_ALONE = {"hand_over_awaited"}
Outcome = str | None  # a refusal's code, what a line from outside was answered, or None
End = tuple[Any, ...]
Step = tuple[str, int]  # an operation, and which of two it is when it meets itself
Ended = tuple[dict[Step, Outcome], End]
Race = Callable[[], Ended]

# What there is, without what differs from run to run: ids of rows that were made, moments, versions.
_STATE = f"""
    SELECT 'level', variant_id::text, location_id::text,
           concat_ws(' ', on_hand, allocated, held, unavailable, backordered, safety, backorder_limit) FROM stock_level
    UNION ALL
    SELECT 'moved', variant_id::text, location_id::text, concat_ws(' ', on_hand, allocated, held, unavailable, backordered)
    FROM (SELECT variant_id, location_id, {BUCKETS} FROM stock_movement GROUP BY variant_id, location_id) AS sums
    UNION ALL
    SELECT 'promised', variant_id::text, location_id::text, concat_ws(' ', allocated, held, backordered)
    FROM (SELECT variant_id, location_id, {PROMISES} FROM reservation WHERE state IN ('held', 'allocated') GROUP BY 1, 2) AS sums
    UNION ALL
    SELECT state, owner_id::text, concat_ws(' ', line_id, variant_id, location_id), concat_ws(' ', sum(quantity), sum(backordered))
    FROM reservation GROUP BY state, owner_id, line_id, variant_id, location_id
    UNION ALL
    SELECT 'transfer', transfer.id::text, state, concat_ws(' ', shipped, received, damaged, returned, shrunk)
    FROM transfer JOIN transfer_line ON transfer_id = id
    UNION ALL
    SELECT 'delivery', id::text, state, concat_ws(' ', received, damaged, closed) FROM inbound_shipment JOIN inbound_line ON shipment_id = id
    UNION ALL
    SELECT 'count', id::text, c.state, concat_ws(' ', l.state, counted, expected, recounted, recount_expected, difference)
    FROM stock_count AS c JOIN stock_count_line AS l ON count_id = id
    UNION ALL
    SELECT 'rule', concat_ws(' ', location_id, variant_id), quantity::text, retired_at::text FROM stock_rule
    UNION ALL
    SELECT 'part', bundle_id::text, component_id::text, quantity::text FROM bundle_component
    UNION ALL
    SELECT 'told', type, count(*)::text, '' FROM event GROUP BY type
    ORDER BY 1, 2, 3, 4
"""


class Rewound:
    """A copy of all tables, to which one can come back."""

    def __init__(self, session: Session) -> None:
        session.execute(text("DROP SCHEMA IF EXISTS rewound CASCADE"))
        session.execute(text("CREATE SCHEMA rewound"))
        tables = _tables(session)
        for name in tables:
            session.execute(text(f'CREATE TABLE rewound."{name}" AS TABLE public."{name}"'))
        stock = [name for name in tables if name.startswith(("stock_", "transfer", "inbound_", "reservation"))]
        told = ["event", "delivery", "bundle_component"]
        _procedure(session, "all", tables)
        _procedure(session, "stock", [*told, *stock])

    def restore(self, session: Session) -> None:
        """Into tables that were emptied, and whose numbers start over."""
        session.execute(text("CALL rewound.all()"))
        onward = "SELECT setval(format('%I.%I', schemaname, sequencename), 1000000) FROM pg_sequences WHERE schemaname = 'public'"
        session.execute(text(onward))

    def rewind(self, session: Session) -> None:
        """The tables that operations on stock write."""
        session.execute(text("CALL rewound.stock()"))


def _tables(session: Session) -> list[str]:
    """All tables that operations may find or write, each after those that it refers to."""
    listed = text(
        "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version' ORDER BY 1"
    )
    refers = text(
        "SELECT conrelid::regclass::text, confrelid::regclass::text FROM pg_constraint WHERE contype = 'f' AND conrelid <> confrelid"
    )
    written = ("event", "delivery")
    left = [
        name
        for name in session.execute(listed).scalars()
        if name in written or session.execute(text(f'SELECT EXISTS (SELECT FROM "{name}")')).scalar_one()
    ]
    references = {(child.strip('"'), parent.strip('"')) for child, parent in session.execute(refers)}
    ordered: list[str] = []
    while left:
        free = [name for name in left if not any((name, parent) in references for parent in left)]
        ordered += free
        left = [name for name in left if name not in free]
    return ordered


def _procedure(session: Session, called: str, tables: list[str]) -> None:
    columns = text(
        "SELECT string_agg(quote_ident(column_name), ', ' ORDER BY ordinal_position) FROM information_schema.columns "
        "WHERE table_schema = 'public' AND table_name = :name AND is_generated = 'NEVER'"
    )
    body = [f'DELETE FROM public."{name}"' for name in reversed(tables)]
    for name in tables:
        some = session.execute(columns, {"name": name}).scalar_one()
        body.append(f'INSERT INTO public."{name}" ({some}) OVERRIDING SYSTEM VALUE SELECT {some} FROM rewound."{name}"')
    session.execute(text(f"CREATE PROCEDURE rewound.{called}() LANGUAGE plpgsql AS 'BEGIN {'; '.join(body)}; END'"))


@dataclass(slots=True)
class Stage:
    """The world, the way back to it, what was found out about orders one after the other, and two hands."""

    world: World
    rewound: Rewound
    serial: dict[Step | None, Mapping[Step, Ended]] = field(default_factory=dict)
    hands: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(2))


_stages: list[Stage] = []  # built once: a minute of the suite's time otherwise


@pytest.fixture
def stage(session: Session) -> Iterator[Stage]:
    append_only = text("SELECT DISTINCT tgrelid::regclass::text FROM pg_trigger WHERE NOT tgisinternal")
    ledgers = session.execute(append_only).scalars().all()
    for name in ledgers:
        session.execute(text(f"ALTER TABLE {name} DISABLE TRIGGER USER"))
    try:
        if _stages:
            _stages[0].rewound.restore(session)
        else:
            _stages.append(Stage(build(session, clock.now()), Rewound(session)))
        yield _stages[0]
    finally:
        for name in ledgers:
            session.execute(text(f"ALTER TABLE {name} ENABLE TRIGGER USER"))


def work_of(world: World, step: Step) -> Work:
    name, turn = step
    return OPERATIONS[name](world, turn, world.at + timedelta(seconds=turn))


def attempt(session: Session, work: Work) -> Outcome:
    try:
        with session.begin_nested():
            answer = work(session)
    except Problem as problem:
        return f"refused: {problem.code}"
    return answer if isinstance(answer, str) else None


def end_of(session: Session) -> End:
    return tuple(tuple(row) for row in session.execute(text(_STATE)))


def agree(end: End) -> bool:
    """What the audit asks, asked of a state: levels are what moved, and what moved is what was promised."""
    accounts: dict[str, dict[tuple[str, str], list[str]]] = {"level": {}, "moved": {}, "promised": {}}
    for kind, variant_id, location_id, numbers in end:
        if kind in accounts:
            accounts[kind][variant_id, location_id] = numbers.split(" ")
    moved = accounts["moved"]
    promised = {key: [one[1], one[2], one[4]] for key, one in moved.items() if [one[1], one[2], one[4]] != ["0"] * 3}
    return {key: one[:5] for key, one in accounts["level"].items()} == moved and promised == accounts["promised"]


def after(stage: Stage, first: Step | None) -> Mapping[Step, Ended]:
    """What each operation is answered after `first` (or as the first), and what is there then. Nothing is kept."""
    if first not in stage.serial:
        found: dict[Step, Ended] = {}
        with Session(db.engine()) as session:
            answers = {} if first is None else {first: attempt(session, work_of(stage.world, first))}
            once: list[Step] = [(name, 1) for name in OPERATIONS]
            seconds = once if first is None else [(first[0], 3 - first[1])]
            if first is not None and first[1] == 1:
                seconds += [step for step in once if step != first]
            elif first is None:
                seconds += [(name, 2) for name in OPERATIONS]
            for second in seconds:
                with session.begin_nested() as undone:
                    answer = attempt(session, work_of(stage.world, second))
                    found[second] = answers | {second: answer}, end_of(session)
                    undone.rollback()
            session.rollback()
        stage.serial[first] = found
    return stage.serial[first]


class Turn:
    """One operation in a transaction of its own, in another thread."""

    def __init__(self, stage: Stage, step: Step, barrier: threading.Barrier | None = None) -> None:
        self.pid = 0
        self.future = stage.hands.submit(self._run, work_of(stage.world, step), barrier)

    def _run(self, work: Work, barrier: threading.Barrier | None) -> Outcome:
        with Session(db.engine()) as session:
            self.pid = session.execute(text("SELECT pg_backend_pid()")).scalar_one()
            if barrier is not None:
                barrier.wait(PATIENCE_SECONDS)
            outcome = attempt(session, work)
            session.commit()
        return outcome

    def settle(self, session: Session) -> None:
        """Until it waits for a lock, or has ended."""
        waits = text("SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = :pid")
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not self.future.done():
            assert time.monotonic() < deadline, "neither waiting nor done"
            if self.pid and session.execute(waits, {"pid": self.pid}).scalar_one_or_none():
                return
            time.sleep(0.001)

    def outcome(self) -> Outcome:
        return self.future.result(PATIENCE_SECONDS)


def beside(stage: Stage, session: Session, first: Step, second: Step, *, commits: bool) -> Ended:
    """The second comes while the first is not over."""
    with Session(db.engine()) as opened:
        answer = attempt(opened, work_of(stage.world, first))
        other = Turn(stage, second)
        try:
            other.settle(session)
        finally:
            opened.commit() if commits else opened.rollback()
    answers = {second: other.outcome()}
    return (answers | {first: answer} if commits else answers), end_of(session)


def at_once(stage: Stage, session: Session, first: Step, second: Step) -> Ended:
    """Both start together."""
    barrier = threading.Barrier(2)
    turns = {step: Turn(stage, step, barrier) for step in (first, second)}
    return {step: turn.outcome() for step, turn in turns.items()}, end_of(session)


def trouble(stage: Stage, session: Session, race: Race, allowed: list[Any]) -> str | None:
    """What is wrong about how it ended. Everything is as it was afterwards."""
    try:
        ended = race()
        if not agree(ended[1]):
            return "the accounts do not agree"
    except Exception as error:  # noqa: BLE001 - a deadlock, a CHECK, a programming error: named with its pair
        return f"{type(error).__name__}: {str(error)[:300]}"
    finally:
        stage.rewound.rewind(session)
    if ended in allowed:
        return None
    wrong = [sorted(set(ended[1]) ^ set(one[1])) for one in allowed]
    return f"{ended[0]} is neither {' nor '.join(str(one[0]) for one in allowed)}, or differs: {min(wrong, key=len)}"


@pytest.mark.parametrize("first", OPERATIONS)
def test_beside_every_other(session: Session, stage: Stage, first: str) -> None:
    names = list(OPERATIONS)
    alone, one = after(stage, None), (first, 1)
    refused = str(alone[one][0][one]).startswith("refused")
    assert refused == (first in REFUSED_ALONE), alone[one][0]
    found: dict[str, str] = {}
    for second in names:
        other = (second, 2 if second == first else 1)
        serial = [after(stage, one)[other], after(stage, other)[one]]
        races: dict[str, tuple[Race, list[Ended]]] = {}
        if not refused:
            races["commits"] = partial(beside, stage, session, one, other, commits=True), serial
            races["rolls back"] = partial(beside, stage, session, one, other, commits=False), [alone[other]]
        if names.index(second) >= names.index(first):
            races["at once"] = partial(at_once, stage, session, one, other), serial
        for how, (race, allowed) in races.items():
            wrong = trouble(stage, session, race, allowed)
            if wrong is not None:
                found[f"{first} + {second}, {how}"] = wrong
    assert found == {}
    assert balanced(session)
