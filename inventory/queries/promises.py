"""Who waits for goods, and since when. Callers that decide by the answer hold the locks of the levels."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from retail.kernel.hot import Hot

Key = tuple[uuid.UUID, uuid.UUID]

# Whether somebody may wait at the level of `change` (a row locked by this statement): as far as the statement's snapshot shows,
# and if the level has changed since then, perhaps.
MAY_WAIT = """(
    EXISTS (SELECT FROM reservation AS promised
            WHERE promised.variant_id = change.variant_id AND promised.location_id = change.location_id
              AND (promised.state = 'short' OR promised.backordered > 0))
    OR EXISTS (SELECT FROM stock_level AS seen
               WHERE seen.variant_id = change.variant_id AND seen.location_id = change.location_id
                 AND seen.version <> change.version))
"""
_WAITING_KEYS = Hot(
    """
    SELECT level.variant_id, level.location_id
    FROM unnest((SELECT CAST(:variants AS uuid[])), (SELECT CAST(:locations AS uuid[]))) AS level (variant_id, location_id)
    WHERE EXISTS (SELECT FROM reservation AS promised
                  WHERE promised.variant_id = level.variant_id AND promised.location_id = level.location_id
                    AND (promised.state = 'short' OR promised.backordered > 0))
    """
)
_LOCK_LEVELS = text(
    """
    SELECT level.variant_id, level.location_id, on_hand, allocated, backordered, held, unavailable, safety, backorder_limit
    FROM stock_level AS level
    JOIN unnest(CAST(:variants AS uuid[]), CAST(:locations AS uuid[])) AS wanted (variant_id, location_id)
      ON wanted.variant_id = level.variant_id AND wanted.location_id = level.location_id
    ORDER BY level.variant_id, level.location_id
    FOR UPDATE OF level
    """
)
# What an owner was just promised and cannot have yet, in the order of its lines; `ahead`: units others wait for there.
_UNDATED = text(
    """
    SELECT promised.id, promised.line_id, promised.variant_id, promised.location_id, promised.quantity, promised.backordered,
           policy.releases_at, policy.lead_days,
           (SELECT CAST(coalesce(sum(CASE WHEN other.state = 'short' THEN other.quantity ELSE other.backordered END), 0) AS integer)
            FROM reservation AS other
            WHERE other.variant_id = promised.variant_id AND other.location_id = promised.location_id
              AND (other.state = 'short' OR other.backordered > 0)
              AND (other.owner_id <> :owner_id OR other.promised_at IS NOT NULL)) AS ahead
    FROM reservation AS promised
    LEFT JOIN supply_policy AS policy ON policy.variant_id = promised.variant_id
    WHERE promised.owner_id = :owner_id AND promised.state = 'allocated' AND promised.promised_at IS NULL
      AND (promised.backordered > 0 OR policy.releases_at > :now)
    ORDER BY promised.backordered, promised.id
    """
)


def split_keys(keys: Sequence[Key]) -> dict[str, list[uuid.UUID]]:
    """The parameters ``variants`` and ``locations`` of a statement over levels."""
    return {"variants": [variant for variant, _ in keys], "locations": [location for _, location in keys]}


def waiting_keys(session: Session, *, keys: Sequence[Key]) -> list[Key]:
    """Those among these levels where somebody waits for goods (backordered or short). One statement, no table is scanned."""
    if not keys:
        return []
    return [(row[0], row[1]) for row in _WAITING_KEYS.run(session, split_keys(keys))]


def lock_levels(session: Session, *, keys: Sequence[Key]) -> dict[Key, Any]:
    """Lock these levels in the order of everybody, and read their counters; levels that do not exist are left out.

    The next statement of this transaction sees all that was ever committed about them.
    """
    rows = session.execute(_LOCK_LEVELS, split_keys(keys)).all()
    return {(row.variant_id, row.location_id): row for row in rows}


def undated(session: Session, *, owner_id: uuid.UUID, now: datetime) -> Sequence[Any]:
    """The allocations of `owner_id` that wait for goods or for their release and have no date yet: id, line_id, variant_id,
    location_id, quantity, backordered, releases_at, lead_days, ahead (units that others wait for at that level)."""
    return session.execute(_UNDATED, {"owner_id": owner_id, "now": now}).all()
