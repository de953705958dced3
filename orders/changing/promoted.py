"""The promotions that a changed order is priced by: those in force when it was placed, and none that began since."""

from collections.abc import Sequence

from sqlalchemy.orm import Session

from orders.changing.rewriting import Line
from orders.changing.rules import Changing, NotChangeable
from orders.discounts import Promotion
from orders.promotions import applicable
from orders.queries.changes import OrderLineFacts
from orders.queries.promotions import Shopper

AT_A_STORE = ("pickup", "ship_to_store", "carry_out")


def promotions_for(
    session: Session,
    *,
    changing: Changing,
    before: Sequence[OrderLineFacts],
    after: Sequence[Line],
    place: OrderLineFacts,
) -> list[Promotion]:
    """What may take something off the order with the lines `after`, as of the moment at which it was placed. Those that it
    was told of then count even if they were withdrawn; so do its coupons, whose uses it has.

    Raises:
        NotChangeable: something was taken off, and parts of the order have been given up or back since: what they were
            worth is settled already, and another discount would change it.
    """
    divided = any(line.cancelled_quantity or line.refunded_quantity for line in before)
    if divided and any(line.discount_minor for line in before):
        raise NotChangeable("Promotions took part in its price, and parts of it have been given up or back", legal=[])
    if divided:
        return []
    order, facts = changing.order, changing.facts
    _, found = applicable(
        session,
        channel_code=facts.channel_code,
        skus=sorted({line.sku for line in after if line.kind == "goods"}),
        location_id=place.location_id if place.method in AT_A_STORE else None,
        coupon_codes=facts.coupon_codes,
        kept=[entry["promotion"] for entry in facts.discounts if entry["promotion"] is not None],
        shopper=Shopper(order.customer_id, facts.contact_email, facts.contact_phone),
        now=order.placed_at,
    )
    return found
