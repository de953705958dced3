"""Goods that were promised to an order travel to the store where the customer collects them: theirs all the way."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import documents, queries, reservations, stock
from inventory.documents import Arrived
from inventory.reservations import Traveled
from inventory.transfers.arriving import receive
from inventory.transfers.drafting import Wanted, draft
from inventory.transfers.steps import CAUSE, TRANSITIONS, lock, move_on
from retail.kernel.auth import Principal

_ALL_SHIPPED = text("UPDATE transfer_line SET shipped = requested WHERE transfer_id = :transfer_id")


def send(
    session: Session,
    *,
    owner_id: UUID,
    quantities: Mapping[UUID, int],
    from_location_id: UUID,
    to_location_id: UUID,
    note: str = "",
    caller: Principal,
    now: datetime,
) -> UUID:
    """Units promised to these lines of `owner_id` leave the origin, on a transfer of their own that is in transit at once.
    Returns its id.

    Raises:
        reservations.NotAllocated, NotOnHand: so many are not promised, or not here. SamePlace.
    """
    shares = queries.components_promised(
        session, owner_id=owner_id, line_ids=list(quantities), location_id=from_location_id
    )
    units: dict[UUID, int] = {}
    for line_id, count in quantities.items():
        for variant_id, share in shares.get(line_id, {}).values():
            units[variant_id] = units.get(variant_id, 0) + share * count
    if not units:
        raise reservations.NotAllocated
    paper = draft(
        session,
        from_location_id=from_location_id,
        to_location_id=to_location_id,
        lines=[Wanted(variant_id, count) for variant_id, count in units.items()],
        note=note,
        promised_to=owner_id,
        caller=caller,
        now=now,
    )
    locked = lock(session, transfer=paper, caller=caller, at="from_location_id")
    reservations.consume(
        session,
        owner_id=owner_id,
        line_ids=list(quantities),
        quantities=quantities,
        location_id=from_location_id,
        cause=CAUSE,
        cause_id=locked.id,
        actor=caller.actor,
        now=now,
    )
    session.execute(_ALL_SHIPPED, {"transfer_id": locked.id})
    move_on(session, locked=locked, state="in_transit", actor=caller.actor, now=now)
    return locked.id


def take_in(
    session: Session,
    *,
    transfer_id: UUID,
    owner_id: UUID,
    received: Mapping[UUID, tuple[int, int]],
    sent: Mapping[UUID, int],
    still_wanted: bool,
    caller: Principal,
    now: datetime,
) -> None:
    """The units came in: ``{line_id: (received, damaged)}`` of those that were `sent`. What is fit is promised to `owner_id`
    in the same moment; what is missing or broken waits as short; what will not come any more is given up.

    still_wanted: the order has not been called off meanwhile; otherwise the units are free for everybody.

    Raises:
        NoSuchTransfer: also for who is not at the destination. IllegalTransition. documents.DamagedExceeds,
        MoreThanOutstanding: naming every line.
    """
    locked = lock(session, transfer=str(transfer_id), caller=caller, at="to_location_id")
    documents.require_step(TRANSITIONS, locked.state, "received")
    shares = queries.components_sent(
        session, owner_id=owner_id, line_ids=list(sent), location_id=locked.from_location_id
    )
    traveled = [
        Traveled(
            line_id,
            variant_id,
            share,
            share * (received[line_id][0] - received[line_id][1]),
            share * (sent[line_id] - received[line_id][0] + received[line_id][1]),
        )
        for line_id in sent
        for variant_id, share in shares[line_id]
    ]
    arrived = [
        Arrived(variant_id, share * received[line_id][0], share * received[line_id][1])
        for line_id in sent
        for variant_id, share in shares[line_id]
        if received[line_id][0]
    ]
    place = {"location_id": locked.to_location_id, "actor": caller.actor, "now": now}
    variants = sorted({one.variant_id for one in traveled})
    stock.open_levels(session, variant_ids=variants, **place)  # type: ignore[arg-type]
    queries.lock_on_hand(session, location_id=locked.to_location_id, variant_ids=variants)

    promised = False

    def promise() -> None:
        nonlocal promised
        if still_wanted and not promised:
            reservations.promise_arrived(session, owner_id=owner_id, traveled=traveled, **place)  # type: ignore[arg-type]
        promised = True

    receive(
        session, transfer=str(transfer_id), arrived=arrived, final=True, key=None, first=promise, caller=caller, now=now
    )
    if not promised:  # nothing fit came in
        promise()
    _fill(session, traveled, locked.to_location_id, caller.actor, now)


def _fill(session: Session, traveled: Sequence[Traveled], place: UUID, actor: str, now: datetime) -> None:
    """What did not arrive is given from the store's own shelf, if some is free there."""
    keys = [(one.variant_id, place) for one in traveled if one.missing]
    stock.arrived(session, keys=sorted(set(keys)), actor=actor, now=now)
