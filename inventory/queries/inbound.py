"""Deliveries of suppliers, read and locked."""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from retail.kernel import ids

INBOUND_PREFIX = "IN"

_LOCK = text(
    """
    SELECT id, reference, location_id, state, version FROM inbound_shipment
    WHERE id = :id OR reference = :reference FOR UPDATE
    """
)
_LINES = text(
    """
    SELECT line.variant_id, variant.sku, line.position, line.expected, line.received, line.damaged, line.outstanding
    FROM inbound_line AS line JOIN variant ON variant.id = line.variant_id
    WHERE line.shipment_id = :shipment_id ORDER BY line.position
    """
)
_SHIPMENT = """
    SELECT s.id, s.reference, s.state, s.supplier, s.note, s.due_at, s.version, s.created_by, s.created_at, s.updated_at, s.closed_at,
           l.id AS location_id, l.code AS location_code, l.name AS location_name, l.name_ja AS location_name_ja,
           n.lines AS line_count, n.expected, n.received, n.damaged, n.outstanding
    FROM inbound_shipment AS s JOIN location AS l ON l.id = s.location_id
    CROSS JOIN LATERAL (
        SELECT count(*) AS lines, coalesce(sum(expected), 0) AS expected, coalesce(sum(received), 0) AS received,
               coalesce(sum(damaged), 0) AS damaged, coalesce(sum(outstanding), 0) AS outstanding
        FROM inbound_line WHERE shipment_id = s.id) AS n
"""
_ONE = text(_SHIPMENT + "WHERE s.id = :id OR s.reference = :reference")
_LIST = text(
    _SHIPMENT
    + """
    WHERE (CAST(:after AS uuid) IS NULL OR s.id < :after)
      AND (CAST(:locations AS uuid[]) IS NULL OR s.location_id = ANY(CAST(:locations AS uuid[])))
      AND (CAST(:states AS text[]) IS NULL OR s.state = ANY(CAST(:states AS text[])))
      AND (CAST(:due_before AS timestamptz) IS NULL OR s.due_at < :due_before)
    ORDER BY s.id DESC LIMIT :limit
    """
)
# What a line lacks is a difference only when nothing more is to come; what it has too much is one at once.
_LINES_OF = text(
    """
    SELECT line.variant_id, v.sku, v.title, v.title_ja, line.position, line.expected, line.received, line.damaged,
           line.outstanding, line.received - line.expected + line.outstanding AS difference
    FROM inbound_line AS line JOIN variant AS v ON v.id = line.variant_id
    WHERE line.shipment_id = :shipment_id ORDER BY line.position
    """
)


@dataclass(frozen=True, slots=True)
class LockedInbound:
    """A delivery under lock: whoever writes its lines holds this."""

    id: uuid.UUID
    reference: str
    location_id: uuid.UUID
    state: str
    version: int


@dataclass(frozen=True, slots=True)
class InboundLineFacts:
    """A line as far as deciding needs it."""

    variant_id: uuid.UUID
    sku: str
    position: int
    expected: int
    received: int
    damaged: int
    outstanding: int


def _named(name: str) -> dict[str, Any]:
    return {"id": ids.parse_uuid(name), "reference": ids.parse_reference(name, INBOUND_PREFIX)}


def lock_inbound(session: Session, *, name: str) -> LockedInbound | None:
    """Lock a delivery by id or reference; None when there is none. The first lock of whoever changes it."""
    row = session.execute(_LOCK, _named(name)).one_or_none()
    return None if row is None else LockedInbound(*row)


def inbound_lines(session: Session, *, shipment_id: uuid.UUID) -> list[InboundLineFacts]:
    """The lines of a delivery in their order."""
    return [InboundLineFacts(*row) for row in session.execute(_LINES, {"shipment_id": shipment_id})]


def inbound_dict(session: Session, *, name: str) -> dict[str, Any] | None:
    """One delivery by id or reference with its lines; None when there is none. Two statements."""
    row = session.execute(_ONE, _named(name)).one_or_none()
    if row is None:
        return None
    lines = session.execute(_LINES_OF, {"shipment_id": row.id}).mappings()
    return _inbound_of(row) | {"lines": [dict(line) for line in lines]}


def list_inbound(
    session: Session,
    *,
    locations: Collection[uuid.UUID] | None,
    states: Sequence[str] | None,
    due_before: datetime | None,
    after: uuid.UUID | None,
    limit: int,
) -> list[dict[str, Any]]:
    """Up to `limit` deliveries without their lines, newest first, older than `after`. One statement."""
    params = {
        "locations": None if locations is None else sorted(locations),
        "states": list(states) if states else None,
        "due_before": due_before,
        "after": after,
        "limit": limit,
    }
    return [_inbound_of(row) for row in session.execute(_LIST, params)]


def _inbound_of(row: Any) -> dict[str, Any]:
    return {
        "id": row.id,
        "reference": row.reference,
        "location": {
            "id": row.location_id,
            "code": row.location_code,
            "name": row.location_name,
            "name_ja": row.location_name_ja,
        },
        "supplier": row.supplier,
        "note": row.note,
        "state": row.state,
        "due_at": row.due_at,
        "units": {
            "lines": row.line_count,
            "expected": row.expected,
            "received": row.received,
            "damaged": row.damaged,
            "outstanding": row.outstanding,
        },
        "version": row.version,
        "created_by": row.created_by,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
        "closed_at": row.closed_at,
    }
