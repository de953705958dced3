"""An order with all its parts under lock, and what of them is missing."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

AT_SOURCE = ("pending", "allocated", "picking", "short")


@dataclass(frozen=True, slots=True)
class LineFacts:
    """Units of an order line that a part carries. `unsettled` of the short ones still wait for what becomes of them."""

    order_line_id: UUID
    variant_id: UUID
    sku: str
    quantity: int
    picked: int
    collected: int
    short: int
    cancelled: int
    unsettled: int

    @property
    def todo(self) -> int:
        """What is still to be handed over."""
        return self.quantity - self.short - self.cancelled - self.collected


@dataclass(frozen=True, slots=True)
class Part:
    """One fulfillment of the order."""

    id: UUID
    method: str
    state: str
    location_id: UUID
    source_location_id: UUID | None
    transfer_id: UUID | None
    version: int
    collect_by: datetime | None
    arrived_at: datetime | None
    lines: tuple[LineFacts, ...]

    @property
    def stock_at(self) -> UUID:
        """Where its goods are promised."""
        if self.source_location_id is not None and self.arrived_at is None and self.state in AT_SOURCE:
            return self.source_location_id
        return self.location_id


@dataclass(frozen=True, slots=True)
class LockedOrder:
    """The order and its parts, locked until the transaction ends."""

    id: UUID
    reference: str
    kind: str
    customer_id: UUID | None
    placed_by: str
    channel_code: str
    currency: str
    locale: str
    ship_to: Mapping[str, Any] | None
    confirmed_at: datetime | None
    cancelled_at: datetime | None
    parts: tuple[Part, ...]

    def part(self, fulfillment_id: UUID) -> Part:
        """The part of this id, which the order has."""
        return next(one for one in self.parts if one.id == fulfillment_id)


_ORDER = text(
    """
    SELECT id, reference, kind, customer_id, placed_by, channel_code, currency, locale, ship_to, confirmed_at, cancelled_at
    FROM "order" WHERE id = :order_id FOR UPDATE
    """
)
_PARTS = text(
    """
    SELECT id, method, state, location_id, source_location_id, transfer_id, version, collect_by, arrived_at
    FROM fulfillment WHERE order_id = :order_id ORDER BY id FOR UPDATE
    """
)
# In a statement of its own, after the locks: what it reads is true until the transaction ends.
_LINES = text(
    """
    SELECT fl.fulfillment_id, fl.order_line_id, l.variant_id, l.sku, fl.quantity, fl.picked, fl.collected, fl.short, fl.cancelled,
           CAST(coalesce((SELECT sum(s.quantity) FROM shortfall AS s
                          WHERE s.fulfillment_id = fl.fulfillment_id AND s.order_line_id = fl.order_line_id
                            AND s.state IN ('open', 'proposed')), 0) AS integer) AS unsettled
    FROM fulfillment AS f JOIN fulfillment_line AS fl ON fl.fulfillment_id = f.id JOIN order_line AS l ON l.id = fl.order_line_id
    WHERE f.order_id = :order_id AND l.variant_id IS NOT NULL ORDER BY l.position
    """
)
_ORDER_OF = text("SELECT order_id FROM fulfillment WHERE id = :id")


def order_of_part(session: Session, *, fulfillment_id: UUID) -> UUID | None:
    """Whose part this is."""
    return session.execute(_ORDER_OF, {"id": fulfillment_id}).scalar_one_or_none()


def lock_whole(session: Session, *, order_id: UUID) -> LockedOrder | None:
    """Lock an order and all its parts: the order first, then the parts by id. None when there is none."""
    given = {"order_id": order_id}
    order = session.execute(_ORDER, given).mappings().one_or_none()
    if order is None:
        return None
    parts = session.execute(_PARTS, given).mappings().all()
    lines: dict[UUID, list[LineFacts]] = {}
    for row in session.execute(_LINES, given):
        lines.setdefault(row.fulfillment_id, []).append(LineFacts(*row[1:]))
    return LockedOrder(**order, parts=tuple(Part(**part, lines=tuple(lines.get(part["id"], ()))) for part in parts))


@dataclass(frozen=True, slots=True)
class Missing:
    """An unsettled shortfall."""

    id: UUID
    order_line_id: UUID
    quantity: int
    state: str


_UNSETTLED = text(
    """
    SELECT id, order_line_id, quantity, state FROM shortfall
    WHERE fulfillment_id = :id AND state IN ('open', 'proposed') ORDER BY created_at DESC, id DESC
    """
)


def unsettled(session: Session, *, fulfillment_id: UUID) -> list[Missing]:
    """What of a part is missing and waits for what becomes of it, newest first. Read under `lock_whole`."""
    return [Missing(*row) for row in session.execute(_UNSETTLED, {"id": fulfillment_id})]


_SHORTFALLS = text(
    """
    SELECT s.id, s.order_line_id, l.sku, l.title, s.quantity, s.cause, s.state, s.to_fulfillment_id, s.created_at, s.settled_at
    FROM shortfall AS s JOIN order_line AS l ON l.id = s.order_line_id
    WHERE s.fulfillment_id = :id ORDER BY s.created_at, s.id
    """
)


def shortfalls_of(session: Session, *, fulfillment_id: UUID) -> list[dict[str, Any]]:
    """All that was ever missing of a part, oldest first (MissingUnitsSchema)."""
    return [dict(row) for row in session.execute(_SHORTFALLS, {"id": fulfillment_id}).mappings()]


_SHIPMENTS = text(
    """
    SELECT f.id, f.state, o.id AS order_id, o.reference, f.version, f.ready_by, f.shipped_at, f.arrived_at,
           json_build_object('id', w.id, 'code', w.code, 'name', w.name, 'name_ja', w.name_ja, 'zone', w.zone) AS source,
           json_build_object('id', s.id, 'code', s.code, 'name', s.name, 'name_ja', s.name_ja, 'zone', s.zone) AS location,
           (SELECT json_agg(json_build_object('order_line_id', fl.order_line_id, 'sku', l.sku, 'title', l.title, 'quantity', fl.quantity,
                                              'picked', fl.picked, 'collected', fl.collected, 'short', fl.short, 'cancelled', fl.cancelled)
                            ORDER BY l.position)
            FROM fulfillment_line AS fl JOIN order_line AS l ON l.id = fl.order_line_id WHERE fl.fulfillment_id = f.id) AS lines
    FROM fulfillment AS f JOIN "order" AS o ON o.id = f.order_id
    JOIN location AS s ON s.id = f.location_id JOIN location AS w ON w.id = f.source_location_id
    WHERE f.method = 'ship_to_store' AND o.confirmed_at IS NOT NULL AND f.state = ANY(CAST(:states AS text[]))
      AND (CAST(:own AS uuid[]) IS NULL OR f.location_id = ANY(CAST(:own AS uuid[])) OR f.source_location_id = ANY(CAST(:own AS uuid[])))
      AND (CAST(:location AS text) IS NULL OR :location IN (s.code, w.code, s.id::text, w.id::text))
      AND (CAST(:after AS uuid) IS NULL OR f.id > :after)
    ORDER BY f.id LIMIT :limit
    """
)


def list_shipments(
    session: Session,
    *,
    own: Collection[UUID] | None,
    location: str | None,
    states: Sequence[str],
    after: UUID | None,
    limit: int,
) -> list[dict[str, Any]]:
    """Up to `limit` goods that go to a store for their customer (StoreShipmentSchema), oldest first, from the one after `after`
    on. `own` bounds the answer to what begins or ends at these; `location` is a code or id of either end. One statement."""
    given = {"own": None if own is None else sorted(own), "location": location, "states": list(states)}
    rows = session.execute(_SHIPMENTS, given | {"after": after, "limit": limit}).mappings()
    return [dict(row) for row in rows]


_POLICY = text("SELECT shortfall_policy FROM location WHERE id = :id")


def policy_of(session: Session, *, location_id: UUID) -> str:
    """What becomes of what is missing at this location: ask, resource or refund."""
    found: str = session.execute(_POLICY, {"id": location_id}).scalar_one()
    return found


# Whether a pickup may move there is the caller's to say: tax is the store's, so only one of the same tax keeps the price.
_PLACES = text(
    """
    SELECT other.id, other.code, other.name, other.name_ja, other.zone, other.kind, other.pickup_enabled,
           other.ship_enabled, other.tax_region = here.tax_region AS same_tax
    FROM location AS other, location AS here
    WHERE here.id = :here AND other.id <> here.id ORDER BY other.code
    """
)


@dataclass(frozen=True, slots=True)
class Place:
    """Another location, whether a pickup may move there, and whether it sends to customers."""

    id: UUID
    code: str
    name: str
    name_ja: str | None
    zone: str
    kind: str
    pickup_enabled: bool
    ship_enabled: bool
    same_tax: bool


def places(session: Session, *, here: UUID) -> list[Place]:
    """All other locations, as seen from `here`."""
    return [Place(*row) for row in session.execute(_PLACES, {"here": here})]
