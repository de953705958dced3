"""Goods from elsewhere for the counter of the customer's store: dispatched, arrived, and only then made ready.

On the way they are a transfer's, in nobody's stock; where they arrive they are promised to the order in the same
transaction, so that nobody else can take them. Arriving completes nothing (FAILURES 10).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import transfers
from orders import shortfalls
from orders.fulfillment import require_step
from orders.queries.shortfalls import LockedOrder, Part
from retail import queries as ground
from retail import stores
from retail.events import StoreShipmentArrived, StoreShipmentDispatched
from retail.kernel import outbox
from retail.kernel.auth import Principal
from retail.kernel.errors import Conflict, Invalid, NotFound
from retail.stores import NeverOpen

METHOD = "ship_to_store"


class ShortfallOpen(Conflict):
    """Something of it is missing, and nobody has said what becomes of that."""

    code, title = "shortfall_open", "First say what becomes of what is missing"


class ArrivalInvalid(Invalid):
    """Lines that were not sent, named twice, or more received than sent or damaged than received; `errors` names each."""

    code, title = "arrival_invalid", "This cannot have arrived"


@dataclass(frozen=True, slots=True)
class Scanned:
    """What came in of one line, `damaged` of it broken."""

    order_line_id: UUID
    received: int
    damaged: int = 0


_DISPATCH = text(
    """
    WITH moved AS (
        UPDATE fulfillment SET state = 'in_transit', shipped_at = :now, transfer_id = :transfer, version = version + 1
        WHERE id = :part RETURNING order_id
    ), picked AS (
        UPDATE fulfillment_line SET picked = quantity - short - cancelled WHERE fulfillment_id = :part
    )
    UPDATE "order" SET version = version + 1 WHERE id IN (SELECT order_id FROM moved)
    """
)
_ARRIVED = text(
    """
    WITH moved AS (
        UPDATE fulfillment SET state = 'arrived', arrived_at = :now, ready_by = CAST(:ready_by AS timestamptz), version = version + 1
        WHERE id = :part RETURNING order_id
    )
    UPDATE "order" SET version = version + 1 WHERE id IN (SELECT order_id FROM moved)
    """
)
_CLOSE_TRANSFER = text("UPDATE fulfillment SET arrived_at = :now WHERE id = :part")


def dispatch(session: Session, *, fulfillment_id: UUID, caller: Principal, now: datetime) -> None:
    """picking -> in_transit: everything that was picked leaves the source. Doing it twice is once.

    Raises:
        NotFound: no such shipment, or the caller is not at its source. IllegalTransition. ShortfallOpen.
        reservations.NotOnHand: some of the goods have not come in yet.
    """
    order, part = _lock(session, fulfillment_id)
    source = part.source_location_id
    if source is None or not caller.at_location(source):
        raise NotFound
    if part.state == "in_transit":
        return
    require_step(part.state, "in_transit", method=METHOD)
    if any(line.unsettled for line in part.lines):
        raise ShortfallOpen(legal=["shortfall-resolution"])
    transfer_id = transfers.send(
        session,
        owner_id=order.id,
        quantities=_sent(part),
        from_location_id=source,
        to_location_id=part.location_id,
        note=order.reference,
        caller=caller,
        now=now,
    )
    session.execute(_DISPATCH, {"part": part.id, "transfer": transfer_id, "now": now})
    event = StoreShipmentDispatched(**shortfalls.keys(order, part), from_location_id=source, transfer_id=transfer_id)
    outbox.publish(session, event, actor=caller.actor, now=now)


def arrive(
    session: Session, *, fulfillment_id: UUID, scanned: Sequence[Scanned], caller: Principal, now: datetime
) -> None:
    """in_transit -> arrived: the goods are at the store and promised to the order. A line that was not named came in whole.

    What is missing or broken is given from the store's own shelf, if some is free; else it is short, and somebody says what
    becomes of it. Of an order that was called off meanwhile the goods become the store's, and its state stays.

    Raises:
        NotFound: no such shipment, or the caller is not at its store. IllegalTransition; ArrivalInvalid.
    """
    order, part = _lock(session, fulfillment_id)
    if not caller.at_location(part.location_id):
        raise NotFound
    called_off = part.state == "cancelled" and part.transfer_id is not None and part.arrived_at is None
    if not called_off:
        require_step(part.state, "arrived", method=METHOD)
    if part.transfer_id is None:
        raise LookupError(f"no transfer brings {part.id}")
    sent = _sent(part, called_off=called_off)
    transfers.take_in(
        session,
        transfer_id=part.transfer_id,
        owner_id=order.id,
        received=_received(sent, scanned),
        sent=sent,
        still_wanted=not called_off,
        caller=caller,
        now=now,
    )
    if called_off:
        session.execute(_CLOSE_TRANSFER, {"part": part.id, "now": now})
        return
    session.execute(_ARRIVED, {"part": part.id, "now": now, "ready_by": _ready_by(session, part, now)})
    outbox.publish(session, StoreShipmentArrived(**shortfalls.keys(order, part)), actor=caller.actor, now=now)
    shortfalls.note(session, order_id=order.id, cause="arrival", actor=caller.actor, now=now, hint=part.id)


def _lock(session: Session, fulfillment_id: UUID) -> tuple[LockedOrder, Part]:
    order, part = shortfalls.lock_part(session, fulfillment_id=fulfillment_id, caller=None)
    if part.method != METHOD:
        raise NotFound
    return order, part


def _sent(part: Part, *, called_off: bool = False) -> dict[UUID, int]:
    """Units per line that travel. Of a part that was called off since, what had been picked for it."""
    return {line.order_line_id: units for line in part.lines if (units := line.picked if called_off else line.todo) > 0}


def _received(sent: Mapping[UUID, int], scanned: Sequence[Scanned]) -> dict[UUID, tuple[int, int]]:
    received = {line_id: (units, 0) for line_id, units in sent.items()}
    wrong = []
    seen: set[UUID] = set()
    for position, one in enumerate(scanned, start=1):
        most = sent.get(one.order_line_id, 0)
        if one.order_line_id in seen or not most or one.received > most or one.damaged > one.received:
            detail = f"{one.received} received, {one.damaged} of them damaged, of {most} sent"
            wrong.append({"line": position, "code": ArrivalInvalid.code, "detail": detail})
        seen.add(one.order_line_id)
        received[one.order_line_id] = (one.received, one.damaged)
    if wrong:
        raise ArrivalInvalid(errors=wrong)
    return received


def _ready_by(session: Session, part: Part, now: datetime) -> datetime | None:
    facts = ground.pickup_location(session, location=part.location_id)
    try:
        return None if facts is None else stores.ready_by(facts, now)
    except NeverOpen:
        return None
