"""Other goods than ordered: another variant, more or fewer units, lines added. Stock, price and payment follow, or nothing.

What is kept keeps its price; what is new costs what it costs today; promotions count as when the order was placed. Tax is rounded anew, once per rate over the order.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from orders.changing import money, rewriting, stock
from orders.changing.money import Settlement
from orders.changing.promoted import promotions_for
from orders.changing.rewriting import Addition, Line, LineChange
from orders.changing.rules import (
    Changing,
    NotAllowed,
    NotChangeable,
    NothingChanges,
    answer,
    locked,
    require_not_frozen,
    require_unbegun,
    write_down,
)
from orders.later_offers import later_offers
from orders.queries import changes as queries
from orders.queries.changes import OrderLineFacts
from retail import limits
from retail.kernel.auth import Principal
from retail.kernel.errors import Invalid
from retail.queries import Offer


def change_goods(
    session: Session,
    *,
    order: str,
    changes: Sequence[LineChange],
    additions: Sequence[Addition] = (),
    settlement: Settlement,
    caller: Principal,
    now: datetime,
) -> dict[str, Any]:
    """Change lines of an order that nobody has begun to pick, in one transaction: stock is taken and given back, the order
    priced anew, the difference paid or given back by `settlement`. Returns the order (OrderSchema).

    Follow with `cancellation.settle`, since a card may have to give back.

    Raises:
        NotFound: there is no such order or payment method, or it is another's.
        NotChangeable, NotAllowed, NothingChanges: see there; Invalid, NotForSale: `errors` names every line.
        OutOfStock: a new SKU is not there. GiftCardShort, PaymentMissing: the difference is not paid.
        Nothing was changed.
    """
    changing = locked(session, order=order, caller=caller)
    _require_allowed(changing)
    lines = queries.order_lines(session, order_id=changing.order.id)
    wished = _wished(lines, changes)
    require_unbegun(changing, tuple(line.state for line, _ in wished) or None)
    if additions and any(line.kind == "goods" for line in lines):
        require_unbegun(changing)
    place = _place(lines)
    offers = _offers(session, changing, wished, additions, place, now)
    _require_same_product(session, changing, wished)
    after = rewriting.plan(lines, wished, additions, offers, place)
    if not rewriting.differs(lines, after):
        raise NothingChanges
    if len(after) > limits.LINES_PER_ORDER:
        raise Invalid(f"An order has at most {limits.LINES_PER_ORDER} lines")
    stock.exchange(session, changing=changing, before=lines, after=after, actor=caller.actor, now=now)
    found = promotions_for(session, changing=changing, before=lines, after=after, place=place)
    difference = rewriting.write(session, changing=changing, before=lines, after=after, promotions=found)
    method_id = money.settle(
        session, changing=changing, difference_minor=difference, settlement=settlement, caller=caller, now=now
    )
    write_down(
        session,
        changing=changing,
        kind="goods",
        before={"lines": [_told(line) for line in lines]},
        after={"lines": [rewriting.told(line) for line in after]},
        difference_minor=difference,
        payment_method_id=method_id,
        actor=caller.actor,
        now=now,
    )
    return answer(session, changing=changing)


def _require_allowed(changing: Changing) -> None:
    require_not_frozen(changing)
    most = changing.policy.goods_changes_most
    if most is not None and changing.facts.changes >= most:
        raise NotAllowed(f"The goods of an order may be changed {most} times", rule="goods_changes_most")


def _wished(lines: Sequence[OrderLineFacts], changes: Sequence[LineChange]) -> list[tuple[OrderLineFacts, LineChange]]:
    """Each change with its line. Two changes of one line, or of a line that cannot be changed, are named."""
    by_id = {line.id: line for line in lines}
    wrong = []
    for position, change in enumerate(changes):
        line = by_id.get(change.order_line_id)
        if line is None or line.kind != "goods":
            wrong.append((position, "unknown", "The order has no such line of goods"))
        elif [other.order_line_id for other in changes].count(change.order_line_id) > 1:
            wrong.append((position, "repeated", "The line is named twice"))
        elif line.cancelled_quantity or line.refunded_quantity or line.parts != 1:
            wrong.append((position, "divided", "Parts of this line were called off or go separate ways"))
    if wrong:
        errors = [{"field": f"changes.{position}", "code": code, "detail": detail} for position, code, detail in wrong]
        raise Invalid("Some lines cannot be changed", errors=errors)
    return [(by_id[change.order_line_id], change) for change in changes]


def _place(lines: Sequence[OrderLineFacts]) -> OrderLineFacts:
    """The line whose fulfillment new lines join: the first of goods."""
    for line in lines:
        if line.kind == "goods" and line.fulfillment_id is not None:
            return line
    raise NotChangeable("Nothing of this order is under way", legal=[])


def _offers(
    session: Session,
    changing: Changing,
    wished: Sequence[tuple[OrderLineFacts, LineChange]],
    additions: Sequence[Addition],
    place: OrderLineFacts,
    now: datetime,
) -> dict[str, Offer]:
    """Today's offers of all SKUs that are new, in the order's channel and currency."""
    skus = sorted({change.sku for _, change in wished if change.sku is not None} | {one.sku for one in additions})
    if not skus:
        return {}
    return later_offers(
        session,
        order_id=changing.order.id,
        currency=changing.order.currency,
        skus=skus,
        location_id=place.location_id,
        sent=place.method == "ship",
        now=now,
    )


def _require_same_product(
    session: Session, changing: Changing, wished: Sequence[tuple[OrderLineFacts, LineChange]]
) -> None:
    if not changing.policy.same_product_only:
        return
    products = queries.products_of(session, skus=sorted({change.sku for _, change in wished if change.sku is not None}))
    other = [
        {"order_line_id": line.id, "sku": change.sku, "code": "other_product", "detail": "A variant of another product"}
        for line, change in wished
        if change.sku is not None and products[change.sku] != line.product_id
    ]
    if other:
        raise NotAllowed("Only another variant of the same product", rule="same_product_only", errors=other)


def _told(line: OrderLineFacts) -> dict[str, Any]:
    return rewriting.told(Line.of(line))
