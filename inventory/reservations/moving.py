"""Promised here, taken from there: a promise goes to another location, whole or not at all."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import queries
from inventory.reservations.demands import Demand, Key, NotAllocated, Promise
from inventory.reservations.parting import part
from inventory.reservations.settling import give_back
from inventory.reservations.taking import allocate
from retail.events import AllocationMoved
from retail.kernel import outbox

CAUSE = "move"

# What was promised first stays first in line, wherever it is taken from; and a component stays a part of its bundle.
_KEEP = text(
    """
    UPDATE reservation SET created_at = least(reservation.created_at, earlier.created_at), per_unit = earlier.per_unit
    FROM unnest(CAST(:line_ids AS uuid[]), CAST(:variants AS uuid[]), CAST(:moments AS timestamptz[]), CAST(:per_units AS integer[]))
         AS earlier (line_id, variant_id, created_at, per_unit)
    WHERE owner_id = :owner_id AND reservation.line_id = earlier.line_id AND reservation.variant_id = earlier.variant_id
      AND location_id = :location_id AND state = 'allocated'
      AND (reservation.created_at > earlier.created_at OR reservation.per_unit <> earlier.per_unit)
    """
)


def move(
    session: Session,
    *,
    owner_id: UUID,
    line_ids: Sequence[UUID],
    to_location_id: UUID,
    from_location_id: UUID | None = None,
    quantities: Mapping[UUID, int] | None = None,
    channel: str | None = None,
    actor: str,
    now: datetime,
) -> list[Promise]:
    """Take what is promised to these lines (allocated, backordered or short) from `to_location_id`: all of it or nothing.

    What they had elsewhere (or at `from_location_id` alone) is given back, to those who wait there first. Parts that are
    there already stay. Announces AllocationMoved for each location left. Whoever calls this has locked the document that
    `owner_id` is.

    quantities: only so many units of each of these lines go from `from_location_id`, which must be named: what is missing
    first, then what waits, then what is here.

    Returns: what cannot be handed over there yet (see `allocate`).

    Raises:
        NotAllocated: a line has nothing (or not so many units) promised (any more).
        OutOfStock: with every line that is short there. Nothing was moved.
    """
    lines = sorted(set(line_ids))
    if quantities is not None and (from_location_id in (None, to_location_id) or set(lines) != set(quantities)):
        raise ValueError("quantities name exactly the lines that move, and from where")
    place: dict[str, Any] = {"owner_id": owner_id, "line_ids": lines, "location_id": from_location_id}
    # All levels in one statement, those left and those gone to. What was added or moved meanwhile is seen after it.
    locked = _levels(queries.open_promises(session, **place), to_location_id)
    queries.lock_levels(session, keys=list(locked))
    chosen: set[UUID] | None = None
    if quantities is not None:
        chosen = set(
            part(session, owner_id=owner_id, quantities=quantities, location_id=from_location_id, giving_up=True)
        )
    standing = queries.open_promises(session, **place)
    if {row.line_id for row in standing} != set(lines) or not _levels(standing, to_location_id) <= locked:
        raise NotAllocated
    leaving = [row for row in standing if row.location_id != to_location_id and (chosen is None or row.id in chosen)]
    if not leaving:
        return []
    demands = [Demand(row.variant_id, to_location_id, row.quantity, row.line_id) for row in leaving]
    made = allocate(session, owner_id=owner_id, demands=demands, channel=channel, actor=actor, now=now)
    _keep(session, owner_id, leaving, to_location_id)
    ids = [row.id for row in leaving]
    give_back(session, owner_id=owner_id, reservation_ids=ids, cause=CAUSE, actor=actor, now=now)
    for left in sorted({row.location_id for row in leaving}):
        event = AllocationMoved(
            owner_id=owner_id,
            line_ids=sorted({row.line_id for row in leaving if row.location_id == left}),
            from_location_id=left,
            to_location_id=to_location_id,
        )
        outbox.publish(session, event, actor=actor, now=now)
    return made


def _keep(session: Session, owner_id: UUID, leaving: Sequence[Any], to_location_id: UUID) -> None:
    """Give the new promises the age of those they take the place of, and their share in the line's unit."""
    oldest: dict[Key, datetime] = {}
    shares: dict[Key, int] = {}
    for row in leaving:
        key = (row.line_id, row.variant_id)
        oldest[key] = min(oldest.get(key, row.created_at), row.created_at)
        shares[key] = row.per_unit
    given: dict[str, Any] = {"line_ids": [line for line, _ in oldest], "variants": [variant for _, variant in oldest]}
    given |= {"moments": list(oldest.values()), "per_units": [shares[key] for key in oldest]}
    session.execute(_KEEP, given | {"owner_id": owner_id, "location_id": to_location_id})


def _levels(promises: Iterable[Any], to_location_id: UUID) -> set[Key]:
    """Where these stand, and where they are to go."""
    return {(row.variant_id, place) for row in promises for place in (row.location_id, to_location_id)}
