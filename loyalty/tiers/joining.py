"""What becomes of tiers when two members turn out to be one person, and when they do not."""

from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from loyalty.queries import tiers as queries
from loyalty.tiers.evaluating import MERGE, UNMERGE, Move, lock, reason_of, settle
from loyalty.tiers.standing import Standing, decide, held


def after_merge(session: Session, *, gone_id: UUID, stays_id: UUID, actor: str, now: datetime) -> None:
    """The survivor gets the better tier of the two, or what they have reached together.

    To be called when `customer.merged_into` says so already and both accounts are locked. The tier of the one that is gone
    stays stored as it is.
    """
    program, members = lock(session, customer_ids=[stays_id], now=now)
    if program is None:
        return
    (member,) = members
    own = held(member)
    choices = [decide(program, member=member, before=own, now=now)]
    row = queries.standing_of(session, customer_id=gone_id)
    if row is not None:
        brought = Standing(row.tier_code, now, row.below_since, row.due_at)
        choices.append(decide(program, member=member, before=brought, now=now))
    # Of the same tier the longer grace counts; her own goes first, with the moment since which she has it.
    to = max(choices, key=lambda one: (program.rank(one.tier_code), one.below_since is None, one.below_since or now))
    if to.tier_code == own.tier_code:
        to = replace(to, since=own.since)
    before = {"tier_code": own.tier_code, "since": own.since, "below_since": own.below_since}
    note = {"gone_id": gone_id, "before": before}
    settle(session, program=program, moves=[Move(member, to, MERGE, note)], actor=actor, now=now)


def after_unmerge(session: Session, *, gone_id: UUID, stays_id: UUID, actor: str, now: datetime) -> None:
    """The survivor gets back exactly what she had before if nothing has changed her tier since, and both are evaluated.

    To be called when `customer.merged_into` is cleared and both accounts are active again.
    """
    program, members = lock(session, customer_ids=[gone_id, stays_id], now=now)
    if program is None:
        return
    stored = queries.before_merge(session, gone_id=gone_id, stays_id=stays_id)
    moves = []
    for member in members:
        before, why = held(member), ""
        if member.customer_id == stays_id and stored is not None:
            before, why = _standing(stored), UNMERGE
        to = decide(program, member=member, before=before, now=now)
        moves.append(Move(member, to, why or reason_of(program, member, to, rises=UNMERGE), {"gone_id": gone_id}))
    settle(session, program=program, moves=moves, actor=actor, now=now)


def _standing(stored: dict[str, Any]) -> Standing:
    moments = {
        name: None if stored[name] is None else datetime.fromisoformat(stored[name])
        for name in ("since", "below_since")
    }
    return Standing(stored["tier_code"], moments["since"], moments["below_since"])
