"""Goodwill: points that an agent gives, with a reason. Within the caps at once; above them when a second person agrees.

Both caps are counted under the lock of the member's account, so that two agents at once do not give more than one could.
Whoever asked never decides, a supervisor neither: four eyes see every gift that is out of the ordinary.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from loyalty import ledger
from loyalty.models import GoodwillGift
from loyalty.queries import goodwill as queries
from retail import limits
from retail.events import GoodwillAsked, GoodwillDecided
from retail.kernel import outbox
from retail.kernel.errors import Conflict, Forbidden, Invalid, NotFound
from retail.kernel.ids import new_id

REASONS = ("late", "damaged", "missing", "wrong_item", "misinformed", "points_missing", "courtesy", "other")
PENDING, GIVEN, DECLINED = "pending", "given", "declined"


class GoodwillUnexplained(Invalid):
    """``other`` says nothing: the note has to."""

    code, title = "goodwill_unexplained", "Say in the note why the points are given"


class GoodwillSettled(Conflict):
    """Somebody has decided already; `state` says how."""

    code, title = "goodwill_settled", "This has been decided already"


class OwnGoodwill(Forbidden):
    """Who asked for it does not decide."""

    code, title = "goodwill_own", "Somebody else has to decide about the points you asked for"


def offer(
    session: Session,
    *,
    customer_id: UUID,
    points: int,
    reason: str,
    note: str,
    order_id: UUID | None,
    actor: str,
    now: datetime,
) -> UUID:
    """Give `points` (> 0) to a member if they are within the caps, else ask for them; returns the gift's id.

    `order_id` is written down as it was named: orders are not known here. A gift to a merged record is the survivor's.

    Raises:
        NotFound: there is no such customer. AccountBlocked. GoodwillUnexplained. Nothing was given.
    """
    if reason == "other" and not note:
        raise GoodwillUnexplained(errors=[{"field": "note", "code": "required", "detail": GoodwillUnexplained.title}])
    member = ledger.lock_member(session, customer_id=customer_id, now=now)
    member.require_active()
    at_once = points <= left_for(session, customer_id=member.id, now=now)
    gift: dict[str, Any] = {
        "id": new_id(),
        "customer_id": member.id,
        "points": points,
        "reason": reason,
        "note": note,
        "order_id": order_id,
        "state": GIVEN if at_once else PENDING,
        "asked_by": actor,
        "asked_at": now,
        "decided_by": actor if at_once else None,
        "decided_at": now if at_once else None,
    }
    session.execute(insert(GoodwillGift).values(gift))
    if at_once:
        _give(session, gift, actor=actor, now=now)
    else:
        event = GoodwillAsked(gift_id=gift["id"], customer_id=member.id, points=points, reason=reason)
        outbox.publish(session, event, actor=actor, now=now)
    return gift["id"]  # type: ignore[no-any-return]


def left_for(session: Session, *, customer_id: UUID, now: datetime) -> int:
    """How many points anybody may give this member at once now; exact under the lock of her account."""
    given = queries.goodwill_given(session, customer_id=customer_id, now=now)
    return max(0, min(limits.GOODWILL_POINTS, limits.GOODWILL_POINTS_PER_CUSTOMER - given))


def decide(session: Session, *, gift_id: UUID, give: bool, note: str, actor: str, now: datetime) -> None:
    """Give the points that were asked for, or decline.

    Raises:
        NotFound. GoodwillSettled: decided already. OwnGoodwill: the actor asked for it.
        AccountBlocked: they can only be declined, or given when the member's points are released. Nothing was changed.
    """
    gift = queries.lock_gift(session, gift_id=gift_id)
    if gift is None:
        raise NotFound("There is no such gift")
    if gift["state"] != PENDING:
        raise GoodwillSettled(f"It was {gift['state']} already", state=gift["state"])
    if gift["asked_by"] == actor:
        raise OwnGoodwill
    settled = {"state": GIVEN if give else DECLINED, "decided_by": actor, "decided_at": now, "decision_note": note}
    table: Any = GoodwillGift.__table__
    row = session.execute(
        sa.update(table)
        .where(table.c.id == gift_id)
        .values(**settled, version=table.c.version + 1)
        .returning(table.c.customer_id)
    ).one()
    gift |= settled | {
        "customer_id": row.customer_id
    }  # with whom it was made: the ledger knows where her points lie now
    if give:
        _give(session, gift, actor=actor, now=now)
    else:
        _tell(session, gift, actor=actor, now=now)


def view(session: Session, *, gift_id: UUID) -> dict[str, Any]:
    """A gift (GoodwillSchema).

    Raises:
        NotFound: there is no such gift.
    """
    found = queries.gift_dict(session, gift_id=gift_id)
    if found is None:
        raise NotFound("There is no such gift")
    return found


def _give(session: Session, gift: dict[str, Any], *, actor: str, now: datetime) -> None:
    ledger.give(
        session,
        customer_id=gift["customer_id"],
        points=gift["points"],
        gift_id=gift["id"],
        order_id=gift["order_id"],
        key=f"goodwill:{gift['id']}",
        reason=gift["reason"],
        actor=actor,
        now=now,
    )
    _tell(session, gift, actor=actor, now=now)


def _tell(session: Session, gift: dict[str, Any], *, actor: str, now: datetime) -> None:
    event = GoodwillDecided(
        gift_id=gift["id"],
        customer_id=gift["customer_id"],
        points=gift["points"],
        reason=gift["reason"],
        state=gift["state"],
    )
    outbox.publish(session, event, actor=actor, now=now)
