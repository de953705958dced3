"""Transfers between locations, read and locked, and what is still allocated to one."""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from retail.kernel import ids

TRANSFER_PREFIX = "TR"

_LOCK = text(
    """
    SELECT id, reference, from_location_id, to_location_id, state, version, promised_to FROM transfer
    WHERE id = :id OR reference = :reference FOR UPDATE
    """
)
_LINES = text(
    """
    SELECT line.variant_id, variant.sku, line.position, line.requested, line.shipped, line.received, line.damaged,
           line.returned, line.shrunk, line.outstanding
    FROM transfer_line AS line JOIN variant ON variant.id = line.variant_id
    WHERE line.transfer_id = :transfer_id ORDER BY line.position
    """
)
_ALLOCATED = text(
    """
    SELECT variant_id, CAST(sum(quantity - backordered) AS integer) FROM reservation
    WHERE owner_id = :owner_id AND location_id = :location_id AND state = 'allocated' GROUP BY variant_id
    """
)

_TRANSFER = """
    SELECT t.id, t.reference, t.state, t.note, t.due_at, t.cancel_choice, t.version, t.created_by, t.created_at, t.updated_at,
           t.shipped_at, t.closed_at,
           o.id AS from_id, o.code AS from_code, o.name AS from_name, o.name_ja AS from_name_ja,
           d.id AS to_id, d.code AS to_code, d.name AS to_name, d.name_ja AS to_name_ja,
           n.lines AS line_count, n.requested, n.shipped, n.received, n.damaged, n.returned, n.shrunk, n.outstanding
    FROM transfer AS t
    JOIN location AS o ON o.id = t.from_location_id
    JOIN location AS d ON d.id = t.to_location_id
    CROSS JOIN LATERAL (
        SELECT count(*) AS lines, coalesce(sum(requested), 0) AS requested, coalesce(sum(shipped), 0) AS shipped,
               coalesce(sum(received), 0) AS received, coalesce(sum(damaged), 0) AS damaged,
               coalesce(sum(returned), 0) AS returned, coalesce(sum(shrunk), 0) AS shrunk,
               coalesce(sum(outstanding), 0) AS outstanding
        FROM transfer_line WHERE transfer_id = t.id) AS n
"""
_ONE = text(_TRANSFER + "WHERE t.id = :id OR t.reference = :reference")
_LIST = text(
    _TRANSFER
    + """
    WHERE (CAST(:after AS uuid) IS NULL OR t.id < :after)
      AND (CAST(:ends AS uuid[]) IS NULL OR t.from_location_id = ANY(CAST(:ends AS uuid[]))
           OR t.to_location_id = ANY(CAST(:ends AS uuid[])))
      AND (CAST(:location AS uuid) IS NULL OR t.from_location_id = :location OR t.to_location_id = :location)
      AND (CAST(:origin AS uuid) IS NULL OR t.from_location_id = :origin)
      AND (CAST(:destination AS uuid) IS NULL OR t.to_location_id = :destination)
      AND (CAST(:states AS text[]) IS NULL OR t.state = ANY(CAST(:states AS text[])))
      AND (CAST(:due_before AS timestamptz) IS NULL OR t.due_at < :due_before)
    ORDER BY t.id DESC LIMIT :limit
    """
)
# `discrepancy` is what left the origin and never came in; damaged units did come in, into another bucket.
_LINES_OF = text(
    """
    SELECT line.variant_id, v.sku, v.title, v.title_ja, line.position, line.requested, coalesce(kept.quantity, 0) AS allocated,
           line.shipped, line.received, line.damaged, line.returned, line.shrunk, line.outstanding, line.shrunk AS discrepancy
    FROM transfer_line AS line
    JOIN variant AS v ON v.id = line.variant_id
    LEFT JOIN (SELECT variant_id, sum(quantity - backordered) AS quantity FROM reservation
               WHERE owner_id = :transfer_id AND state = 'allocated' GROUP BY variant_id) AS kept ON kept.variant_id = line.variant_id
    WHERE line.transfer_id = :transfer_id ORDER BY line.position
    """
)


@dataclass(frozen=True, slots=True)
class LockedTransfer:
    """A transfer under lock: whoever writes its lines holds this."""

    id: uuid.UUID
    reference: str
    from_location_id: uuid.UUID
    to_location_id: uuid.UUID
    state: str
    version: int
    promised_to: uuid.UUID | None = None


@dataclass(frozen=True, slots=True)
class TransferLineFacts:
    """A line as far as deciding needs it."""

    variant_id: uuid.UUID
    sku: str
    position: int
    requested: int
    shipped: int
    received: int
    damaged: int
    returned: int
    shrunk: int
    outstanding: int


def _named(name: str) -> dict[str, Any]:
    return {"id": ids.parse_uuid(name), "reference": ids.parse_reference(name, TRANSFER_PREFIX)}


def lock_transfer(session: Session, *, name: str) -> LockedTransfer | None:
    """Lock a transfer by id or reference; None when there is none. The first lock of whoever changes it."""
    row = session.execute(_LOCK, _named(name)).one_or_none()
    return None if row is None else LockedTransfer(*row)


def transfer_lines(session: Session, *, transfer_id: uuid.UUID) -> list[TransferLineFacts]:
    """The lines of a transfer in their order."""
    return [TransferLineFacts(*row) for row in session.execute(_LINES, {"transfer_id": transfer_id})]


def allocated_to(session: Session, *, owner_id: uuid.UUID, location_id: uuid.UUID) -> dict[uuid.UUID, int]:
    """Units per variant that are here and allocated to `owner_id`; true for as long as the caller holds the levels' locks."""
    params = {"owner_id": owner_id, "location_id": location_id}
    return {row[0]: row[1] for row in session.execute(_ALLOCATED, params)}


def transfer_dict(session: Session, *, name: str) -> dict[str, Any] | None:
    """One transfer by id or reference with its lines; None when there is none. Two statements."""
    row = session.execute(_ONE, _named(name)).one_or_none()
    if row is None:
        return None
    lines = session.execute(_LINES_OF, {"transfer_id": row.id}).mappings()
    return _transfer_of(row) | {"lines": [dict(line) for line in lines]}


def list_transfers(
    session: Session,
    *,
    ends: Collection[uuid.UUID] | None,
    location_id: uuid.UUID | None,
    from_location_id: uuid.UUID | None,
    to_location_id: uuid.UUID | None,
    states: Sequence[str] | None,
    due_before: datetime | None,
    after: uuid.UUID | None,
    limit: int,
) -> list[dict[str, Any]]:
    """Up to `limit` transfers without their lines, newest first, older than `after`. One statement.

    `ends`: those that begin or end at one of these (None: anywhere); `location_id`: those that begin or end there.
    """
    params = {
        "ends": None if ends is None else sorted(ends),
        "location": location_id,
        "origin": from_location_id,
        "destination": to_location_id,
        "states": list(states) if states else None,
        "due_before": due_before,
        "after": after,
        "limit": limit,
    }
    return [_transfer_of(row) for row in session.execute(_LIST, params)]


def _place(row: Any, end: str) -> dict[str, Any]:
    return {name: getattr(row, f"{end}_{name}") for name in ("id", "code", "name", "name_ja")}


def _transfer_of(row: Any) -> dict[str, Any]:
    return {
        "id": row.id,
        "reference": row.reference,
        "from": _place(row, "from"),
        "to": _place(row, "to"),
        "state": row.state,
        "note": row.note,
        "due_at": row.due_at,
        "cancel_choice": row.cancel_choice,
        "units": {
            "lines": row.line_count,
            "requested": row.requested,
            "shipped": row.shipped,
            "received": row.received,
            "damaged": row.damaged,
            "returned": row.returned,
            "shrunk": row.shrunk,
            "outstanding": row.outstanding,
        },
        "version": row.version,
        "created_by": row.created_by,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
        "shipped_at": row.shipped_at,
        "closed_at": row.closed_at,
    }
