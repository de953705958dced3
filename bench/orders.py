"""Two routes of orders beside the database's own limit: an order that is split over three places, and a whole refund.

What both need is added to the run's own copy of the shop: three places that send, each with a third of the articles; and orders
that were handed over and paid in cash, of guests.
"""

import json
import random

from sqlalchemy import create_engine, text

from bench.data import Size, customer_id
from bench.limits import NOW, hold_of, write_of
from bench.load import http_request
from bench.measure import Goal, Scenario
from bench.pgbench import inline, script
from bench.shop import AGENT_TOKEN, CLIENT_KEY
from inventory.reservations import taking
from loyalty.ledger import holds
from retail.kernel import idempotency

PLACES = 3
FIRST_PLACE = 1001
REFUNDS_PER_ROUND = 5_000
ROUNDS_MOST = 12
POINTS = 20_000  # more than any order of three articles costs
ADDRESS = {"postal_code": "150-0002", "region": "東京都", "city": "渋谷区", "line1": "渋谷1-2-3", "country": "JP"}

_SPLIT = (
    """
    INSERT INTO location (id, code, kind, name, zone, tax_region, ship_enabled)
    SELECT bench_id(2, 1000 + n), 'W' || n, 'warehouse', 'Warehouse ' || n, 'Asia/Tokyo', 'JP', true FROM generate_series(1, 3) AS n
    """,
    """
    INSERT INTO stock_level (variant_id, location_id, on_hand, updated_at)
    SELECT bench_id(4, v), bench_id(2, 1000 + least(3, 1 + (v - 1) / :band)), :stock, now() FROM generate_series(1, :skus) AS v
    """,
    """
    INSERT INTO stock_movement (variant_id, location_id, from_bucket, to_bucket, quantity, cause, actor, at)
    SELECT variant_id, location_id, 'outside', 'available', on_hand, 'receipt', 'system', now() FROM stock_level
    WHERE location_id IN (bench_id(2, 1001), bench_id(2, 1002), bench_id(2, 1003))
    """,
    """
    INSERT INTO shipping_rate (currency, country, region, amount_minor, tax_class_code, updated_by, updated_at)
    VALUES ('JPY', 'JP', '', 500, 'standard', 'system', now())
    """,
)
_HANDED_OVER = (
    """
    INSERT INTO "order" (id, reference, kind, channel_code, currency, tax_inclusive, subtotal_minor, tax_minor, total_minor,
                         tax_lines, placed_by, placed_at, confirmed_at)
    SELECT bench_id(50, n), 'R-H-' || n, 'live', 'web', 'JPY', true, 1000, 91, 1000,
           '[{"rate_bp": 1000, "taxable_minor": 909, "tax_minor": 91}]', 'system', now(), now() FROM generate_series(1, :orders) AS n
    """,
    """
    INSERT INTO order_line (id, order_id, position, variant_id, sku, title, quantity, unit_price_minor, subtotal_minor, tax_rate_bp,
                            tax_minor, total_minor)
    SELECT bench_id(51, n), bench_id(50, n), 1, bench_id(4, 1), 'SKU-1', 'Variant 1', 1, 1000, 909, 1000, 91, 1000
    FROM generate_series(1, :orders) AS n
    """,
    """
    INSERT INTO fulfillment (id, order_id, location_id, method, state, ready_at, collected_at, collected_proof, closed_at)
    SELECT bench_id(52, n), bench_id(50, n), bench_id(2, 1), 'carry_out', 'collected', now(), now(), 'carry_out', now()
    FROM generate_series(1, :orders) AS n
    """,
    """
    INSERT INTO fulfillment_line (fulfillment_id, order_line_id, quantity, picked, collected)
    SELECT bench_id(52, n), bench_id(51, n), 1, 1, 1 FROM generate_series(1, :orders) AS n
    """,
    """
    INSERT INTO payment (id, order_id, tender, state, amount_minor, authorized_minor, captured_minor, currency, created_at, updated_at)
    SELECT bench_id(53, n), bench_id(50, n), 'cash', 'captured', 1000, 1000, 1000, 'JPY', now(), now()
    FROM generate_series(1, :orders) AS n
    """,
    """
    INSERT INTO payment_entry (id, payment_id, kind, amount_minor, state, idempotency_key, actor, started_at, settled_at)
    SELECT bench_id(54, n * 2 + side), bench_id(53, n), kind, 1000, 'succeeded', kind || '-bench-' || n, 'system', now(), now()
    FROM generate_series(1, :orders) AS n, (VALUES (0, 'authorize'), (1, 'capture')) AS entry (side, kind)
    """,
)


def prepare_split(url: str, size: Size) -> None:
    """Three places that send, each with a third of the articles, and what sending costs."""
    _run(url, _SPLIT, {"band": size.skus // PLACES, "skus": size.skus, "stock": size.stock})


def prepare_refunds(url: str, size: Size) -> None:  # noqa: ARG001 - like its sibling
    """Orders that were handed over and paid in cash: enough for every round, ours and the limit's."""
    _run(url, _HANDED_OVER, {"orders": 2 * ROUNDS_MOST * REFUNDS_PER_ROUND})


def split(size: Size, run: str) -> list[Scenario]:
    """POST /orders for three articles that lie in three places, paid with points."""
    dice = random.Random(12)
    band = size.skus // PLACES

    def place(number: int) -> bytes:
        body = {
            "lines": [{"sku": f"SKU-{i * band + dice.randint(1, band)}", "quantity": 1} for i in range(PLACES)],
            "method": "ship",
            "ship_to": ADDRESS,
            "customer_id": customer_id(dice.randint(1, size.customers)),
            "points_to_spend": POINTS,
            "contact": {"name": "Customer", "email": "customer@example.com"},
        }
        data = json.dumps(body).encode()
        return http_request("POST", "/api/v1/orders", token=CLIENT_KEY, body=data, key=f"{run}-split-{number}")

    return [
        Scenario("place an order split over 3 places", "/api/v1/orders", Goal(0.0, 14), place, _split_limit(size), 201)
    ]


def refund(size: Size, run: str) -> list[Scenario]:  # noqa: ARG001 - like its sibling
    """POST /orders/{ref}/refunds of a whole order, once each."""

    def give_back(number: int) -> bytes:
        order = 1 + number // 1_000_000 * REFUNDS_PER_ROUND + number % 1_000_000
        path = f"/api/v1/orders/R-H-{order}/refunds"
        return http_request("POST", path, token=AGENT_TOKEN, body=b'{"reason": "bench"}', key=f"{run}-refund-{number}")

    route = "/api/v1/orders/<string:reference>/refunds"
    return [Scenario("refund a whole order", route, Goal(0.0, 30), give_back, _refund_limit(), 201)]


def _run(url: str, statements: tuple[str, ...], params: dict[str, int]) -> None:
    engine = create_engine(url)
    try:
        with engine.begin() as connection:
            for statement in statements:
                known = {name: value for name, value in params.items() if f":{name}" in statement}
                connection.execute(text(statement), known)
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("ANALYZE"))
    finally:
        engine.dispose()


def _split_limit(size: Size) -> str:
    """The stock of three places and a points hold by our own statements, the order's rows, its decision and the claim."""
    band = size.skus // PLACES
    variables = ["n :n + 1", "o :n * 64 + :client_id", f"c random(1, {size.customers})"]
    variables += [f"v{i} random({i * band + 1}, {(i + 1) * band})" for i in range(PLACES)]
    order, numbers = "bench_id(20, CAST(:o AS bigint))", range(PLACES)
    allocate = {
        "ids": "ARRAY[" + ", ".join(f"bench_id(22, CAST(:o AS bigint) * 8 + {i})" for i in numbers) + "]",
        "variants": "ARRAY[" + ", ".join(f"bench_id(4, CAST(:v{i} AS bigint))" for i in numbers) + "]",
        "locations": "ARRAY[" + ", ".join(f"bench_id(2, {FIRST_PLACE + i})" for i in numbers) + "]",
        "quantities": "ARRAY[1, 1, 1]",
        "line_ids": "ARRAY[" + ", ".join(f"bench_id(21, CAST(:o AS bigint) * 8 + {i})" for i in numbers) + "]",
        "channel": "'web'",
        "for_sale": "true",
        "swept": "false",
        "owner_id": order,
        "held_for": "CAST(NULL AS uuid)",
        "expires_at": "CAST(NULL AS timestamptz)",
        "actor": "'client-bench'",
        "now": NOW,
    }
    decision = f"""
        INSERT INTO sourcing_decision (id, order_id, cause, decision, actor, decided_at)
        VALUES (bench_id(29, CAST(:o AS bigint)), {order}, 'placed', jsonb_build_object('locations', repeat('x', 4000)),
                'client-bench', now())
    """  # noqa: S608 - constants
    statements = [
        inline(taking._ALLOCATE.text, allocate),
        inline(holds._HOLD.text, hold_of(points=9_000)),
        write_of(PLACES, places=[f"bench_id(2, {FIRST_PLACE + i})" for i in numbers]),
        " ".join(decision.split()),
        inline(idempotency._FINISH.text, _claim()),
    ]
    return script(variables, statements, transaction=True)


def _refund_limit() -> str:
    """The rows that a whole refund of a guest's cash order writes, from plain values, in one transaction (ours takes two)."""
    number = f"(CAST(:o AS bigint) + {ROUNDS_MOST * REFUNDS_PER_ROUND})"
    writes = f"""
        WITH paid AS (
            UPDATE payment SET refunded_minor = refunded_minor + 1, updated_at = now() WHERE id = bench_id(53, {number}) RETURNING id
        ), given AS (
            INSERT INTO refund (id, order_id, amount_minor, points, currency, reason, restock, destination, state, actor, created_at, done_at)
            VALUES (bench_id(55, CAST(:k AS bigint)), bench_id(50, {number}), 1, 0, 'JPY', 'bench', false, 'original', 'done', 'staff', now(), now())
        ), entry AS (
            INSERT INTO payment_entry (id, payment_id, kind, amount_minor, state, idempotency_key, refund_id, actor, started_at, settled_at)
            SELECT bench_id(56, CAST(:k AS bigint)), id, 'refund', 1, 'succeeded', 'refund-bench-' || CAST(:k AS bigint),
                   bench_id(55, CAST(:k AS bigint)), 'staff', now(), now() FROM paid
        ), lines AS (
            UPDATE order_line SET refunded_quantity = quantity - cancelled_quantity WHERE order_id = bench_id(50, {number})
        ), touched AS (
            UPDATE "order" SET version = version + 1 WHERE id = bench_id(50, {number})
        ), told AS (
            INSERT INTO event (id, type, aggregate_id, actor, data, at)
            VALUES (bench_id(57, CAST(:k AS bigint)), 'OrderRefunded', bench_id(50, {number}), 'staff',
                    '{{"reference": "R-BENCH", "amount_minor": 1000, "currency": "JPY"}}', now())
        )
        INSERT INTO delivery (event_id, handler, next_at) VALUES (bench_id(57, CAST(:k AS bigint)), 'support.on_order_refunded', now())
    """  # noqa: S608 - numbers of our own
    variables = ["n :n + 1", "k :n * 64 + :client_id", f"o random(1, {ROUNDS_MOST * REFUNDS_PER_ROUND})"]
    claim = inline(idempotency._FINISH.text, _claim("k"))
    return script(variables, [" ".join(writes.split()), claim], transaction=True)


def _claim(number: str = "o") -> dict[str, str]:
    return {
        "principal": "'client-bench'",
        "key": f"'pgbench-' || CAST(:{number} AS bigint)",
        "fingerprint": "'" + "f" * 64 + "'",
        "status": "201",
        "body": "'" + json.dumps({"order": "x" * 2400}) + "'",
        "headers": "'{}'",
        "now": NOW,
    }
