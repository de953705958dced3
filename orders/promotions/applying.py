"""Which promotions may count for a cart or an order, together with what the goods cost."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from orders.discounts import Promotion, Step
from orders.queries import promotions as queries
from orders.queries.promotions import Shopper
from retail.queries import Offer


def applicable(
    session: Session,
    *,
    channel_code: str,
    skus: Sequence[str] = (),
    variant_ids: Sequence[UUID] = (),
    location_id: UUID | None,
    tax_region: str | None = None,
    coupon_codes: Sequence[str] = (),
    kept: Sequence[str] = (),
    shopper: Shopper,
    now: datetime,
) -> tuple[list[Offer], list[Promotion]]:
    """What the channel sells of these variants, and the promotions that may count on them, for `pricing.price`; one
    statement. See `queries.promotions.offers_with_promotions`."""
    offers, found = queries.offers_with_promotions(
        session,
        channel_code=channel_code,
        skus=skus,
        variant_ids=variant_ids,
        location_id=location_id,
        tax_region=tax_region,
        coupon_codes=coupon_codes,
        kept=kept,
        shopper=shopper,
        now=now,
    )
    return offers, [_promotion(values) for values in found]


def _promotion(values: Mapping[str, Any]) -> Promotion:
    made = dict(values)
    for name in ("skus", "categories"):
        made[name] = frozenset(made[name])
    for name in ("valid_from", "valid_to"):
        made[name] = None if made[name] is None else datetime.fromisoformat(made[name])
    made["steps"] = tuple(Step(**step) for step in made["steps"])
    made["id"] = UUID(made["id"])
    made["coupon_id"] = None if made["coupon_id"] is None else UUID(made["coupon_id"])
    return Promotion(**made)
