"""Goodwill and points from member to member under many hands: the caps are those of one hand, and nobody waits in a ring."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from loyalty import goodwill, transfers
from loyalty.ledger import GivenToHerself, InsufficientPoints
from retail import limits
from retail.kernel import db
from tests import factories
from tests.factories import Actor
from tests.loyalty.ledger_facts import assert_clean, balances, customer_with
from tests.races.interleaving import Other, together

pytestmark = [pytest.mark.committed, pytest.mark.races]
DAY = timedelta(days=1)


def offering(customer_id: UUID, points: int, now: datetime, actor: str) -> Callable[[Session], UUID]:
    def call(inside: Session) -> UUID:
        return goodwill.offer(
            inside, customer_id=customer_id, points=points, reason="late", note="", order_id=None, actor=actor, now=now
        )

    return call


def giving(who: Actor, to: Actor, points: int, now: datetime) -> Callable[[Session], UUID]:
    def call(inside: Session) -> UUID:
        return transfers.give(
            inside, customer_id=who.id, to=to.reference, points=points, message="", actor=who.actor, now=now
        )

    return call


def refusals(answers: list[Any]) -> dict[str, int]:
    """How many of each refusal; anything that is none is raised."""
    found: dict[str, int] = {}
    for answer in answers:
        if isinstance(answer, (transfers.TransferLimit, InsufficientPoints, goodwill.GoodwillSettled)):
            found[type(answer).__name__] = found.get(type(answer).__name__, 0) + 1
        elif isinstance(answer, Exception):
            raise answer
    return found


def test_agents_at_once_give_no_more_than_one_could(session: Session, now: datetime) -> None:
    who = factories.customer(session)
    together([offering(who.id, 300, now, f"staff:{number}") for number in range(16)])
    states = session.execute(text("SELECT state, count(*) FROM goodwill_gift GROUP BY state ORDER BY state")).all()
    assert [tuple(row) for row in states] == [("given", limits.GOODWILL_POINTS_PER_CUSTOMER // 300), ("pending", 6)]
    assert balances(session, who.id) == (limits.GOODWILL_POINTS_PER_CUSTOMER, 0, 0)
    assert_clean(session)


@pytest.mark.parametrize("second", [True, False])
def test_a_decision_that_waited_for_another_comes_too_late(session: Session, now: datetime, second: bool) -> None:
    who = factories.customer(session)
    gift_id = offering(who.id, 5000, now, "staff:a")(session)

    def deciding(actor: str, give: bool) -> Callable[[Session], None]:
        return lambda inside: goodwill.decide(inside, gift_id=gift_id, give=give, note="", actor=actor, now=now)

    answers = together([deciding("staff:b", True)] + [deciding(f"staff:{number}", second) for number in range(7)])
    assert (answers.count(None), refusals(answers)) == (1, {"GoodwillSettled": 7})
    state = session.execute(text("SELECT state FROM goodwill_gift")).scalar_one()
    assert balances(session, who.id) == ((5000, 0, 0) if state == "given" else (0, 0, 0))
    assert session.execute(text("SELECT count(*) FROM event WHERE type = 'GoodwillDecided'")).scalar_one() == 1
    assert_clean(session)


def test_two_who_give_to_each_other_at_once_do_not_wait_in_a_ring(session: Session, now: datetime) -> None:
    one, two = (customer_with(session, (100, now - DAY), (900, now))[0] for _ in range(2))
    answers = together([giving(one, two, 30, now) if number % 2 else giving(two, one, 20, now) for number in range(16)])
    assert refusals(answers) == {}
    assert (balances(session, one.id), balances(session, two.id)) == ((920, 0, 0), (1080, 0, 0))
    assert_clean(session)


def test_neither_the_times_nor_the_points_of_a_day_are_exceeded_at_once(session: Session, now: datetime) -> None:
    most, times = limits.TRANSFER_POINTS_PER_DAY, limits.TRANSFERS_PER_DAY
    rich, *friends = (customer_with(session, (3 * most, now))[0] for _ in range(17))
    answers = together([giving(rich, friend, 1, now) for friend in friends])
    assert refusals(answers) == {"TransferLimit": 16 - times}
    answers = together([giving(friend, rich, most // 8, now) for friend in friends])
    assert refusals(answers) == {"TransferLimit": 8}
    assert balances(session, rich.id) == (3 * most - times + most, 0, 0)
    assert_clean(session)


def test_the_last_points_are_given_once(session: Session, now: datetime) -> None:
    who, *friends = (customer_with(session, (100, now))[0] for _ in range(9))
    answers = together([giving(who, friend, 100, now) for friend in friends])
    assert refusals(answers) == {"InsufficientPoints": 7}
    assert balances(session, who.id) == (0, 0, 0)
    assert_clean(session)


def test_a_merge_that_comes_between_makes_them_one(session: Session, now: datetime) -> None:
    """The receiver is found, then merged into the giver, before the accounts are locked."""
    giver, friend = (customer_with(session, (100, now))[0] for _ in range(2))

    def merging(inside: Session) -> None:
        inside.execute(
            text("UPDATE points_account SET available = available WHERE customer_id IN (:a, :b)"),
            {"a": giver.id, "b": friend.id},
        )
        inside.execute(text("UPDATE customer SET merged_into = :a WHERE id = :b"), {"a": giver.id, "b": friend.id})

    with db.transaction() as inside:
        merging(inside)
        other = Other(giving(giver, friend, 10, now))
        assert other.waits()
    with pytest.raises(GivenToHerself):
        other.result()
    assert (balances(session, giver.id), balances(session, friend.id)) == ((100, 0, 0), (100, 0, 0))
    assert session.execute(text("SELECT count(*) FROM points_transfer")).scalar_one() == 0
