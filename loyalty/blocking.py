"""Blocking a member's points: fraud is looked into, or a card was stolen. She earns on, and spends nothing until it is over."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from loyalty.queries import members as queries
from retail import events
from retail.kernel import outbox
from retail.kernel.errors import Conflict, Invalid

# A merged record's account is the survivor's to block; the row is written in its newest version or not at all.
_SET = text(
    """
    INSERT INTO points_account AS a (customer_id, state, blocked_reason, opened_at)
    VALUES (:customer_id, :state, :reason, :now)
    ON CONFLICT (customer_id) DO UPDATE SET state = excluded.state, blocked_reason = excluded.blocked_reason
    WHERE a.state <> 'merged' AND (a.state, a.blocked_reason) IS DISTINCT FROM (excluded.state, excluded.blocked_reason)
    RETURNING 1
    """
)


class ReasonMissing(Invalid):
    """Somebody will want to know why."""

    code, title = "reason_required", "Say why the points are blocked"


class MergedMeanwhile(Conflict):
    """The record became another's while this was asked for."""

    code, title = "customer_merged", "The customer was merged with another one at this moment: ask again"


def block(
    session: Session, *, customer_id: UUID, blocked: bool, reason: str, actor: str, now: datetime
) -> dict[str, Any]:
    """Block her points or let them go; what is so already changes nothing. Returns her standing (StandingSchema).

    customer_id: nobody's tombstone. reason: why; needed to block, kept in her history when it ends.

    Raises:
        ReasonMissing. MergedMeanwhile.
    """
    if blocked and not reason:
        raise ReasonMissing(errors=[{"field": "reason", "code": ReasonMissing.code, "detail": ReasonMissing.title}])
    state, kept = ("blocked", reason) if blocked else ("active", "")
    given = {"customer_id": customer_id, "state": state, "reason": kept, "now": now}
    if not blocked and queries.standing_of(session, customer_id=customer_id)[0] == "active":
        return _shown("active", "")
    if session.execute(_SET, given).one_or_none() is not None:
        event = events.MemberBlockedOrNot(customer_id=customer_id, blocked=blocked, reason=reason)
        outbox.publish(session, event, actor=actor, now=now)
    found = queries.standing_of(session, customer_id=customer_id)
    if found != (state, kept):
        raise MergedMeanwhile
    return _shown(*found)


def _shown(state: str, reason: str) -> dict[str, Any]:
    return {"state": state, "blocked_reason": reason}
