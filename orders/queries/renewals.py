"""Authorizations that lapse before their order is charged: which are to be told of, and which to be asked for anew."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

_OPEN = """
    SELECT p.order_id, p.id FROM payment AS p JOIN "order" AS o ON o.id = p.order_id
    WHERE p.tender = 'card' AND p.state = 'authorized' AND p.released_minor < p.amount_minor AND p.capture_before <= :before
      AND o.confirmed_at IS NOT NULL AND o.cancelled_at IS NULL
      AND NOT EXISTS (SELECT FROM payment_entry AS e
                      WHERE e.payment_id = p.id AND e.kind IN ('capture', 'void') AND e.state = 'started')"""
_TO_WARN = text(f"{_OPEN} AND p.warned_at IS NULL ORDER BY p.capture_before, p.id LIMIT :limit")
_TO_RENEW = text(
    f"""{_OPEN}
      AND NOT EXISTS (SELECT FROM payment AS other WHERE other.replaces = p.id
                      AND (other.state IN ('pending', 'requires_action') OR other.updated_at > :tried_before))
    ORDER BY p.capture_before, p.id LIMIT :limit"""
)


def to_warn(session: Session, *, before: datetime, limit: int) -> list[tuple[UUID, UUID]]:
    """(order, payment) of authorizations that lapse by then and were not told of, the first to lapse first."""
    return [(row[0], row[1]) for row in session.execute(_TO_WARN, {"before": before, "limit": limit}).all()]


def to_renew(session: Session, *, before: datetime, tried_before: datetime, limit: int) -> list[tuple[UUID, UUID]]:
    """(order, payment) of authorizations that lapse by then, in whose place none is being asked for or was refused since."""
    given = {"before": before, "tried_before": tried_before, "limit": limit}
    return [(row[0], row[1]) for row in session.execute(_TO_RENEW, given).all()]
