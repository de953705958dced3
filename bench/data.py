"""The shop under test: 20 stores x 10,000 SKUs, 100,000 customers, 300,000 orders. Built once per schema, then copied.

Everything is consistent (movements explain levels, entries explain points), so that `retail audit` is clean before and
after a benchmark. The rows are made by the database itself; ids are UUIDv7-shaped, so that indexes look as they do live.
"""

from dataclasses import dataclass

from sqlalchemy import create_engine, text
from sqlalchemy.engine import Connection

STORES, SKUS, CUSTOMERS, ORDERS = 20, 10_000, 100_000, 300_000
POINTS_EACH = 1_000_000
STOCK_EACH = 1_000_000


@dataclass(frozen=True, slots=True)
class Size:
    """How large a shop to build."""

    stores: int = STORES
    skus: int = SKUS
    customers: int = CUSTOMERS
    orders: int = ORDERS
    stock: int = STOCK_EACH


# The helper makes a key for a kind of row (k), a number (n) and a moment that grows with n.
_KEY = """
CREATE FUNCTION bench_id(k int, n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT (lpad(to_hex(1700000000000 + n), 12, '0') || '7' || lpad(to_hex(k), 3, '0') || '8' || lpad(to_hex(n), 15, '0'))::uuid
$$
"""

_STEPS: tuple[tuple[str, str], ...] = (
    (
        "places and prices",
        """
        INSERT INTO tax_class (code, name) VALUES ('standard', 'Standard');
        INSERT INTO tax_rate (region, tax_class_code, valid_from, rate_bp) VALUES ('JP', 'standard', '2019-10-01', 1000);
        INSERT INTO price_list (id, code, currency, tax_inclusive) VALUES (bench_id(1, 1), 'jpy', 'JPY', true);
        INSERT INTO channel (code, name, price_list_id) VALUES ('web', 'Web', bench_id(1, 1)), ('phone', 'Phone', bench_id(1, 1));
        INSERT INTO location (id, code, kind, name, zone, tax_region, pickup_enabled)
        SELECT bench_id(2, n), 'S' || lpad(n::text, 3, '0'), 'store', 'Store ' || n, 'Asia/Tokyo', 'JP', true
        FROM generate_series(1, :stores) AS n;
        INSERT INTO location_hours (location_id, weekday, opens, closes)
        SELECT bench_id(2, n), day, '09:00', '21:00' FROM generate_series(1, :stores) AS n, generate_series(0, 6) AS day;
        INSERT INTO product (id, code, title, tax_class_code, created_at, updated_at)
        SELECT bench_id(3, n), 'P' || n, 'Product ' || n, 'standard', now(), now() FROM generate_series(1, :skus) AS n;
        INSERT INTO variant (id, product_id, sku, title, created_at)
        SELECT bench_id(4, n), bench_id(3, n), 'SKU-' || n, 'Variant ' || n, now() FROM generate_series(1, :skus) AS n;
        INSERT INTO price (variant_id, price_list_id, valid_from, amount_minor)
        SELECT bench_id(4, n), bench_id(1, 1), '2024-01-01', 500 + n % 5000 FROM generate_series(1, :skus) AS n;
        """,
    ),
    (
        "stock",
        """
        INSERT INTO stock_level (variant_id, location_id, on_hand, updated_at)
        SELECT bench_id(4, v), bench_id(2, s), :stock, now() FROM generate_series(1, :skus) AS v, generate_series(1, :stores) AS s;
        INSERT INTO stock_movement (variant_id, location_id, from_bucket, to_bucket, quantity, cause, actor, at)
        SELECT bench_id(4, v), bench_id(2, s), 'outside', 'available', :stock, 'receipt', 'system', now()
        FROM generate_series(1, :skus) AS v, generate_series(1, :stores) AS s;
        """,
    ),
    (
        "customers and points",
        """
        INSERT INTO customer (id, reference, name, created_at, updated_at)
        SELECT bench_id(5, n), 'C-BENCH-' || n, 'Customer ' || n, now(), now() FROM generate_series(1, :customers) AS n;
        INSERT INTO identity (id, kind, value)
        SELECT bench_id(6, n), 'email', 'c' || n || '@example.com' FROM generate_series(1, :customers) AS n;
        INSERT INTO identity (id, kind, value)
        SELECT bench_id(7, n), 'phone', '+8190' || lpad(n::text, 8, '0') FROM generate_series(1, :customers) AS n;
        INSERT INTO identity_link (id, identity_id, customer_id, assurance, from_at, actor)
        SELECT bench_id(8, n), bench_id(6, n), bench_id(5, n), 'attested', now(), 'system' FROM generate_series(1, :customers) AS n;
        INSERT INTO identity_link (id, identity_id, customer_id, assurance, from_at, actor)
        SELECT bench_id(9, n), bench_id(7, n), bench_id(5, n), 'attested', now(), 'system' FROM generate_series(1, :customers) AS n;
        INSERT INTO points_account (customer_id, available, opened_at)
        SELECT bench_id(5, n), :points, now() FROM generate_series(1, :customers) AS n;
        INSERT INTO points_lot (id, customer_id, earned, remaining, source, available_from, expires_at)
        SELECT bench_id(10, n), bench_id(5, n), :points, :points, 'order', now() - interval '1 day', now() + interval '400 days'
        FROM generate_series(1, :customers) AS n;
        INSERT INTO points_transaction (id, customer_id, kind, key, actor, at)
        SELECT bench_id(11, n), bench_id(5, n), 'earn', 'bench:' || n, 'system', now() FROM generate_series(1, :customers) AS n;
        INSERT INTO points_entry (transaction_id, position, account, customer_id, lot_id, points)
        SELECT bench_id(11, n), side, CASE side WHEN 1 THEN 'member' ELSE 'issued' END, bench_id(5, n),
               CASE side WHEN 1 THEN bench_id(10, n) END, CASE side WHEN 1 THEN :points ELSE -:points END
        FROM generate_series(1, :customers) AS n, generate_series(1, 2) AS side;
        """,
    ),
    (
        "past orders",
        """
        INSERT INTO "order" (id, reference, kind, customer_id, channel_code, currency, tax_inclusive, subtotal_minor, tax_minor,
                             total_minor, tax_lines, placed_by, placed_at, confirmed_at)
        SELECT bench_id(12, n), 'R-BENCH-' || n, 'history', bench_id(5, 1 + n % :customers), 'web', 'JPY', true, 3000, 273, 3000,
               '[{"rate_bp": 1000, "taxable_minor": 3000, "tax_minor": 273}]', 'system', at, at
        FROM generate_series(1, :orders) AS n, LATERAL (SELECT now() - (:orders - n) * interval '1 minute' AS at) AS moment;
        INSERT INTO order_line (id, order_id, position, variant_id, sku, title, quantity, unit_price_minor, subtotal_minor,
                                tax_rate_bp, tax_minor, total_minor)
        SELECT bench_id(13, n * 3 + line), bench_id(12, n), line, bench_id(4, v), 'SKU-' || v, 'Variant ' || v, 1, 1000, 1000,
               1000, 91, 1000
        FROM generate_series(1, :orders) AS n, generate_series(1, 3) AS line,
             LATERAL (SELECT 1 + (n * 7 + line * 13) % :skus AS v) AS pick;
        INSERT INTO event (id, type, aggregate_id, party_id, actor, data, at)
        SELECT bench_id(14, n), 'OrderPlaced', bench_id(12, n), bench_id(5, 1 + n % :customers), 'system',
               jsonb_build_object('reference', 'R-BENCH-' || n, 'total_minor', 3000), now() - (:orders - n) * interval '1 minute'
        FROM generate_series(1, :orders) AS n;
        """,
    ),
)


def fill(connection: Connection, size: Size) -> None:
    """Build the shop in an empty, migrated database; a minute or two at full size."""
    connection.execute(text(_KEY))
    params = {
        "stores": size.stores,
        "skus": size.skus,
        "customers": size.customers,
        "orders": size.orders,
        "stock": size.stock,
        "points": POINTS_EACH,
    }
    for _, script in _STEPS:
        for statement in filter(None, (part.strip() for part in script.split(";\n"))):
            connection.execute(text(statement.rstrip(";")), {k: v for k, v in params.items() if f":{k}" in statement})
    connection.commit()


def build(url: str, size: Size) -> None:
    """Fill the database behind `url` and gather its statistics."""
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            fill(connection, size)
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))
            connection.execute(text("CHECKPOINT"))
    finally:
        engine.dispose()


def variant_id(number: int) -> str:
    """The id of SKU number 1.. as `bench_id(4, n)` makes it."""
    return _id(4, number)


def store_id(number: int) -> str:
    """The id of store number 1.. ."""
    return _id(2, number)


def customer_id(number: int) -> str:
    """The id of customer number 1.. ."""
    return _id(5, number)


def _id(kind: int, number: int) -> str:
    body = f"{1_700_000_000_000 + number:012x}7{kind:03x}8{number:015x}"
    return f"{body[:8]}-{body[8:12]}-{body[12:16]}-{body[16:20]}-{body[20:]}"
