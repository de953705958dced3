"""Promised here, taken from there: a promise goes to another location, whole or not at all."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import queries
from inventory.reservations.demands import Demand, Key, NotAllocated, Promise
from inventory.reservations.settling import give_back
from inventory.reservations.taking import allocate
from retail.events import AllocationMoved
from retail.kernel import outbox

CAUSE = "move"

# What was promised first stays first in line, wherever it is taken from.
_KEEP_AGE = text(
    """
    UPDATE reservation SET created_at = earlier.created_at
    FROM unnest(CAST(:line_ids AS uuid[]), CAST(:moments AS timestamptz[])) AS earlier (line_id, created_at)
    WHERE owner_id = :owner_id AND reservation.line_id = earlier.line_id AND location_id = :location_id AND state = 'allocated'
      AND reservation.created_at > earlier.created_at
    """
)


def move(
    session: Session,
    *,
    owner_id: UUID,
    line_ids: Sequence[UUID],
    to_location_id: UUID,
    channel: str | None = None,
    actor: str,
    now: datetime,
) -> list[Promise]:
    """Take what is promised to these lines (allocated, backordered or short) from `to_location_id`: all of it or nothing.

    What they had elsewhere is given back, to those who wait there first. Parts that are there already stay. Announces
    AllocationMoved for each location left. Whoever calls this has locked the document that `owner_id` is.

    Returns: what cannot be handed over there yet (see `allocate`).

    Raises:
        NotAllocated: a line has nothing promised (any more).
        OutOfStock: with every line that is short there. Nothing was moved.
    """
    lines = sorted(set(line_ids))
    # All levels in one statement, those left and those gone to. What was added or moved meanwhile is seen after it.
    locked = _levels(queries.open_promises(session, owner_id=owner_id, line_ids=lines), to_location_id)
    queries.lock_levels(session, keys=list(locked))
    standing = queries.open_promises(session, owner_id=owner_id, line_ids=lines)
    if {row.line_id for row in standing} != set(lines) or not _levels(standing, to_location_id) <= locked:
        raise NotAllocated
    leaving = [row for row in standing if row.location_id != to_location_id]
    if not leaving:
        return []
    demands = [Demand(row.variant_id, to_location_id, row.quantity, row.line_id) for row in leaving]
    made = allocate(session, owner_id=owner_id, demands=demands, channel=channel, actor=actor, now=now)
    oldest: dict[UUID, datetime] = {}
    for row in leaving:
        oldest[row.line_id] = min(oldest.get(row.line_id, row.created_at), row.created_at)
    given = {"owner_id": owner_id, "line_ids": list(oldest), "moments": list(oldest.values())}
    session.execute(_KEEP_AGE, given | {"location_id": to_location_id})
    ids = [row.id for row in leaving]
    give_back(session, owner_id=owner_id, reservation_ids=ids, cause=CAUSE, actor=actor, now=now)
    for place in sorted({row.location_id for row in leaving}):
        event = AllocationMoved(
            owner_id=owner_id,
            line_ids=sorted({row.line_id for row in leaving if row.location_id == place}),
            from_location_id=place,
            to_location_id=to_location_id,
        )
        outbox.publish(session, event, actor=actor, now=now)
    return made


def _levels(promises: Iterable[Any], to_location_id: UUID) -> set[Key]:
    """Where these stand, and where they are to go."""
    return {(row.variant_id, place) for row in promises for place in (row.location_id, to_location_id)}
