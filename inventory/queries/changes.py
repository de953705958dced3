"""What changed since a place in the feed: movements in the order in which transactions became over, and the numbers now."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory.queries.levels import EXPIRED

_HERE = text(
    """
    SELECT coalesce((SELECT generation FROM stock_feed), 1) AS generation,
           CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint) AS horizon,
           CAST(CAST(pg_snapshot_xmax(pg_current_snapshot()) AS text) AS bigint) AS ahead
    """
)
# {horizon} is below every transaction that may still write. Rows are read in the order of the primary key, at most :scan of them,
# of one place at most :rows; a level that changed ten times is told once, with what it says now.
_CHANGES = text(
    f"""
    WITH here AS (
        SELECT CAST(CAST(pg_snapshot_xmin(pg_current_snapshot()) AS text) AS bigint) AS horizon
    ), scanned AS (
        SELECT xid, seq, variant_id, location_id, cause
        FROM stock_movement
        WHERE (xid, seq) > (:xid, :seq) AND xid < (SELECT horizon FROM here)
        ORDER BY xid, seq LIMIT :scan
    ), taken AS (
        SELECT * FROM scanned WHERE CAST(:location_id AS uuid) IS NULL OR location_id = :location_id ORDER BY xid, seq LIMIT :rows
    ), changed AS (
        SELECT variant_id, location_id, array_agg(DISTINCT cause ORDER BY cause) AS causes, max(ARRAY[xid, seq]) AS latest
        FROM taken GROUP BY variant_id, location_id
    )
    SELECT (SELECT horizon FROM here) AS horizon, scan.scanned, scan.scanned_to, take.taken, take.taken_to,
           variant.sku, location.id, location.code, location.name, location.name_ja, causes, level.variant_id,
           level.on_hand, level.allocated, level.backordered, CAST(level.held - {EXPIRED} AS integer) AS held, level.unavailable,
           level.safety
    FROM (SELECT count(*) AS scanned, max(ARRAY[xid, seq]) AS scanned_to FROM scanned) AS scan
    CROSS JOIN (SELECT count(*) AS taken, max(ARRAY[xid, seq]) AS taken_to FROM taken) AS take
    LEFT JOIN changed ON true
    LEFT JOIN stock_level AS level ON level.variant_id = changed.variant_id AND level.location_id = changed.location_id
    LEFT JOIN variant ON variant.id = changed.variant_id
    LEFT JOIN location ON location.id = changed.location_id
    ORDER BY changed.latest
    """  # noqa: S608 - a constant
)


def feed_here(session: Session) -> dict[str, int]:
    """Where the feed stands: ``{generation, horizon, ahead}``. Transactions below `horizon` are all over; none has reached
    `ahead`. One statement."""
    return dict(session.execute(_HERE).mappings().one())


def changes_after(
    session: Session,
    *,
    xid: int,
    seq: int,
    location_id: uuid.UUID | None,
    rows: int,
    scan: int,
    now: datetime,
) -> dict[str, Any]:
    """The levels that changed after (xid, seq), in the order of their latest change, with what they say now.

    location_id: only this place. rows: how many movements to take at most. scan: how many to look at for them. One
    statement: ``{items, horizon, scanned, scanned_to, taken, taken_to}``; `*_to` are [xid, seq] or None.
    """
    params = {"xid": xid, "seq": seq, "location_id": location_id, "rows": rows, "scan": scan, "now": now}
    found = session.execute(_CHANGES, params).all()
    first = found[0]
    return {
        "items": [_item(row) for row in found if row.variant_id is not None],
        "horizon": first.horizon,
        "scanned": first.scanned,
        "scanned_to": first.scanned_to,
        "taken": first.taken,
        "taken_to": first.taken_to,
    }


def _item(row: Any) -> dict[str, Any]:
    return {
        "location": {"id": row.id, "code": row.code, "name": row.name, "name_ja": row.name_ja},
        "variant_id": row.variant_id,
        "sku": row.sku,
        "on_hand": row.on_hand,
        "allocated": row.allocated,
        "backordered": row.backordered,
        "held": row.held,
        "unavailable": row.unavailable,
        "safety": row.safety,
        "available": max(0, row.on_hand - row.allocated - row.held - row.unavailable - row.safety),
        "changed": row.causes,
    }
