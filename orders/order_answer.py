"""An order that was just written, in the shape of OrderSchema, without reading it back."""

from typing import Any

from orders.drafts import Draft, Part, Planned
from orders.queries.orders import tax_lines_of
from retail.queries import LocationName


def order_of(draft: Draft) -> dict[str, Any]:
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
        "discount": _money(priced.discount_minor, currency),
        "discounts": list(priced.discounts),
        "coupon_codes": list(priced.coupon_codes),
        "ship_to": draft.ship_to,
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
                "kind": line.kind,
                "sku": line.sku,
                "title": draft.title(line),
                "quantity": line.quantity,
                "unit_price": _money(line.unit_price_minor, currency),
                "discount": _money(line.discount_minor, currency),
                "total": _money(line.total_minor, currency),
                "tax_rate_bp": line.tax_rate_bp,
                "cancelled_quantity": 0,
                "refunded_quantity": 0,
                "substitute_for": None,
            }
            for position, (line, line_id) in enumerate(zip(priced.lines, draft.line_ids, strict=True), start=1)
        ],
        "payments": [_payment(draft, part) for part in draft.parts],
        "fulfillments": [_fulfillment(draft, planned) for planned in draft.plan],
        "refunds": [],
    }


def _payment(draft: Draft, part: Part) -> dict[str, Any]:
    state, currency, card = draft.state_of(part), draft.priced.currency, part.gift_card
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


def _fulfillment(draft: Draft, planned: Planned) -> dict[str, Any]:
    gone = draft.at_till
    return {
        "id": planned.fulfillment_id,
        "method": planned.method,
        "state": draft.state,
        "location": _place(planned.place),
        "source": None if planned.source is None else _place(planned.source),
        "ready_by": planned.ready_by,
        "slot_at": planned.slot_at,
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
                "order_line_id": draft.line_ids[position],
                "quantity": units,
                "picked": units if gone else 0,
                "collected": units if gone else 0,
                "short": 0,
                "cancelled": 0,
            }
            for position, units in planned.units
        ],
    }


def _place(place: LocationName) -> dict[str, Any]:
    return {"id": place.id, "code": place.code, "name": place.name, "name_ja": place.name_ja, "zone": place.zone}


def _money(amount_minor: int, currency: str) -> dict[str, Any]:
    return {"amount_minor": amount_minor, "currency": currency}
