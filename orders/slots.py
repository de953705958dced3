"""Slots in which pickups are fetched: which there are, what is left of them, and taking one.

A slot's load is counted, not kept: whoever takes one locks its row, then counts the pickups that have it. So calling off,
not coming and moving to another store give a place back without knowing of slots. The slot's lock is the last one that is
taken before the order is written.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import text
from sqlalchemy.orm import Session

from orders import shortfalls
from orders.queries import slots as queries
from retail import queries as ground
from retail import stores
from retail.kernel.auth import CUSTOMER, Principal
from retail.kernel.errors import Conflict, Invalid, NotFound, Stale
from retail.queries import LocationFacts

DAYS_AHEAD = 30
NEXT_TOLD = 5
OPEN = ("pending", "allocated", "picking", "ready")


class NoSuchSlot(Invalid):
    """The store has no slots, or none begins then, or it is too soon or too far away."""

    code, title = "no_such_slot", "There is no such slot"


class SlotFull(Conflict):
    """So many pickups are fetched then already; `free` names the next slots with a place."""

    code, title = "slot_full", "This slot is full"


_SET = text(
    """
    INSERT INTO slot_policy (location_id, minutes, capacity, updated_by, updated_at)
    SELECT :location_id, CAST(:minutes AS integer), CAST(:capacity AS integer), CAST(:actor AS text), CAST(:now AS timestamptz)
    WHERE :version = 0 ON CONFLICT (location_id) DO NOTHING RETURNING location_id
    """
)
_CHANGE = text(
    """
    UPDATE slot_policy SET minutes = :minutes, capacity = :capacity, version = version + 1, updated_by = :actor, updated_at = :now
    WHERE location_id = :location_id AND version = :version RETURNING location_id
    """
)
_MOVE = text(
    """
    WITH moved AS (
        UPDATE fulfillment SET slot_at = CAST(:starts_at AS timestamptz), version = version + 1 WHERE id = :part RETURNING order_id
    )
    UPDATE "order" SET version = version + 1 WHERE id IN (SELECT order_id FROM moved)
    """
)


def policy(session: Session, *, location: str) -> dict[str, Any]:
    """A store's slots as they are set (SlotPolicySchema); version 0: it has none.

    Raises:
        NotFound: there is no such location.
    """
    row = queries.policy(session, location_id=_place(session, location).id)
    if row is None:
        return {"minutes": None, "capacity": None, "version": 0}
    return {"minutes": row.minutes, "capacity": row.capacity, "version": row.version}


def put_policy(
    session: Session, *, location: str, wanted: Mapping[str, int], version: int, caller: Principal, now: datetime
) -> dict[str, Any]:
    """Set a store's slots; `version` 0 where it has none. A capacity of 0 closes them; what was promised before stays.

    Raises:
        NotFound: no such location, or another's. Stale.
    """
    place = _place(session, location)
    caller.require_location(place.id)
    given = {"location_id": place.id, **wanted, "version": version, "actor": caller.actor, "now": now}
    if session.execute(_SET if version == 0 else _CHANGE, given).one_or_none() is None:
        raise Stale
    return policy(session, location=location)


def list_slots(session: Session, *, location: str, on: date | None, now: datetime) -> list[dict[str, Any]]:
    """A day's slots in the store's zone (today's, if not said) from the next one on: ``{"starts_at", "ends_at", "left"}``.
    Three statements.

    Raises:
        NotFound: there is no such location.
    """
    place = _place(session, location)
    rules = queries.policy(session, location_id=place.id)
    if rules is None:
        return []
    day = on or now.astimezone(ZoneInfo(place.zone)).date()
    starts = [at for at in _starts(place, day, rules.minutes) if at > now]
    if not starts:
        return []
    length = timedelta(minutes=rules.minutes)
    had = queries.taken(session, location_id=place.id, first=starts[0], last=starts[-1] + length)
    return [{"starts_at": at, "ends_at": at + length, "left": max(0, rules.capacity - had.get(at, 0))} for at in starts]


def take(
    session: Session, *, place: LocationFacts, starts_at: datetime, ready_by: datetime | None, now: datetime
) -> None:
    """Take a place in a slot for a pickup that the caller writes in this transaction, with `slot_at`. Three statements.

    ready_by: when the goods are ready; a slot before it would promise what cannot be.

    Raises:
        NoSuchSlot; SlotFull.
    """
    rules = queries.policy(session, location_id=place.id)
    day = starts_at.astimezone(ZoneInfo(place.zone)).date()
    if rules is None or starts_at not in _starts(place, day, rules.minutes):
        raise _none("No slot of this store begins then")
    if ready_by is None or starts_at < ready_by or starts_at <= now:
        told = "not known" if ready_by is None else ready_by.isoformat()
        raise _none(f"The goods are not ready before that; ready by: {told}")
    if starts_at > now + timedelta(days=DAYS_AHEAD):
        raise _none(f"At most {DAYS_AHEAD} days ahead")
    queries.lock_slot(session, location_id=place.id, starts_at=starts_at)
    length = timedelta(minutes=rules.minutes)
    had = queries.taken(session, location_id=place.id, first=starts_at, last=starts_at + length)
    if had.get(starts_at, 0) >= rules.capacity:
        raise SlotFull(free=_next(session, place, rules.minutes, rules.capacity, starts_at))


def change(
    session: Session, *, fulfillment_id: UUID, starts_at: datetime | None, caller: Principal, now: datetime
) -> UUID:
    """Fetch it in another slot, or (None) whenever the store is open. Returns the order's id.

    Raises:
        NotFound: no such pickup, or another's. IllegalTransition: it is over. NoSuchSlot; SlotFull.
    """
    hers = caller.kind == CUSTOMER
    order, part = shortfalls.lock_part(session, fulfillment_id=fulfillment_id, caller=None if hers else caller)
    if hers and not caller.owns(order.customer_id):
        raise NotFound
    if part.method != "pickup" or part.state not in OPEN:
        raise shortfalls.illegal(part, f"A {part.method} that is {part.state} has no slot")
    place = ground.pickup_location(session, location=part.location_id)
    if place is None:
        raise NotFound
    if starts_at is not None:
        ready_by = queries.ready_moment(session, fulfillment_id=part.id)
        take(session, place=place, starts_at=starts_at, ready_by=ready_by, now=now)
    session.execute(_MOVE, {"part": part.id, "starts_at": starts_at})
    return order.id


def _place(session: Session, location: str) -> LocationFacts:
    place = ground.pickup_location(session, location=location)
    if place is None:
        raise NotFound("There is no such location")
    return place


def _starts(place: LocationFacts, day: date, minutes: int) -> list[datetime]:
    """When the slots of a day begin (UTC): from each opening on, as long as a whole one fits before closing."""
    found = []
    for opens, closes in stores.open_intervals(place, day):
        if opens.astimezone(ZoneInfo(place.zone)).date() != day:
            break
        at = opens
        while at + timedelta(minutes=minutes) <= closes:
            found.append(at.astimezone(UTC))
            at += timedelta(minutes=minutes)
    return found


def _next(session: Session, place: LocationFacts, minutes: int, capacity: int, after: datetime) -> list[str]:
    """The next slots with a place, within a week."""
    day = after.astimezone(ZoneInfo(place.zone)).date()
    starts = [at for ahead in range(7) for at in _starts(place, day + timedelta(days=ahead), minutes) if at > after]
    if not starts or capacity == 0:
        return []
    had = queries.taken(session, location_id=place.id, first=starts[0], last=starts[-1] + timedelta(minutes=minutes))
    return [at.isoformat() for at in starts if had.get(at, 0) < capacity][:NEXT_TOLD]


def _none(detail: str) -> NoSuchSlot:
    return NoSuchSlot(errors=[{"field": "slot_at", "code": NoSuchSlot.code, "detail": detail}])
