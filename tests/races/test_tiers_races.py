"""Tiers under many hands: real connections, real commits."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from loyalty import tiers
from retail.kernel import db
from tests.loyalty.ledger_facts import ACTOR, earn
from tests.loyalty.tier_facts import changes, member, program, spent, standing
from tests.races.interleaving import Other, together

pytestmark = [pytest.mark.committed, pytest.mark.races]
DAY = timedelta(days=1)


def evaluating(who: UUID, at: datetime) -> Callable[[Session], Any]:
    return lambda session: tiers.evaluate(session, customer_ids=[who], now=at, actor=ACTOR)


@pytest.mark.parametrize("hands", [2, 8])
def test_evaluations_at_once_give_one_change(session: Session, now: datetime, hands: int) -> None:
    program(session)
    who = member(session, now)
    spent(session, who, 5000, now)
    assert sorted(together([evaluating(who, now)] * hands)) == [0] * (hands - 1) + [1]
    assert changes(session, who) == [(None, "gold", "qualified", 5000)]
    assert session.execute(text("SELECT count(*) FROM event WHERE type = 'TierChanged'")).scalar_one() == 1


def test_one_that_waited_for_an_earning_sees_it(session: Session, now: datetime) -> None:
    program(session, basis="points", tiers={"silver": 50})
    who = member(session, now)
    with db.transaction() as first:
        earn(first, who, 60, now)
        other = Other(evaluating(who, now))
        assert other.waits()
    assert other.result() == 1
    assert standing(session, who)[0] == "silver"


def test_one_that_waited_falls_by_one_tier_not_two(session: Session, now: datetime) -> None:
    program(session, grace_days=30)
    who = member(session, now)
    spent(session, who, 20_000, now - 400 * DAY)
    for at in (now - 400 * DAY, now - 35 * DAY):
        tiers.evaluate(session, customer_ids=[who], now=at, actor=ACTOR)
    with db.transaction() as first:
        assert evaluating(who, now)(first) == 1
        other = Other(evaluating(who, now))
        assert other.waits()
    assert other.result() == 0
    assert [change[1] for change in changes(session, who)] == ["platinum", "gold"]


def test_who_read_the_program_before_it_changed_is_overtaken_by_the_walk(session: Session, now: datetime) -> None:
    program(session)
    who = member(session, now)
    spent(session, who, 3000, now)

    def changing(other: Session) -> None:
        body = {"threshold": 3000}
        tiers.program.change_tier(other, code="gold", version=1, changes=body, actor=ACTOR, now=now)

    with db.transaction() as first:
        assert evaluating(who, now)(first) == 1  # silver, by the thresholds of before
        Other(changing).result()
        walking = Other(lambda session: tiers.walk(session, now=now, limit=9))
        assert walking.waits()
    assert walking.result() == 1
    assert [change[:3] for change in changes(session, who)] == [
        (None, "silver", "qualified"),
        ("silver", "gold", "program"),
    ]


def test_two_tiers_made_at_once_rise_together_all_the_same(session: Session, now: datetime) -> None:
    program(session, tiers={"gold": 5000})

    def making(code: str, rank: int, threshold: int) -> Callable[[Session], Any]:
        facts = {"code": code, "name": code, "name_ja": None, "rank": rank, "threshold": threshold}
        facts |= {"multiplier_bp": 10_000, "free_shipping": False, "active": True}
        return lambda session: tiers.program.create_tier(session, facts=facts, actor=ACTOR, now=now)

    results = together([making("a", 20, 9000), making("b", 30, 8000)])
    refused = [result for result in results if isinstance(result, Exception)]
    assert [type(one).__name__ for one in refused] == ["TierInvalid"]
    assert session.execute(text("SELECT count(*) FROM tier")).scalar_one() == 2
