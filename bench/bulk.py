"""Bulk stock upsert with every guard, beside COPY of as many rows into the same table: how much of the disk's speed is left.

COPY only stores rows. Ours locks levels in order, compares versions, guards promises, opens what is missing, and explains
each change by a movement: twice the rows, each with its own foreign keys and indexes. Per round: the emptied table by COPY,
the emptied table by ours (levels are opened), and the same levels once more by ours (they are overwritten). Both commit
durably: COPY once, ours per batch, as an import does. A fourth figure has no goal: a CSV file through the whole import.
"""

import gc
import io
import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa

from bench import flat
from inventory import imports, updates
from inventory.imports import CSV, Order
from inventory.updates import ABSOLUTE, Line
from retail.kernel import config, db, scratch
from retail.kernel.config import Settings

ROWS = 100_000
LEAST = 0.25
SOURCE = "bench"
_PIECE = 1 << 20


class Miscounted(RuntimeError):
    """The levels do not say what was written, or the movements do not explain them."""


@dataclass(frozen=True, slots=True)
class Figure:
    """Rows per second, ours and COPY's, medians of the rounds; `ratio`: the median of the rounds' own. `goal` None: told, not
    judged."""

    name: str
    ours_per_s: float
    copy_per_s: float
    ratio: float
    goal: float | None

    @property
    def missed(self) -> str | None:
        """What is missed, in words."""
        return (
            None if self.goal is None or self.ratio >= self.goal else f"{self.name}: ratio {self.ratio} < {self.goal}"
        )


@dataclass(slots=True)
class _Rounds:
    """Rows per second of each round."""

    copy: list[float] = field(default_factory=list)
    ours: dict[str, list[float]] = field(default_factory=dict)

    def figures(self) -> list[Figure]:
        copied = statistics.median(self.copy)
        found = []
        for name, speeds in self.ours.items():
            ratios = [one / other for one, other in zip(speeds, self.copy, strict=True)]
            goal = None if name.startswith("whole import") else LEAST
            ratio = round(statistics.median(ratios), 3)
            found.append(Figure(name, round(statistics.median(speeds)), round(copied), ratio, goal))
        return found


def measure(at: scratch.Server, *, small: bool, rounds: int, tell: Callable[[str], None]) -> list[Figure]:
    """Build a shop without stock in a scratch database, write its stock in both ways, drop it.

    Raises:
        Miscounted: what was written is not what stands there.
    """
    rows = ROWS // 20 if small else ROWS
    with scratch.database(at, "retail_bench_bulk") as made:
        tell(f"preparing {rows:,} pairs of SKU and location ...")
        flat.build(made.url, rows)
        engine = sa.create_engine(made.url, isolation_level="AUTOCOMMIT")
        before = config.current() if db.is_configured() else None
        settings = replace(before or Settings.from_environment(), database_url=made.url)
        config.use(settings)
        db.configure(settings)
        try:
            with engine.connect() as connection:
                driver: Any = connection.connection.driver_connection
                found = _Rounds()
                _round(driver, rows // 10, _Rounds())  # warm: caches and plans
                for number in range(1, rounds + 1):
                    _round(driver, rows, found)
                    last = ", ".join(f"{name} {speeds[-1]:,.0f}/s" for name, speeds in found.ours.items())
                    tell(f"round {number}: COPY {found.copy[-1]:,.0f}/s, {last}")
        finally:
            db.dispose()
            engine.dispose()
            if before is not None:
                config.use(before)
                db.configure(before)
    return found.figures()


def _round(driver: psycopg.Connection[Any], rows: int, found: _Rounds) -> None:
    names = [
        (f"S{place:03d}", f"SKU-{sku}")
        for place in range(1, flat.LOCATIONS + 1)
        for sku in range(1, rows // flat.LOCATIONS + 1)
    ]
    ids = driver.execute(
        "SELECT v.id, l.id FROM unnest(%s::text[], %s::text[]) WITH ORDINALITY AS pair (place, sku, n) "
        "JOIN variant AS v ON v.sku = pair.sku JOIN location AS l ON l.code = pair.place ORDER BY n",
        [[place for place, _ in names], [sku for _, sku in names]],
    ).fetchall()
    text = "".join(f"{variant}\t{place}\t5\t2026-07-01T00:00:00Z\n" for variant, place in ids).encode()
    _empty(driver)
    found.copy.append(rows / _timed(lambda: _copy(driver, text)))
    _empty(driver)
    opening, overwriting = _lines(names, quantity=7, version=1), _lines(names, quantity=9, version=2)
    _note(found, "levels opened", rows, lambda: _ours(opening))
    _check(driver, rows, 7)
    _note(found, "levels overwritten", rows, lambda: _ours(overwriting))
    _check(driver, rows, 9)
    heading = b"location,sku,mode,quantity,version\n"
    file = heading + "".join(f"{place},{sku},absolute,11,3\n" for place, sku in names).encode()
    _note(found, "whole import of a CSV file, overwriting", rows, lambda: _import(file))
    _check(driver, rows, 11)


def _note(found: _Rounds, name: str, rows: int, work: Callable[[], None]) -> None:
    found.ours.setdefault(name, []).append(rows / _timed(work))


def _timed(work: Callable[[], None]) -> float:
    """Seconds. What was prepared is kept from the garbage collector, which would look through it again and again."""
    gc.collect()
    gc.freeze()
    started = time.perf_counter()
    work()
    seconds = time.perf_counter() - started
    gc.unfreeze()
    return seconds


def _empty(driver: psycopg.Connection[Any]) -> None:
    driver.execute("TRUNCATE stock_level, stock_movement, stock_import, stock_import_line")
    driver.execute("CHECKPOINT")


def _copy(driver: psycopg.Connection[Any], text: bytes) -> None:
    statement = "COPY stock_level (variant_id, location_id, on_hand, updated_at) FROM STDIN"
    with driver.cursor() as cursor, cursor.copy(statement) as copy:
        for begin in range(0, len(text), _PIECE):
            copy.write(text[begin : begin + _PIECE])


def _lines(names: Sequence[tuple[str, str]], *, quantity: int, version: int) -> list[Line]:
    return [
        Line(number, place, ABSOLUTE, quantity, sku=sku, version=version)
        for number, (place, sku) in enumerate(names, start=1)
    ]


def _ours(lines: Sequence[Line]) -> None:
    """As an import applies them: a transaction per batch."""
    size = imports.BATCH_LINES
    for begin in range(0, len(lines), size):
        with db.transaction() as session:
            updates.apply(
                session,
                lines=lines[begin : begin + size],
                source=SOURCE,
                may_write=lambda _: True,
                refusals_only=True,
                actor="system",
                now=datetime.now(UTC),
            )


def _import(file: bytes) -> None:
    order = Order(
        key=f"bench:{sha256(file).hexdigest()}",
        name="bench.csv",
        source=SOURCE,
        format=CSV,
        lines=None,
        digest=None,
        may_write=lambda _: True,
        actor="system",
    )
    imports.run(stream=io.BytesIO(file), order=order)


def _check(driver: psycopg.Connection[Any], rows: int, each: int) -> None:
    row = driver.execute(
        "SELECT (SELECT count(*) FROM stock_level WHERE on_hand = %s), (SELECT sum(on_hand) FROM stock_level), "
        "(SELECT sum(quantity) FROM stock_movement)",
        [each],
    ).fetchone()
    if row is None or tuple(row) != (rows, rows * each, rows * each):
        raise Miscounted(f"{rows} levels of {each}: {row}")


def write_json(figures: Sequence[Figure], path: Path) -> None:
    """build/bench-bulk.json."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([asdict(figure) for figure in figures], indent=2) + "\n")
