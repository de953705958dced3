"""What a member, or who serves her, sees of her tier: where she stands, what is missing, how it came to that."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from loyalty.queries import tiers as queries
from loyalty.queries.tiers import MemberFacts
from loyalty.tiers.evaluating import current, facts_of
from loyalty.tiers.standing import ROLLING, Program, Tier, decide, held, keeps_until

CHANGES_SHOWN = 100


def view(session: Session, *, customer_id: UUID, now: datetime) -> dict[str, Any]:
    """A customer's tier (CustomerTierSchema), never a tombstone's; three statements.

    The figure is of this moment. `keep_until` is until when she is in her tier if she earns nothing more.
    """
    program = current(session)
    if program is None:
        return _nothing()
    (member,) = facts_of(session, program=program, customer_ids=[customer_id], now=now)
    tier = program.tier(member.tier_code)
    to_be = decide(program, member=member, before=held(member), now=now)
    as_it_is = to_be.tier_code == member.tier_code  # else an evaluation is under way
    return {
        "tier": None if tier is None else _tier(tier),
        "since": member.since,
        "below_since": member.below_since,
        "keep_until": keeps_until(program, to_be) if as_it_is else None,
        "missing_to_keep": None if tier is None else max(0, tier.threshold - member.figure),
        "figure": member.figure,
        "basis": program.basis,
        "currency": program.currency,
        "window": {
            "kind": program.window,
            "days": program.window_days if program.window == ROLLING else None,
            "counts_after": program.counts_after(now),
            "zone": program.zone,
        },
        "next": _next(program, member),
        "changes": queries.changes_of(session, customer_id=customer_id, limit=CHANGES_SHOWN),
    }


def _nothing() -> dict[str, Any]:
    names = ("tier", "since", "below_since", "keep_until", "missing_to_keep", "basis", "currency", "window", "next")
    return dict.fromkeys(names) | {"figure": 0, "changes": []}


def _tier(tier: Tier) -> dict[str, Any]:
    names = ("code", "name", "name_ja", "threshold", "multiplier_bp", "free_shipping")
    return {name: getattr(tier, name) for name in names}


def _next(program: Program, member: MemberFacts) -> dict[str, Any] | None:
    """The lowest tier above hers that she has not reached, and what is missing."""
    rank = program.rank(member.tier_code)
    above = [tier for tier in program.active if tier.rank > rank and tier.threshold > member.figure]
    return {**_tier(above[0]), "missing": above[0].threshold - member.figure} if above else None
