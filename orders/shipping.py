"""What is sent to the customer: picked, packed into parcels, handed to a carrier parcel by parcel, delivered.

Every verb locks the order with all its parts and is once however often it is asked. A parcel takes its stock, its points and
its share of the money with it when it leaves, not before (handover.settle).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import reservations
from orders import carriers, handover, shortfalls, tenders
from orders.carriers import Package
from orders.fulfillment import require_step
from orders.queries import parcels as queries
from orders.queries.parcels import ParcelFacts
from orders.queries.shortfalls import LockedOrder, Part
from orders.ship_to_store import ShortfallOpen
from retail.events import ParcelShipped, ShipmentDelivered, ShipmentPacked, ShipmentPicking
from retail.kernel import outbox
from retail.kernel.auth import Principal
from retail.kernel.errors import Conflict, Invalid, NotFound
from retail.kernel.ids import new_id

METHOD = "ship"


class PackingInvalid(Invalid):
    """The parcels do not hold exactly what is to be sent; `errors` names each line with packed and expected."""

    code, title = "packing_invalid", "The parcels do not hold what is to be sent"


class ParcelUnknown(Invalid):
    """A parcel that is not of this shipment, or named twice."""

    code, title = "parcel_unknown", "The shipment has no such parcel"


class OnItsWay(Conflict):
    """Not every parcel has left: the shipment cannot have been delivered."""

    code, title = "parcels_left", "Some parcels have not left yet"


class PaymentDue(Conflict):
    """The order is to be paid at the counter and was not: its goods do not leave before they are paid."""

    code, title = "payment_due", "The order is not paid yet"


@dataclass(frozen=True, slots=True)
class Packed:
    """What is in one parcel: ``{order line: units}``, and its weight in grams."""

    lines: Mapping[UUID, int]
    weight_g: int | None = None


@dataclass(frozen=True, slots=True)
class Handed:
    """A parcel handed to a carrier, with the number that was typed in, if it was."""

    parcel_id: UUID
    tracking: str | None = None


_MOVE = text(
    """
    WITH moved AS (
        UPDATE fulfillment
        SET state = CAST(:state AS text), version = version + 1,
            picking_at = CASE WHEN :state = 'picking' THEN CAST(:now AS timestamptz) ELSE picking_at END,
            packed_at = CASE WHEN :state = 'packed' THEN CAST(:now AS timestamptz) ELSE packed_at END,
            shipped_at = CASE WHEN :state = 'shipped' THEN CAST(:now AS timestamptz) ELSE shipped_at END,
            delivered_at = CASE WHEN :state = 'delivered' THEN CAST(:now AS timestamptz) ELSE delivered_at END,
            closed_at = CASE WHEN :state = 'delivered' THEN CAST(:now AS timestamptz) ELSE closed_at END
        WHERE id = :part RETURNING order_id
    )
    UPDATE "order" SET version = version + 1 WHERE id IN (SELECT order_id FROM moved)
    """
)
_PARCEL = text(
    """
    INSERT INTO parcel (id, fulfillment_id, position, weight_g, packed_at)
    VALUES (:id, :part, :position, :weight_g, :now)
    """
)
_PARCEL_LINE = text("INSERT INTO parcel_line (parcel_id, order_line_id, quantity) VALUES (:id, :line_id, :units)")
_PICKED = text("UPDATE fulfillment_line SET picked = quantity - short - cancelled WHERE fulfillment_id = :part")
_SHIPPED = text(
    """
    WITH left_us AS (
        UPDATE parcel SET state = 'shipped', carrier = :carrier, tracking = :tracking, shipped_at = :now
        WHERE id = :id AND state = 'packed' RETURNING id, fulfillment_id
    )
    UPDATE fulfillment_line AS f SET collected = f.collected + l.quantity
    FROM left_us JOIN parcel_line AS l ON l.parcel_id = left_us.id
    WHERE f.fulfillment_id = left_us.fulfillment_id AND f.order_line_id = l.order_line_id
    """
)
_DELIVERED = text(
    "UPDATE parcel SET state = 'delivered', delivered_at = :now WHERE fulfillment_id = :part AND state = 'shipped'"
)


def start_picking(session: Session, *, fulfillment_id: UUID, caller: Principal, now: datetime) -> None:
    """allocated -> picking.

    Raises:
        NotFound: no such shipment, or another location's. IllegalTransition: it is past picking.
    """
    order, part = _lock(session, fulfillment_id, caller)
    if part.state == "picking":
        return
    require_step(part.state, "picking", method=METHOD)
    session.execute(_MOVE, {"part": part.id, "state": "picking", "now": now})
    outbox.publish(session, ShipmentPicking(**shortfalls.keys(order, part)), actor=caller.actor, now=now)


def pack(
    session: Session, *, fulfillment_id: UUID, parcels: Sequence[Packed], caller: Principal, now: datetime
) -> None:
    """picking -> packed: everything that is to be sent is in exactly one parcel. Packing what is packed changes nothing.

    Raises:
        NotFound, IllegalTransition: see `start_picking`. PackingInvalid; ShortfallOpen: something of it is missing.
    """
    order, part = _lock(session, fulfillment_id, caller)
    if part.state == "packed":
        return
    require_step(part.state, "packed", method=METHOD)
    if any(line.unsettled for line in part.lines):
        raise ShortfallOpen(legal=["shortfall-resolution"])
    _require_whole(part, parcels)
    session.execute(_PICKED, {"part": part.id})
    for position, parcel in enumerate(parcels, start=1):
        parcel_id = new_id()
        row = {"id": parcel_id, "part": part.id, "position": position, "weight_g": parcel.weight_g, "now": now}
        session.execute(_PARCEL, row)
        for line_id, units in parcel.lines.items():
            session.execute(_PARCEL_LINE, {"id": parcel_id, "line_id": line_id, "units": units})
    session.execute(_MOVE, {"part": part.id, "state": "packed", "now": now})
    event = ShipmentPacked(**shortfalls.keys(order, part), parcels=len(parcels))
    outbox.publish(session, event, actor=caller.actor, now=now)


def book(
    session: Session, *, fulfillment_id: UUID, carrier: str, handed: Sequence[Handed], caller: Principal
) -> list[Package]:
    """The parcels as their carrier is to be told of them; nothing is changed. The edge asks the carrier for each, with no
    transaction open, and then calls `dispatch` with the numbers.

    Raises:
        NotFound: no such shipment. ParcelUnknown. CarrierUnknown: the carrier is not set up here. PaymentDue.
    """
    carriers.carrier(carrier)
    order, part = _lock(session, fulfillment_id, caller)
    known = {parcel.id: parcel for parcel in queries.parcels_of(session, fulfillment_id=part.id)}
    wanted = [one.parcel_id for one in handed]
    if len(set(wanted)) != len(wanted) or not set(wanted) <= set(known):
        raise ParcelUnknown(errors=[{"field": "parcels", "code": "unknown", "detail": "Not of this shipment"}])
    _require_paid(session, order, part)
    return [
        Package(
            one.parcel_id,
            known[one.parcel_id].weight_g,
            known[one.parcel_id].tracking or one.tracking,
            order.reference,
            order.ship_to,
        )
        for one in handed
    ]


def dispatch(
    session: Session,
    *,
    fulfillment_id: UUID,
    carrier: str,
    tracking: Mapping[UUID, str],
    caller: Principal,
    now: datetime,
) -> UUID:
    """These parcels leave with the carrier, ``{parcel: tracking number}``: their stock is gone, their cards are charged,
    their points are earned. packed -> shipped when the last one has left. Returns the order's id, for
    `cancellation.settle`. A parcel that has left stays as it is.

    Raises:
        NotFound, IllegalTransition: see `start_picking`. NotOnHand: some of the goods have not come in yet. PaymentDue:
            the order is left to the counter and was not paid there.
    """
    order, part = _lock(session, fulfillment_id, caller)
    parcels = queries.parcels_of(session, fulfillment_id=part.id)
    leaving = [parcel for parcel in parcels if parcel.id in tracking and parcel.state == "packed"]
    if not leaving:
        return order.id
    require_step(part.state, "shipped", method=METHOD)
    _require_paid(session, order, part)
    for parcel in leaving:
        _hand_over(session, order, part, parcel, carrier, tracking[parcel.id], actor=caller.actor, now=now)
    left = {parcel.id for parcel in parcels if parcel.state == "packed"} - {parcel.id for parcel in leaving}
    session.execute(_MOVE, {"part": part.id, "state": "packed" if left else "shipped", "now": now})
    return order.id


def deliver(session: Session, *, fulfillment_id: UUID, caller: Principal, now: datetime) -> None:
    """shipped -> delivered: every parcel has reached the customer. Repeating it changes nothing.

    Raises:
        NotFound, IllegalTransition: see `start_picking`. OnItsWay: a parcel has not left.
    """
    order, part = _lock(session, fulfillment_id, caller)
    if part.state == "delivered":
        return
    if part.state == "packed":
        raise OnItsWay(state=part.state, legal=["shipped", "cancelled"])
    require_step(part.state, "delivered", method=METHOD)
    session.execute(_DELIVERED, {"part": part.id, "now": now})
    session.execute(_MOVE, {"part": part.id, "state": "delivered", "now": now})
    outbox.publish(session, ShipmentDelivered(**shortfalls.keys(order, part)), actor=caller.actor, now=now)


def _lock(session: Session, fulfillment_id: UUID, caller: Principal) -> tuple[LockedOrder, Part]:
    order, part = shortfalls.lock_part(session, fulfillment_id=fulfillment_id, caller=caller)
    if part.method != METHOD:
        raise NotFound
    return order, part


def _require_paid(session: Session, order: LockedOrder, part: Part) -> None:
    """Nobody takes money at a front door here: what was left to the counter is paid there, or by another means, first."""
    due = tenders.due_at_counter(session, order_id=order.id)
    if due and part.state == "packed":
        raise PaymentDue(
            f"{due} is still to be paid at the counter", state=part.state, legal=["payment-method", "cancelled"]
        )


def _require_whole(part: Part, parcels: Sequence[Packed]) -> None:
    expected = {line.order_line_id: line.todo for line in part.lines if line.todo}
    packed: dict[UUID, int] = {}
    for parcel in parcels:
        for line_id, units in parcel.lines.items():
            packed[line_id] = packed.get(line_id, 0) + units
    wrong: list[dict[str, Any]] = [
        {
            "order_line_id": line_id,
            "code": "packed",
            "packed": packed.get(line_id, 0),
            "expected": expected.get(line_id, 0),
        }
        for line_id in {*expected, *packed}
        if packed.get(line_id, 0) != expected.get(line_id, 0)
    ]
    if wrong or any(not parcel.lines for parcel in parcels):
        raise PackingInvalid(errors=wrong)


def _hand_over(
    session: Session,
    order: LockedOrder,
    part: Part,
    parcel: ParcelFacts,
    carrier: str,
    number: str,
    *,
    actor: str,
    now: datetime,
) -> None:
    session.execute(_SHIPPED, {"id": parcel.id, "carrier": carrier, "tracking": number, "now": now})
    reservations.consume(
        session,
        owner_id=order.id,
        line_ids=list(parcel.lines),
        quantities=parcel.lines,
        location_id=part.location_id,
        actor=actor,
        now=now,
    )
    handover.settle(
        session,
        order_id=order.id,
        lines=parcel.lines,
        key=f"earn:parcel:{parcel.id}",
        reason="shipment",
        actor=actor,
        now=now,
    )
    event = ParcelShipped(
        **shortfalls.keys(order, part),
        parcel_id=parcel.id,
        carrier=carrier,
        tracking=number,
        lines=shortfalls.told(part, parcel.lines),
    )
    outbox.publish(session, event, actor=actor, now=now)
