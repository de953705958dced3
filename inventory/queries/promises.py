"""Who waits for goods, and since when. Callers that decide by the answer hold the locks of the levels."""

import uuid
from collections.abc import Mapping, Sequence
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
_OPEN_PROMISES = text(
    """
    SELECT id, line_id, variant_id, location_id, quantity, per_unit, created_at FROM reservation
    WHERE owner_id = :owner_id AND line_id = ANY(CAST(:line_ids AS uuid[])) AND state IN ('allocated', 'short')
      AND (CAST(:location_id AS uuid) IS NULL OR location_id = :location_id)
    ORDER BY id
    """
)
_WAITS = text(
    """
    SELECT EXISTS (SELECT FROM reservation
                   WHERE owner_id = :owner_id AND line_id = ANY(CAST(:line_ids AS uuid[])) AND (state = 'short' OR backordered > 0))
    """
)
_LACKS = text(
    """
    SELECT NOT coalesce(bool_and(coalesce(enough, false)), true)
    FROM unnest(CAST(:line_ids AS uuid[]), CAST(:units AS integer[])) AS wanted (line_id, units)
    LEFT JOIN LATERAL (
        SELECT bool_and(here >= wanted.units) AS enough
        FROM (SELECT sum(CASE state WHEN 'allocated' THEN quantity - backordered ELSE 0 END) / max(per_unit) AS here
              FROM (SELECT * FROM reservation WHERE owner_id = :owner_id OFFSET 0) AS own
              WHERE own.line_id = wanted.line_id AND own.location_id = :location_id AND own.state IN ('allocated', 'short')
              GROUP BY own.variant_id) AS part
    ) AS here ON true
    """
)
# Of a bundle as many units are missing as its scarcest component lacks: who has a box without its cup has no box.
_MISSING = text(
    """
    SELECT line_id, location_id, CAST(max(units) AS integer) AS units
    FROM (SELECT line_id, location_id, variant_id, ceil(sum(quantity)::numeric / max(per_unit)) AS units
          FROM (SELECT * FROM reservation WHERE owner_id = :owner_id OFFSET 0) AS own
          WHERE state = 'short' AND line_id IS NOT NULL GROUP BY line_id, location_id, variant_id) AS part
    GROUP BY line_id, location_id
    """
)
_COMPONENTS = text(
    """
    SELECT DISTINCT own.line_id, variant.sku, own.variant_id, own.per_unit
    FROM (SELECT * FROM reservation WHERE owner_id = :owner_id OFFSET 0) AS own JOIN variant ON variant.id = own.variant_id
    WHERE own.state IN ('allocated', 'short') AND own.location_id = :location_id AND own.line_id = ANY(CAST(:line_ids AS uuid[]))
    """
)
_SENT = text(
    """
    SELECT DISTINCT own.line_id, own.variant_id, own.per_unit
    FROM (SELECT * FROM reservation WHERE owner_id = :owner_id OFFSET 0) AS own
    WHERE own.state = 'consumed' AND own.location_id = :location_id AND own.line_id = ANY(CAST(:line_ids AS uuid[]))
    ORDER BY own.variant_id
    """
)
_SHORTAGES = text(
    """
    SELECT promised.id, CASE promised.state WHEN 'short' THEN 'short' ELSE 'backordered' END AS state,
           promised.owner_id, promised.line_id, promised.variant_id, variant.sku, variant.title, variant.title_ja,
           promised.location_id, location.code, location.name, location.name_ja, promised.quantity AS promised,
           CASE promised.state WHEN 'short' THEN promised.quantity ELSE promised.backordered END AS quantity,
           promised.created_at AS since, promised.promised_at
    FROM reservation AS promised
    JOIN variant ON variant.id = promised.variant_id
    JOIN location ON location.id = promised.location_id
    WHERE (promised.state = 'short' OR promised.backordered > 0)
      AND (CAST(:location_id AS uuid) IS NULL OR promised.location_id = :location_id)
      AND (CAST(:state AS text) IS NULL OR (promised.state = 'short') = (CAST(:state AS text) = 'short'))
      AND (CAST(:after_id AS uuid) IS NULL OR (promised.created_at, promised.id) > (CAST(:after_at AS timestamptz), CAST(:after_id AS uuid)))
    ORDER BY promised.created_at, promised.id LIMIT :limit
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
    ORDER BY promised.id
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


def open_promises(
    session: Session, *, owner_id: uuid.UUID, line_ids: Sequence[uuid.UUID], location_id: uuid.UUID | None = None
) -> Sequence[Any]:
    """What is promised to these lines (at one location, or None: anywhere) and not handed over, short included: id, line_id,
    variant_id, location_id, quantity, per_unit, created_at."""
    given = {"owner_id": owner_id, "line_ids": list(line_ids), "location_id": location_id}
    return session.execute(_OPEN_PROMISES, given).all()


def waits(session: Session, *, owner_id: uuid.UUID, line_ids: Sequence[uuid.UUID]) -> bool:
    """Whether units of these lines are not here: backordered, or short."""
    found: bool = session.execute(_WAITS, {"owner_id": owner_id, "line_ids": list(line_ids)}).scalar_one()
    return found


def lacks(session: Session, *, owner_id: uuid.UUID, location_id: uuid.UUID, units: Mapping[uuid.UUID, int]) -> bool:
    """Whether fewer than ``{line_id: units}`` are promised and here; of a bundle, each component with its share."""
    given = {"owner_id": owner_id, "location_id": location_id, "line_ids": list(units), "units": list(units.values())}
    found: bool = session.execute(_LACKS, given).scalar_one()
    return found


def missing(session: Session, *, owner_id: uuid.UUID) -> dict[Key, int]:
    """How many units of each line turned out to be missing, by (line_id, location_id). One statement."""
    rows = session.execute(_MISSING, {"owner_id": owner_id})
    return {(row.line_id, row.location_id): row.units for row in rows}


def components_promised(
    session: Session, *, owner_id: uuid.UUID, line_ids: Sequence[uuid.UUID], location_id: uuid.UUID
) -> dict[uuid.UUID, dict[str, tuple[uuid.UUID, int]]]:
    """What lies on the shelf for these lines at a location: ``{line_id: {sku: (variant_id, units of it in one of the line)}}``.
    Of a bundle, its components. One statement."""
    answer: dict[uuid.UUID, dict[str, tuple[uuid.UUID, int]]] = {}
    given = {"owner_id": owner_id, "line_ids": list(line_ids), "location_id": location_id}
    for row in session.execute(_COMPONENTS, given):
        answer.setdefault(row.line_id, {})[row.sku] = (row.variant_id, row.per_unit)
    return answer


def components_sent(
    session: Session, *, owner_id: uuid.UUID, line_ids: Sequence[uuid.UUID], location_id: uuid.UUID
) -> dict[uuid.UUID, list[tuple[uuid.UUID, int]]]:
    """What left a location for these lines: ``{line_id: [(variant_id, units of it in one of the line)]}``. One statement."""
    answer: dict[uuid.UUID, list[tuple[uuid.UUID, int]]] = {}
    given = {"owner_id": owner_id, "line_ids": list(line_ids), "location_id": location_id}
    for row in session.execute(_SENT, given):
        answer.setdefault(row.line_id, []).append((row.variant_id, row.per_unit))
    return answer


def shortages(
    session: Session,
    *,
    location_id: uuid.UUID | None,
    state: str | None,
    after: tuple[datetime, uuid.UUID] | None,
    limit: int,
) -> list[dict[str, Any]]:
    """Up to `limit` promises that wait for goods (ShortageSchema), those longest waiting first, from the one after `after` on.

    One statement over the partial index of those who wait. `state`: ``short``, ``backordered`` or None for both.
    """
    after_at, after_id = after or (None, None)
    params = {"location_id": location_id, "state": state, "after_at": after_at, "after_id": after_id, "limit": limit}
    return [
        {
            "id": row.id,
            "state": row.state,
            "owner_id": row.owner_id,
            "line_id": row.line_id,
            "variant_id": row.variant_id,
            "sku": row.sku,
            "title": row.title,
            "title_ja": row.title_ja,
            "location": {"id": row.location_id, "code": row.code, "name": row.name, "name_ja": row.name_ja},
            "promised": row.promised,
            "quantity": row.quantity,
            "since": row.since,
            "promised_at": row.promised_at,
        }
        for row in session.execute(_SHORTAGES, params)
    ]
