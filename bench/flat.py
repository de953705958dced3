"""Does one SKU's availability stay as quick when the shop grows twentyfold? 200,000 stock rows beside 4,000,000.

Two scratch databases with 20 locations each, loaded SKU by SKU (COPY) as an import does, are asked in turn by pgbench: the
availability statement over a random SKU's 20 locations. The ratio is that of the two throughputs in one round, so that
whatever else the machine does weighs on both.
"""

import json
import statistics
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from uuid import UUID

import psycopg
import sqlalchemy as sa

from bench import limits, pgbench
from bench.data import Size
from retail.kernel import scratch

LOCATIONS = 20
ROWS_FEW, ROWS_MANY = 200_000, 4_000_000
MOST = 1.2  # how many times as long it may take among the many rows
_SKUS_PER_COPY = 5000


@dataclass(frozen=True, slots=True)
class Flat:
    """What was measured: answers per second and mean milliseconds among few and among many stock rows; `ratio` of the
    times, the median of the rounds; `ratios`: of each round."""

    name: str
    clients: int
    rows_few: int
    rows_many: int
    few_per_s: float
    many_per_s: float
    few_ms: float
    many_ms: float
    ratio: float
    ratios: tuple[float, ...]

    @property
    def missed(self) -> str | None:
        """What is missed, in words."""
        return None if self.ratio <= MOST else f"{self.name}: {self.ratio} times as long, more than {MOST}"


def measure(
    at: scratch.Server, *, small: bool, clients: int, rounds: int, seconds: float, tell: Callable[[str], None]
) -> Flat:
    """Build both databases, ask them in turn, drop them."""
    few, many = (rows // 100 if small else rows for rows in (ROWS_FEW, ROWS_MANY))
    with (
        scratch.database(at, "retail_bench_flat_few") as little,
        scratch.database(at, "retail_bench_flat_many") as much,
    ):
        for made, rows in ((little, few), (much, many)):
            tell(f"copying {rows:,} stock rows ...")
            build(made.url, rows)
        found: list[tuple[pgbench.Limit, pgbench.Limit]] = []
        _ask(little, few, clients, 2), _ask(much, many, clients, 2)  # warm: caches and plans
        for number in range(1, rounds + 1):
            pair = _ask(little, few, clients, seconds), _ask(much, many, clients, seconds)
            found.append(pair)
            tell(f"round {number}: {pair[0].per_second:,.0f}/s among few, {pair[1].per_second:,.0f}/s among many")
    ratios = tuple(round(one.per_second / other.per_second, 3) for one, other in found)
    return Flat(
        f"availability, 1 SKU x {LOCATIONS} locations",
        clients,
        few,
        many,
        round(statistics.median(one.per_second for one, _ in found), 1),
        round(statistics.median(other.per_second for _, other in found), 1),
        round(statistics.median(one.latency_ms for one, _ in found), 3),
        round(statistics.median(other.latency_ms for _, other in found), 3),
        round(statistics.median(ratios), 3),
        ratios,
    )


def _ask(made: scratch.Scratch, rows: int, clients: int, seconds: float) -> pgbench.Limit:
    script = limits.availability_of_one(Size(stores=LOCATIONS, skus=rows // LOCATIONS))
    return pgbench.run(
        script, pgbench=made.program("pgbench"), environment=made.libpq, clients=clients, seconds=seconds
    )


def build(url: str, rows: int) -> None:
    """Fill an empty, migrated database with `rows` stock rows and what they refer to."""
    skus = rows // LOCATIONS
    locations = [_id(2, number) for number in range(1, LOCATIONS + 1)]
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            driver = connection.connection.driver_connection
            if not isinstance(driver, psycopg.Connection):
                raise TypeError("the bench speaks through psycopg")
            driver.execute("INSERT INTO tax_class (code, name) VALUES ('standard', 'Standard')")
            driver.execute(
                "INSERT INTO price_list (id, code, currency, tax_inclusive) VALUES (%s, 'jpy', 'JPY', true)",
                [_id(1, 1)],
            )
            driver.execute("INSERT INTO channel (code, name, price_list_id) VALUES ('web', 'Web', %s)", [_id(1, 1)])
            _copy(
                driver,
                "location (id, code, kind, name, zone, tax_region)",
                (
                    (place, f"S{n:03d}", "store", f"Store {n}", "Asia/Tokyo", "JP")
                    for n, place in enumerate(locations, 1)
                ),
            )
            for first in range(1, skus + 1, _SKUS_PER_COPY):
                _copy_skus(driver, range(first, min(first + _SKUS_PER_COPY, skus + 1)), locations)
            driver.execute("VACUUM ANALYZE")
            driver.execute("CHECKPOINT")
    finally:
        engine.dispose()


def _copy_skus(driver: psycopg.Connection, numbers: range, locations: list[UUID]) -> None:
    moment = "2026-07-01T00:00:00Z"
    _copy(
        driver,
        "product (id, code, title, tax_class_code, created_at, updated_at)",
        ((_id(3, n), f"P{n}", f"Product {n}", "standard", moment, moment) for n in numbers),
    )
    _copy(
        driver,
        "variant (id, product_id, sku, title, created_at)",
        ((_id(4, n), _id(3, n), f"SKU-{n}", f"Variant {n}", moment) for n in numbers),
    )
    _copy(
        driver,
        "stock_level (variant_id, location_id, on_hand, updated_at)",
        ((_id(4, n), place, 1000, moment) for n in numbers for place in locations),
    )


def _copy(driver: psycopg.Connection, table: str, rows: Iterator[tuple[object, ...]]) -> None:
    """Stream rows of plain values (nothing in them needs escaping)."""
    with driver.cursor() as cursor, cursor.copy(f"COPY {table} FROM STDIN") as copy:
        copy.write("".join("\t".join(map(str, row)) + "\n" for row in rows))


def _id(kind: int, number: int) -> UUID:
    """A key that looks like one made at its moment (UUIDv7), so that indexes look as they do live."""
    return UUID(int=(1_700_000_000_000 + number) << 80 | 7 << 76 | kind << 64 | 2 << 62 | number)


def write_json(flat: Flat, path: Path) -> None:
    """build/bench-flat.json."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(flat), indent=2) + "\n")
