"""The stock of a changed order: what is no longer wanted is given back, what is new is taken, in one order of locks."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from inventory import queries as stock_queries
from inventory import reservations
from inventory.reservations import Demand, Key
from orders.changing.rewriting import Line
from orders.changing.rules import Changing
from orders.queries.changes import OrderLineFacts
from retail import queries as ground

CAUSE = "order_changed"


def exchange(
    session: Session,
    *,
    changing: Changing,
    before: Sequence[OrderLineFacts],
    after: Sequence[Line],
    actor: str,
    now: datetime,
) -> None:
    """Give back what lines lose and take what they gain, where their fulfillment is.

    Raises:
        OutOfStock: with every line that is short; nothing was changed.
    """
    was = {line.id: line for line in before}
    leaving: list[OrderLineFacts] = []
    fewer: dict[UUID, int] = {}
    demands: list[Demand] = []
    for line in after:
        if line.kind != "goods" or line.variant_id is None or line.location_id is None:
            continue
        old = was.get(line.id)
        if old is None:
            demands.append(Demand(line.variant_id, line.location_id, line.quantity, line.id))
        elif old.variant_id != line.variant_id:
            leaving.append(old)
            demands.append(Demand(line.variant_id, line.location_id, line.quantity, line.id))
        elif line.quantity > old.quantity:
            demands.append(Demand(line.variant_id, line.location_id, line.quantity - old.quantity, line.id))
        elif line.quantity < old.quantity:
            fewer[line.id] = old.quantity - line.quantity
    _lock(session, [*leaving, *(was[line_id] for line_id in fewer)], demands)
    order_id = changing.order.id
    if leaving:
        reservations.release(
            session, owner_id=order_id, line_ids=[line.id for line in leaving], cause=CAUSE, actor=actor, now=now
        )
    if fewer:
        reservations.release(
            session,
            owner_id=order_id,
            line_ids=list(fewer),
            quantities=fewer,
            cause=CAUSE,
            actor=actor,
            now=now,
        )
    if demands:
        reservations.allocate(
            session,
            owner_id=order_id,
            demands=demands,
            channel=changing.facts.channel_code,
            actor=actor,
            now=now,
        )


def _lock(session: Session, leaving: Sequence[OrderLineFacts], demands: Sequence[Demand]) -> None:
    """All levels concerned by one statement, so that two changes never wait for each other in a ring."""
    wanted: set[Key] = {demand.key for demand in demands}
    wanted |= {
        (line.variant_id, line.stock_location_id)
        for line in leaving
        if line.variant_id is not None and line.stock_location_id is not None
    }
    components = ground.components_of(session, variant_ids=sorted({variant_id for variant_id, _ in wanted}))
    keys = {
        (part_id, place) for variant_id, place in wanted for part_id, _ in components.get(variant_id, [(variant_id, 1)])
    }
    stock_queries.lock_levels(session, keys=sorted(keys))
