"""Pickups that nobody came for."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

_DUE = text(
    """
    SELECT f.id FROM fulfillment AS f
    WHERE f.state = 'ready' AND f.method IN ('pickup', 'ship_to_store') AND f.collect_by <= :collect_before
    ORDER BY f.collect_by, f.id LIMIT :limit
    """
)


def due_pickups(session: Session, *, collect_before: datetime, limit: int) -> list[UUID]:
    """Pickups that wait at a counter and were to be collected before this moment, oldest first."""
    return list(session.execute(_DUE, {"collect_before": collect_before, "limit": limit}).scalars())
