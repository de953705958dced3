"""Writes a new order: the order, its lines, fulfillments, payments, their ledger entries and the event in ONE statement.

The rows go in as JSON texts: psycopg then prepares one statement whatever the number of lines and the size of the
numbers (a list of ints would travel as int2[], int4[] or int8[], a plan each).
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from orders.drafts import Draft, Part, Planned
from retail.events import OrderPlaced
from retail.kernel import outbox
from retail.kernel.hot import Hot
from retail.kernel.ids import new_id

_WRITE = Hot(
    """
    WITH doc AS (
        SELECT * FROM json_to_record(CAST(:doc AS json)) AS d (
            id uuid, reference text, customer_id uuid, channel_code text, currency text, tax_inclusive boolean,
            subtotal_minor bigint, tax_minor bigint, total_minor bigint, tax_lines jsonb, discount_minor bigint,
            discounts jsonb, coupon_codes text[], ship_to jsonb, contact_name text, contact_email text,
            contact_phone text, locale text, placed_by text, placed_at timestamptz, confirmed_at timestamptz,
            state text, collected_at timestamptz, proof text, cart_id uuid, cart_version integer, decision_id uuid, decision jsonb)
    ), closed_cart AS (
        UPDATE cart SET state = 'placed', order_id = d.id, version = version + 1, updated_at = d.placed_at
        FROM doc AS d WHERE cart.id = d.cart_id AND cart.version = d.cart_version AND cart.state = 'open'
        RETURNING 1
    ), new_order AS (
        INSERT INTO "order" (id, reference, kind, customer_id, channel_code, currency, tax_inclusive, subtotal_minor,
                             tax_minor, total_minor, tax_lines, discount_minor, discounts, coupon_codes, ship_to,
                             contact_name, contact_email, contact_phone, locale, placed_by, placed_at, confirmed_at)
        SELECT id, reference, 'live', customer_id, channel_code, currency, tax_inclusive, subtotal_minor,
               tax_minor, total_minor, tax_lines, discount_minor, discounts, coupon_codes, ship_to,
               contact_name, contact_email, contact_phone, locale, placed_by, placed_at, confirmed_at
        FROM doc
    ), line AS MATERIALIZED (
        SELECT * FROM json_to_recordset(CAST(:lines AS json)) AS l (
            id uuid, position integer, kind text, variant_id uuid, sku text, title text, quantity integer,
            unit_price_minor bigint, subtotal_minor bigint, tax_rate_bp integer, tax_minor bigint, total_minor bigint,
            discount_minor bigint)
    ), new_lines AS (
        INSERT INTO order_line (id, order_id, position, kind, variant_id, sku, title, quantity, unit_price_minor,
                                subtotal_minor, tax_rate_bp, tax_minor, total_minor, discount_minor)
        SELECT l.id, d.id, l.position, l.kind, l.variant_id, l.sku, l.title, l.quantity, l.unit_price_minor,
               l.subtotal_minor, l.tax_rate_bp, l.tax_minor, l.total_minor, l.discount_minor
        FROM doc AS d CROSS JOIN line AS l
    ), planned AS MATERIALIZED (
        SELECT * FROM json_to_recordset(CAST(:plan AS json)) AS f (
            id uuid, location_id uuid, source_id uuid, method text, ready_by timestamptz, slot_at timestamptz, units json)
    ), new_fulfillments AS (
        INSERT INTO fulfillment (id, order_id, location_id, source_location_id, method, state, ready_by, slot_at, picking_at,
                                 ready_at, collected_at, collected_proof, closed_at)
        SELECT f.id, d.id, f.location_id, f.source_id, f.method, d.state, f.ready_by, f.slot_at, d.collected_at,
               d.collected_at, d.collected_at, d.proof, d.collected_at
        FROM doc AS d CROSS JOIN planned AS f
    ), new_fulfillment_lines AS (
        INSERT INTO fulfillment_line (fulfillment_id, order_line_id, quantity, picked, collected)
        SELECT f.id, u.line_id, u.quantity, CASE WHEN d.collected_at IS NULL THEN 0 ELSE u.quantity END,
               CASE WHEN d.collected_at IS NULL THEN 0 ELSE u.quantity END
        FROM doc AS d CROSS JOIN planned AS f
        CROSS JOIN LATERAL json_to_recordset(f.units) AS u (line_id uuid, quantity integer)
    ), decided AS (
        INSERT INTO sourcing_decision (id, order_id, cause, decision, actor, decided_at)
        SELECT decision_id, id, 'placed', decision, placed_by, placed_at FROM doc WHERE decision IS NOT NULL
    ), part AS MATERIALIZED (
        SELECT * FROM json_to_recordset(CAST(:parts AS json)) AS p (
            id uuid, tender text, state text, amount_minor bigint, authorized_minor bigint, captured_minor bigint,
            points bigint, provider_method text, gift_card_id uuid, authorize_id uuid, capture_id uuid)
    ), new_payments AS (
        INSERT INTO payment (id, order_id, tender, state, amount_minor, authorized_minor, captured_minor, currency, points,
                             provider_method, gift_card_id, created_at, updated_at)
        SELECT p.id, d.id, p.tender, p.state, p.amount_minor, p.authorized_minor, p.captured_minor, d.currency, p.points,
               p.provider_method, p.gift_card_id, d.placed_at, d.placed_at
        FROM doc AS d CROSS JOIN part AS p
    ), new_entries AS (
        INSERT INTO payment_entry (id, payment_id, kind, amount_minor, state, idempotency_key, actor, started_at, settled_at)
        SELECT e.id, p.id, e.kind, p.amount_minor, 'succeeded', e.kind || ':' || p.id, d.placed_by, d.placed_at, d.placed_at
        FROM doc AS d CROSS JOIN part AS p
        CROSS JOIN LATERAL (VALUES (p.authorize_id, 'authorize'), (p.capture_id, 'capture')) AS e (id, kind)
        WHERE e.id IS NOT NULL
    ), happened AS MATERIALIZED (
        SELECT * FROM json_to_recordset(CAST(:events AS json)) AS e (
            id uuid, type text, aggregate_id uuid, party_id uuid, actor text, data text, at timestamptz, handlers text[])
    ), new_events AS (
        INSERT INTO event (id, type, aggregate_id, party_id, actor, data, at)
        SELECT id, type, aggregate_id, party_id, actor, CAST(data AS jsonb), at FROM happened
    ), new_deliveries AS (
        INSERT INTO delivery (event_id, handler, next_at)
        SELECT id, handler, at FROM happened CROSS JOIN LATERAL unnest(handlers) AS handler
    )
    SELECT d.cart_id IS NULL OR EXISTS (SELECT 1 FROM closed_cart) FROM doc AS d
    """
)


def write(session: Session, *, draft: Draft, actor: str, now: datetime) -> bool:
    """Write everything; one statement. A confirmed order is announced (OrderPlaced).

    Returns False when the cart it came from had been changed or placed meanwhile: the caller must then give up the
    transaction.
    """
    events = [outbox.row_of(_placed(draft), actor=actor, now=now)] if draft.confirmed else []
    given = {
        "doc": _json(_document(draft)),
        "lines": _json(_lines(draft)),
        "plan": _json([_planned(draft, planned) for planned in draft.plan]),
        "parts": _json([_part(draft, part) for part in draft.parts]),
        "events": _json(events),
    }
    return bool(_WRITE.run(session, given).scalar_one())


def _document(draft: Draft) -> Mapping[str, Any]:
    priced = draft.priced
    at = draft.now if draft.at_till else None
    return {
        "id": draft.order_id,
        "reference": draft.reference,
        "customer_id": draft.customer_id,
        "channel_code": draft.channel,
        "currency": priced.currency,
        "tax_inclusive": priced.tax_inclusive,
        "subtotal_minor": priced.subtotal_minor,
        "tax_minor": priced.tax_minor,
        "total_minor": priced.total_minor,
        "tax_lines": [line.stored() for line in priced.tax_lines],
        "discount_minor": priced.discount_minor,
        "discounts": priced.discounts,
        "coupon_codes": priced.coupon_codes,
        "ship_to": draft.ship_to,
        "contact_name": draft.contact_name,
        "contact_email": draft.contact_email,
        "contact_phone": draft.contact_phone,
        "locale": draft.locale,
        "placed_by": draft.placed_by,
        "placed_at": draft.now,
        "confirmed_at": draft.now if draft.confirmed else None,
        "state": draft.state,
        "collected_at": at,
        "proof": "carry_out" if draft.at_till else None,
        "cart_id": draft.cart_id,
        "cart_version": draft.cart_version,
        "decision_id": new_id(),
        "decision": draft.decision,
    }


def _planned(draft: Draft, planned: Planned) -> dict[str, Any]:
    return {
        "id": planned.fulfillment_id,
        "location_id": planned.place.id,
        "source_id": None if planned.source is None else planned.source.id,
        "method": planned.method,
        "ready_by": planned.ready_by,
        "slot_at": planned.slot_at,
        "units": [{"line_id": draft.line_ids[position], "quantity": units} for position, units in planned.units],
    }


def _lines(draft: Draft) -> list[dict[str, Any]]:
    return [
        {
            "id": line_id,
            "position": position,
            "kind": line.kind,
            "variant_id": line.variant_id,
            "sku": line.sku,
            "title": draft.title(line),
            "quantity": line.quantity,
            "unit_price_minor": line.unit_price_minor,
            "subtotal_minor": line.subtotal_minor,
            "tax_rate_bp": line.tax_rate_bp,
            "tax_minor": line.tax_minor,
            "total_minor": line.total_minor,
            "discount_minor": line.discount_minor,
        }
        for position, (line, line_id) in enumerate(zip(draft.priced.lines, draft.line_ids, strict=True), start=1)
    ]


def _part(draft: Draft, part: Part) -> dict[str, Any]:
    """A payment row with the ids of the ledger entries that are written with it. A card's entries are written by
    `payments`, the counter's by `tenders` when it takes the money."""
    state = draft.state_of(part)
    return {
        "id": part.payment_id,
        "tender": part.tender,
        "state": state,
        "amount_minor": part.amount_minor,
        "authorized_minor": part.amount_minor if state in ("authorized", "captured") else 0,
        "captured_minor": part.amount_minor if state == "captured" else 0,
        "points": part.points,
        "provider_method": part.provider_method,
        "gift_card_id": None if part.gift_card is None else part.gift_card.id,
        "authorize_id": new_id() if state in ("authorized", "captured") else None,
        "capture_id": new_id() if state == "captured" else None,
    }


def _placed(draft: Draft) -> OrderPlaced:
    return OrderPlaced(
        order_id=draft.order_id,
        reference=draft.reference,
        customer_id=draft.customer_id,
        total_minor=draft.priced.total_minor,
        currency=draft.priced.currency,
        location_id=draft.plan[0].place.id,
        method=draft.method,
    )


def _json(value: Any) -> str:
    return json.dumps(value, default=str, ensure_ascii=False)
