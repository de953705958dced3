"""What may be asked about stock, and how its rows are found. Answers are dicts and plain values; nothing here changes anything."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory.queries.buffers import BUFFER
from retail.kernel import db, ids

ELSEWHERE_MOST = 20

# What is left of `held` once expired holds are read out. The index search runs only where something is held at all.
EXPIRED = """
    CASE WHEN level.held = 0 THEN 0 ELSE coalesce((
        SELECT sum(quantity) FROM reservation
        WHERE state = 'held' AND variant_id = level.variant_id AND location_id = level.location_id AND expires_at <= :now), 0)
    END
"""

# What a level's counters must be: the sums of its movements, and of its open reservations. `allocated` is all that is
# promised, `backordered` the part of it that waits for goods (of the ledger's buckets: allocated and backordered, and the latter).
BUCKETS = """
    coalesce(sum(CASE 'outside' WHEN from_bucket THEN quantity WHEN to_bucket THEN -quantity ELSE 0 END), 0) AS on_hand,
    coalesce(sum(CASE WHEN to_bucket IN ('allocated', 'backordered') THEN quantity ELSE 0 END
               - CASE WHEN from_bucket IN ('allocated', 'backordered') THEN quantity ELSE 0 END), 0) AS allocated,
    coalesce(sum(CASE 'backordered' WHEN to_bucket THEN quantity WHEN from_bucket THEN -quantity ELSE 0 END), 0) AS backordered,
    coalesce(sum(CASE 'held' WHEN to_bucket THEN quantity WHEN from_bucket THEN -quantity ELSE 0 END), 0) AS held,
    coalesce(sum(CASE 'unavailable' WHEN to_bucket THEN quantity WHEN from_bucket THEN -quantity ELSE 0 END), 0) AS unavailable
"""
PROMISES = """
    coalesce(sum(quantity) FILTER (WHERE state = 'allocated'), 0) AS allocated,
    coalesce(sum(backordered) FILTER (WHERE state = 'allocated'), 0) AS backordered,
    coalesce(sum(quantity) FILTER (WHERE state = 'held'), 0) AS held
"""

_LEVEL = f"""
    SELECT variant.sku, variant.title, variant.title_ja, location.code, location.name, location.name_ja,
           level.variant_id, level.location_id, level.on_hand, level.allocated, CAST(level.held - {EXPIRED} AS integer) AS held,
           level.unavailable, level.safety, level.backorder_limit, level.backordered, level.safety_by_hand,
           level.low_stock_threshold, level.shelf, level.version, level.updated_at
    FROM stock_level AS level
    JOIN variant ON variant.id = level.variant_id
    JOIN location ON location.id = level.location_id
"""  # noqa: S608
_LEVELS_FOR = text(
    _LEVEL + "WHERE level.location_id = :location_id AND level.variant_id = ANY(:variant_ids) ORDER BY variant.sku"
)
_LEVELS_AT = text(
    _LEVEL
    + """
    WHERE level.location_id = :location_id AND (CAST(:after AS uuid) IS NULL OR level.variant_id > :after)
      AND (CAST(:shelf AS text) IS NULL OR level.shelf = :shelf)
      AND (CAST(:pattern AS text) IS NULL OR variant.sku ILIKE :pattern OR variant.title ILIKE :pattern OR variant.title_ja ILIKE :pattern)
      AND (NOT :low OR level.on_hand - level.allocated - level.unavailable - level.safety <= level.low_stock_threshold)
    ORDER BY level.variant_id LIMIT :limit
    """
)
# A bundle is where all its components are: as many as the scarcest of them allows.
_PLACES_FOR = text(
    f"""
    SELECT wanted.id AS variant_id, wanted.sku, location.id, location.code, location.name, location.name_ja,
           min(greatest(0, coalesce(level.on_hand - level.allocated - level.held + {EXPIRED} - level.unavailable - level.safety - {BUFFER}, 0))
               / coalesce(part.quantity, 1)) AS available
    FROM variant AS wanted
    CROSS JOIN LATERAL (SELECT location_id FROM stock_level WHERE variant_id = wanted.id
                        UNION
                        SELECT location_id FROM bundle_component JOIN stock_level ON variant_id = component_id WHERE bundle_id = wanted.id
                        UNION
                        SELECT unnest(CAST(:location_ids AS uuid[]))) AS place
    JOIN location ON location.id = place.location_id
    LEFT JOIN bundle_component AS part ON part.bundle_id = wanted.id
    LEFT JOIN stock_level AS level ON level.variant_id = coalesce(part.component_id, wanted.id) AND level.location_id = location.id
    WHERE wanted.id = ANY(:variant_ids)
    GROUP BY wanted.id, location.id
    """  # noqa: S608
)
_LOCATIONS = text(
    "SELECT id, code, name, name_ja FROM location WHERE code = ANY(:codes) OR id = ANY(CAST(:ids AS uuid[]))"
)
_MOVEMENTS = text(
    """
    SELECT seq, from_bucket, to_bucket, quantity, cause, cause_id, reason, actor, at
    FROM stock_movement
    WHERE variant_id = :variant_id AND location_id = :location_id AND (CAST(:before AS bigint) IS NULL OR seq < :before)
    ORDER BY seq DESC LIMIT :limit
    """
)


def level_dict(row: Any) -> dict[str, Any]:
    """A level as LevelSchema shows it; `held` without expired holds."""
    return {
        "location": {"id": row.location_id, "code": row.code, "name": row.name, "name_ja": row.name_ja},
        "variant_id": row.variant_id,
        "sku": row.sku,
        "title": row.title,
        "title_ja": row.title_ja,
        "on_hand": row.on_hand,
        "allocated": row.allocated,
        "held": row.held,
        "unavailable": row.unavailable,
        "safety": row.safety,
        "safety_by_hand": row.safety_by_hand,
        "backorder_limit": row.backorder_limit,
        "backordered": row.backordered,
        "low_stock_threshold": row.low_stock_threshold,
        "shelf": row.shelf,
        "available": max(0, row.on_hand - row.allocated - row.held - row.unavailable - row.safety),
        "version": row.version,
        "updated_at": row.updated_at,
    }


def levels_for(
    session: Session, *, location_id: uuid.UUID, variant_ids: Sequence[uuid.UUID], now: datetime
) -> list[dict[str, Any]]:
    """The levels of these variants at one location, by SKU; a variant never received there is left out. One statement."""
    params = {"location_id": location_id, "variant_ids": list(variant_ids), "now": now}
    return [level_dict(row) for row in session.execute(_LEVELS_FOR, params)]


def levels_at(
    session: Session,
    *,
    location_id: uuid.UUID,
    shelf: str | None = None,
    q: str | None = None,
    low: bool = False,
    after: uuid.UUID | None,
    limit: int,
    now: datetime,
) -> list[dict[str, Any]]:
    """Up to `limit` levels of one location in the order of variant_id, from the one after `after` on. One statement.

    Of one `shelf`, with `q` in the SKU or a title, or (`low`) with no more left than their threshold.
    """
    params: dict[str, Any] = {"location_id": location_id, "shelf": shelf, "pattern": db.contains(q), "low": low}
    params |= {"after": after, "limit": limit, "now": now}
    return [level_dict(row) for row in session.execute(_LEVELS_AT, params)]


def movements_of(
    session: Session, *, location_id: uuid.UUID, variant_id: uuid.UUID, before: int | None, limit: int
) -> list[dict[str, Any]]:
    """Up to `limit` movements of one level, newest first, from the one before `before` on. One statement."""
    params = {"location_id": location_id, "variant_id": variant_id, "before": before, "limit": limit}
    return [dict(row) for row in session.execute(_MOVEMENTS, params).mappings()]


def locations_named(session: Session, *, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Locations by what they were called, id or code: ``{name: {id, code, name, name_ja}}``; unknown names are left out."""
    keys = [key for key in map(ids.parse_uuid, names) if key is not None]
    rows = session.execute(_LOCATIONS, {"codes": list(names), "ids": keys}).mappings().all()
    by_name = {str(row["id"]): row for row in rows} | {row["code"]: row for row in rows}
    found = {}
    for name in names:
        key = ids.parse_uuid(name)
        row = by_name.get(name) or by_name.get(str(key))
        if row is not None:
            found[name] = dict(row)
    return found


Shortage = tuple[str, dict[str, Any], list[dict[str, Any]]]


def places_for(
    session: Session, *, keys: Sequence[tuple[uuid.UUID, uuid.UUID]], channel: str | None = None, now: datetime
) -> dict[tuple[uuid.UUID, uuid.UUID], Shortage]:
    """For each (variant, location): its SKU, the location, and up to ELSEWHERE_MOST others that have some (for this
    channel), most first.

    One statement. An unknown variant or location answers with its bare id.
    """
    params = {
        "variant_ids": list({variant for variant, _ in keys}),
        "location_ids": list({location for _, location in keys}),
        "channel": channel,
        "now": now,
    }
    skus: dict[uuid.UUID, str] = {}
    places: dict[uuid.UUID, dict[str, Any]] = {}
    stocked: dict[uuid.UUID, dict[uuid.UUID, int]] = {}
    for row in session.execute(_PLACES_FOR, params):
        skus[row.variant_id] = row.sku
        places[row.id] = {"id": row.id, "code": row.code, "name": row.name, "name_ja": row.name_ja}
        if row.available:
            stocked.setdefault(row.variant_id, {})[row.id] = row.available
    answer: dict[tuple[uuid.UUID, uuid.UUID], Shortage] = {}
    for variant, location in keys:
        others = sorted(
            ((count, places[place]) for place, count in stocked.get(variant, {}).items() if place != location),
            key=lambda other: (-other[0], other[1]["code"]),
        )
        elsewhere = [{"location": place, "available": count} for count, place in others[:ELSEWHERE_MOST]]
        answer[variant, location] = (skus.get(variant, str(variant)), places.get(location, {"id": location}), elsewhere)
    return answer


def is_recorded(session: Session, *, key: str | None) -> bool:
    """Whether a movement with this idempotency key exists."""
    statement = text("SELECT 1 FROM stock_movement WHERE idempotency_key = :key")
    return session.execute(statement, {"key": key}).one_or_none() is not None


def lock_level(session: Session, *, location_id: uuid.UUID, variant_id: uuid.UUID) -> None:
    """Lock one level (nobody moves stock there until the transaction ends). No other lock may be taken before it."""
    statement = text(
        "SELECT 1 FROM stock_level WHERE variant_id = :variant_id AND location_id = :location_id FOR UPDATE"
    )
    session.execute(statement, {"variant_id": variant_id, "location_id": location_id})


def lock_limits(session: Session, *, location_id: uuid.UUID, variant_id: uuid.UUID) -> dict[str, Any] | None:
    """Lock one level and read all of it, as its row stands; None: there is no such level."""
    statement = text(
        "SELECT * FROM stock_level WHERE variant_id = :variant_id AND location_id = :location_id FOR UPDATE"
    )
    row = session.execute(statement, {"variant_id": variant_id, "location_id": location_id}).mappings().one_or_none()
    return None if row is None else dict(row)
