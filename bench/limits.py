"""The limits: pgbench scripts of the same work as each measured route, made of the statements our packages run.

Placing: the guarded stock statement and the points hold are ours, word for word; the order's rows are written by one
statement from plain values (ours takes JSON); the idempotency row closes. Reads, authentication, JSON and HTTP are ours to
pay for. Availability and context: the very statements of the route, without authentication.
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime

from bench.data import Size
from bench.pgbench import inline, script
from inventory.queries import availability
from inventory.reservations import taking
from loyalty import queries as loyalty_queries
from loyalty.ledger import holds
from orders.queries import orders as order_queries
from retail.kernel import idempotency
from support import queries as support_queries

NOW = "now()"


def placing(size: Size, *, lines: int = 3, points: int = 100) -> str:
    """One order of three lines with a points hold, paid at pickup: one transaction."""
    band = size.skus // lines
    variables = ["n :n + 1", "o :n * 64 + :client_id", f"s random(1, {size.stores})", f"c random(1, {size.customers})"]
    variables += [f"v{i} random({i * band + 1}, {(i + 1) * band})" for i in range(lines)]
    order, store = "bench_id(20, CAST(:o AS bigint))", "bench_id(2, CAST(:s AS bigint))"
    variants = ", ".join(f"bench_id(4, CAST(:v{i} AS bigint))" for i in range(lines))
    line_ids = ", ".join(f"bench_id(21, CAST(:o AS bigint) * 8 + {i})" for i in range(lines))
    each = ", ".join(["1"] * lines)
    allocate = {
        "ids": "ARRAY[" + ", ".join(f"bench_id(22, CAST(:o AS bigint) * 8 + {i})" for i in range(lines)) + "]",
        "variants": f"ARRAY[{variants}]",
        "locations": "ARRAY[" + ", ".join([store] * lines) + "]",
        "quantities": f"ARRAY[{each}]",
        "line_ids": f"ARRAY[{line_ids}]",
        "channel": "'web'",
        "for_sale": "true",
        "swept": "false",
        "owner_id": order,
        "held_for": "CAST(NULL AS uuid)",
        "expires_at": "CAST(NULL AS timestamptz)",
        "actor": "'client-bench'",
        "now": NOW,
    }
    claim = {
        "principal": "'client-bench'",
        "key": "'pgbench-' || CAST(:o AS bigint)",
        "fingerprint": "'" + "f" * 64 + "'",
        "status": "201",
        "body": "'" + json.dumps({"order": "x" * 2400}) + "'",
        "headers": "'{}'",
        "now": NOW,
    }
    statements = [
        inline(taking._ALLOCATE.text, allocate),
        inline(holds._HOLD.text, hold_of(points=points)),
        write_of(lines, places=[store]),
        inline(idempotency._FINISH.text, claim),
    ]
    return script(variables, statements, transaction=True)


def hold_of(*, points: int) -> dict[str, str]:
    """The points hold of the order :o of the customer :c, for our own statement."""
    return {
        "customer_id": "bench_id(5, CAST(:c AS bigint))",
        "order_id": "bench_id(20, CAST(:o AS bigint))",
        "points": str(points),
        "hold_id": "bench_id(23, CAST(:o AS bigint))",
        "transaction_id": "bench_id(24, CAST(:o AS bigint))",
        "order_ref": "'b' || CAST(:o AS bigint)",
        "actor": "'client-bench'",
        "now": NOW,
    }


def write_of(lines: int, *, places: Sequence[str]) -> str:
    """The order's rows from plain values, one statement: all lines of the first place, or one of each."""
    fulfillments = ", ".join(
        f"(bench_id(25, CAST(:o AS bigint) * 8 + {i}), bench_id(20, CAST(:o AS bigint)), {place}, 'pickup', 'allocated', now())"
        for i, place in enumerate(places)
    )
    carried = ", ".join(
        f"(bench_id(25, CAST(:o AS bigint) * 8 + {i if len(places) > 1 else 0}), bench_id(21, CAST(:o AS bigint) * 8 + {i}), 1)"
        for i in range(lines)
    )
    values = ", ".join(
        f"(bench_id(21, CAST(:o AS bigint) * 8 + {i}), {i + 1}, bench_id(4, CAST(:v{i} AS bigint)), 'SKU-' || CAST(:v{i} AS bigint), 'Variant ' || CAST(:v{i} AS bigint))"
        for i in range(lines)
    )
    statement = f"""
        WITH line (id, position, variant_id, sku, title) AS (VALUES {values}),
        new_order AS (
            INSERT INTO "order" (id, reference, kind, customer_id, channel_code, currency, tax_inclusive, subtotal_minor,
                                 tax_minor, total_minor, tax_lines, contact_name, locale, placed_by, placed_at, confirmed_at)
            VALUES (bench_id(20, CAST(:o AS bigint)), 'R-B-' || CAST(:o AS bigint), 'live', bench_id(5, CAST(:c AS bigint)), 'web', 'JPY', true, 3000, 273, 3000,
                    '[{{"rate_bp": 1000, "taxable_minor": 3000, "tax_minor": 273}}]', 'Customer', 'ja', 'client-bench', now(), now())
        ), new_lines AS (
            INSERT INTO order_line (id, order_id, position, variant_id, sku, title, quantity, unit_price_minor,
                                    subtotal_minor, tax_rate_bp, tax_minor, total_minor)
            SELECT id, bench_id(20, CAST(:o AS bigint)), position, variant_id, sku, title, 1, 1000, 1000, 1000, 91, 1000 FROM line
        ), new_fulfillment AS (
            INSERT INTO fulfillment (id, order_id, location_id, method, state, ready_by)
            VALUES {fulfillments}
        ), new_fulfillment_lines AS (
            INSERT INTO fulfillment_line (fulfillment_id, order_line_id, quantity) VALUES {carried}
        ), new_payments AS (
            INSERT INTO payment (id, order_id, tender, state, amount_minor, authorized_minor, currency, points, created_at, updated_at)
            VALUES (bench_id(26, CAST(:o AS bigint) * 2), bench_id(20, CAST(:o AS bigint)), 'points', 'authorized', 100, 100, 'JPY', 100, now(), now()),
                   (bench_id(26, CAST(:o AS bigint) * 2 + 1), bench_id(20, CAST(:o AS bigint)), 'pay_at_pickup', 'pending', 2900, 0, 'JPY', NULL, now(), now())
        ), new_entries AS (
            INSERT INTO payment_entry (id, payment_id, kind, amount_minor, state, idempotency_key, actor, started_at, settled_at)
            VALUES (bench_id(27, CAST(:o AS bigint)), bench_id(26, CAST(:o AS bigint) * 2), 'authorize', 100, 'succeeded', 'b' || CAST(:o AS bigint), 'client-bench', now(), now())
        ), new_event AS (
            INSERT INTO event (id, type, aggregate_id, party_id, actor, data, at)
            VALUES (bench_id(28, CAST(:o AS bigint)), 'OrderPlaced', bench_id(20, CAST(:o AS bigint)), bench_id(5, CAST(:c AS bigint)), 'client-bench',
                    '{{"reference": "R-BENCH", "total_minor": 3000, "currency": "JPY", "method": "pickup"}}', now())
        )
        INSERT INTO delivery (event_id, handler, next_at) VALUES (bench_id(28, CAST(:o AS bigint)), 'support.on_order_placed', now())
    """  # noqa: S608 - numbers of our own
    return " ".join(statement.split())


def availability_of_one(size: Size) -> str:
    """One SKU over all locations: the route's one statement."""
    values = {"skus": "ARRAY['SKU-' || CAST(:v AS bigint)]", "channel": "'web'", "now": NOW}
    return script([f"v random(1, {size.skus})"], [inline(availability.EVERYWHERE.text, values)], transaction=False)


def context(size: Size) -> str:
    """The agent's context by phone: the route's statements, one after the other, autocommit."""
    customer = "bench_id(5, CAST(:c AS bigint))"
    person = {
        "kind": "'phone'",
        "namespace": "''",
        "value": "'+8190' || lpad(CAST(CAST(:c AS bigint) AS text), 8, '0')",
    }
    statements = [
        inline(support_queries._BY_IDENTITY.text, person),
        *(inline(statement, values | {"customer_id": customer}) for statement, values in _owners()),
        inline(
            support_queries._HISTORY_OF_CUSTOMER.text, {"customer_id": customer, "limit": "20", "timeline_limit": "50"}
        ),
    ]
    return script([f"c random(1, {size.customers})"], statements, transaction=False)


def _owners() -> list[tuple[str, dict[str, str]]]:
    at = f"'{datetime.now(UTC).isoformat()}'"
    limits = {"open_limit": "51", "past_limit": "21", "limit": "20"}
    return [
        (loyalty_queries.ledger._POINTS.text, {"now": f"CAST({at} AS timestamptz)"}),
        (order_queries._FOR_CUSTOMER.text, limits),
        (order_queries._RETURNS.text, limits),
    ]
