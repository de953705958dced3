"""The nightly expiry: in batches that look at each lot once, and that wait for nobody."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from loyalty import jobs, ledger
from retail.kernel import clock, db
from retail.kernel.ids import new_id
from tests.loyalty.ledger_facts import ACTOR, assert_clean, balances, customer_with, remaining, snapshot
from tests.races.interleaving import Other

DAY = timedelta(days=1)


def test_batches_go_through_the_lots_of_one_moment_too(session: Session, now: datetime) -> None:
    people = [customer_with(session, (points, now - 365 * DAY))[0] for points in range(1, 8)]
    reached: Any = None
    booked = []
    while True:
        with db.counting() as count:
            swept = ledger.expire_due(session, now=now, limit=3, after=reached)
        booked.append(swept.customers)
        reached = swept.reached
        assert swept.busy == 0
        if reached is None:
            assert count.statements == 1
            break
        assert count.statements == 2
    assert booked == [3, 3, 1, 0]
    assert [balances(session, who.id) for who in people] == [(0, 0, 0)] * 7
    assert_clean(session)


def test_a_run_does_not_look_again_at_what_lies_behind_it(session: Session, now: datetime) -> None:
    customer_with(session, (5, now - 366 * DAY))
    late, _ = customer_with(session, (7, now - 365 * DAY))
    first = ledger.expire_due(session, now=now, limit=1)
    early, _ = customer_with(session, (9, now - 367 * DAY))  # as if it had been given back meanwhile
    assert ledger.expire_due(session, now=now, limit=5, after=first.reached).customers == 1
    assert (balances(session, late.id), balances(session, early.id)) == ((0, 0, 0), (9, 0, 0))
    assert ledger.expire_due(session, now=now, limit=5).customers == 1  # the next run does
    assert_clean(session)


@pytest.mark.committed
@pytest.mark.races
def test_expiry_leaves_out_who_is_buying_and_waits_for_nobody(session: Session, now: datetime) -> None:
    busy, _ = customer_with(session, (100, now - 365 * DAY), (50, now))
    idle, _ = customer_with(session, (30, now - 365 * DAY))
    order_id = new_id()
    with db.transaction() as buying:
        ledger.hold(buying, customer_id=busy.id, order_id=order_id, points=20, actor=ACTOR, now=now)
        swept = Other(lambda inside: ledger.expire_due(inside, now=now, limit=10)).result()
        assert (swept.customers, swept.busy) == (1, 1)
        assert swept.reached is not None
        again = Other(lambda inside: ledger.expire_due(inside, now=now, limit=10, after=swept.reached)).result()
        assert (again.customers, again.busy, again.reached) == (0, 0, None)  # the run ends, though one is left
    assert balances(session, idle.id) == (0, 0, 0)
    assert remaining(session, busy.id) == [100, 30]
    assert_clean(session)
    assert jobs.expire_points() == 1
    assert remaining(session, busy.id) == [0, 30]
    assert balances(session, busy.id) == (30, 20, 0)
    assert_clean(session)


@pytest.mark.committed
@pytest.mark.races
def test_a_purchase_that_waits_for_a_batch_sees_what_is_left(session: Session, now: datetime) -> None:
    who, _ = customer_with(session, (100, now - 365 * DAY), (50, now))
    order_id = new_id()

    def buy(inside: Session) -> None:
        ledger.hold(inside, customer_id=who.id, order_id=order_id, points=50, actor=ACTOR, now=now)

    with db.transaction() as sweeping:
        assert ledger.expire_due(sweeping, now=now, limit=10).customers == 1
        other = Other(buy)
        assert other.waits()
    other.result()
    assert remaining(session, who.id) == [0, 0]
    assert balances(session, who.id) == (0, 50, 0)
    assert_clean(session)


def test_nothing_to_expire_changes_nothing(session: Session, now: datetime) -> None:
    customer_with(session, (5, now))
    before = snapshot(session)
    assert jobs.expire_points() == 0
    assert snapshot(session) == before
    with clock.shifted(365 * DAY):
        assert jobs.expire_points() == 1
    assert session.execute(text("SELECT count(*) FROM points_lot WHERE remaining > 0")).scalar_one() == 0
