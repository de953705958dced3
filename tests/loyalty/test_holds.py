"""Points put aside for an order: hold, burn, release, refund; the exact entries of each."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy.orm import Session

from loyalty import ledger, queries
from loyalty.queries import HoldFacts
from retail.kernel import db
from retail.kernel.ids import new_id
from tests import factories
from tests.loyalty.ledger_facts import (
    ACTOR,
    assert_clean,
    balances,
    customer_with,
    earn,
    last_entries,
    remaining,
    snapshot,
)

DAY = timedelta(days=1)


def test_failure_15_a_part_of_the_balance_is_spent_from_the_lots_that_expire_first(
    session: Session, now: datetime
) -> None:
    young = (200, now - 10 * DAY)
    old = (300, now - 100 * DAY)
    who, (young_lot, old_lot) = customer_with(session, young, old)
    order_id = new_id()
    with db.counting() as count:
        ledger.hold(session, customer_id=who.id, order_id=order_id, points=350, actor=ACTOR, now=now)
    assert count.statements == 1
    assert last_entries(session, who.id) == (
        "hold",
        [("held", None, 350), ("member", old_lot, -300), ("member", young_lot, -50)],
    )
    assert remaining(session, who.id) == [150, 0]
    assert balances(session, who.id) == (150, 350, 0)
    assert queries.points_of(session, customer_id=who.id, now=now) == {
        "available": 150,
        "held": 350,
        "owed": 0,
        "pending": 0,
        "state": "active",
        "lots_open": 1,
        "next_expiry": {"points": 150, "at": now + 355 * DAY},
    }
    assert_clean(session)


def test_a_hold_of_the_whole_balance_leaves_nothing(session: Session, now: datetime) -> None:
    who, _ = customer_with(session, (200, now), (300, now))
    ledger.hold(session, customer_id=who.id, order_id=new_id(), points=500, actor=ACTOR, now=now)
    assert remaining(session, who.id) == [0, 0]
    assert balances(session, who.id) == (0, 500, 0)
    assert queries.points_of(session, customer_id=who.id, now=now) == {
        "available": 0,
        "held": 500,
        "owed": 0,
        "pending": 0,
        "state": "active",
        "lots_open": 0,
        "next_expiry": None,
    }


def test_more_than_the_balance_is_refused_with_what_is_available_and_changes_nothing(
    session: Session, now: datetime
) -> None:
    who, _ = customer_with(session, (200, now - DAY), (300, now))
    before = snapshot(session)
    with pytest.raises(ledger.InsufficientPoints) as refused:
        ledger.hold(session, customer_id=who.id, order_id=new_id(), points=501, actor=ACTOR, now=now)
    assert refused.value.extra == {"requested": 501, "available": 500}
    assert refused.value.code == "insufficient_points"
    assert snapshot(session) == before


def test_a_customer_without_an_account_has_none(session: Session, now: datetime) -> None:
    who = factories.customer(session)
    before = snapshot(session)
    with pytest.raises(ledger.InsufficientPoints) as refused:
        ledger.hold(session, customer_id=who.id, order_id=new_id(), points=1, actor=ACTOR, now=now)
    assert refused.value.extra == {"requested": 1, "available": 0}
    assert snapshot(session) == before


@pytest.mark.parametrize("points", [0, -5])
def test_a_hold_of_nothing_is_a_mistake_of_the_caller(session: Session, now: datetime, points: int) -> None:
    who, _ = customer_with(session, (200, now))
    before = snapshot(session)
    with pytest.raises(ValueError, match="one point or more"):
        ledger.hold(session, customer_id=who.id, order_id=new_id(), points=points, actor=ACTOR, now=now)
    assert snapshot(session) == before


def test_a_lot_stops_counting_the_moment_it_expires_though_the_cache_still_has_it(
    session: Session, now: datetime
) -> None:
    who, _ = customer_with(session, (200, now - 365 * DAY), (300, now - DAY))
    assert balances(session, who.id) == (500, 0, 0)
    before = snapshot(session)
    moment_before = queries.points_of(session, customer_id=who.id, now=now - timedelta(microseconds=1))
    assert moment_before["available"] == 500
    assert queries.points_of(session, customer_id=who.id, now=now)["available"] == 300
    with pytest.raises(ledger.InsufficientPoints) as refused:
        ledger.hold(session, customer_id=who.id, order_id=new_id(), points=301, actor=ACTOR, now=now)
    assert refused.value.extra == {"requested": 301, "available": 300}
    assert snapshot(session) == before
    ledger.hold(session, customer_id=who.id, order_id=new_id(), points=300, actor=ACTOR, now=now)
    assert remaining(session, who.id) == [200, 0]


def test_points_that_are_not_available_yet_do_not_count(session: Session, now: datetime) -> None:
    who, _ = customer_with(session, (200, now + DAY))
    assert queries.points_of(session, customer_id=who.id, now=now)["available"] == 0
    with pytest.raises(ledger.InsufficientPoints):
        ledger.hold(session, customer_id=who.id, order_id=new_id(), points=1, actor=ACTOR, now=now)
    ledger.hold(session, customer_id=who.id, order_id=new_id(), points=1, actor=ACTOR, now=now + DAY)
    assert balances(session, who.id) == (199, 1, 0)


def test_a_repeated_hold_changes_nothing_and_another_one_for_the_order_is_refused(
    session: Session, now: datetime
) -> None:
    who, _ = customer_with(session, (500, now))
    other, _ = customer_with(session, (500, now))
    order_id = new_id()
    ledger.hold(session, customer_id=who.id, order_id=order_id, points=400, actor=ACTOR, now=now)
    before = snapshot(session)
    # 100 are left, less than the hold: the repeat must not read as a shortage
    ledger.hold(session, customer_id=who.id, order_id=order_id, points=400, actor=ACTOR, now=now)
    assert snapshot(session) == before
    for customer_id, points in ((who.id, 50), (other.id, 400)):
        with pytest.raises(ledger.HoldExists):
            ledger.hold(session, customer_id=customer_id, order_id=order_id, points=points, actor=ACTOR, now=now)
        assert snapshot(session) == before
    ledger.release(session, order_id=order_id, actor=ACTOR, now=now)
    before = snapshot(session)
    with pytest.raises(ledger.HoldExists):
        ledger.hold(session, customer_id=who.id, order_id=order_id, points=400, actor=ACTOR, now=now)
    assert snapshot(session) == before


def test_burning_spends_the_hold_once(session: Session, now: datetime) -> None:
    who, _ = customer_with(session, (500, now))
    order_id = new_id()
    ledger.hold(session, customer_id=who.id, order_id=order_id, points=400, actor=ACTOR, now=now)
    with db.counting() as count:
        assert ledger.burn(session, order_id=order_id, actor=ACTOR, now=now) == 400
    assert count.statements == 1
    assert last_entries(session, who.id) == ("burn", [("held", None, -400), ("burned", None, 400)])
    assert balances(session, who.id) == (100, 0, 0)
    assert queries.hold_of(session, order_id=order_id) == HoldFacts(who.id, 400, 0, "burned")
    before = snapshot(session)
    assert ledger.burn(session, order_id=order_id, actor=ACTOR, now=now) == 0
    assert ledger.release(session, order_id=order_id, actor=ACTOR, now=now) == 0
    assert ledger.burn(session, order_id=new_id(), actor=ACTOR, now=now) == 0
    assert snapshot(session) == before
    assert_clean(session)


def test_releasing_gives_the_points_back_to_their_lots_once(session: Session, now: datetime) -> None:
    who, (young, old) = customer_with(session, (200, now - 10 * DAY), (300, now - 100 * DAY))
    order_id = new_id()
    ledger.hold(session, customer_id=who.id, order_id=order_id, points=350, actor=ACTOR, now=now)
    with db.counting() as count:
        assert ledger.release(session, order_id=order_id, actor=ACTOR, now=now) == 350
    assert count.statements == 1
    assert last_entries(session, who.id) == (
        "release",
        [("held", None, -350), ("member", old, 300), ("member", young, 50)],
    )
    assert remaining(session, who.id) == [200, 300]
    assert balances(session, who.id) == (500, 0, 0)
    assert queries.hold_of(session, order_id=order_id) == HoldFacts(who.id, 350, 0, "released")
    before = snapshot(session)
    assert ledger.release(session, order_id=order_id, actor=ACTOR, now=now) == 0
    assert ledger.burn(session, order_id=order_id, actor=ACTOR, now=now) == 0
    assert ledger.refund(session, order_id=order_id, points=350, key="r", actor=ACTOR, now=now) == 0
    assert snapshot(session) == before
    assert_clean(session)


def test_what_is_released_to_a_lot_that_ran_out_meanwhile_counts_for_nothing_and_expires(
    session: Session, now: datetime
) -> None:
    who, (dying, living) = customer_with(session, (200, now - 364 * DAY), (300, now))
    both, dead = new_id(), new_id()
    ledger.hold(session, customer_id=who.id, order_id=dead, points=150, actor=ACTOR, now=now)
    ledger.hold(session, customer_id=who.id, order_id=both, points=100, actor=ACTOR, now=now)
    later = now + 2 * DAY
    assert ledger.release(session, order_id=dead, actor=ACTOR, now=later) == 150
    assert ledger.release(session, order_id=both, actor=ACTOR, now=later) == 100
    assert queries.hold_of(session, order_id=dead) == HoldFacts(who.id, 150, 0, "expired")
    assert queries.hold_of(session, order_id=both) == HoldFacts(who.id, 100, 0, "released")
    assert remaining(session, who.id) == [200, 300]
    assert queries.points_of(session, customer_id=who.id, now=later)["available"] == 300
    assert ledger.expire_due(session, now=later, limit=10).customers == 1
    assert last_entries(session, who.id) == ("expire", [("expired", None, 200), ("member", dying, -200)])
    assert balances(session, who.id) == (300, 0, 0)
    assert_clean(session)
    assert living


def test_refunds_restore_the_same_slices_oldest_first_and_never_more_than_was_burned(
    session: Session, now: datetime
) -> None:
    who, (young, old) = customer_with(session, (200, now - 10 * DAY), (300, now - 100 * DAY))
    order_id = new_id()
    ledger.hold(session, customer_id=who.id, order_id=order_id, points=350, actor=ACTOR, now=now)
    before = snapshot(session)
    assert ledger.refund(session, order_id=order_id, points=10, key="early", actor=ACTOR, now=now) == 0
    assert snapshot(session) == before
    ledger.burn(session, order_id=order_id, actor=ACTOR, now=now)
    with db.counting() as count:
        assert ledger.refund(session, order_id=order_id, points=120, key="a", actor=ACTOR, now=now) == 120
    assert count.statements == 1
    assert last_entries(session, who.id) == ("refund", [("burned", None, -120), ("member", old, 120)])
    assert ledger.refund(session, order_id=order_id, points=200, key="b", actor=ACTOR, now=now) == 200
    assert last_entries(session, who.id) == (
        "refund",
        [("burned", None, -200), ("member", old, 180), ("member", young, 20)],
    )
    assert ledger.refund(session, order_id=order_id, points=1000, key="c", actor=ACTOR, now=now) == 30
    assert last_entries(session, who.id) == ("refund", [("burned", None, -30), ("member", young, 30)])
    assert remaining(session, who.id) == [200, 300]
    assert balances(session, who.id) == (500, 0, 0)
    assert queries.hold_of(session, order_id=order_id) == HoldFacts(who.id, 350, 350, "burned")
    before = snapshot(session)
    assert ledger.refund(session, order_id=order_id, points=1, key="d", actor=ACTOR, now=now) == 0
    assert snapshot(session) == before
    assert_clean(session)


def test_a_refund_with_a_used_key_answers_the_same_and_does_nothing(session: Session, now: datetime) -> None:
    who, _ = customer_with(session, (500, now))
    orders = [new_id(), new_id()]
    for order_id in orders:
        ledger.hold(session, customer_id=who.id, order_id=order_id, points=100, actor=ACTOR, now=now)
        ledger.burn(session, order_id=order_id, actor=ACTOR, now=now)
    assert ledger.refund(session, order_id=orders[0], points=40, key="once", actor=ACTOR, now=now) == 40
    before = snapshot(session)
    assert ledger.refund(session, order_id=orders[0], points=40, key="once", actor=ACTOR, now=now) == 40
    assert ledger.refund(session, order_id=orders[0], points=60, key="once", actor=ACTOR, now=now) == 40
    assert snapshot(session) == before
    with pytest.raises(ledger.KeyReused):
        ledger.refund(session, order_id=orders[1], points=40, key="once", actor=ACTOR, now=now)
    with pytest.raises(ValueError, match="zero or more"):
        ledger.refund(session, order_id=orders[1], points=-1, key="minus", actor=ACTOR, now=now)
    assert snapshot(session) == before


def test_a_refund_does_not_pay_debts(session: Session, now: datetime) -> None:
    who, _ = customer_with(session)
    bought, spent = new_id(), new_id()
    earn(session, who.id, 100, now, bought)
    ledger.hold(session, customer_id=who.id, order_id=spent, points=100, actor=ACTOR, now=now)
    ledger.burn(session, order_id=spent, actor=ACTOR, now=now)
    ledger.claw_back(session, order_id=bought, numerator=1, denominator=1, key="back", actor=ACTOR, now=now)
    assert balances(session, who.id) == (0, 0, 100)
    assert ledger.refund(session, order_id=spent, points=100, key="r", actor=ACTOR, now=now) == 100
    assert balances(session, who.id) == (100, 0, 100)
    assert_clean(session)
