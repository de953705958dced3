"""A promise goes from hand to hand: to the order whose goods arrive, before anybody else can have them, and from a proposal to
the order that accepts it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import queries
from inventory.reservations.demands import Demand, NotAllocated
from inventory.reservations.taking import allocate
from retail.kernel.ids import new_id


@dataclass(frozen=True, slots=True)
class Traveled:
    """Units of a variant for one line: `fit` came in whole, `missing` did not (or broken). `per_unit`: see Reservation."""

    line_id: UUID
    variant_id: UUID
    per_unit: int
    fit: int
    missing: int


_SHARES = text(
    """
    UPDATE reservation SET per_unit = share.per_unit
    FROM unnest(CAST(:line_ids AS uuid[]), CAST(:variants AS uuid[]), CAST(:per_units AS integer[])) AS share (line_id, variant_id, per_unit)
    WHERE owner_id = :owner_id AND location_id = :location_id AND state IN ('allocated', 'short')
      AND reservation.line_id = share.line_id AND reservation.variant_id = share.variant_id AND reservation.per_unit <> share.per_unit
    """
)
# What is missing waits as short: whatever is free at the place goes to it, like to everybody who was promised goods.
_MISSING = text(
    """
    INSERT INTO reservation (id, variant_id, location_id, quantity, state, owner_id, line_id, created_at)
    SELECT id, variant_id, :location_id, units, 'short', :owner_id, line_id, :now
    FROM unnest(CAST(:ids AS uuid[]), CAST(:line_ids AS uuid[]), CAST(:variants AS uuid[]), CAST(:units AS integer[]))
         AS lack (id, line_id, variant_id, units)
    """
)


def promise_arrived(
    session: Session, *, owner_id: UUID, location_id: UUID, traveled: Sequence[Traveled], actor: str, now: datetime
) -> None:
    """Promise what has just come in to `owner_id`, whose it was before it left, and let it wait for what did not.

    Runs under the locks of the levels, after the units were booked in and before anybody who waits gets some.
    """
    fit = [one for one in traveled if one.fit]
    if fit:
        demands = [Demand(one.variant_id, location_id, one.fit, one.line_id) for one in fit]
        allocate(session, owner_id=owner_id, demands=demands, for_sale=False, actor=actor, now=now)
    missing = [one for one in traveled if one.missing]
    given: dict[str, Any] = {"owner_id": owner_id, "location_id": location_id, "now": now}
    if missing:
        lack = {"ids": [new_id() for _ in missing], "units": [one.missing for one in missing]}
        lack |= {"line_ids": [one.line_id for one in missing], "variants": [one.variant_id for one in missing]}
        session.execute(_MISSING, given | lack)
    shares = {"line_ids": [one.line_id for one in traveled], "variants": [one.variant_id for one in traveled]}
    session.execute(_SHARES, given | shares | {"per_units": [one.per_unit for one in traveled]})


_OPEN_KEYS = text(
    "SELECT DISTINCT variant_id, location_id FROM reservation WHERE owner_id = :owner_id AND state IN ('allocated', 'short')"
)
_HAND_ON = text(
    """
    UPDATE reservation SET owner_id = :to_owner_id, line_id = :to_line_id
    WHERE owner_id = :owner_id AND state IN ('allocated', 'short') RETURNING id
    """
)


def hand_on(session: Session, *, owner_id: UUID, to_owner_id: UUID, to_line_id: UUID) -> None:
    """All that is promised to `owner_id` is promised to a line of another owner from now on; no unit moves.

    Raises:
        NotAllocated: nothing is promised to it (any more).
    """
    keys = [(row.variant_id, row.location_id) for row in session.execute(_OPEN_KEYS, {"owner_id": owner_id})]
    queries.lock_levels(session, keys=keys)
    given = {"owner_id": owner_id, "to_owner_id": to_owner_id, "to_line_id": to_line_id}
    if not session.execute(_HAND_ON, given).all():
        raise NotAllocated
