"""Shipments to customers and their parcels, read."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class ParcelFacts:
    """One parcel and what is in it, ``{order line: units}``."""

    id: UUID
    state: str
    weight_g: int | None
    tracking: str | None
    lines: dict[UUID, int]


_PARCELS = text(
    """
    SELECT p.id, p.state, p.weight_g, p.tracking,
           (SELECT json_object_agg(order_line_id, quantity) FROM parcel_line WHERE parcel_id = p.id) AS lines
    FROM parcel AS p WHERE p.fulfillment_id = :fulfillment_id ORDER BY p.position
    """
)


def parcels_of(session: Session, *, fulfillment_id: UUID) -> list[ParcelFacts]:
    """The parcels of a shipment, in order; lock its order first."""
    rows = session.execute(_PARCELS, {"fulfillment_id": fulfillment_id}).all()
    return [
        ParcelFacts(
            row.id, row.state, row.weight_g, row.tracking, {UUID(line): units for line, units in row.lines.items()}
        )
        for row in rows
    ]


_OF_TRACKING = text(
    """
    SELECT p.id, p.fulfillment_id FROM parcel AS p
    WHERE p.tracking = :tracking AND p.carrier = :carrier ORDER BY p.shipped_at DESC LIMIT 1
    """
)


def parcel_of_tracking(session: Session, *, carrier: str, tracking: str) -> tuple[UUID, UUID] | None:
    """(parcel, fulfillment) of a carrier's number; carriers use a number again after a while, so the latest."""
    row = session.execute(_OF_TRACKING, {"carrier": carrier, "tracking": tracking}).one_or_none()
    return None if row is None else (row[0], row[1])


SHIPMENT_SQL = """
    json_build_object(
      'id', f.id, 'state', f.state, 'version', f.version, 'order_id', o.id, 'reference', o.reference,
      'customer_name', o.contact_name, 'ship_to', o.ship_to, 'placed_at', o.placed_at, 'ready_by', f.ready_by,
      'picking_at', f.picking_at, 'packed_at', f.packed_at, 'shipped_at', f.shipped_at, 'delivered_at', f.delivered_at,
      'location', json_build_object('id', s.id, 'code', s.code, 'name', s.name, 'name_ja', s.name_ja, 'zone', s.zone),
      'lines', (SELECT json_agg(json_build_object(
          'order_line_id', l.id, 'position', l.position, 'sku', l.sku, 'title', l.title, 'quantity', fl.quantity,
          'picked', fl.picked, 'collected', fl.collected, 'short', fl.short, 'cancelled', fl.cancelled) ORDER BY l.position)
        FROM fulfillment_line AS fl JOIN order_line AS l ON l.id = fl.order_line_id WHERE fl.fulfillment_id = f.id),
      'parcels', coalesce((SELECT json_agg(json_build_object(
          'id', p.id, 'position', p.position, 'state', p.state, 'weight_g', p.weight_g, 'carrier', p.carrier,
          'tracking', p.tracking, 'shipped_at', p.shipped_at, 'delivered_at', p.delivered_at,
          'lines', (SELECT json_agg(json_build_object('order_line_id', pl.order_line_id, 'quantity', pl.quantity)
                                    ORDER BY pl.order_line_id)
                    FROM parcel_line AS pl WHERE pl.parcel_id = p.id)) ORDER BY p.position)
        FROM parcel AS p WHERE p.fulfillment_id = f.id), '[]'))"""
_FROM = """FROM fulfillment AS f JOIN "order" AS o ON o.id = f.order_id JOIN location AS s ON s.id = f.location_id"""
_ONE = text(f"SELECT {SHIPMENT_SQL} {_FROM} WHERE f.id = :fulfillment_id AND f.method = 'ship'")
OPEN = ("allocated", "picking", "packed", "short")


def shipment_dict(session: Session, *, fulfillment_id: UUID) -> dict[str, Any] | None:
    """One shipment in the shape of ShipmentSchema with python values; None when there is none."""
    found = session.execute(_ONE, {"fulfillment_id": fulfillment_id}).scalar_one_or_none()
    return None if found is None else _shipment_of(found)


def list_shipments(
    session: Session,
    *,
    limit: int,
    after: Sequence[Any] | None,
    locations: Collection[UUID] | None = None,
    location: str | None = None,
    states: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """`limit` + 1 shipments of confirmed orders by (placed_at, id), the oldest first, after that key; one statement.

    Without `states`: what is still to be sent. `locations` bounds the answer to a caller's own.
    """
    given: dict[str, Any] = {"limit": limit + 1, "states": list(states or OPEN)}
    where = ["f.method = 'ship'", "o.confirmed_at IS NOT NULL", "f.state = ANY(CAST(:states AS text[]))"]
    if locations is not None:
        where.append("f.location_id = ANY(CAST(:locations AS uuid[]))")
        given["locations"] = sorted(locations)
    if location is not None:
        where.append("(s.code = :location OR s.id::text = lower(:location))")
        given["location"] = location
    if after is not None:
        where.append("(o.placed_at, f.id) > (:after_at, :after_id)")
        given |= {"after_at": after[0], "after_id": after[1]}
    statement = text(
        f"SELECT {SHIPMENT_SQL} {_FROM} WHERE {' AND '.join(where)} ORDER BY o.placed_at, f.id LIMIT :limit"
    )
    return [_shipment_of(found) for found in session.execute(statement, given).scalars().all()]


_moment = datetime.fromisoformat
_MOMENTS = ("placed_at", "ready_by", "picking_at", "packed_at", "shipped_at", "delivered_at")


def _shipment_of(found: dict[str, Any]) -> dict[str, Any]:
    one = dict(found)
    one["id"], one["order_id"] = UUID(one["id"]), UUID(one["order_id"])
    one["location"]["id"] = UUID(one["location"]["id"])
    for name in _MOMENTS:
        one[name] = None if one[name] is None else _moment(one[name])
    for line in one["lines"]:
        line["order_line_id"] = UUID(line["order_line_id"])
    for parcel in one["parcels"]:
        parcel["id"] = UUID(parcel["id"])
        for name in ("shipped_at", "delivered_at"):
            parcel[name] = None if parcel[name] is None else _moment(parcel[name])
        for line in parcel["lines"]:
            line["order_line_id"] = UUID(line["order_line_id"])
    return one
