"""Writes a new order: the order, its lines, fulfillment, payments, their ledger entries and the event in ONE statement.

The rows go in as JSON texts: psycopg then prepares one statement whatever the number of lines and the size of the
numbers (a list of ints would travel as int2[], int4[] or int8[], a plan each).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from orders.pricing import Priced
from orders.queries.gift_cards import GiftCardFacts
from orders.queries.orders import tax_lines_of
from retail.events import OrderPlaced
from retail.kernel import outbox
from retail.kernel.hot import Hot
from retail.kernel.ids import new_id
from retail.queries import LocationFacts


@dataclass(frozen=True, slots=True)
class Part:
    """One tender's part of the total, minor units."""

    payment_id: UUID
    tender: str
    amount_minor: int
    points: int | None = None
    provider_method: str | None = None
    gift_card: GiftCardFacts | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """An order as it will be written; every id is made already."""

    order_id: UUID
    reference: str
    channel: str
    customer_id: UUID | None
    contact_name: str
    contact_email: str | None
    contact_phone: str | None
    locale: str
    placed_by: str
    priced: Priced
    line_ids: tuple[UUID, ...]
    fulfillment_id: UUID
    method: str
    place: LocationFacts
    ready_by: datetime | None
    parts: tuple[Part, ...]
    points: int
    confirmed: bool
    cart_id: UUID | None
    cart_version: int | None
    now: datetime

    @property
    def holder(self) -> UUID:
        """The customer whose points are spent.

        Raises:
            ValueError: a guest's order has no points.
        """
        if self.customer_id is None:
            raise ValueError("a guest has no points")
        return self.customer_id

    @property
    def at_till(self) -> bool:
        """Whether the goods leave at once."""
        return self.method == "carry_out"

    @property
    def state(self) -> str:
        """The state its fulfillment is born in."""
        return "collected" if self.at_till else "allocated" if self.confirmed else "pending"


_WRITE = Hot(
    """
    WITH doc AS (
        SELECT * FROM json_to_record(CAST(:doc AS json)) AS d (
            id uuid, reference text, customer_id uuid, channel_code text, currency text, tax_inclusive boolean,
            subtotal_minor bigint, tax_minor bigint, total_minor bigint, tax_lines jsonb, contact_name text,
            contact_email text, contact_phone text, locale text, placed_by text, placed_at timestamptz,
            confirmed_at timestamptz, fulfillment_id uuid, location_id uuid, method text, state text,
            ready_by timestamptz, collected_at timestamptz, proof text, cart_id uuid, cart_version integer)
    ), closed_cart AS (
        UPDATE cart SET state = 'placed', order_id = d.id, version = version + 1, updated_at = d.placed_at
        FROM doc AS d WHERE cart.id = d.cart_id AND cart.version = d.cart_version AND cart.state = 'open'
        RETURNING 1
    ), new_order AS (
        INSERT INTO "order" (id, reference, kind, customer_id, channel_code, currency, tax_inclusive, subtotal_minor,
                             tax_minor, total_minor, tax_lines, contact_name, contact_email, contact_phone, locale,
                             placed_by, placed_at, confirmed_at)
        SELECT id, reference, 'live', customer_id, channel_code, currency, tax_inclusive, subtotal_minor,
               tax_minor, total_minor, tax_lines, contact_name, contact_email, contact_phone, locale,
               placed_by, placed_at, confirmed_at
        FROM doc
    ), line AS MATERIALIZED (
        SELECT * FROM json_to_recordset(CAST(:lines AS json)) AS l (
            id uuid, position integer, variant_id uuid, sku text, title text, quantity integer, unit_price_minor bigint,
            subtotal_minor bigint, tax_rate_bp integer, tax_minor bigint, total_minor bigint)
    ), new_lines AS (
        INSERT INTO order_line (id, order_id, position, variant_id, sku, title, quantity, unit_price_minor,
                                subtotal_minor, tax_rate_bp, tax_minor, total_minor)
        SELECT l.id, d.id, l.position, l.variant_id, l.sku, l.title, l.quantity, l.unit_price_minor,
               l.subtotal_minor, l.tax_rate_bp, l.tax_minor, l.total_minor
        FROM doc AS d CROSS JOIN line AS l
    ), new_fulfillment AS (
        INSERT INTO fulfillment (id, order_id, location_id, method, state, ready_by, picking_at, ready_at, collected_at,
                                 collected_proof, closed_at)
        SELECT fulfillment_id, id, location_id, method, state, ready_by, collected_at, collected_at, collected_at, proof,
               collected_at
        FROM doc
    ), new_fulfillment_lines AS (
        INSERT INTO fulfillment_line (fulfillment_id, order_line_id, quantity, picked, collected)
        SELECT d.fulfillment_id, l.id, l.quantity, CASE WHEN d.collected_at IS NULL THEN 0 ELSE l.quantity END,
               CASE WHEN d.collected_at IS NULL THEN 0 ELSE l.quantity END
        FROM doc AS d CROSS JOIN line AS l
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
        "parts": _json([_part(draft, part) for part in draft.parts]),
        "events": _json(events),
    }
    return bool(_WRITE.run(session, given).scalar_one())


def answer(draft: Draft) -> dict[str, Any]:
    """The order just written, as `queries.order_dict` would read it back (a test compares the two)."""
    priced, currency = draft.priced, draft.priced.currency
    return {
        "id": draft.order_id,
        "reference": draft.reference,
        "status": "completed" if draft.at_till else "open" if draft.confirmed else "pending_payment",
        "kind": "live",
        "channel": draft.channel,
        "customer_id": draft.customer_id,
        "currency": currency,
        "tax_inclusive": priced.tax_inclusive,
        "subtotal": _money(priced.subtotal_minor, currency),
        "tax": _money(priced.tax_minor, currency),
        "total": _money(priced.total_minor, currency),
        "tax_lines": tax_lines_of([line.stored() for line in priced.tax_lines], currency),
        "discount": _money(0, currency),
        "discounts": [],
        "coupon_codes": [],
        "ship_to": None,
        "changes": 0,
        "contact": {"name": draft.contact_name, "email": draft.contact_email, "phone": draft.contact_phone},
        "locale": draft.locale,
        "placed_by": draft.placed_by,
        "external_reference": None,
        "placed_at": draft.now,
        "confirmed_at": draft.now if draft.confirmed else None,
        "cancelled_at": None,
        "cancel_reason": None,
        "version": 1,
        "lines": [
            {
                "id": line_id,
                "position": position,
                "kind": "goods",
                "sku": line.sku,
                "title": _title(line.title, line.title_ja, draft.locale),
                "quantity": line.quantity,
                "unit_price": _money(line.unit_price_minor, currency),
                "discount": _money(0, currency),
                "total": _money(line.total_minor, currency),
                "tax_rate_bp": line.tax_rate_bp,
                "cancelled_quantity": 0,
                "refunded_quantity": 0,
                "substitute_for": None,
            }
            for position, (line, line_id) in enumerate(zip(priced.lines, draft.line_ids, strict=True), start=1)
        ],
        "payments": [_payment_answer(draft, part) for part in draft.parts],
        "fulfillments": [_fulfillment_answer(draft)],
        "refunds": [],
    }


def _payment_answer(draft: Draft, part: Part) -> dict[str, Any]:
    state, currency, card = _state(draft, part), draft.priced.currency, part.gift_card
    return {
        "id": part.payment_id,
        "tender": part.tender,
        "state": state,
        "amount": _money(part.amount_minor, currency),
        "captured": _money(part.amount_minor if state == "captured" else 0, currency),
        "refunded": _money(0, currency),
        "released": _money(0, currency),
        "points": part.points,
        "gift_card": None if card is None else {"id": card.id, "hint": card.hint, "kind": card.kind},
        "payment_method_id": None,
        "provider_id": None,
        "capture_before": None,
        "failure_code": None,
    }


def _fulfillment_answer(draft: Draft) -> dict[str, Any]:
    place, gone = draft.place, draft.at_till
    return {
        "id": draft.fulfillment_id,
        "method": draft.method,
        "state": draft.state,
        "location": {
            "id": place.id,
            "code": place.code,
            "name": place.name,
            "name_ja": place.name_ja,
            "zone": place.zone,
        },
        "source": None,
        "ready_by": draft.ready_by,
        "slot_at": None,
        "ready_at": draft.now if gone else None,
        "collect_by": None,
        "collected_at": draft.now if gone else None,
        "collected_proof": "carry_out" if gone else None,
        "packed_at": None,
        "shipped_at": None,
        "arrived_at": None,
        "delivered_at": None,
        "version": 1,
        "lines": [
            {
                "order_line_id": line_id,
                "quantity": line.quantity,
                "picked": line.quantity if gone else 0,
                "collected": line.quantity if gone else 0,
                "short": 0,
                "cancelled": 0,
            }
            for line, line_id in zip(draft.priced.lines, draft.line_ids, strict=True)
        ],
    }


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
        "contact_name": draft.contact_name,
        "contact_email": draft.contact_email,
        "contact_phone": draft.contact_phone,
        "locale": draft.locale,
        "placed_by": draft.placed_by,
        "placed_at": draft.now,
        "confirmed_at": draft.now if draft.confirmed else None,
        "fulfillment_id": draft.fulfillment_id,
        "location_id": draft.place.id,
        "method": draft.method,
        "state": draft.state,
        "ready_by": draft.ready_by,
        "collected_at": at,
        "proof": "carry_out" if draft.at_till else None,
        "cart_id": draft.cart_id,
        "cart_version": draft.cart_version,
    }


def _lines(draft: Draft) -> list[dict[str, Any]]:
    return [
        {
            "id": line_id,
            "position": position,
            "variant_id": line.variant_id,
            "sku": line.sku,
            "title": _title(line.title, line.title_ja, draft.locale),
            "quantity": line.quantity,
            "unit_price_minor": line.unit_price_minor,
            "subtotal_minor": line.subtotal_minor,
            "tax_rate_bp": line.tax_rate_bp,
            "tax_minor": line.tax_minor,
            "total_minor": line.total_minor,
        }
        for position, (line, line_id) in enumerate(zip(draft.priced.lines, draft.line_ids, strict=True), start=1)
    ]


def _part(draft: Draft, part: Part) -> dict[str, Any]:
    """A payment row with the ids of the ledger entries that are written with it. A card's entries are written by
    `payments`, the counter's by `tenders` when it takes the money."""
    state = _state(draft, part)
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


def _state(draft: Draft, part: Part) -> str:
    if draft.at_till or part.gift_card is not None:
        return "captured"
    return "authorized" if part.tender == "points" else "pending"


def _placed(draft: Draft) -> OrderPlaced:
    return OrderPlaced(
        order_id=draft.order_id,
        reference=draft.reference,
        customer_id=draft.customer_id,
        total_minor=draft.priced.total_minor,
        currency=draft.priced.currency,
        location_id=draft.place.id,
        method=draft.method,
    )


def _title(title: str, title_ja: str | None, locale: str) -> str:
    return title_ja or title if locale == "ja" else title


def _money(amount_minor: int, currency: str) -> dict[str, Any]:
    return {"amount_minor": amount_minor, "currency": currency}


def _json(value: Any) -> str:
    return json.dumps(value, default=str, ensure_ascii=False)
