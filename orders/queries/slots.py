"""Slots of a store, and how many pickups each has."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

_POLICY = text("SELECT minutes, capacity, version FROM slot_policy WHERE location_id = :location_id")
_TAKEN = text(
    """
    SELECT slot_at, count(*) AS taken FROM fulfillment
    WHERE location_id = :location_id AND slot_at >= :first AND slot_at < :last AND state NOT IN ('cancelled', 'expired')
    GROUP BY slot_at
    """
)
_LOCK = text(
    """
    INSERT INTO pickup_slot (location_id, starts_at) VALUES (:location_id, :starts_at)
    ON CONFLICT (location_id, starts_at) DO UPDATE SET starts_at = excluded.starts_at
    """
)


def policy(session: Session, *, location_id: UUID) -> Any | None:
    """(minutes, capacity, version); None where there are no slots."""
    return session.execute(_POLICY, {"location_id": location_id}).one_or_none()


def taken(session: Session, *, location_id: UUID, first: datetime, last: datetime) -> dict[datetime, int]:
    """How many pickups each slot from `first` to before `last` has; those with none are missing. One statement."""
    given = {"location_id": location_id, "first": first, "last": last}
    return {row.slot_at: row.taken for row in session.execute(_TAKEN, given)}


def lock_slot(session: Session, *, location_id: UUID, starts_at: datetime) -> None:
    """Nobody else takes this slot until the transaction ends; what was taken before is seen by the next statement."""
    session.execute(_LOCK, {"location_id": location_id, "starts_at": starts_at})


_READY = text("SELECT coalesce(ready_at, ready_by) FROM fulfillment WHERE id = :id")


def ready_moment(session: Session, *, fulfillment_id: UUID) -> datetime | None:
    """Since when a pickup is ready, or by when it will be; None: nobody knows."""
    found: datetime | None = session.execute(_READY, {"id": fulfillment_id}).scalar_one()
    return found
