"""What is to go from where to where, written down and changed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import documents, queries, stock
from inventory.documents import CLOSED, IllegalTransition
from inventory.queries import LockedTransfer
from inventory.transfers.steps import TRANSITIONS, lock, tell
from retail.kernel.auth import Principal
from retail.kernel.errors import Invalid, Stale
from retail.kernel.ids import new_id, new_reference


class SamePlace(Invalid):
    """A transfer goes from one location to another."""

    code, title = "same_place", "Origin and destination are the same"


@dataclass(frozen=True, slots=True)
class Wanted:
    """`quantity` units of a variant are to go."""

    variant_id: UUID
    quantity: int


_DRAFT = text(
    """
    INSERT INTO transfer (id, reference, from_location_id, to_location_id, due_at, note, promised_to, created_by, created_at, updated_at)
    VALUES (:id, :reference, :from_location_id, :to_location_id, :due_at, :note, CAST(:promised_to AS uuid), :actor, :now, :now)
    """
)
_DROP_LINES = text("DELETE FROM transfer_line WHERE transfer_id = :transfer_id")
_ADD_LINES = text(
    """
    INSERT INTO transfer_line (transfer_id, variant_id, position, requested)
    SELECT :transfer_id, variant_id, position, requested
    FROM unnest(CAST(:variants AS uuid[]), CAST(:requested AS integer[])) WITH ORDINALITY AS line (variant_id, requested, position)
    """
)
_EDIT = text(
    """
    UPDATE transfer SET due_at = coalesce(:due_at, due_at), note = coalesce(:note, note), version = version + 1, updated_at = :now
    WHERE id = :transfer_id
    """
)


def draft(
    session: Session,
    *,
    from_location_id: UUID,
    to_location_id: UUID,
    lines: Sequence[Wanted],
    due_at: datetime | None = None,
    note: str = "",
    promised_to: UUID | None = None,
    caller: Principal,
    now: datetime,
) -> str:
    """Write down what is to go from one location to another, and promise nothing yet; returns the transfer's reference.

    Staff of either end may: a store asks for goods, or sends them.

    Raises:
        SamePlace, DuplicateLine. stock.UnknownLocation: neither end is the caller's.
    """
    if from_location_id == to_location_id:
        raise SamePlace
    if not (caller.at_location(from_location_id) or caller.at_location(to_location_id)):
        raise stock.UnknownLocation("Neither end is one of your stores")
    documents.require_distinct([line.variant_id for line in lines])
    transfer_id, reference = new_id(), new_reference(queries.TRANSFER_PREFIX)
    ends = {"from_location_id": from_location_id, "to_location_id": to_location_id}
    row = ends | {"id": transfer_id, "reference": reference, "due_at": due_at, "note": note, "promised_to": promised_to}
    session.execute(_DRAFT, row | {"actor": caller.actor, "now": now})
    _write_lines(session, transfer_id, lines)
    locked = LockedTransfer(transfer_id, reference, from_location_id, to_location_id, "draft", 1, promised_to)
    tell(session, locked=locked, state="draft", actor=caller.actor, now=now)
    return reference


def edit(
    session: Session,
    *,
    transfer: str,
    version: int,
    due_at: datetime | None = None,
    note: str | None = None,
    lines: Sequence[Wanted] | None = None,
    caller: Principal,
    now: datetime,
) -> None:
    """Change a transfer (None: as it is). `lines` replace all of them, in a draft alone: later they are promised or gone.

    Raises:
        NoSuchTransfer, Stale, DuplicateLine. IllegalTransition: it is closed, or no draft any more and `lines` are given.
    """
    locked = lock(session, transfer=transfer, caller=caller)
    if locked.version != version:
        raise Stale
    if locked.state in CLOSED or (lines is not None and locked.state != "draft"):
        legal = list(TRANSITIONS[locked.state])
        raise IllegalTransition(f"It is {locked.state} and no draft (any more)", state=locked.state, legal=legal)
    session.execute(_EDIT, {"transfer_id": locked.id, "due_at": due_at, "note": note, "now": now})
    if lines is not None:
        documents.require_distinct([line.variant_id for line in lines])
        session.execute(_DROP_LINES, {"transfer_id": locked.id})
        _write_lines(session, locked.id, lines)
    tell(session, locked=locked, state=locked.state, actor=caller.actor, now=now)


def _write_lines(session: Session, transfer_id: UUID, lines: Sequence[Wanted]) -> None:
    params = {"variants": [line.variant_id for line in lines], "requested": [line.quantity for line in lines]}
    session.execute(_ADD_LINES, params | {"transfer_id": transfer_id})
