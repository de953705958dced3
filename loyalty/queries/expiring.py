"""Lots whose time has passed, and the locks on their owners' accounts."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy.orm import Session

from retail.kernel.hot import Hot

Place = tuple[datetime, uuid.UUID]  # a lot's place in the order of expiry
START: Place = (datetime(1, 1, 1, tzinfo=UTC), uuid.UUID(int=0))


@dataclass(frozen=True, slots=True)
class Expired:
    """Accounts that are locked now; how many were busy and left out; the last lot looked at (None: there was none)."""

    customers: Sequence[uuid.UUID]
    busy: int
    reached: Place | None


# SKIP LOCKED: whoever holds an account is selling just now, and neither should wait for the other. Leaving it out decides
# nothing: what has run out counts nowhere from its moment on, and the next run books it. (A counter that decides whether
# something may be sold is never skipped: there, not to look would be to decide.)
_LOCK = Hot(
    """
    WITH due AS MATERIALIZED (
        SELECT customer_id, expires_at, id FROM points_lot
        WHERE remaining > 0 AND expires_at <= :now AND (expires_at, id) > (:after_at, CAST(:after_id AS uuid))
        ORDER BY expires_at, id LIMIT :limit
    ), owners AS (
        SELECT DISTINCT customer_id FROM due
    ), locked AS MATERIALIZED (
        SELECT customer_id FROM points_account WHERE customer_id IN (SELECT customer_id FROM owners)
        ORDER BY customer_id FOR NO KEY UPDATE SKIP LOCKED
    ), last AS (
        SELECT expires_at, id FROM due ORDER BY expires_at DESC, id DESC LIMIT 1
    )
    SELECT coalesce((SELECT array_agg(customer_id) FROM locked), '{}') AS customers,
           (SELECT count(*) FROM owners) - (SELECT count(*) FROM locked) AS busy,
           (SELECT expires_at FROM last) AS reached_at, (SELECT id FROM last) AS reached_id
    """
)


def lock_accounts_with_expired(session: Session, *, now: datetime, limit: int, after: Place | None) -> Expired:
    """Lock the accounts that own the next `limit` expired lots with points in them, in the order of expiry, `after` the lot
    that an earlier call reached; those that somebody else has locked are left out. One statement."""
    after_at, after_id = after or START
    row = _LOCK.run(session, {"now": now, "limit": limit, "after_at": after_at, "after_id": after_id}).one()
    reached = None if row.reached_at is None else (row.reached_at, row.reached_id)
    return Expired(row.customers, row.busy, reached)
