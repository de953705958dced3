"""How much is to be picked at a location now, and what it can promise on top of that."""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.orm import Session

from orders.queries import workload as queries
from retail import stores
from retail.queries import LocationFacts

AHEAD = timedelta(days=1)  # what is wanted for a slot after that is in nobody's way


def ready_by(session: Session, *, place: LocationFacts, now: datetime, own: UUID | None = None) -> datetime:
    """The moment (UTC) by which what comes in `now` is ready at `place`: its lead time and the work that waits there already.
    `own` is a fulfillment that is among that work and must not wait for itself. Only a location that says how long it picks
    a line (`pick_minutes_per_line`) is asked for its work; that is one statement.

    Raises:
        stores.NeverOpen: the location does not open often enough within a year.
    """
    return stores.ready_by(place, now, queue_minutes=queue_minutes(session, place=place, now=now, own=own))


def queue_minutes(session: Session, *, place: LocationFacts, now: datetime, own: UUID | None = None) -> int:
    """Minutes of open time that picking what waits at `place` takes; 0 where nobody said how long a line takes."""
    if place.pick_minutes_per_line is None:
        return 0
    lines = queries.lines_to_pick(session, location_id=place.id, slots_before=now + AHEAD, own=own)
    return lines * place.pick_minutes_per_line
