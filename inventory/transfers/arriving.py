"""The destination's part, and what becomes of units that do not arrive."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import documents, queries, reservations
from inventory.documents import Arrived
from inventory.queries import TransferLineFacts
from inventory.transfers.steps import CAUSE, RETURN, SHRINK, TRANSITIONS, lock, move_on
from retail.kernel.auth import Principal
from retail.kernel.errors import Conflict, Invalid
from retail.queries import skus_by_variant


class MoreThanOutstanding(Conflict):
    """More came in than is on its way; `errors` names each line with its sku, quantity and outstanding units."""

    code, title = "more_than_outstanding", "More than is on its way"


class PromisedToOrder(Conflict):
    """These units travel for one order: their arrival is recorded with its shipment to the store; `order_id` names it."""

    code, title = "promised_to_order", "This transfer belongs to an order"


class ChoiceNeeded(Invalid):
    """What is on its way either comes back (``return``) or is given up (``shrink``): say which."""

    code, title = "choice_needed", "Say what becomes of the units on their way"


_RECEIVED = text(
    """
    UPDATE transfer_line AS line SET received = line.received + given.received, damaged = line.damaged + given.damaged
    FROM unnest(CAST(:variants AS uuid[]), CAST(:received AS integer[]), CAST(:damaged AS integer[]))
         AS given (variant_id, received, damaged)
    WHERE line.transfer_id = :transfer_id AND line.variant_id = given.variant_id
    """
)
_SHRINK_REST = text(
    "UPDATE transfer_line SET shrunk = shrunk + outstanding WHERE transfer_id = :transfer_id AND outstanding > 0"
)
_RETURN_REST = text(
    "UPDATE transfer_line SET returned = returned + outstanding WHERE transfer_id = :transfer_id AND outstanding > 0"
)


def receive(
    session: Session,
    *,
    transfer: str,
    arrived: Sequence[Arrived],
    final: bool = False,
    key: str | None,
    first: Callable[[], None] | None = None,
    caller: Principal,
    now: datetime,
) -> None:
    """Units came in at the destination: received when nothing is outstanding any more, else partly_received.

    first: runs once they are booked in, before whoever waits there gets any. Of a transfer for an order, the order's
    shipment gives it; nobody else takes these units in.

    final: nothing more will come; what is outstanding is given up (shrunk). `key` makes a receipt happen once, however
    late it is repeated.

    Raises:
        NoSuchTransfer: also for who is not at the destination. IllegalTransition.
        PromisedToOrder. MoreThanOutstanding: naming every line; documents.NothingArrived, DamagedExceeds; stock.AlreadyRecorded.
    """
    locked = lock(session, transfer=transfer, caller=caller, at="to_location_id")
    documents.require_step(TRANSITIONS, locked.state, "received")
    if locked.promised_to is not None and first is None:
        raise PromisedToOrder(order_id=str(locked.promised_to))
    totals = documents.added_up(arrived, final=final)
    lines = queries.transfer_lines(session, transfer_id=locked.id)
    _require_on_its_way(session, lines, arrived, totals)
    params = {
        "transfer_id": locked.id,
        "variants": list(totals),
        "received": [one.quantity for one in totals.values()],
        "damaged": [one.damaged for one in totals.values()],
    }
    # The lines say what is still to come before the levels rise: whoever is filled or promised now reads the new supply.
    session.execute(_RECEIVED, params)
    if final:
        session.execute(_SHRINK_REST, {"transfer_id": locked.id})
    documents.book(
        session,
        location_id=locked.to_location_id,
        arrived=list(totals.values()),
        cause=CAUSE,
        cause_id=locked.id,
        key=key,
        first=first,
        actor=caller.actor,
        now=now,
    )
    whole = sum(line.outstanding for line in lines) == sum(one.quantity for one in totals.values())
    state = "received" if final or whole else "partly_received"
    move_on(session, locked=locked, state=state, actor=caller.actor, now=now)


def cancel(
    session: Session,
    *,
    transfer: str,
    choice: str | None = None,
    reason: str = "",
    caller: Principal,
    now: datetime,
) -> None:
    """Give a transfer up. Before it was shipped its units are released; then `choice` says what becomes of those on their way:
    ``return`` puts them back at the origin, ``shrink`` gives them up. What was received stays. The reason is added to the note.

    Raises:
        NoSuchTransfer, IllegalTransition, ChoiceNeeded, PromisedToOrder.
    """
    locked = lock(session, transfer=transfer, caller=caller)
    documents.require_step(TRANSITIONS, locked.state, "cancelled")
    if locked.promised_to is not None:
        raise PromisedToOrder(order_id=str(locked.promised_to))
    if locked.state == "ready":
        reservations.release(session, owner_id=locked.id, cause=CAUSE, actor=caller.actor, now=now)
    if locked.state in ("draft", "ready"):
        choice = None
    elif choice is None:
        raise ChoiceNeeded(errors=[{"field": "choice", "code": ChoiceNeeded.code, "detail": f"{RETURN} or {SHRINK}"}])
    elif choice == SHRINK:
        session.execute(_SHRINK_REST, {"transfer_id": locked.id})
    else:
        lines = queries.transfer_lines(session, transfer_id=locked.id)
        session.execute(_RETURN_REST, {"transfer_id": locked.id})
        documents.book(
            session,
            location_id=locked.from_location_id,
            arrived=[Arrived(line.variant_id, line.outstanding) for line in lines if line.outstanding],
            cause=CAUSE,
            cause_id=locked.id,
            key=None,
            actor=caller.actor,
            now=now,
        )
    move_on(session, locked=locked, state="cancelled", choice=choice, reason=reason, actor=caller.actor, now=now)


def _require_on_its_way(
    session: Session, lines: Sequence[TransferLineFacts], arrived: Sequence[Arrived], totals: Mapping[UUID, Arrived]
) -> None:
    outstanding = {line.variant_id: line.outstanding for line in lines}
    excess = [key for key, one in totals.items() if one.quantity > outstanding.get(key, 0)]
    if not excess:
        return
    names = skus_by_variant(session, variant_ids=excess)
    errors = []
    for position, one in enumerate(arrived, start=1):
        if one.variant_id in names:
            sku, coming = names[one.variant_id].sku, outstanding.get(one.variant_id, 0)
            detail = f"{sku}: {totals[one.variant_id].quantity} came in, {coming} on their way"
            error = {"line": position, "code": MoreThanOutstanding.code, "detail": detail}
            errors.append(error | {"sku": sku, "quantity": one.quantity, "outstanding": coming})
    raise MoreThanOutstanding(errors=errors)
