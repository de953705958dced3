"""What a replay asks of the books once it is over."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

_TOUCHED = text(
    """
    SELECT external_reference FROM "order" AS o
    WHERE channel_code = :channel
      AND (version > 1 OR EXISTS (SELECT 1 FROM "return" AS b WHERE b.order_id = o.id AND b.kind = 'live'))
    """
)
_CUSTOMERS = text(
    """
    SELECT i.value, c.address FROM customer AS c
    JOIN identity_link AS k ON k.customer_id = c.id AND k.to_at IS NULL
    JOIN identity AS i ON i.id = k.identity_id AND i.kind = 'external'
    WHERE c.version > 1
    """
)


def touched_orders(session: Session, *, channel: str) -> list[str]:
    """Other systems' references of the channel's orders that were changed or returned since they were taken over."""
    return list(session.execute(_TOUCHED, {"channel": channel}).scalars())


def changed_customers(session: Session) -> dict[str, dict[str, Any]]:
    """Other systems' numbers of customers that were changed since they were taken over, with their address now."""
    return {row.value: row.address for row in session.execute(_CUSTOMERS).all()}


_CAPTURED = text(
    """
    SELECT p.order_id, sum(e.amount_minor)::bigint AS minor
    FROM payment_entry AS e JOIN payment AS p ON p.id = e.payment_id
    WHERE e.kind = 'capture' AND e.state = 'succeeded' AND p.order_id = ANY(CAST(:ids AS uuid[])) GROUP BY p.order_id
    """
)
_REFUNDED = text(
    """
    SELECT r.return_id, sum(e.amount_minor)::bigint AS minor
    FROM payment_entry AS e JOIN refund AS r ON r.id = e.refund_id
    WHERE e.kind = 'refund' AND e.state = 'succeeded' AND r.return_id = ANY(CAST(:ids AS uuid[])) GROUP BY r.return_id
    """
)
_WAITING = text("SELECT count(*) FROM payment_entry WHERE state = 'started'")


def captured_of(session: Session, *, order_ids: Sequence[UUID]) -> dict[UUID, int]:
    """What was charged for each of these orders, by the ledger, minor units. One statement."""
    return {row.order_id: row.minor for row in session.execute(_CAPTURED, {"ids": list(order_ids)})}


def refunded_of(session: Session, *, return_ids: Sequence[UUID]) -> dict[UUID, int]:
    """What was given back for each of these returns, by the ledger, minor units. One statement."""
    return {row.return_id: row.minor for row in session.execute(_REFUNDED, {"ids": list(return_ids)})}


def entries_waiting(session: Session) -> int:
    """How many questions to the card network have no answer yet."""
    return int(session.execute(_WAITING).scalar_one())
