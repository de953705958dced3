"""A till's offline sales, a thousand in a request, beside pgbench that writes the same rows with one order per transaction.

Sales of guests: three lines, cash. The limit leaves out reading, checking, JSON, HTTP and the lock of the levels; each of its
transactions is one order, as a till that is online would have it.
"""

import json
import random

from sqlalchemy import create_engine, text

from bench.data import Size
from bench.load import http_request
from bench.measure import Goal, Scenario
from bench.pgbench import script
from retail.kernel.auth import token_hash

TILL_TOKEN = "st_bench-till-token-that-opens-only-a-scratch-database"  # noqa: S105
SALES, LINES, CLIENTS = 1_000, 3, 4
RATE_BP, PRICE = 1_000, 1_100

_PREPARE = (
    "INSERT INTO channel (code, name, price_list_id) VALUES ('store', 'Stores', bench_id(1, 1)) ON CONFLICT DO NOTHING",
    "INSERT INTO staff (id, login, name, password_hash, role, created_at) VALUES (bench_id(31, 2), 'till', 'Till', '-', 'associate', now())",
    "INSERT INTO staff_location (staff_id, location_id) SELECT bench_id(31, 2), id FROM location",
    "INSERT INTO token (hash, kind, staff_id, created_at, expires_at) VALUES (:hash, 'access', bench_id(31, 2), now(), now() + interval '1 day')",
    "INSERT INTO till (id, code, location_id, created_by, created_at) SELECT bench_id(60, n), 'T' || n, bench_id(2, n), 'system', now() FROM generate_series(1, :stores) AS n",
)


def prepare(url: str, size: Size) -> None:
    """A till in every store, and somebody who works at all of them."""
    engine = create_engine(url)
    try:
        with engine.begin() as connection:
            for statement in _PREPARE:
                given = {"hash": token_hash(TILL_TOKEN), "stores": size.stores}
                known = {name: value for name, value in given.items() if f":{name}" in statement}
                connection.execute(text(statement), known)
    finally:
        engine.dispose()


def uploads(size: Size, run: str) -> list[Scenario]:
    """POST /tills/{till}/sales with SALES sales a request."""
    dice = random.Random(13)

    def upload(number: int) -> bytes:
        sales = [
            {
                "sale_id": f"{run}-{number}-{position}",
                "sold_at": "2026-07-01T03:00:00Z",
                "lines": [
                    {
                        "sku": f"SKU-{dice.randint(1, size.skus)}",
                        "quantity": 1,
                        "unit_price_minor": PRICE,
                        "tax_rate_bp": RATE_BP,
                    }
                    for _ in range(LINES)
                ],
                "tenders": [{"method": "cash", "amount_minor": PRICE * LINES}],
            }
            for position in range(SALES)
        ]
        body = json.dumps({"sales": sales}).encode()
        path = f"/api/v1/tills/T{1 + number % size.stores}/sales"
        return http_request("POST", path, token=TILL_TOKEN, body=body, key=f"{run}-till-{number}")

    route = "/api/v1/tills/<string:till>/sales"
    name = f"offline sales, {SALES} a request"
    goal = Goal(0.6, 20)
    return [Scenario(name, route, goal, upload, _limit(size), per_answer=SALES, clients=CLIENTS)]


def _limit(size: Size) -> str:
    """One sale with all its rows, in one transaction."""
    variables = ["n :n + 1", "o :n * 64 + :client_id", f"s random(1, {size.stores})"]
    variables += [f"v{i} random(1, {size.skus})" for i in range(LINES)]
    order, store = "bench_id(61, CAST(:o AS bigint))", "bench_id(2, CAST(:s AS bigint))"
    lines = ", ".join(
        f"({i + 1}, bench_id(62, CAST(:o AS bigint) * 8 + {i}), bench_id(4, CAST(:v{i} AS bigint)), 'SKU-' || CAST(:v{i} AS bigint))"
        for i in range(LINES)
    )
    stock = f"""
        WITH line (position, id, variant_id, sku) AS (VALUES {lines}), locked AS (
            SELECT level.variant_id FROM stock_level AS level JOIN (SELECT DISTINCT variant_id FROM line) AS wanted USING (variant_id)
            WHERE level.location_id = {store} ORDER BY level.variant_id FOR UPDATE OF level
        ), levels AS (
            UPDATE stock_level AS level SET on_hand = on_hand - units, version = version + 1, updated_at = now()
            FROM (SELECT variant_id, CAST(count(*) AS integer) AS units FROM line JOIN locked USING (variant_id) GROUP BY variant_id) AS sums
            WHERE level.variant_id = sums.variant_id AND level.location_id = {store}
        ), settled AS (
            INSERT INTO reservation (id, variant_id, location_id, quantity, state, owner_id, line_id, created_at, settled_at)
            SELECT bench_id(63, CAST(:o AS bigint) * 8 + position), variant_id, {store}, 1, 'consumed', {order}, id, now(), now() FROM line
        )
        INSERT INTO stock_movement (variant_id, location_id, from_bucket, to_bucket, quantity, cause, cause_id, actor, at)
        SELECT variant_id, {store}, 'available', 'outside', CAST(count(*) AS integer), 'consume', {order}, 'staff', now()
        FROM line GROUP BY variant_id
    """  # noqa: S608 - numbers of our own
    rows = f"""
        WITH line (position, id, variant_id, sku) AS (VALUES {lines}), claim AS (
            INSERT INTO till_sale (id, till_id, sale_id, fingerprint, sold_at, recorded_at, order_id)
            VALUES (bench_id(64, CAST(:o AS bigint)), bench_id(60, CAST(:s AS bigint)), 'pgbench-' || CAST(:o AS bigint), '{"f" * 64}', now(), now(), {order})
        ), placed AS (
            INSERT INTO "order" (id, reference, kind, channel_code, currency, tax_inclusive, subtotal_minor, tax_minor, total_minor,
                                 tax_lines, locale, placed_by, placed_at, confirmed_at)
            VALUES ({order}, 'R-T-' || CAST(:o AS bigint), 'live', 'store', 'JPY', true, 3000, 300, 3300,
                    '[{{"rate_bp": 1000, "taxable_minor": 3000, "tax_minor": 300}}]', 'ja', 'staff', now(), now())
        ), lines AS (
            INSERT INTO order_line (id, order_id, position, variant_id, sku, title, quantity, unit_price_minor, subtotal_minor,
                                    tax_rate_bp, tax_minor, total_minor)
            SELECT id, {order}, position, variant_id, sku, sku, 1, 1100, 1000, 1000, 100, 1100 FROM line
        ), part AS (
            INSERT INTO fulfillment (id, order_id, location_id, method, state, picking_at, ready_at, collected_at, collected_proof, closed_at)
            VALUES (bench_id(65, CAST(:o AS bigint)), {order}, {store}, 'carry_out', 'collected', now(), now(), now(), 'carry_out', now())
        ), carried AS (
            INSERT INTO fulfillment_line (fulfillment_id, order_line_id, quantity, picked, collected)
            SELECT bench_id(65, CAST(:o AS bigint)), id, 1, 1, 1 FROM line
        ), paid AS (
            INSERT INTO payment (id, order_id, tender, state, amount_minor, authorized_minor, captured_minor, currency, created_at, updated_at)
            VALUES (bench_id(66, CAST(:o AS bigint)), {order}, 'cash', 'captured', 3300, 3300, 3300, 'JPY', now(), now())
        ), entries AS (
            INSERT INTO payment_entry (id, payment_id, kind, amount_minor, state, idempotency_key, actor, started_at, settled_at)
            SELECT bench_id(67, CAST(:o AS bigint) * 2 + side), bench_id(66, CAST(:o AS bigint)), kind, 3300, 'succeeded',
                   kind || '-t-' || CAST(:o AS bigint), 'staff', now(), now()
            FROM (VALUES (0, 'authorize'), (1, 'capture')) AS entry (side, kind)
        ), told AS (
            INSERT INTO event (id, type, aggregate_id, actor, data, at)
            VALUES (bench_id(68, CAST(:o AS bigint)), 'OrderPlaced', {order}, 'staff',
                    '{{"reference": "R-BENCH", "total_minor": 3300, "currency": "JPY", "method": "carry_out"}}', now())
        )
        INSERT INTO delivery (event_id, handler, next_at) VALUES (bench_id(68, CAST(:o AS bigint)), 'support.on_order_placed', now())
    """  # noqa: S608 - numbers of our own
    return script(variables, [" ".join(stock.split()), " ".join(rows.split())], transaction=True)
