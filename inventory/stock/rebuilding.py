"""The repair of audit.py: a level becomes what its movements and reservations say."""

import uuid

from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import queries
from inventory.queries import BUCKETS, PROMISES
from retail.kernel.errors import Conflict


class NotRepairable(Conflict):
    """The ledger and the promises cannot both be true: somebody has to count the shelf and adjust."""

    code, title = "not_repairable", "More is promised than the movements brought in"


_OPEN = text(
    "INSERT INTO stock_level (variant_id, location_id, updated_at) VALUES (:variant_id, :location_id, now()) ON CONFLICT DO NOTHING"
)
# Runs under the level's lock. What reservations say and movements do not becomes a movement of its own.
_REBUILD = text(
    f"""
    WITH moved AS (
        SELECT {BUCKETS} FROM stock_movement WHERE variant_id = :variant_id AND location_id = :location_id
    ), promised AS (
        SELECT {PROMISES} FROM reservation
        WHERE variant_id = :variant_id AND location_id = :location_id AND state IN ('held', 'allocated')
    ), rebuilt AS (
        UPDATE stock_level AS level
        SET on_hand = moved.on_hand, allocated = promised.allocated, backordered = promised.backordered, held = promised.held,
            unavailable = moved.unavailable, version = version + 1, updated_at = now()
        FROM moved, promised
        WHERE variant_id = :variant_id AND location_id = :location_id AND moved.on_hand >= 0 AND moved.unavailable >= 0
          AND promised.allocated + promised.held + moved.unavailable <= moved.on_hand + backorder_limit
          AND promised.allocated - promised.backordered + moved.unavailable <= moved.on_hand
        RETURNING variant_id, location_id
    ), corrected AS (
        INSERT INTO stock_movement (variant_id, location_id, from_bucket, to_bucket, quantity, cause, actor, at)
        SELECT variant_id, location_id, CASE WHEN missing > 0 THEN 'available' ELSE bucket END,
               CASE WHEN missing > 0 THEN bucket ELSE 'available' END, abs(missing), 'audit', 'system', now()
        FROM rebuilt, moved, promised,
             LATERAL (VALUES ('allocated', promised.allocated - promised.backordered - (moved.allocated - moved.backordered)),
                             ('backordered', promised.backordered - moved.backordered),
                             ('held', promised.held - moved.held)) AS gap (bucket, missing)
        WHERE missing <> 0
    )
    SELECT count(*) FROM rebuilt
    """  # noqa: S608 - two constants
)


def rebuild(session: Session, *, location_id: uuid.UUID, variant_id: uuid.UUID) -> None:
    """Set a level to what its movements and reservations say. Call it first in a transaction.

    Raises:
        NotRepairable: no level that satisfies its constraints would be true to both.
    """
    here = {"variant_id": variant_id, "location_id": location_id}
    session.execute(_OPEN, here)
    queries.lock_level(session, **here)
    if session.execute(_REBUILD, here).scalar_one() == 0:
        raise NotRepairable
