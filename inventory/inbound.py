"""Deliveries that suppliers have announced: expected -> partly_received -> received, or cancelled.

A delivery is received box by box. Whatever comes is taken in, also too much of it and goods that nobody announced: it stands in
the house. What did not come as announced is the line's difference. Units that are still to come count as supply (promises).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import documents, queries, stock
from inventory.documents import CLOSED, Arrived, IllegalTransition
from inventory.queries import InboundLineFacts, LockedInbound
from retail.events import InboundShipmentChanged
from retail.kernel import outbox
from retail.kernel.auth import Principal
from retail.kernel.errors import NotFound, Stale
from retail.kernel.ids import new_id, new_reference

CAUSE = "inbound"
TRANSITIONS: Mapping[str, tuple[str, ...]] = {
    "expected": ("partly_received", "received", "cancelled"),
    "partly_received": ("partly_received", "received", "cancelled"),
    "received": (),
    "cancelled": (),
}
STATES = tuple(TRANSITIONS)


class NoSuchShipment(NotFound):
    """There is no such delivery, or it is another store's."""

    title = "There is no such delivery"


@dataclass(frozen=True, slots=True)
class Expected:
    """`expected` units of a variant were announced."""

    variant_id: UUID
    expected: int


_ANNOUNCE = text(
    """
    INSERT INTO inbound_shipment (id, reference, location_id, supplier, note, due_at, created_by, created_at, updated_at)
    VALUES (:id, :reference, :location_id, :supplier, :note, :due_at, :actor, :now, :now)
    """
)
_DROP_LINES = text("DELETE FROM inbound_line WHERE shipment_id = :shipment_id")
_ADD_LINES = text(
    """
    INSERT INTO inbound_line (shipment_id, variant_id, position, expected)
    SELECT :shipment_id, variant_id, position, expected
    FROM unnest(CAST(:variants AS uuid[]), CAST(:expected AS integer[])) WITH ORDINALITY AS line (variant_id, expected, position)
    """
)
_EDIT = text(
    """
    UPDATE inbound_shipment
    SET due_at = coalesce(:due_at, due_at), supplier = coalesce(:supplier, supplier), note = coalesce(:note, note),
        version = version + 1, updated_at = :now
    WHERE id = :shipment_id
    """
)
# Goods that nobody announced get a line of their own, behind the others.
_RECEIVE = text(
    """
    INSERT INTO inbound_line (shipment_id, variant_id, position, expected, received, damaged)
    SELECT :shipment_id, variant_id, :after + position, 0, received, damaged
    FROM unnest(CAST(:variants AS uuid[]), CAST(:received AS integer[]), CAST(:damaged AS integer[]))
         WITH ORDINALITY AS line (variant_id, received, damaged, position)
    ON CONFLICT (shipment_id, variant_id) DO UPDATE
    SET received = inbound_line.received + excluded.received, damaged = inbound_line.damaged + excluded.damaged
    """
)
_CLOSE_LINES = text("UPDATE inbound_line SET closed = true WHERE shipment_id = :shipment_id")
_STATE = text(
    """
    UPDATE inbound_shipment
    SET state = :state, note = concat_ws(E'\\n', nullif(note, ''), nullif(CAST(:reason AS text), '')), version = version + 1, updated_at = :now,
        closed_at = CASE WHEN :state IN ('received', 'cancelled') THEN CAST(:now AS timestamptz) END
    WHERE id = :shipment_id
    """
)


def announce(
    session: Session,
    *,
    location_id: UUID,
    lines: Sequence[Expected],
    due_at: datetime,
    supplier: str = "",
    note: str = "",
    actor: str,
    now: datetime,
) -> str:
    """A supplier will bring these goods to `location_id` at `due_at`; returns the delivery's reference.

    Raises:
        DuplicateLine: a variant is named twice.
    """
    documents.require_distinct([line.variant_id for line in lines])
    shipment_id, reference = new_id(), new_reference(queries.INBOUND_PREFIX)
    row = {"id": shipment_id, "reference": reference, "location_id": location_id, "supplier": supplier, "note": note}
    session.execute(_ANNOUNCE, row | {"due_at": due_at, "actor": actor, "now": now})
    _write_lines(session, shipment_id, lines)
    locked = LockedInbound(shipment_id, reference, location_id, "expected", 1)
    _tell(session, locked, state="expected", lines=[], actor=actor, now=now)
    return reference


def edit(
    session: Session,
    *,
    shipment: str,
    version: int,
    due_at: datetime | None = None,
    supplier: str | None = None,
    note: str | None = None,
    lines: Sequence[Expected] | None = None,
    caller: Principal,
    now: datetime,
) -> None:
    """Change what was announced (None: as it is); `lines` replace all of them, as long as nothing has come in.

    Raises:
        NoSuchShipment, Stale, DuplicateLine. IllegalTransition: it is closed, or something came in and `lines` are given.
    """
    locked = _locked(session, shipment, caller)
    if locked.version != version:
        raise Stale
    if locked.state in CLOSED or (lines is not None and locked.state != "expected"):
        detail = f"It is {locked.state}" + (": what was announced stays as it is" if locked.state not in CLOSED else "")
        raise IllegalTransition(detail, state=locked.state, legal=list(TRANSITIONS[locked.state]))
    given = {"due_at": due_at, "supplier": supplier, "note": note}
    session.execute(_EDIT, given | {"shipment_id": locked.id, "now": now})
    if lines is not None:
        documents.require_distinct([line.variant_id for line in lines])
        session.execute(_DROP_LINES, {"shipment_id": locked.id})
        _write_lines(session, locked.id, lines)
    _tell(session, locked, state=locked.state, lines=[], actor=caller.actor, now=now)


def receive(
    session: Session,
    *,
    shipment: str,
    arrived: Sequence[Arrived],
    final: bool | None = None,
    key: str | None,
    caller: Principal,
    now: datetime,
) -> None:
    """Goods of this delivery came in; what waits for them is filled. Too much and unannounced goods are taken in as well.

    final: True closes the delivery, and what is outstanding becomes a difference; False leaves it open for more; None
    closes it when nothing is outstanding. `key` makes a receipt happen once, however late it is repeated.

    Raises:
        NoSuchShipment, IllegalTransition; documents.NothingArrived, DamagedExceeds; stock.AlreadyRecorded.
    """
    locked = _locked(session, shipment, caller)
    documents.require_step(TRANSITIONS, locked.state, "received")
    totals = documents.added_up(arrived, final=final)
    _write_receipt(session, locked, list(totals.values()))
    lines = queries.inbound_lines(session, shipment_id=locked.id)
    closes = final or (final is None and not any(line.outstanding for line in lines))
    # The lines say what is still to come before the levels rise: whoever is filled or promised now reads the new supply.
    if closes:
        session.execute(_CLOSE_LINES, {"shipment_id": locked.id})
    state = "received" if closes else "partly_received"
    documents.book(
        session,
        location_id=locked.location_id,
        arrived=list(totals.values()),
        cause=CAUSE,
        cause_id=locked.id,
        key=key,
        actor=caller.actor,
        now=now,
    )
    session.execute(_STATE, {"shipment_id": locked.id, "state": state, "reason": "", "now": now})
    _tell(session, locked, state=state, lines=lines if closes else [], actor=caller.actor, now=now)


def cancel(session: Session, *, shipment: str, reason: str = "", caller: Principal, now: datetime) -> None:
    """Nothing (more) of this delivery will come; what came in stays. The reason is added to the note.

    Raises:
        NoSuchShipment, IllegalTransition.
    """
    locked = _locked(session, shipment, caller)
    documents.require_step(TRANSITIONS, locked.state, "cancelled")
    lines = queries.inbound_lines(session, shipment_id=locked.id)
    session.execute(_CLOSE_LINES, {"shipment_id": locked.id})
    session.execute(_STATE, {"shipment_id": locked.id, "state": "cancelled", "reason": reason, "now": now})
    _tell(session, locked, state="cancelled", lines=lines, reason=reason, actor=caller.actor, now=now)


def view(session: Session, *, shipment: str, caller: Principal) -> dict[str, Any]:
    """A delivery with its lines (InboundShipmentSchema). `shipment`: id or reference.

    Raises:
        Forbidden: customers do not see the shop's books. NoSuchShipment.
    """
    stock.refuse_customers(caller)
    found = queries.inbound_dict(session, name=shipment)
    if found is None or not caller.at_location(found["location"]["id"]):
        raise NoSuchShipment
    return found


def browse(
    session: Session,
    *,
    caller: Principal,
    location_id: UUID | None = None,
    states: Sequence[str] | None = None,
    due_before: datetime | None = None,
    after: UUID | None = None,
    limit: int,
) -> list[dict[str, Any]]:
    """Up to `limit` deliveries without their lines, newest first; store staff see those of their own stores.

    Raises:
        Forbidden: customers do not see the shop's books.
    """
    stock.refuse_customers(caller)
    places: Collection[UUID] | None = caller.locations
    if location_id is not None:
        places = [location_id] if caller.at_location(location_id) else []
    return queries.list_inbound(
        session, locations=places, states=states, due_before=due_before, after=after, limit=limit
    )


def _locked(session: Session, shipment: str, caller: Principal) -> LockedInbound:
    locked = queries.lock_inbound(session, name=shipment)
    if locked is None or not caller.at_location(locked.location_id):
        raise NoSuchShipment
    return locked


def _write_lines(session: Session, shipment_id: UUID, lines: Sequence[Expected]) -> None:
    params = {"variants": [line.variant_id for line in lines], "expected": [line.expected for line in lines]}
    session.execute(_ADD_LINES, params | {"shipment_id": shipment_id})


def _write_receipt(session: Session, locked: LockedInbound, arrived: Sequence[Arrived]) -> None:
    if not arrived:
        return
    there = queries.inbound_lines(session, shipment_id=locked.id)
    params = {
        "shipment_id": locked.id,
        "after": max((line.position for line in there), default=0),
        "variants": [one.variant_id for one in arrived],
        "received": [one.quantity for one in arrived],
        "damaged": [one.damaged for one in arrived],
    }
    session.execute(_RECEIVE, params)


def _tell(
    session: Session,
    locked: LockedInbound,
    *,
    state: str,
    lines: Sequence[InboundLineFacts],
    reason: str = "",
    actor: str,
    now: datetime,
) -> None:
    """Announce the change. `lines`: all of them when it was closed, else none."""
    differences = [
        {"sku": line.sku, "expected": line.expected, "received": line.received, "damaged": line.damaged}
        for line in lines
        if line.received != line.expected or line.damaged
    ]
    event = InboundShipmentChanged(
        shipment_id=locked.id,
        reference=locked.reference,
        location_id=locked.location_id,
        state=state,
        differences=differences,
        reason=reason,
    )
    outbox.publish(session, event, actor=actor, now=now)
