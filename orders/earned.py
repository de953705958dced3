"""What orders earn: they tell loyalty what was bought and how much of it the customer has; rules and ledger are loyalty's."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from loyalty import explaining
from loyalty.earning.crediting import earn_order
from loyalty.earning.facts import Basket, Line
from orders.drafts import Draft
from orders.pricing import GOODS
from orders.queries import earned as queries
from orders.queries.earned import EarningOrder
from orders.refund_ledger import claw_back
from orders.splitting import EARNS_NOTHING
from retail.kernel.errors import NotFound
from retail.queries.catalog import DEFAULT_ZONE


def handed_over(
    session: Session, *, order_id: UUID, lines: Mapping[UUID, int], key: str, reason: str, actor: str, now: datetime
) -> int:
    """Earn for `lines` {order line: units}, which are counted as collected already. Lock the order first. Three statements.

    Returns the points; a guest's order earns none.
    """
    order = queries.earning_order(session, order_id=order_id)
    if order is None or order.customer_id is None:
        return 0
    after = {line.id: line.collected for line in order.lines}
    before = {line.id: line.collected - lines.get(line.id, 0) for line in order.lines}
    return earn_order(
        session,
        customer_id=order.customer_id,
        basket=basket_of(order, order_id=order_id),
        units_before=before,
        units_after=after,
        key=key,
        reason=reason,
        actor=actor,
        now=now,
    )


def late(session: Session, *, order_id: UUID, actor: str, now: datetime) -> int:
    """Earn for what was handed over while the order was a guest's, once, now that it has a customer (its row is locked by
    whoever gave it to her). Judged as ever by the rules of its placing. What was given back is taken back at once, as it would
    have been, and what of it counts towards her tier. Returns the points earned."""
    order = queries.earning_order(session, order_id=order_id)
    if order is None or order.customer_id is None or order.kind != "live":
        return 0
    after = {line.id: line.collected for line in order.lines}
    if not any(after.values()):
        return 0
    points = earn_order(
        session,
        customer_id=order.customer_id,
        basket=basket_of(order, order_id=order_id),
        units_before={},
        units_after=after,
        key=f"late:{order_id}",
        reason="late",
        actor=actor,
        now=now,
    )
    if any(line.refunded for line in order.lines):
        claw_back(session, order_id=order_id, key=f"late:{order_id}:claw_back", actor=actor, now=now)
    return points


def at_the_till(session: Session, *, draft: Draft, actor: str, now: datetime) -> int:
    """Earn for an order that leaves with the customer at once. Two statements."""
    if draft.customer_id is None:
        return 0
    basket = _draft_basket(draft)
    return earn_order(
        session,
        customer_id=draft.customer_id,
        basket=basket,
        units_before={},
        units_after={line.id: line.quantity for line in basket.lines},
        key=f"earn:{draft.plan[0].fulfillment_id}",
        reason="carry_out",
        actor=actor,
        now=now,
    )


def explained(session: Session, *, order_id: UUID, locale: str, now: datetime) -> dict[str, Any]:
    """Why an order earned what it did, in the reader's language (OrderPointsSchema). Ask who may see it first.

    Raises:
        NotFound: there is no such order.
    """
    order = queries.earning_order(session, order_id=order_id)
    if order is None:
        raise NotFound
    return explaining.explain(
        session,
        customer_id=order.customer_id if order.kind == "live" else None,
        basket=basket_of(order, order_id=order_id),
        collected={line.id: line.collected for line in order.lines},
        locale=locale,
        now=now,
    )


def _draft_basket(draft: Draft) -> Basket:
    place = draft.plan[0].place
    lines = zip(draft.line_ids, draft.priced.lines, strict=True)
    return Basket(
        order_id=draft.order_id,
        currency=draft.priced.currency,
        channel=draft.channel,
        location_id=place.id,
        placed_at=draft.now,
        day=draft.now.astimezone(ZoneInfo(place.zone)).date(),
        lines=tuple(
            Line(line_id, line.sku, line.category, line.quantity, line.subtotal_minor)
            for line_id, line in lines
            if line.kind == GOODS
        ),
        paid_otherwise_minor=sum(part.amount_minor for part in draft.parts if part.tender in EARNS_NOTHING),
    )


def basket_of(order: EarningOrder, *, order_id: UUID) -> Basket:
    """Its goods that were not called off. Of what points and gift cards pay of the order they bear the share of their worth
    in all that was neither called off nor given back."""
    goods = [line for line in order.lines if line.kind == GOODS and line.quantity > line.cancelled]
    worth = sum(_part(line.total, line.quantity - line.cancelled, line.quantity) for line in goods)
    left = sum(
        _part(line.total, line.quantity - line.cancelled - line.refunded, line.quantity)
        for line in order.lines
        if line.quantity > 0
    )
    return Basket(
        order_id=order_id,
        currency=order.currency,
        channel=order.channel,
        location_id=order.location_id,
        placed_at=order.placed_at,
        day=order.placed_at.astimezone(ZoneInfo(order.zone or DEFAULT_ZONE)).date(),
        lines=tuple(
            Line(line.id, line.sku, line.category, kept, _part(line.subtotal, kept, line.quantity))
            for line in goods
            for kept in [line.quantity - line.cancelled]
        ),
        paid_otherwise_minor=order.paid_minor * worth // left if left else 0,
    )


def _part(amount_minor: int, units: int, quantity: int) -> int:
    return amount_minor * units // quantity
