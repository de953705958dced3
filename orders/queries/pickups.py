"""Pickups, read and locked: what the counter works on."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from orders.queries.proofs import ARRIVAL_SQL, PROXIES_SQL
from orders.queries.proofs import moments as proofs_of

PICKUP_SQL = f"""
    json_build_object(
      'id', f.id, 'method', f.method, 'state', f.state, 'version', f.version, 'order_id', o.id, 'reference', o.reference,
      'customer_id', o.customer_id, 'customer_name', o.contact_name, 'currency', o.currency, 'total', o.total_minor,
      'due', coalesce((SELECT sum(p.amount_minor - p.released_minor) FROM payment AS p
                       WHERE p.order_id = o.id AND p.tender = 'pay_at_pickup' AND p.state = 'pending'), 0),
      'location', json_build_object('id', s.id, 'code', s.code, 'name', s.name, 'name_ja', s.name_ja, 'zone', s.zone),
      'placed_at', o.placed_at, 'ready_by', f.ready_by, 'picking_at', f.picking_at, 'ready_at', f.ready_at,
      'collect_by', f.collect_by, 'collected_at', f.collected_at, 'collected_proof', f.collected_proof,
      'code', (SELECT json_build_object('rotation', k.rotation, 'attempts', k.attempts, 'locked', k.locked_at IS NOT NULL,
                                        'issued_at', k.issued_at)
               FROM pickup_code AS k WHERE k.fulfillment_id = f.id AND k.used_at IS NULL AND f.state = 'ready'),
      'proxies', {PROXIES_SQL}, 'arrival', {ARRIVAL_SQL},
      'lines', coalesce((SELECT json_agg(json_build_object(
          'order_line_id', l.id, 'position', l.position, 'sku', l.sku, 'title', l.title,
          'quantity', CASE WHEN f.state IN ('expired', 'cancelled') THEN fl.quantity ELSE fl.quantity - fl.cancelled END,
          'picked', fl.picked, 'collected', fl.collected, 'short', fl.short) ORDER BY l.position)
        FROM fulfillment_line AS fl JOIN order_line AS l ON l.id = fl.order_line_id
        WHERE fl.fulfillment_id = f.id AND (f.state IN ('expired', 'cancelled') OR fl.quantity > fl.cancelled)), '[]'))"""  # noqa: S608  (constants)
AT_COUNTER = ("allocated", "picking", "arrived", "ready")
_AT_COUNTER = "f.state IN ('allocated', 'picking', 'arrived', 'ready')"
_HERE = """
    EXISTS (SELECT FROM pickup_arrival AS a WHERE a.fulfillment_id = f.id AND a.ended_at IS NULL AND f.state = 'ready'
            AND a.arrived_at >= greatest(f.ready_at, :here_since))"""
_FROM = """FROM fulfillment AS f JOIN "order" AS o ON o.id = f.order_id JOIN location AS s ON s.id = f.location_id"""
_ONE = text(f"SELECT {PICKUP_SQL} {_FROM} WHERE f.id = :fulfillment_id AND f.method IN ('pickup', 'ship_to_store')")


def pickup_dict(session: Session, *, fulfillment_id: UUID) -> dict[str, Any] | None:
    """One pickup in the shape of PickupSchema with python values; one statement. None when unknown."""
    found = session.execute(_ONE, {"fulfillment_id": fulfillment_id}).scalar_one_or_none()
    return None if found is None else _pickup_of(found)


def list_pickups(
    session: Session,
    *,
    limit: int,
    after: Sequence[Any] | None,
    locations: Collection[UUID] | None = None,
    location: str | None = None,
    states: Sequence[str] = (),
    day: date | None = None,
    reference: str | None = None,
    late_at: datetime | None = None,
    here_since: datetime | None = None,
) -> list[dict[str, Any]]:
    """`limit` + 1 pickups of confirmed orders by (ready_by, id) after that key, those without a promise last; one statement.

    `locations` bounds the answer to a caller's own stores; `location` is a code or id; `day` is that of `ready_by` in
    the store's zone. Without `states`: what is still at the counter (AT_COUNTER). What comes from elsewhere is the counter's
    from its arrival on. `late_at`: only what was promised for before then and is not ready. `here_since`: only whose
    customer has said since then that she is there.
    """
    given: dict[str, Any] = {"limit": limit + 1, "states": list(states or AT_COUNTER)}
    where = [
        "f.method IN ('pickup', 'ship_to_store')",
        "(f.method = 'pickup' OR f.arrived_at IS NOT NULL)",
        "o.confirmed_at IS NOT NULL",
        "f.state = ANY(CAST(:states AS text[]))",
    ]
    if not states:
        where.append(_AT_COUNTER)  # says to the planner which index this is
    filters: dict[str, tuple[str, Any]] = {
        "locations": (
            "f.location_id = ANY(CAST(:locations AS uuid[]))",
            None if locations is None else sorted(locations),
        ),
        "location": ("(s.code = :location OR s.id::text = lower(:location))", location),
        "day": ("CAST(f.ready_by AT TIME ZONE s.zone AS date) = :day", day),
        "reference": ("o.reference = :reference", reference),
        "late_at": ("f.ready_by < :late_at AND f.state IN ('allocated', 'picking', 'arrived')", late_at),
        "here_since": (_HERE, here_since),
    }
    for name, (condition, value) in filters.items():
        if value is not None:
            where.append(condition)
            given[name] = value
    if after is not None:
        # Pickups that wait for goods nobody has a date for stand at the end.
        dated = "((f.ready_by, f.id) > (:after_at, :after_id) OR f.ready_by IS NULL)"
        where.append(dated if after[0] is not None else "f.ready_by IS NULL AND f.id > :after_id")
        given |= {"after_at": after[0], "after_id": after[1]}
    statement = text(f"SELECT {PICKUP_SQL} {_FROM} WHERE {' AND '.join(where)} ORDER BY f.ready_by, f.id LIMIT :limit")
    return [_pickup_of(found) for found in session.execute(statement, given).scalars().all()]


@dataclass(frozen=True, slots=True)
class LockedPickup:
    """A pickup under lock, with what deciding about it needs."""

    id: UUID
    order_id: UUID
    location_id: UUID
    state: str
    version: int
    collected_at: datetime | None
    reference: str
    customer_id: UUID | None
    currency: str
    capture_at: str
    method: str
    source_location_id: UUID | None


def keys(locked: LockedPickup) -> dict[str, Any]:
    """What every event about a pickup says."""
    return {
        "order_id": locked.order_id,
        "reference": locked.reference,
        "customer_id": locked.customer_id,
        "fulfillment_id": locked.id,
        "location_id": locked.location_id,
    }


# The order first, then the fulfillment: the lock order of everything that changes both. Only locked columns are read
# here: a subquery would show what was true before the wait.
_LOCK = text(
    """
    SELECT f.id, f.order_id, f.location_id, f.state, f.version, f.collected_at, o.reference, o.customer_id, o.currency,
           s.capture_at, f.method, f.source_location_id
    FROM "order" AS o JOIN fulfillment AS f ON f.order_id = o.id JOIN location AS s ON s.id = f.location_id
    WHERE f.id = :fulfillment_id AND f.method IN ('pickup', 'ship_to_store') AND o.confirmed_at IS NOT NULL
    FOR UPDATE OF o, f
    """
)


def lock_pickup(session: Session, *, fulfillment_id: UUID) -> LockedPickup | None:
    """Lock a confirmed order and its pickup; None when there is none."""
    row = session.execute(_LOCK, {"fulfillment_id": fulfillment_id}).one_or_none()
    return None if row is None else LockedPickup(*row)


@dataclass(frozen=True, slots=True)
class UndatedPickup:
    """A locked pickup that has no ready-by moment, and its order lines."""

    id: UUID
    location_id: UUID
    line_ids: list[UUID]


_UNDATED = text(
    """
    SELECT f.id, f.location_id, ARRAY(SELECT order_line_id FROM fulfillment_line WHERE fulfillment_id = f.id) AS line_ids
    FROM "order" AS o JOIN fulfillment AS f ON f.order_id = o.id
    WHERE o.id = :order_id AND o.confirmed_at IS NOT NULL AND f.method = 'pickup' AND f.ready_by IS NULL
      AND f.state IN ('allocated', 'picking')
    ORDER BY f.id
    FOR UPDATE OF o, f
    """
)


def lock_undated(session: Session, *, order_id: UUID) -> list[UndatedPickup]:
    """Lock a confirmed order and those of its pickups that nobody could promise a moment."""
    return [UndatedPickup(*row) for row in session.execute(_UNDATED, {"order_id": order_id})]


_HANDOVER = text(
    """
    SELECT (SELECT json_object_agg(order_line_id, quantity - short - cancelled - collected)
            FROM fulfillment_line
            WHERE fulfillment_id = :fulfillment_id AND quantity - short - cancelled - collected > 0) AS units,
           coalesce((SELECT sum(amount_minor - released_minor) FROM payment
                     WHERE order_id = :order_id AND tender = 'pay_at_pickup' AND state = 'pending'), 0) AS due_minor,
           EXISTS (SELECT FROM fulfillment WHERE order_id = :order_id AND id <> :fulfillment_id)
             OR EXISTS (SELECT FROM fulfillment_line
                        WHERE fulfillment_id = :fulfillment_id AND short + cancelled + collected > 0) AS parted
    """
)


@dataclass(frozen=True, slots=True)
class HandoverFacts:
    """What is to be handed over, ``{order line: units}``, and what is still to be paid, minor units. `parted`: a line is not
    whole here, because of what is missing, called off or promised to another fulfillment of the order."""

    units: dict[UUID, int]
    due_minor: int
    parted: bool


def handover_facts(session: Session, *, fulfillment_id: UUID, order_id: UUID) -> HandoverFacts:
    """Read under `lock_pickup`."""
    row = session.execute(_HANDOVER, {"fulfillment_id": fulfillment_id, "order_id": order_id}).one()
    units = {UUID(line_id): quantity for line_id, quantity in (row.units or {}).items()}
    return HandoverFacts(units, int(row.due_minor), bool(row.parted))


_moment = datetime.fromisoformat
_MOMENTS = ("placed_at", "ready_by", "picking_at", "ready_at", "collect_by", "collected_at")


def _pickup_of(found: Mapping[str, Any]) -> dict[str, Any]:
    pickup = dict(found)
    currency = pickup["currency"]
    for name in ("id", "order_id", "customer_id"):
        pickup[name] = None if pickup[name] is None else UUID(pickup[name])
    for name in _MOMENTS:
        pickup[name] = None if pickup[name] is None else _moment(pickup[name])
    for name in ("total", "due"):
        pickup[name] = {"amount_minor": int(pickup[name]), "currency": currency}
    pickup["location"]["id"] = UUID(pickup["location"]["id"])
    for line in pickup["lines"]:
        line["order_line_id"] = UUID(line["order_line_id"])
    if pickup["code"] is not None:
        pickup["code"]["issued_at"] = _moment(pickup["code"]["issued_at"])
    return pickup | proofs_of(pickup)
