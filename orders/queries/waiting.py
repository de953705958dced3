"""Pickups that wait at a counter, read and locked."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class Waiting:
    """A locked pickup whose time runs out."""

    id: UUID
    order_id: UUID
    reference: str
    customer_id: UUID | None
    location_id: UUID
    collect_by: datetime


# Whoever else is at it sees to it: a pickup that is being collected, moved or expired needs no reminder.
_UNREMINDED = text(
    """
    SELECT f.id, f.order_id, o.reference, o.customer_id, f.location_id, f.collect_by
    FROM fulfillment AS f JOIN "order" AS o ON o.id = f.order_id
    WHERE f.state = 'ready' AND f.method IN ('pickup', 'ship_to_store') AND f.reminded_at IS NULL
      AND f.collect_by > :now AND f.collect_by <= :before
      AND f.ready_at < f.collect_by - (CAST(:before AS timestamptz) - CAST(:now AS timestamptz))
    ORDER BY f.collect_by, f.id LIMIT :limit
    FOR UPDATE OF o, f SKIP LOCKED
    """
)
_EXTENSIONS = text("SELECT extensions FROM fulfillment WHERE id = :fulfillment_id")


def lock_unreminded(session: Session, *, before: datetime, now: datetime, limit: int) -> list[Waiting]:
    """Pickups to be collected between now and `before`, ready for longer than that, of which nobody was reminded."""
    given = {"before": before, "now": now, "limit": limit}
    return [Waiting(*row) for row in session.execute(_UNREMINDED, given).all()]


def extensions_of(session: Session, *, fulfillment_id: UUID) -> int:
    """How often the customer has had it kept longer."""
    return int(session.execute(_EXTENSIONS, {"fulfillment_id": fulfillment_id}).scalar_one())
