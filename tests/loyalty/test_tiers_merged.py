"""Tiers of two members who turn out to be one person, and of one who turns out to be two."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from loyalty import ledger, tiers
from loyalty.queries import tiers as queries
from retail.kernel.ids import new_id
from tests.loyalty.ledger_facts import ACTOR
from tests.loyalty.tier_facts import changes, member, program, snapshot, spent, standing

DAY = timedelta(days=1)


def evaluate(session: Session, at: datetime, *who: UUID) -> None:
    tiers.evaluate(session, customer_ids=who, now=at, actor=ACTOR)


def merge(session: Session, gone: UUID, stays: UUID, at: datetime) -> UUID:
    merge_id = new_id()
    session.execute(text("UPDATE customer SET merged_into = :to WHERE id = :id"), {"to": stays, "id": gone})
    ledger.merge(session, gone_id=gone, stays_id=stays, merge_id=merge_id, actor=ACTOR, now=at)
    tiers.after_merge(session, gone_id=gone, stays_id=stays, actor=ACTOR, now=at)
    return merge_id


def unmerge(session: Session, gone: UUID, stays: UUID, merge_id: UUID, merged_at: datetime, at: datetime) -> None:
    session.execute(text("UPDATE customer SET merged_into = NULL WHERE id = :id"), {"id": gone})
    whose: dict[str, Any] = {"gone_id": gone, "stays_id": stays, "actor": ACTOR, "now": at}
    ledger.unmerge(session, **whose, also=(), merge_id=merge_id, merged_at=merged_at)
    tiers.after_unmerge(session, **whose)


def two(session: Session, now: datetime, gone: int, stays: int) -> tuple[UUID, UUID]:
    """Two members who spent so much, each in her tier."""
    first, second = member(session, now), member(session, now)
    spent(session, first, gone, now)
    spent(session, second, stays, now)
    evaluate(session, now, first, second)
    return first, second


def test_together_they_reach_more(session: Session, now: datetime) -> None:
    program(session)
    gone, stays = two(session, now, 3000, 2000)
    before = standing(session, gone), standing(session, stays)
    later = now + DAY
    merge_id = merge(session, gone, stays, later)
    assert standing(session, stays) == ("gold", later, None, now + 365 * DAY)
    assert standing(session, gone) == before[0]
    assert changes(session, stays)[1:] == [("silver", "gold", "merge", 5000)]
    assert len(changes(session, gone)) == 1
    told = session.execute(
        text("SELECT data ->> 'reason' FROM event WHERE type = 'TierChanged' ORDER BY seq")
    ).scalars()
    assert list(told) == ["qualified", "qualified", "merge"]
    same = snapshot(session)
    evaluate(session, later, gone, stays)  # whoever names the tombstone means the survivor
    assert snapshot(session) == same
    unmerge(session, gone, stays, merge_id, later, now + 2 * DAY)
    assert (standing(session, gone), standing(session, stays)) == before
    assert changes(session, stays)[2:] == [("gold", "silver", "unmerge", 2000)]


def test_the_better_tier_of_the_two_is_kept_through_its_own_grace(session: Session, now: datetime) -> None:
    program(session, grace_days=30)
    gone, stays = two(session, now - 365 * DAY, 5000, 1)
    evaluate(session, now, gone)
    assert standing(session, gone)[2] == now
    merge(session, gone, stays, now + DAY)
    assert standing(session, stays) == ("gold", now + DAY, now, now + 30 * DAY)
    assert changes(session, stays) == [(None, "gold", "merge", 0)]


def test_a_better_survivor_stays_what_she_is(session: Session, now: datetime) -> None:
    program(session)
    gone, stays = two(session, now, 1000, 5000)
    before = standing(session, stays)
    merge_id = merge(session, gone, stays, now)
    assert standing(session, stays) == before
    assert changes(session, stays) == [(None, "gold", "qualified", 5000)]
    unmerge(session, gone, stays, merge_id, now, now)
    assert standing(session, stays) == before
    assert len(changes(session, stays)) == 1


def test_a_grace_that_the_merge_ended_is_there_again_after_it(session: Session, now: datetime) -> None:
    program(session, grace_days=30)
    stays, gone = member(session, now), member(session, now)
    spent(session, stays, 5000, now - 365 * DAY)
    evaluate(session, now - DAY, stays)
    evaluate(session, now, stays)
    spent(session, gone, 900, now)
    spent(session, gone, 4100, now)
    before = standing(session, stays)
    assert before == ("gold", now - DAY, now, now + 30 * DAY)
    merge_id = merge(session, gone, stays, now + DAY)
    assert standing(session, stays) == ("gold", now - DAY, None, now + 365 * DAY)
    seen = tiers.view(session, customer_id=stays, now=now + DAY)
    assert [change["reason"] for change in seen["changes"]] == ["qualified"]
    unmerge(session, gone, stays, merge_id, now + DAY, now + 2 * DAY)
    assert standing(session, stays) == before
    assert standing(session, gone)[0] == "gold"
    assert changes(session, gone) == [(None, "gold", "unmerge", 5000)]


def test_what_was_bought_meanwhile_goes_with_who_bought_it(session: Session, now: datetime) -> None:
    program(session)
    gone, stays = two(session, now, 3000, 2000)
    merge_id = merge(session, gone, stays, now)
    spent(session, stays, 15_000, now + DAY, member_id=gone)
    evaluate(session, now + DAY, stays)
    assert standing(session, stays)[0] == "platinum"
    unmerge(session, gone, stays, merge_id, now, now + 2 * DAY)
    assert standing(session, gone)[0] == "gold"
    # The survivor's tier has changed since the merge: she is evaluated, and her grace begins.
    assert standing(session, stays) == ("platinum", now + DAY, now + 2 * DAY, now + 32 * DAY)


def test_what_she_bought_herself_meanwhile_counts_on_top_of_what_she_had(session: Session, now: datetime) -> None:
    program(session)
    gone, stays = two(session, now, 4500, 500)
    merge_id = merge(session, gone, stays, now)
    assert standing(session, stays)[0] == "gold"
    spent(session, stays, 600, now + DAY)
    evaluate(session, now + DAY, stays)
    unmerge(session, gone, stays, merge_id, now, now + 2 * DAY)
    assert standing(session, stays) == ("silver", now + 2 * DAY, None, now + 365 * DAY)
    assert changes(session, stays) == [(None, "gold", "merge", 5000), ("gold", "silver", "unmerge", 1100)]


def test_a_merged_member_is_left_alone_by_time(session: Session, now: datetime) -> None:
    program(session, grace_days=0)
    gone, stays = two(session, now, 1000, 1000)
    merge(session, gone, stays, now)
    before = standing(session, gone)
    assert queries.due(session, now=now + 365 * DAY, limit=9) == [stays]
    tiers.review_due(session, now=now + 365 * DAY, limit=9)
    assert tiers.review_due(session, now=now + 365 * DAY, limit=9) == 0
    assert (standing(session, stays), standing(session, gone)) == (None, before)
    assert queries.members_after(session, after=UUID(int=0), limit=9) == [stays]


def test_a_shop_without_tiers_merges_too(session: Session, now: datetime) -> None:
    gone, stays = member(session, now), member(session, now)
    before = snapshot(session)
    merge_id = merge(session, gone, stays, now)
    unmerge(session, gone, stays, merge_id, now, now)
    assert snapshot(session) == before
