"""The customer stands before the store: the counter hears of it, and brings the goods out."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from orders import ownership, queries
from orders.fulfillment import TRANSITIONS, IllegalTransition
from orders.queries import pickups as pickup_queries
from orders.queries import proofs as proof_queries
from retail import limits
from retail.events import PickupArrived
from retail.kernel import outbox
from retail.kernel.auth import Principal
from retail.kernel.errors import NotFound
from retail.kernel.ids import new_id

VISIT = timedelta(hours=limits.VISIT_HOURS)

_ARRIVE = text(
    """
    INSERT INTO pickup_arrival (id, fulfillment_id, place, vehicle, arrived_at, updated_at)
    VALUES (:id, :part, :place, :vehicle, :now, :now)
    """
)
_CHANGE = text("UPDATE pickup_arrival SET place = :place, vehicle = :vehicle, updated_at = :now WHERE id = :id")
_END = text("UPDATE pickup_arrival SET ended_at = :now WHERE id = :id")
_TOUCH = text(
    """
    WITH part AS (UPDATE fulfillment SET version = version + 1 WHERE id = :part RETURNING order_id)
    UPDATE "order" SET version = version + 1 WHERE id IN (SELECT order_id FROM part)
    """
)


def arrive(
    session: Session, *, fulfillment_id: UUID, place: str, vehicle: str, caller: Principal, now: datetime
) -> dict[str, Any]:
    """She is there: on which parking `place`, in what `vehicle` (both may be empty). Returns the pickup (PickupSchema).

    Once per visit: saying it again changes where she is and not since when; saying the same changes nothing. A visit ends
    with the handover, when the pickup moves, or after limits.VISIT_HOURS.

    Raises:
        NotFound: no such pickup, or another's. IllegalTransition: it is not ready; nothing was changed.
    """
    locked = pickup_queries.lock_pickup(session, fulfillment_id=fulfillment_id)
    if locked is None:
        raise NotFound
    ownership.require_party(
        caller, fulfillment_id=locked.id, customer_id=locked.customer_id, location_id=locked.location_id
    )
    if locked.state != "ready":
        legal = list(TRANSITIONS[locked.method].get(locked.state, ()))
        raise IllegalTransition("The goods are not ready to be brought out", state=locked.state, legal=legal)
    said = {"part": locked.id, "place": place, "vehicle": vehicle, "now": now}
    here = proof_queries.open_arrival(session, fulfillment_id=locked.id)
    if here is not None and (here.arrived_at + VISIT < now or here.ended_by_move):
        session.execute(_END, {"id": here.id, "now": now})
        here = None
    if here is None:
        session.execute(_ARRIVE, said | {"id": new_id()})
    elif (here.place, here.vehicle) != (place, vehicle):
        session.execute(_CHANGE, said | {"id": here.id})
    else:
        return _pickup(session, locked.id)
    session.execute(_TOUCH, said)
    event = PickupArrived(**pickup_queries.keys(locked), place=place, vehicle=vehicle, again=here is not None)
    outbox.publish(session, event, actor=caller.actor, now=now)
    return _pickup(session, locked.id)


def minutes_waiting(pickup: dict[str, Any], now: datetime) -> int | None:
    """How long somebody stands there (PickupSchema in); None when nobody does."""
    if pickup["arrival"] is None:
        return None
    since: datetime = pickup["arrival"]["arrived_at"]
    return None if since + VISIT < now else max(0, int((now - since).total_seconds()) // 60)


def _pickup(session: Session, fulfillment_id: UUID) -> dict[str, Any]:
    found = queries.pickup_dict(session, fulfillment_id=fulfillment_id)
    if found is None:
        raise NotFound
    return found
