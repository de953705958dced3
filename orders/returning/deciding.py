"""A person decides about a return, or it is given up."""

from datetime import datetime

from sqlalchemy.orm import Session

from orders.returning import exchanging
from orders.returning.rules import keys_of, let_go, locked, move, require_step
from retail.events import ReturnApproved, ReturnClosed
from retail.kernel.auth import Principal


def approve(session: Session, *, given: str, caller: Principal, now: datetime) -> None:
    """requested -> approved: the goods may be sent or brought. Approving what is approved changes nothing.

    Raises:
        NotFound: there is no such return. ReturnMoved: it is past deciding.
    """
    _, found = locked(session, given=given, caller=caller)
    if found.state == "approved":
        return
    require_step(found.state, "approved")
    event = ReturnApproved(**keys_of(found))
    move(session, found=found, state="approved", event=event, actor=caller.actor, now=now, decided_at=now)


def reject(session: Session, *, given: str, reason: str, caller: Principal, now: datetime) -> None:
    """requested or received -> rejected, and why: nothing is paid, the units are free to be asked for again.

    Raises:
        NotFound: there is no such return. ReturnMoved: it has ended, or its goods are on their way.
    """
    _end(session, given=given, state="rejected", reason=reason, caller=caller, now=now)


def cancel(session: Session, *, given: str, reason: str, caller: Principal, now: datetime) -> None:
    """requested or approved -> cancelled: the goods do not come back after all. Repeating it changes nothing.

    Raises:
        NotFound: there is no such return, or it is another's. ReturnMoved: its goods have come back.
    """
    _end(session, given=given, state="cancelled", reason=reason, caller=caller, now=now)


def _end(session: Session, *, given: str, state: str, reason: str, caller: Principal, now: datetime) -> None:
    order, found = locked(session, given=given, caller=caller)
    if found.state == state:
        return
    require_step(found.state, state)
    let_go(session, return_id=found.id)
    exchanging.give_up(session, order=order, return_id=found.id, actor=caller.actor, now=now)
    event = ReturnClosed(**keys_of(found), outcome=state, amount_minor=0, currency=found.currency)
    move(session, found=found, state=state, event=event, actor=caller.actor, now=now, close_reason=reason)
