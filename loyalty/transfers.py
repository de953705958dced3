"""Points that members give each other: with their dates, within limits, and without telling who holds which card.

Whoever names a receiver learns that a card is valid, and nothing else: a number that is nobody's, that nobody has proved, or
whose points are blocked gets one and the same answer, and the edge counts the tries.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from loyalty import ledger
from loyalty.models import PointsTransfer
from loyalty.queries import transfers as queries
from retail import customers, limits
from retail import queries as ground
from retail.events import PointsTransferred
from retail.kernel import config, outbox
from retail.kernel.errors import Conflict, Invalid
from retail.kernel.ids import new_id, parse_reference

HINT_CHARACTERS = 4


class ReceiverUnknown(Invalid):
    """No member receives points under this number; why not, is not said."""

    code, title = "receiver_unknown", "No member can receive points under this number"


class TransferLimit(Conflict):
    """More than a member gives away or receives in 24 hours; `limit` says which, `most` how much, `left` what of it is left
    (not of the receiver's, which is her affair). Nothing was moved."""

    code, title = "transfer_limit", "This is more than can be given in 24 hours"


def give(session: Session, *, customer_id: UUID, to: str, points: int, message: str, actor: str, now: datetime) -> UUID:
    """Give `points` (> 0) of a member to another, named by card number or customer reference; returns the transfer's id.

    Raises:
        ReceiverUnknown. GivenToHerself: also to somebody merged with her. AccountBlocked: the giver's.
        TransferLimit. InsufficientPoints: only what is available can be given. Nothing was moved.
    """
    to_id = _receiver(session, to)
    if to_id == customer_id:
        raise ledger.GivenToHerself
    members = ledger.lock_members(session, customer_ids=(customer_id, to_id), now=now)
    giver, receiver = members[customer_id], members[to_id]
    giver.require_active()
    if giver.id == receiver.id:  # merged a moment ago
        raise ledger.GivenToHerself
    if receiver.state != "active":
        raise _unknown()
    _require_within(session, giver_id=giver.id, receiver_id=receiver.id, points=points, now=now)
    transfer_id = new_id()
    ledger.transfer(
        session,
        transfer_id=transfer_id,
        from_id=customer_id,
        to_id=to_id,
        points=points,
        key=f"transfer:{transfer_id}",
        actor=actor,
        now=now,
        members=members,
    )
    row = {"id": transfer_id, "from_id": giver.id, "to_id": receiver.id, "points": points, "message": message}
    row |= {"to_hint": _hint(to), "actor": actor, "at": now}
    session.execute(insert(PointsTransfer).values(row))
    event = PointsTransferred(transfer_id=transfer_id, customer_id=giver.id, to_customer_id=receiver.id, points=points)
    outbox.publish(session, event, actor=actor, now=now)
    return transfer_id


def _receiver(session: Session, to: str) -> UUID:
    """Whose card or reference this is; of a merged customer, the survivor."""
    reference = parse_reference(to, "C")
    if reference is not None:
        found = ground.customer_key(session, customer_id=None, reference=reference)
        if found is not None:
            return found
    try:
        card = customers.normalize("card", to, region=config.current().default_region)
    except Invalid:
        raise _unknown() from None
    named = ground.customer_by_identity(session, kind="card", value=card)
    if named is None or named[1] == "claimed":  # anybody can claim a card
        raise _unknown()
    return named[0]


def _require_within(session: Session, *, giver_id: UUID, receiver_id: UUID, points: int, now: datetime) -> None:
    most, times = limits.TRANSFER_POINTS_PER_DAY, limits.TRANSFERS_PER_DAY
    gave = queries.transferred_today(session, customer_id=giver_id, now=now)
    if gave.times >= times:
        raise TransferLimit(f"At most {times} times in 24 hours", limit="transfers", most=times, left=0)
    if gave.given + points > most:
        left = max(0, most - gave.given)
        raise TransferLimit(
            f"At most {most:,} points in 24 hours, {left:,} are left", limit="given", most=most, left=left
        )
    if queries.transferred_today(session, customer_id=receiver_id, now=now).received + points > most:
        raise TransferLimit(f"Nobody receives more than {most:,} points in 24 hours", limit="received", most=most)


def _unknown() -> ReceiverUnknown:
    return ReceiverUnknown(errors=[{"field": "to", "code": ReceiverUnknown.code, "detail": ReceiverUnknown.title}])


def _hint(to: str) -> str:
    """The end of what was typed, short enough not to be the number."""
    return "".join(character for character in to.upper() if character.isalnum())[-HINT_CHARACTERS:]
