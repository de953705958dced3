"""Points under many hands: real connections, real commits. Each test fails when the guard it names is taken out."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from loyalty import ledger, queries
from retail.kernel import db
from retail.kernel.ids import new_id
from tests.loyalty.ledger_facts import ACTOR, assert_clean, balances, customer_with, earn, remaining
from tests.races.interleaving import Other, together

pytestmark = [pytest.mark.committed, pytest.mark.races]
DAY = timedelta(days=1)


def at_once(calls: list[Callable[[Session], Any]]) -> list[Any]:
    """What each answers, each in a transaction of its own, all let go together; only refusals may be raised."""
    answers = together(calls)
    for answer in answers:
        if isinstance(answer, Exception) and not isinstance(answer, ledger.InsufficientPoints):
            raise answer
    return answers


def behind(first: Callable[[Session], Any], second: Callable[[Session], Any]) -> Any:
    """Let `second` begin while `first` has run and not committed; returns what `second` answers after the wait."""
    with db.transaction() as session:
        first(session)
        other = Other(second)
        assert other.waits()
    return other.result()


def holding(customer_id: UUID, points: int, now: datetime, order_id: UUID | None = None) -> Callable[[Session], Any]:
    order = order_id or new_id()

    def call(session: Session) -> None:
        ledger.hold(session, customer_id=customer_id, order_id=order, points=points, actor=ACTOR, now=now)

    return call


def outcomes(results: list[Any]) -> tuple[int, list[int]]:
    """How many went through, and what the refused ones were told to be available."""
    refused = [result.extra["available"] for result in results if isinstance(result, ledger.InsufficientPoints)]
    return sum(result is None for result in results), refused


@pytest.mark.parametrize("hands", [2, 16])
def test_the_same_points_are_spent_once_however_many_try(session: Session, now: datetime, hands: int) -> None:
    who, _ = customer_with(session, (60, now), (40, now))
    results = at_once([holding(who.id, 100, now) for _ in range(hands)])
    assert outcomes(results) == (1, [0] * (hands - 1))
    assert remaining(session, who.id) == [0, 0]
    assert balances(session, who.id) == (0, 100, 0)
    assert_clean(session)


def test_as_many_are_served_as_there_are_points_for(session: Session, now: datetime) -> None:
    who, _ = customer_with(session, *[(25, now - day * DAY) for day in range(4)])
    results = at_once([holding(who.id, 30, now) for _ in range(16)])
    assert outcomes(results) == (3, [10] * 13)
    assert balances(session, who.id) == (10, 90, 0)
    assert_clean(session)


def test_a_hold_that_waited_for_a_hold_sees_what_is_left(session: Session, now: datetime) -> None:
    who, _ = customer_with(session, (60, now - DAY), (40, now))
    behind(holding(who.id, 50, now), holding(who.id, 50, now))
    assert remaining(session, who.id) == [0, 0]
    assert balances(session, who.id) == (0, 100, 0)
    assert_clean(session)


def test_a_hold_that_waited_for_points_to_come_back_or_be_earned_gets_them(session: Session, now: datetime) -> None:
    who, _ = customer_with(session, (60, now))
    order_id = new_id()
    holding(who.id, 60, now, order_id)(session)

    def give_back(inside: Session) -> None:
        assert ledger.release(inside, order_id=order_id, actor=ACTOR, now=now) == 60
        earn(inside, who.id, 40, now)

    behind(give_back, holding(who.id, 100, now))
    assert balances(session, who.id) == (0, 100, 0)
    assert_clean(session)


def test_one_order_holds_once(session: Session, now: datetime) -> None:
    who, _ = customer_with(session, (100, now))
    order_id = new_id()
    results = at_once([holding(who.id, 30, now, order_id) for _ in range(8)])
    assert results == [None] * 8
    assert balances(session, who.id) == (70, 30, 0)
    assert_clean(session)


def test_failure_14_one_key_earns_once(session: Session, now: datetime) -> None:
    who, _ = customer_with(session)
    sale = new_id()

    def call(inside: Session) -> int:
        return ledger.earn(
            inside,
            customer_id=who.id,
            order_id=sale,
            points=30,
            key=f"till:7:{sale}",
            reason="carry_out",
            actor=ACTOR,
            now=now,
        )

    assert at_once([call] * 12) == [30] * 12
    assert balances(session, who.id) == (30, 0, 0)
    assert remaining(session, who.id) == [30]
    assert session.execute(text("SELECT count(*) FROM event WHERE type = 'PointsEarned'")).scalar_one() == 1
    assert_clean(session)


def test_many_keys_open_one_account_and_lose_nothing(session: Session, now: datetime) -> None:
    who, _ = customer_with(session)

    def call(inside: Session) -> int:
        return earn(inside, who.id, 7, now)

    assert at_once([call] * 16) == [7] * 16
    assert balances(session, who.id) == (112, 0, 0)
    assert_clean(session)


def test_what_is_owed_is_netted_once(session: Session, now: datetime) -> None:
    who, _ = customer_with(session)
    bought = new_id()
    earn(session, who.id, 100, now, bought)
    spent = new_id()
    holding(who.id, 100, now, spent)(session)
    ledger.claw_back(session, order_id=bought, numerator=1, denominator=1, key="back", actor=ACTOR, now=now)
    assert balances(session, who.id) == (0, 100, 100)

    def call(inside: Session) -> int:
        return earn(inside, who.id, 30, now)

    assert at_once([call] * 6) == [30] * 6
    assert balances(session, who.id) == (80, 100, 0)
    assert_clean(session)


def test_failure_13_one_key_claws_back_once(session: Session, now: datetime) -> None:
    who, _ = customer_with(session, (500, now))
    order_id = new_id()
    earn(session, who.id, 120, now, order_id)

    def call(inside: Session) -> int:
        return ledger.claw_back(
            inside, order_id=order_id, numerator=1, denominator=2, key="refund:1", actor=ACTOR, now=now
        )

    assert at_once([call] * 12) == [60] * 12
    assert balances(session, who.id) == (560, 0, 0)
    assert_clean(session)


def test_failure_13_refunds_at_once_claw_back_no_more_than_was_earned(session: Session, now: datetime) -> None:
    who, _ = customer_with(session, (500, now))
    order_id = new_id()
    earn(session, who.id, 120, now, order_id)

    def part(number: int) -> Callable[[Session], int]:
        return lambda inside: ledger.claw_back(
            inside, order_id=order_id, numerator=number, denominator=8, key=f"r:{number}", actor=ACTOR, now=now
        )

    results = at_once([part(number) for number in range(1, 9)])
    assert sum(results) == 120
    assert balances(session, who.id) == (500, 0, 0)
    assert_clean(session)


def test_a_claw_back_that_waited_for_another_takes_the_rest_only(session: Session, now: datetime) -> None:
    who, _ = customer_with(session, (500, now))
    order_id = new_id()
    earn(session, who.id, 120, now, order_id)

    def part(number: int) -> Callable[[Session], int]:
        return lambda inside: ledger.claw_back(
            inside, order_id=order_id, numerator=number, denominator=2, key=f"r:{number}", actor=ACTOR, now=now
        )

    assert behind(part(1), part(2)) == 60
    assert balances(session, who.id) == (500, 0, 0)
    assert_clean(session)


def test_one_key_refunds_once_and_many_keys_no_more_than_was_burned(session: Session, now: datetime) -> None:
    who, _ = customer_with(session, (60, now - DAY), (40, now))
    order_id = new_id()
    holding(who.id, 90, now, order_id)(session)
    ledger.burn(session, order_id=order_id, actor=ACTOR, now=now)

    def refunding(key: str) -> Callable[[Session], int]:
        return lambda inside: ledger.refund(inside, order_id=order_id, points=20, key=key, actor=ACTOR, now=now)

    assert at_once([refunding("one")] * 8) == [20] * 8
    assert balances(session, who.id) == (30, 0, 0)
    assert sorted(at_once([refunding(f"key {number}") for number in range(8)])) == [0, 0, 0, 0, 10, 20, 20, 20]
    assert remaining(session, who.id) == [60, 40]
    assert balances(session, who.id) == (100, 0, 0)
    assert_clean(session)


def test_a_hold_is_burned_or_released_never_both(session: Session, now: datetime) -> None:
    who, _ = customer_with(session, (100, now))
    for _ in range(10):
        order_id = new_id()
        holding(who.id, 10, now, order_id)(session)

        def burning(inside: Session, order_id: UUID = order_id) -> int:
            return ledger.burn(inside, order_id=order_id, actor=ACTOR, now=now)

        def releasing(inside: Session, order_id: UUID = order_id) -> int:
            return ledger.release(inside, order_id=order_id, actor=ACTOR, now=now)

        assert sorted(at_once([burning, releasing, burning, releasing])) == [0, 0, 0, 10]
    assert_clean(session)


def test_two_workers_expire_once(session: Session, now: datetime) -> None:
    people = [customer_with(session, (points, now - 365 * DAY))[0] for points in range(1, 21)]

    def call(inside: Session) -> int:
        return ledger.expire_due(inside, now=now, limit=100).customers

    assert sum(at_once([call] * 4)) == 20
    assert [balances(session, who.id) for who in people] == [(0, 0, 0)] * 20
    assert_clean(session)


def test_everything_at_once_neither_deadlocks_nor_loses_a_point(session: Session, now: datetime) -> None:
    people = [customer_with(session, (200, now - 364 * DAY), (300, now))[0] for _ in range(3)]

    def hand(seed: int) -> None:
        random = Random(seed)
        for step in range(12):
            who, order_id, moment = random.choice(people), new_id(), now + random.randint(0, 2) * DAY
            with db.transaction() as inside:
                spend(inside, who.id, order_id, f"{seed}:{step}", random, moment)

    def spend(inside: Session, customer_id: UUID, order_id: UUID, key: str, random: Random, moment: datetime) -> None:
        try:
            holding(customer_id, random.randint(1, 120), moment, order_id)(inside)
        except ledger.InsufficientPoints:
            ledger.expire_due(inside, now=moment, limit=10)
            return
        settle = random.choice([ledger.burn, ledger.release])
        settle(inside, order_id=order_id, actor=ACTOR, now=moment)
        ledger.refund(inside, order_id=order_id, points=40, key=f"r:{key}", actor=ACTOR, now=moment)
        earn(inside, customer_id, 20, moment, order_id)
        ledger.claw_back(inside, order_id=order_id, numerator=1, denominator=2, key=f"c:{key}", actor=ACTOR, now=moment)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(hand, range(8)))
    assert_clean(session)
    for who in people:
        points = queries.points_of(session, customer_id=who.id, now=now + 3 * DAY)
        assert points["held"] == 0
