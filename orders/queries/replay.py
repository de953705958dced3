"""What a replay asks of the books once it is over."""

from typing import Any

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
