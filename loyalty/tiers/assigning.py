"""A tier by hand: staff put a member into one that she has not reached. From then on her grace runs, as below any threshold."""

from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from loyalty import ledger
from loyalty.tiers.evaluating import STAFF, Move, lock, settle
from loyalty.tiers.program import NoTierProgram, TierInvalid
from loyalty.tiers.standing import Standing, decide
from retail.kernel.errors import Conflict


class TierReached(Conflict):
    """She has reached a better one (`tier`) by herself, and would rise to it again at once."""

    code, title = "tier_reached", "The customer has reached a better tier"


class TierHeld(Conflict):
    """She is in this tier already."""

    code, title = "tier_held", "The customer is in this tier already"


def assign(session: Session, *, customer_id: UUID, tier: str | None, note: str, actor: str, now: datetime) -> None:
    """Put a member into `tier`, or with None into none.

    Raises:
        NotFound: no such customer. TierInvalid: no such tier, or it is switched off. NoTierProgram, TierReached, TierHeld.
    """
    owner = ledger.lock_member(session, customer_id=customer_id, now=now)
    program, members = lock(session, customer_ids=[owner.id], now=now)
    if program is None:
        raise NoTierProgram
    (member,) = members
    asked, reached = program.tier(tier), program.reached(member.figure)
    if tier is not None and (asked is None or not asked.active):
        raise TierInvalid(errors=[{"field": "tier", "code": "unknown", "detail": "There is no such tier"}])
    if reached is not None and program.rank(tier) < reached.rank:
        raise TierReached(tier=reached.code)
    if tier == member.tier_code:
        raise TierHeld
    to = Standing()
    if asked is not None and asked == reached:
        to = decide(program, member=member, before=to, now=now)
    elif asked is not None:
        to = Standing(asked.code, now, now, now + program.grace)
    settle(session, program=program, moves=[Move(member, to, STAFF, {"note": note})], actor=actor, now=now)
