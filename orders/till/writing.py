"""Writes the orders of a whole batch in ONE statement: rows as `order_writer` writes them for one, and what cards paid."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from orders.till.booking import Booking
from retail.events import OrderPlaced
from retail.kernel import outbox
from retail.kernel.hot import Hot
from retail.kernel.ids import new_id

_WRITE = Hot(
    """
    WITH doc AS MATERIALIZED (
        SELECT * FROM json_to_recordset(CAST(:docs AS json)) AS d (
            id uuid, reference text, customer_id uuid, subtotal_minor bigint, tax_minor bigint, total_minor bigint, tax_lines jsonb,
            discount_minor bigint, contact_name text, locale text, placed_at timestamptz, fulfillment_id uuid, sale_row uuid, flags jsonb)
    ), new_orders AS (
        INSERT INTO "order" (id, reference, kind, customer_id, channel_code, currency, tax_inclusive, subtotal_minor, tax_minor,
                             total_minor, tax_lines, discount_minor, contact_name, locale, placed_by, placed_at, confirmed_at)
        SELECT id, reference, 'live', customer_id, :channel, :currency, :inclusive, subtotal_minor, tax_minor,
               total_minor, tax_lines, discount_minor, contact_name, locale, :actor, placed_at, placed_at
        FROM doc
    ), line AS MATERIALIZED (
        SELECT * FROM json_to_recordset(CAST(:lines AS json)) AS l (
            id uuid, order_id uuid, fulfillment_id uuid, position integer, variant_id uuid, sku text, title text, quantity integer,
            unit_price_minor bigint, subtotal_minor bigint, tax_rate_bp integer, tax_minor bigint, total_minor bigint, discount_minor bigint)
    ), new_lines AS (
        INSERT INTO order_line (id, order_id, position, kind, variant_id, sku, title, quantity, unit_price_minor, subtotal_minor,
                                tax_rate_bp, tax_minor, total_minor, discount_minor)
        SELECT id, order_id, position, 'goods', variant_id, sku, title, quantity, unit_price_minor, subtotal_minor, tax_rate_bp,
               tax_minor, total_minor, discount_minor
        FROM line
    ), new_fulfillments AS (
        INSERT INTO fulfillment (id, order_id, location_id, method, state, picking_at, ready_at, collected_at, collected_proof, closed_at)
        SELECT fulfillment_id, id, :location_id, 'carry_out', 'collected', placed_at, placed_at, placed_at, 'carry_out', placed_at FROM doc
    ), new_fulfillment_lines AS (
        INSERT INTO fulfillment_line (fulfillment_id, order_line_id, quantity, picked, collected)
        SELECT fulfillment_id, id, quantity, quantity, quantity FROM line
    ), part AS MATERIALIZED (
        SELECT * FROM json_to_recordset(CAST(:parts AS json)) AS p (
            id uuid, order_id uuid, tender text, amount_minor bigint, points bigint, gift_card_id uuid, authorize_id uuid, capture_id uuid)
    ), new_payments AS (
        INSERT INTO payment (id, order_id, tender, state, amount_minor, authorized_minor, captured_minor, currency, points,
                             gift_card_id, created_at, updated_at)
        SELECT id, order_id, tender, 'captured', amount_minor, amount_minor, amount_minor, :currency, points, gift_card_id, :now, :now
        FROM part
    ), new_entries AS (
        INSERT INTO payment_entry (id, payment_id, kind, amount_minor, state, idempotency_key, actor, started_at, settled_at)
        SELECT e.id, p.id, e.kind, p.amount_minor, 'succeeded', e.kind || ':' || p.id, :actor, :now, :now
        FROM part AS p CROSS JOIN LATERAL (VALUES (p.authorize_id, 'authorize'), (p.capture_id, 'capture')) AS e (id, kind)
    ), spent AS (
        UPDATE gift_card AS card SET balance_minor = balance_minor - sums.amount, version = version + 1
        FROM (SELECT gift_card_id, sum(amount_minor) AS amount FROM part WHERE gift_card_id IS NOT NULL GROUP BY gift_card_id) AS sums
        WHERE card.id = sums.gift_card_id
    ), card_entries AS (
        INSERT INTO gift_card_entry (id, gift_card_id, kind, amount_minor, key, order_id, reason, actor, at)
        SELECT gen_random_uuid(), gift_card_id, 'spend', -amount_minor, 'spend:' || id, order_id, '', :actor, :now
        FROM part WHERE gift_card_id IS NOT NULL
    ), settled AS (
        UPDATE till_sale SET order_id = doc.id, flags = doc.flags FROM doc WHERE till_sale.id = doc.sale_row
    ), happened AS MATERIALIZED (
        SELECT * FROM json_to_recordset(CAST(:events AS json)) AS e (
            id uuid, type text, aggregate_id uuid, party_id uuid, actor text, data text, at timestamptz, handlers text[])
    ), new_events AS (
        INSERT INTO event (id, type, aggregate_id, party_id, actor, data, at)
        SELECT id, type, aggregate_id, party_id, actor, CAST(data AS jsonb), at FROM happened
    )
    INSERT INTO delivery (event_id, handler, next_at)
    SELECT id, handler, at FROM happened CROSS JOIN LATERAL unnest(handlers) AS handler
    """
)


def write(
    session: Session,
    *,
    made: Sequence[Booking],
    rows: dict[str, UUID],
    channel: str,
    currency: str,
    inclusive: bool,
    location_id: UUID,
    actor: str,
    now: datetime,
) -> None:
    """Write the orders; `rows` are the ids of their till_sale rows by the till's own sale id. Announces each (OrderPlaced)."""
    given = {
        "docs": _json([_document(one) | {"sale_row": rows[one.sale.sale_id]} for one in made]),
        "lines": _json([line for one in made for line in _lines(one)]),
        "parts": _json([part for one in made for part in _parts(one)]),
        "events": _json([dict(outbox.row_of(_placed(one, location_id), actor=actor, now=now)) for one in made]),
        "channel": channel,
        "currency": currency,
        "inclusive": inclusive,
        "location_id": location_id,
        "actor": actor,
        "now": now,
    }
    _WRITE.run(session, given)


def _document(one: Booking) -> dict[str, Any]:
    return {
        "id": one.order_id,
        "reference": one.reference,
        "customer_id": None if one.buyer is None else one.buyer.id,
        "subtotal_minor": one.total_minor - one.tax_minor,
        "tax_minor": one.tax_minor,
        "total_minor": one.total_minor,
        "tax_lines": [line.stored() for line in one.tax_lines],
        "discount_minor": sum(line.discount_minor for line in one.sale.lines),
        "contact_name": "" if one.buyer is None else one.buyer.name,
        "locale": "ja" if one.buyer is None else one.buyer.locale,
        "placed_at": one.placed_at,
        "fulfillment_id": one.fulfillment_id,
        "flags": one.flags,
    }


def _lines(one: Booking) -> list[dict[str, Any]]:
    told = zip(one.sale.lines, one.wares, one.line_ids, one.nets, one.shares, strict=True)
    return [
        {
            "id": line_id,
            "order_id": one.order_id,
            "fulfillment_id": one.fulfillment_id,
            "position": position,
            "variant_id": None if ware is None else ware.id,
            "sku": line.sku,
            "title": line.title or (line.sku if ware is None else ware.title_ja or ware.title),
            "quantity": line.quantity,
            "unit_price_minor": line.unit_price_minor,
            "subtotal_minor": net,
            "tax_rate_bp": line.tax_rate_bp,
            "tax_minor": share,
            "total_minor": net + share,
            "discount_minor": line.discount_minor,
        }
        for position, (line, ware, line_id, net, share) in enumerate(told, start=1)
    ]


def _parts(one: Booking) -> list[dict[str, Any]]:
    return [
        {
            "id": part.payment_id,
            "order_id": one.order_id,
            "tender": part.tender,
            "amount_minor": part.amount_minor,
            "points": part.points,
            "gift_card_id": None if part.card is None else part.card.id,
            "authorize_id": new_id(),
            "capture_id": new_id(),
        }
        for part in one.parts
    ]


def _placed(one: Booking, location_id: UUID) -> OrderPlaced:
    return OrderPlaced(
        order_id=one.order_id,
        reference=one.reference,
        customer_id=None if one.buyer is None else one.buyer.id,
        total_minor=one.total_minor,
        currency=one.currency,
        location_id=location_id,
        method="carry_out",
    )


def _json(value: Any) -> str:
    return json.dumps(value, default=str, ensure_ascii=False)
