"""A pickup goes to another store, and what is promised for it goes with it (FAILURES 7)."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import reservations
from orders import shortfalls, workload
from orders.queries import shortfalls as shortfall_queries
from orders.queries.shortfalls import LockedOrder, Part
from retail import queries as ground
from retail.events import PickupMoved
from retail.kernel import outbox
from retail.kernel.auth import CUSTOMER, Principal
from retail.kernel.errors import Conflict, Invalid, NotFound
from retail.queries import LocationFacts

MAY_MOVE = ("allocated", "picking", "ready", "short")
CUSTOMER_MAY_MOVE = ("allocated", "short")


class NoPickupThere(Invalid):
    """There is no such store, or it has no pickup counter."""

    code, title = "no_pickup_there", "Nothing can be collected there"


class TaxDiffers(Conflict):
    """The other store taxes differently: the price would be another. Cancel and order anew."""

    code, title = "tax_differs", "The price would be another there"


# Whatever was picked lies at the old store; the new one begins from the start, with a promise of its own.
_MOVE = text(
    """
    WITH moved AS (
        UPDATE fulfillment
        SET location_id = :to, state = 'allocated', ready_by = CAST(:ready_by AS timestamptz), slot_at = NULL, picker_id = NULL,
            picking_at = NULL, packed_at = NULL, ready_at = NULL, collect_by = NULL, version = version + 1
        WHERE id = :part RETURNING order_id
    ), unpicked AS (
        UPDATE fulfillment_line SET picked = 0 WHERE fulfillment_id = :part
    )
    UPDATE "order" SET version = version + 1 WHERE id IN (SELECT order_id FROM moved)
    """
)


def move(session: Session, *, fulfillment_id: UUID, location: str, caller: Principal, now: datetime) -> UUID:
    """Take the pickup, and the stock that is promised for it, to another store; returns the order's id. Moving it to where
    it is changes nothing.

    The customer may until it is being picked, staff and agents until it is handed over. The new store promises anew; a code
    that was issued counts no more; what was missing at the old store is found by this, if the new one has it.

    Raises:
        NotFound: no such pickup, or another's. NoPickupThere; TaxDiffers. IllegalTransition: it is too late.
        reservations.OutOfStock: naming every line that the other store does not have; nothing was moved.
    """
    order, part = _lock(session, fulfillment_id, caller)
    place = ground.pickup_location(session, location=location)
    if place is None or not place.pickup_enabled:
        raise NoPickupThere(errors=[{"field": "location", "code": NoPickupThere.code, "detail": location}])
    if part.location_id == place.id:
        return order.id
    may = CUSTOMER_MAY_MOVE if caller.kind == CUSTOMER else MAY_MOVE
    if part.method != "pickup" or part.state not in may or any(line.collected for line in part.lines):
        raise shortfalls.illegal(part, f"A {part.method} that is {part.state} cannot go to another store")
    _require_same_tax(session, part, place)
    units = {line.order_line_id: line.todo + line.unsettled for line in part.lines if line.todo + line.unsettled}
    waits = reservations.move(
        session,
        owner_id=order.id,
        line_ids=list(units),
        quantities=units,
        from_location_id=part.location_id,
        to_location_id=place.id,
        channel=order.channel_code,
        actor=caller.actor,
        now=now,
    )
    ready_by = None if waits else workload.ready_by(session, place=place, now=now)
    session.execute(_MOVE, {"part": part.id, "to": place.id, "ready_by": ready_by})
    shortfalls.note(session, order_id=order.id, cause="move", actor=caller.actor, now=now, hint=part.id)
    keys: dict[str, Any] = shortfalls.keys(order, part) | {"location_id": place.id}
    outbox.publish(session, PickupMoved(**keys, from_location_id=part.location_id), actor=caller.actor, now=now)
    return order.id


def _lock(session: Session, fulfillment_id: UUID, caller: Principal) -> tuple[LockedOrder, Part]:
    """The customer's own, or one at the staff's own store."""
    if caller.kind == CUSTOMER:
        order, part = shortfalls.lock_part(session, fulfillment_id=fulfillment_id, caller=None)
        if not caller.owns(order.customer_id):
            raise NotFound
        return order, part
    return shortfalls.lock_part(session, fulfillment_id=fulfillment_id, caller=caller)


def _require_same_tax(session: Session, part: Part, place: LocationFacts) -> None:
    found = {other.id: other for other in shortfall_queries.places(session, here=part.location_id)}
    if not found[place.id].same_tax:
        raise TaxDiffers
