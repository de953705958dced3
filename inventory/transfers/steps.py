"""The row that everybody locks first, the states it goes through, and who hears of it."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import queries
from inventory.documents import CLOSED
from inventory.queries import LockedTransfer
from retail.events import TransferChanged
from retail.kernel import outbox
from retail.kernel.auth import Principal
from retail.kernel.errors import NotFound

CAUSE = "transfer"
RETURN, SHRINK = "return", "shrink"
TRANSITIONS: Mapping[str, tuple[str, ...]] = {
    "draft": ("ready", "cancelled"),
    "ready": ("in_transit", "cancelled"),
    "in_transit": ("partly_received", "received", "cancelled"),
    "partly_received": ("partly_received", "received", "cancelled"),
    "received": (),
    "cancelled": (),
}
STATES = tuple(TRANSITIONS)


class NoSuchTransfer(NotFound):
    """There is no such transfer, or it neither begins nor ends at one of the caller's stores, or this step is the other end's."""

    title = "There is no such transfer"


_STATE = text(
    """
    UPDATE transfer
    SET state = :state, version = version + 1, updated_at = :now, due_at = coalesce(CAST(:due_at AS timestamptz), due_at),
        cancel_choice = CAST(:choice AS text), note = concat_ws(E'\\n', nullif(note, ''), nullif(CAST(:reason AS text), '')),
        shipped_at = CASE WHEN :state = 'in_transit' THEN CAST(:now AS timestamptz) ELSE shipped_at END,
        closed_at = CASE WHEN :state IN ('received', 'cancelled') THEN CAST(:now AS timestamptz) END
    WHERE id = :transfer_id
    """
)


def lock(session: Session, *, transfer: str, caller: Principal, at: str | None = None) -> LockedTransfer:
    """Lock a transfer by id or reference. `at`: the end whose staff may do this; None: either.

    Raises:
        NoSuchTransfer.
    """
    locked = queries.lock_transfer(session, name=transfer)
    if locked is None:
        raise NoSuchTransfer
    ends = (locked.from_location_id, locked.to_location_id) if at is None else (getattr(locked, at),)
    if not any(caller.at_location(end) for end in ends):
        raise NoSuchTransfer
    return locked


def move_on(
    session: Session,
    *,
    locked: LockedTransfer,
    state: str,
    due_at: datetime | None = None,
    choice: str | None = None,
    reason: str = "",
    actor: str,
    now: datetime,
) -> None:
    """Write the next state and tell. Everything else of the step has been written before."""
    change = {"transfer_id": locked.id, "state": state, "due_at": due_at, "choice": choice, "reason": reason}
    session.execute(_STATE, change | {"now": now})
    tell(session, locked=locked, state=state, reason=reason, actor=actor, now=now)


def tell(session: Session, *, locked: LockedTransfer, state: str, reason: str = "", actor: str, now: datetime) -> None:
    """Announce the change; once it is closed, with the lines that did not arrive whole."""
    lines = queries.transfer_lines(session, transfer_id=locked.id) if state in CLOSED else []
    differences = [
        {name: getattr(line, name) for name in ("sku", "shipped", "received", "damaged", "returned", "shrunk")}
        for line in lines
        if line.received - line.damaged != line.shipped
    ]
    event = TransferChanged(
        transfer_id=locked.id,
        reference=locked.reference,
        from_location_id=locked.from_location_id,
        to_location_id=locked.to_location_id,
        state=state,
        differences=differences,
        reason=reason,
    )
    outbox.publish(session, event, actor=actor, now=now)
