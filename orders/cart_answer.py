"""A cart in the shape of CartSchema."""

from collections.abc import Sequence
from typing import Any

from loyalty import earning
from orders.pricing import SHIPPING, Priced, PricedLine
from orders.queries.carts import CartFacts, CartLineFacts


def cart_dict(
    cart: CartFacts, sold: Sequence[CartLineFacts], priced: Priced | None, *, not_sent: str | None
) -> dict[str, Any]:
    """The cart with the prices of the lines that are `sold` (then come fees), without its place."""
    amounts = {} if priced is None else {line.id: part for line, part in zip(sold, priced.lines, strict=False)}
    found: dict[str, Any] = {
        "id": cart.id,
        "state": cart.state,
        "version": cart.version,
        "channel": cart.channel_code,
        "customer_id": cart.customer_id,
        "method": cart.method,
        "ship_to": cart.ship_to,
        "points_to_spend": cart.points_to_spend,
        "coupon_codes": list(cart.coupon_codes),
        "order_id": cart.order_id,
        "created_at": cart.created_at,
        "updated_at": cart.updated_at,
        "sellable": len(sold) == len(cart.lines) and not_sent is None,
        "not_sent": not_sent,
        "lines": [_line_dict(line, amounts.get(line.id), priced) for line in cart.lines],
        "totals": None,
        "discounts": [] if priced is None else list(priced.discounts),
    }
    if priced is not None:
        currency = priced.currency
        worth = 0
        if cart.points_to_spend:
            worth = min(earning.value_of(cart.points_to_spend, currency), priced.total_minor)
        found["totals"] = {
            "currency": currency,
            "tax_inclusive": priced.tax_inclusive,
            "discount": _money(priced.discount_minor, currency),
            "subtotal": _money(priced.subtotal_minor, currency),
            "tax": _money(priced.tax_minor, currency),
            "total": _money(priced.total_minor, currency),
            "shipping": _money(sum(line.total_minor for line in priced.lines if line.kind == SHIPPING), currency),
            "points_value": _money(worth, currency),
            "to_pay": _money(priced.total_minor - worth, currency),
            "tax_lines": [
                {
                    "rate_bp": line.rate_bp,
                    "taxable": _money(line.taxable_minor, currency),
                    "tax": _money(line.tax_minor, currency),
                }
                for line in priced.tax_lines
            ],
        }
    return found


def _line_dict(line: CartLineFacts, part: PricedLine | None, priced: Priced | None) -> dict[str, Any]:
    known = part is not None and priced is not None
    return {
        "id": line.id,
        "position": line.position,
        "sku": line.sku,
        "title": line.title,
        "title_ja": line.title_ja,
        "quantity": line.quantity,
        "sellable": known,
        "unit_price": _money(part.unit_price_minor, priced.currency) if part and priced else None,
        "discount": _money(part.discount_minor, priced.currency) if part and priced else None,
        "total": _money(part.total_minor, priced.currency) if part and priced else None,
        "tax_rate_bp": part.tax_rate_bp if part else None,
    }


def _money(amount_minor: int, currency: str) -> dict[str, Any]:
    return {"amount_minor": amount_minor, "currency": currency}
