"""Cycle counts, read and locked, and what is on hand while somebody counts it."""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

from retail.kernel import ids

COUNT_PREFIX = "SC"
WHOLE_PLACE = ""  # stock_count.shelf of a count of everything there; a list has none

_LOCK = text(
    """
    SELECT id, reference, location_id, shelf, state, blind, approval_above, version FROM stock_count
    WHERE id = :id OR reference = :reference FOR UPDATE
    """
)
_LINES = text(
    """
    SELECT line.variant_id, variant.sku, line.state, line.counted, line.expected, line.counted_by, line.recounted,
           line.recounted_by, line.difference
    FROM stock_count_line AS line JOIN variant ON variant.id = line.variant_id
    WHERE line.count_id = :count_id AND (CAST(:variants AS uuid[]) IS NULL OR line.variant_id = ANY(CAST(:variants AS uuid[])))
    ORDER BY line.position
    """
)
# Sorted like every writer's locks; a level that is not there cannot be locked, and nothing can be taken from it.
_LOCK_ON_HAND = text(
    """
    SELECT variant_id, on_hand, unavailable FROM stock_level
    WHERE location_id = :location_id AND variant_id = ANY(CAST(:variants AS uuid[]))
    ORDER BY variant_id FOR UPDATE
    """
)
_NEVER_HERE = text(
    """
    SELECT variant_id FROM unnest(CAST(:variants AS uuid[])) AS line (variant_id)
    WHERE NOT EXISTS (SELECT FROM stock_level AS level
                      WHERE level.variant_id = line.variant_id AND level.location_id = CAST(:location_id AS uuid))
    """
)
_ON_SHELF = text(
    """
    SELECT level.variant_id FROM stock_level AS level JOIN variant ON variant.id = level.variant_id
    WHERE level.location_id = :location_id AND (CAST(:shelf AS text) IS NULL OR level.shelf = :shelf)
    ORDER BY variant.sku LIMIT :limit
    """
)
_PROGRESS = text(
    """
    SELECT count(*) AS lines, count(*) FILTER (WHERE state = 'approval') AS waiting,
           count(*) FILTER (WHERE state IN ('open', 'recount', 'approval')) AS unsettled
    FROM stock_count_line WHERE count_id = :count_id
    """
)

_COUNT = """
    SELECT c.id, c.reference, c.state, nullif(c.shelf, '') AS shelf,
           CASE c.shelf WHEN '' THEN 'everything' ELSE CASE WHEN c.shelf IS NULL THEN 'list' ELSE 'shelf' END END AS scope,
           c.blind, c.approval_above, c.note, c.version, c.created_by, c.created_at, c.updated_at, c.closed_at,
           l.id AS location_id, l.code AS location_code, l.name AS location_name, l.name_ja AS location_name_ja,
           n.lines AS line_count, n.open, n.recount, n.approval, n.applied, n.rejected
    FROM stock_count AS c JOIN location AS l ON l.id = c.location_id
    CROSS JOIN LATERAL (
        SELECT count(*) AS lines, count(*) FILTER (WHERE state = 'open') AS open,
               count(*) FILTER (WHERE state = 'recount') AS recount, count(*) FILTER (WHERE state = 'approval') AS approval,
               count(*) FILTER (WHERE state = 'applied') AS applied, count(*) FILTER (WHERE state = 'rejected') AS rejected
        FROM stock_count_line WHERE count_id = c.id) AS n
"""
_ONE = text(_COUNT + "WHERE c.id = :id OR c.reference = :reference")
_LIST = text(
    _COUNT
    + """
    WHERE (CAST(:after AS uuid) IS NULL OR c.id < :after)
      AND (CAST(:locations AS uuid[]) IS NULL OR c.location_id = ANY(CAST(:locations AS uuid[])))
      AND (CAST(:states AS text[]) IS NULL OR c.state = ANY(CAST(:states AS text[])))
    ORDER BY c.id DESC LIMIT :limit
    """
)
_LINES_OF = text(
    """
    SELECT line.variant_id, v.sku, v.title, v.title_ja, level.shelf, line.state, line.position,
           line.counted, coalesce(line.expected, CASE WHEN line.state = 'open' THEN coalesce(level.on_hand, 0) END) AS expected,
           line.counted_by, line.counted_at, line.recounted, line.recount_expected, line.recounted_by, line.recounted_at,
           line.difference, line.settled_by, line.settled_at
    FROM stock_count_line AS line
    JOIN stock_count AS c ON c.id = line.count_id
    JOIN variant AS v ON v.id = line.variant_id
    LEFT JOIN stock_level AS level ON level.variant_id = line.variant_id AND level.location_id = c.location_id
    WHERE line.count_id = :count_id ORDER BY line.position
    """
)


@dataclass(frozen=True, slots=True)
class LockedCount:
    """A count under lock: whoever writes its lines holds this."""

    id: uuid.UUID
    reference: str
    location_id: uuid.UUID
    shelf: str | None
    state: str
    blind: bool
    approval_above: int
    version: int


@dataclass(frozen=True, slots=True)
class CountLine:
    """A line as far as deciding needs it."""

    variant_id: uuid.UUID
    sku: str
    state: str
    counted: int | None
    expected: int | None
    counted_by: str | None
    recounted: int | None
    recounted_by: str | None
    difference: int | None


@dataclass(frozen=True, slots=True)
class CountProgress:
    """How many lines there are, wait for approval, and are not settled (those that wait among them)."""

    lines: int
    waiting: int
    unsettled: int


class OnHand(NamedTuple):
    """What the books say is at a level, and how much of it was set aside."""

    on_hand: int
    unavailable: int


NOTHING = OnHand(0, 0)  # where there is no level


def _named(name: str) -> dict[str, Any]:
    return {"id": ids.parse_uuid(name), "reference": ids.parse_reference(name, COUNT_PREFIX)}


def lock_count(session: Session, *, name: str) -> LockedCount | None:
    """Lock a count by id or reference; None when there is none. The first lock of whoever changes it."""
    row = session.execute(_LOCK, _named(name)).one_or_none()
    return None if row is None else LockedCount(*row)


def count_lines(
    session: Session, *, count_id: uuid.UUID, variant_ids: Sequence[uuid.UUID] | None = None
) -> list[CountLine]:
    """The lines of these variants (None: all) in their order, of a count that the caller has locked."""
    params = {"count_id": count_id, "variants": None if variant_ids is None else list(variant_ids)}
    return [CountLine(*row) for row in session.execute(_LINES, params)]


def count_progress(session: Session, *, count_id: uuid.UUID) -> CountProgress:
    """How far a count is."""
    return CountProgress(*session.execute(_PROGRESS, {"count_id": count_id}).one())


def lock_on_hand(
    session: Session, *, location_id: uuid.UUID, variant_ids: Sequence[uuid.UUID]
) -> dict[uuid.UUID, OnHand]:
    """Lock the levels of these variants at one location; where there is no level nothing is answered and nothing locked."""
    params = {"location_id": location_id, "variants": list(variant_ids)}
    return {row.variant_id: OnHand(row.on_hand, row.unavailable) for row in session.execute(_LOCK_ON_HAND, params)}


def never_here(session: Session, *, location_id: uuid.UUID, variant_ids: Sequence[uuid.UUID]) -> list[uuid.UUID]:
    """Those of these variants that have no level at the location. A level that is there stays."""
    params = {"location_id": location_id, "variants": list(variant_ids)}
    return list(session.execute(_NEVER_HERE, params).scalars())


def variants_on_shelf(session: Session, *, location_id: uuid.UUID, shelf: str | None, limit: int) -> list[uuid.UUID]:
    """Up to `limit` variants kept on a shelf (None: ever stocked at the location), by SKU."""
    params = {"location_id": location_id, "shelf": shelf, "limit": limit}
    return list(session.execute(_ON_SHELF, params).scalars())


def count_dict(session: Session, *, name: str) -> dict[str, Any] | None:
    """One count by id or reference with its lines; None when there is none. Two statements. Nothing is hidden here."""
    row = session.execute(_ONE, _named(name)).one_or_none()
    if row is None:
        return None
    lines = session.execute(_LINES_OF, {"count_id": row.id}).mappings()
    return _count_of(row) | {"lines": [dict(line) for line in lines]}


def list_counts(
    session: Session,
    *,
    locations: Collection[uuid.UUID] | None,
    states: Sequence[str] | None,
    after: uuid.UUID | None,
    limit: int,
) -> list[dict[str, Any]]:
    """Up to `limit` counts without their lines, newest first, older than `after`. One statement."""
    params = {
        "locations": None if locations is None else sorted(locations),
        "states": list(states) if states else None,
        "after": after,
        "limit": limit,
    }
    return [_count_of(row) for row in session.execute(_LIST, params)]


def _count_of(row: Any) -> dict[str, Any]:
    return {
        "id": row.id,
        "reference": row.reference,
        "location": {
            "id": row.location_id,
            "code": row.location_code,
            "name": row.location_name,
            "name_ja": row.location_name_ja,
        },
        "scope": row.scope,
        "shelf": row.shelf,
        "state": row.state,
        "blind": row.blind,
        "approval_above": row.approval_above,
        "note": row.note,
        "progress": {
            "lines": row.line_count,
            "open": row.open,
            "recount": row.recount,
            "approval": row.approval,
            "applied": row.applied,
            "rejected": row.rejected,
        },
        "version": row.version,
        "created_by": row.created_by,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
        "closed_at": row.closed_at,
    }
