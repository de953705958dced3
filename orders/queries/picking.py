"""Pick lists: who picks what, and what is next."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

# SKIP LOCKED: whoever comes at the same time takes the next ones. These are not counters (FAILURES 3): nothing is added up.
_NEXT = text(
    """
    SELECT f.id, f.method FROM fulfillment AS f JOIN "order" AS o ON o.id = f.order_id
    WHERE coalesce(f.source_location_id, f.location_id) = :location_id AND f.state = 'allocated'
      AND (f.method <> 'pickup' OR f.ready_by IS NOT NULL) AND o.confirmed_at IS NOT NULL AND o.kind = 'live'
    ORDER BY f.ready_by, f.id LIMIT :limit FOR UPDATE OF o, f SKIP LOCKED
    """
)
_MAY_PICK = text(
    """
    SELECT EXISTS (
        SELECT FROM staff WHERE id = :staff_id AND active
          AND (NOT EXISTS (SELECT FROM staff_location WHERE staff_id = staff.id)
               OR EXISTS (SELECT FROM staff_location WHERE staff_id = staff.id AND location_id = :location_id)))
    """
)
_LIST = text(
    """
    SELECT p.id, p.location_id, p.picker_id, p.created_at,
           json_build_object('id', l.id, 'code', l.code, 'name', l.name, 'name_ja', l.name_ja, 'zone', l.zone) AS location,
           (SELECT s.name FROM staff AS s WHERE s.id = p.picker_id) AS picker_name
    FROM pick_list AS p JOIN location AS l ON l.id = p.location_id WHERE p.id = :id
    """
)
_PARTS = text(
    """
    SELECT t.tote, f.id AS fulfillment_id, f.method, f.state, f.ready_by, f.order_id, o.reference, o.contact_name AS customer_name,
           (SELECT json_agg(json_build_object('order_line_id', fl.order_line_id, 'sku', l.sku, 'title', l.title, 'picked', fl.picked,
                                              'quantity', fl.quantity - fl.short - fl.cancelled) ORDER BY l.position)
            FROM fulfillment_line AS fl JOIN order_line AS l ON l.id = fl.order_line_id
            WHERE fl.fulfillment_id = f.id AND fl.quantity - fl.short - fl.cancelled > 0) AS lines
    FROM pick_list_part AS t JOIN fulfillment AS f ON f.id = t.fulfillment_id JOIN "order" AS o ON o.id = f.order_id
    WHERE t.pick_list_id = :id ORDER BY t.tote
    """
)
_LOCK = text("SELECT location_id, picker_id FROM pick_list WHERE id = :id FOR UPDATE")
_ON_LIST = text(
    """
    SELECT t.fulfillment_id, f.order_id FROM pick_list_part AS t JOIN fulfillment AS f ON f.id = t.fulfillment_id
    WHERE t.pick_list_id = :id ORDER BY f.order_id, f.id
    """
)


@dataclass(frozen=True, slots=True)
class Next:
    """A fulfillment that was locked to be picked."""

    id: UUID
    method: str


def lock_next(session: Session, *, location_id: UUID, limit: int) -> list[Next]:
    """Lock up to `limit` fulfillments that can be picked at the location now, with their orders, by promise; without those that
    somebody else is locking."""
    return [Next(*row) for row in session.execute(_NEXT, {"location_id": location_id, "limit": limit})]


def may_pick(session: Session, *, staff_id: UUID, location_id: UUID) -> bool:
    """Whether this is somebody who works there."""
    return bool(session.execute(_MAY_PICK, {"staff_id": staff_id, "location_id": location_id}).scalar_one())


def pick_list(session: Session, *, list_id: UUID) -> dict[str, Any] | None:
    """A list with its parts by tote: id, location_id, picker_id, picker_name, created_at, location, parts; two statements."""
    found = session.execute(_LIST, {"id": list_id}).mappings().one_or_none()
    if found is None:
        return None
    parts = [dict(row) for row in session.execute(_PARTS, {"id": list_id}).mappings()]
    for part in parts:
        part["lines"] = [line | {"order_line_id": UUID(line["order_line_id"])} for line in part["lines"] or ()]
    return dict(found) | {"parts": parts}


def lock_list(session: Session, *, list_id: UUID) -> tuple[UUID, UUID] | None:
    """Lock a list; its (location, picker), None when there is none. Orders are locked after it."""
    row = session.execute(_LOCK, {"id": list_id}).one_or_none()
    return None if row is None else (row.location_id, row.picker_id)


def on_list(session: Session, *, list_id: UUID) -> Sequence[UUID]:
    """The fulfillments on a list, in the order in which they are to be locked."""
    return [row.fulfillment_id for row in session.execute(_ON_LIST, {"id": list_id})]
