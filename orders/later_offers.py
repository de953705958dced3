"""What goods cost that join an order after it was placed: today's price of its channel, in its currency, taxed like the rest.

A channel may have moved to another price list since. An order has one currency, and its prices hold the tax or do not; what
is offered otherwise now cannot join it.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from orders.checkout import NotForSale
from orders.queries import changes as queries
from retail import queries as ground
from retail import taxes
from retail.queries import Offer


def later_offers(
    session: Session,
    *,
    order_id: UUID,
    currency: str,
    skus: Sequence[str],
    location_id: UUID | None,
    sent: bool,
    now: datetime,
) -> dict[str, Offer]:
    """Today's offers of these SKUs, by SKU. `sent`: they go to the order's address and are taxed there, not at the location.

    Raises:
        NotForSale: `errors` names each SKU: ``not_for_sale``, ``other_currency`` or ``other_tax_mode``.
    """
    facts = queries.change_facts(session, order_id=order_id)
    region = _region(session, facts.ship_to) if sent and facts.ship_to else None
    found = ground.offers_for(
        session,
        channel_code=facts.channel_code,
        skus=sorted(set(skus)),
        location_id=location_id,
        tax_region=region,
        now=now,
    )
    offers = {offer.sku: offer for offer in found}
    wrong = []
    for sku in sorted(set(skus)):
        offer = offers.get(sku)
        if offer is None:
            wrong.append(_error(sku, "not_for_sale", "Unknown, or not sold in this channel"))
        elif offer.currency != currency:
            wrong.append(_error(sku, "other_currency", f"Sold in {offer.currency} now; the order is in {currency}"))
        elif offer.tax_inclusive != facts.tax_inclusive:
            wrong.append(
                _error(sku, "other_tax_mode", "Its price holds the tax where the order's do not, or the reverse")
            )
    if wrong:
        raise NotForSale(errors=wrong)
    return offers


def _region(session: Session, ship_to: dict[str, Any]) -> str | None:
    """The destination's tax region; None (the location's is taken) for an order that another system placed where no region
    is known."""
    area = taxes.area_of(str(ship_to.get("region") or ""))
    return ground.tax_region_of(session, country=str(ship_to.get("country") or ""), area=area)


def _error(sku: str, code: str, detail: str) -> dict[str, str]:
    return {"sku": sku, "code": code, "detail": detail}
