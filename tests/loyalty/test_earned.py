"""Points that come and go with the goods: earn, claw back, expire; the exact entries of each."""

from datetime import datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from loyalty import jobs, ledger, queries
from loyalty.ledger import expiring
from retail.kernel import clock, db
from retail.kernel.errors import NotFound
from retail.kernel.ids import new_id
from tests import factories
from tests.loyalty.ledger_facts import (
    ACTOR,
    assert_clean,
    balances,
    customer_with,
    earn,
    last_entries,
    lots_of,
    remaining,
    snapshot,
)

DAY = timedelta(days=1)


def claw_back(session: Session, order_id: UUID, share: tuple[int, int], key: str, now: datetime) -> int:
    numerator, denominator = share
    return ledger.claw_back(
        session, order_id=order_id, numerator=numerator, denominator=denominator, key=key, actor=ACTOR, now=now
    )


def test_earning_opens_the_account_makes_a_lot_and_tells(session: Session, now: datetime) -> None:
    who, order_id = factories.customer(session), new_id()
    with db.counting() as count:
        assert earn(session, who.id, 120, now, order_id) == 120
    assert count.statements == 2  # whose account it is, locked; then everything else
    [lot_id] = lots_of(session, who.id)
    assert last_entries(session, who.id) == ("earn", [("issued", None, -120), ("member", lot_id, 120)])
    assert balances(session, who.id) == (120, 0, 0)
    lot = session.execute(text("SELECT * FROM points_lot")).one()
    assert (lot.earned, lot.remaining, lot.source, lot.source_id) == (120, 120, "order", order_id)
    assert (lot.available_from, lot.expires_at) == (now, now + 365 * DAY)
    event = session.execute(text("SELECT * FROM event")).one()
    assert (event.type, event.aggregate_id, event.party_id, event.actor) == ("PointsEarned", order_id, who.id, ACTOR)
    assert event.data == {"customer_id": str(who.id), "order_id": str(order_id), "points": 120}
    assert_clean(session)


def test_points_that_no_order_earned_are_a_grant(session: Session, now: datetime) -> None:
    who = factories.customer(session)
    assert earn(session, who.id, 50, now) == 50
    assert session.execute(text("SELECT source, source_id FROM points_lot")).one() == ("grant", None)
    assert session.execute(text("SELECT kind, reason FROM points_transaction")).one() == ("earn", "test")


def test_earning_nothing_or_less_changes_nothing(session: Session, now: datetime) -> None:
    who = factories.customer(session)
    before = snapshot(session)
    assert earn(session, who.id, 0, now) == 0
    with pytest.raises(ValueError, match="zero or more"):
        earn(session, who.id, -1, now)
    assert snapshot(session) == before


def test_nobody_earns_who_is_not_a_customer(session: Session, now: datetime) -> None:
    before = snapshot(session)
    with pytest.raises(NotFound):
        earn(session, new_id(), 10, now)
    assert snapshot(session) == before


def test_failure_14_a_retried_sale_earns_and_burns_once(session: Session, now: datetime) -> None:
    who, _ = customer_with(session, (500, now))
    sale = new_id()

    def sell() -> tuple[int, int]:
        ledger.hold(session, customer_id=who.id, order_id=sale, points=200, actor=ACTOR, now=now)
        burned = ledger.burn(session, order_id=sale, actor=ACTOR, now=now)
        earned = ledger.earn(
            session,
            customer_id=who.id,
            order_id=sale,
            points=30,
            key=f"till:7:{sale}",
            reason="carry_out",
            actor=ACTOR,
            now=now,
        )
        return burned, earned

    assert sell() == (200, 30)
    before = snapshot(session)
    assert sell() == (0, 30)
    assert snapshot(session) == before
    assert balances(session, who.id) == (330, 0, 0)
    with pytest.raises(ledger.KeyReused):
        ledger.earn(
            session,
            customer_id=who.id,
            order_id=new_id(),
            points=30,
            key=f"till:7:{sale}",
            reason="carry_out",
            actor=ACTOR,
            now=now,
        )
    assert snapshot(session) == before
    assert_clean(session)


def test_failure_13_a_full_refund_takes_back_what_the_order_earned_once(session: Session, now: datetime) -> None:
    who, (first,) = customer_with(session, (500, now - DAY))
    order_id = new_id()
    earn(session, who.id, 120, now, order_id)
    own = next(lot for lot in lots_of(session, who.id) if lot != first)
    with db.counting() as count:
        assert claw_back(session, order_id, (1980, 1980), "refund:1", now) == 120
    assert count.statements == 1
    # from the order's own lot, although the other one expires first
    assert last_entries(session, who.id) == ("claw_back", [("issued", None, 120), ("member", own, -120)])
    assert balances(session, who.id) == (500, 0, 0)
    before = snapshot(session)
    assert claw_back(session, order_id, (1980, 1980), "refund:1", now) == 120  # the same refund again
    assert claw_back(session, order_id, (1980, 1980), "refund:2", now) == 0  # nothing is left to take
    assert claw_back(session, new_id(), (1, 1), "refund:3", now) == 0  # an order that earned nothing
    assert snapshot(session) == before
    with pytest.raises(ledger.KeyReused):
        claw_back(session, new_id(), (1, 1), "refund:1", now)
    assert snapshot(session) == before
    assert_clean(session)


def test_failure_13_parts_add_up_to_the_whole_and_never_to_more(session: Session, now: datetime) -> None:
    who, order_id = factories.customer(session), new_id()
    earn(session, who.id, 100, now, order_id)
    assert [claw_back(session, order_id, (part, 3), f"refund:{part}", now) for part in (1, 2, 3)] == [33, 33, 34]
    assert claw_back(session, order_id, (3, 3), "refund:4", now) == 0
    assert balances(session, who.id) == (0, 0, 0)
    assert_clean(session)


def test_a_share_that_is_worth_less_than_a_point_takes_nothing_yet(session: Session, now: datetime) -> None:
    who, order_id = factories.customer(session), new_id()
    earn(session, who.id, 9, now, order_id)
    before = snapshot(session)
    assert claw_back(session, order_id, (1, 10), "a", now) == 0
    assert claw_back(session, order_id, (0, 10), "b", now) == 0
    assert snapshot(session) == before
    assert claw_back(session, order_id, (2, 10), "c", now) == 1


@pytest.mark.parametrize("share", [(2, 1), (-1, 1), (0, 0)])
def test_a_share_outside_zero_and_one_is_a_mistake_of_the_caller(
    session: Session, now: datetime, share: tuple[int, int]
) -> None:
    who, order_id = factories.customer(session), new_id()
    earn(session, who.id, 9, now, order_id)
    before = snapshot(session)
    with pytest.raises(ValueError, match="between 0 and 1"):
        claw_back(session, order_id, share, "a", now)
    assert snapshot(session) == before


def test_what_the_balance_lacks_is_owed_and_netted_against_what_is_earned_next(session: Session, now: datetime) -> None:
    who, order_id = factories.customer(session), new_id()
    earn(session, who.id, 100, now, order_id)
    ledger.hold(session, customer_id=who.id, order_id=new_id(), points=70, actor=ACTOR, now=now)
    [lot] = lots_of(session, who.id)
    assert claw_back(session, order_id, (1, 1), "refund:1", now) == 100
    assert last_entries(session, who.id) == (
        "claw_back",
        [("issued", None, 100), ("owed", None, -70), ("member", lot, -30)],
    )
    assert balances(session, who.id) == (0, 70, 70)
    assert_clean(session)
    assert earn(session, who.id, 50, now) == 50
    assert last_entries(session, who.id) == ("earn", [("issued", None, -50), ("owed", None, 50)])
    assert balances(session, who.id) == (0, 70, 20)
    assert earn(session, who.id, 50, now) == 50
    lot = session.execute(text("SELECT id FROM points_lot WHERE remaining > 0")).scalar_one()
    assert last_entries(session, who.id) == (
        "earn",
        [("issued", None, -50), ("owed", None, 20), ("member", lot, 30)],
    )
    assert balances(session, who.id) == (30, 70, 0)
    assert queries.points_of(session, customer_id=who.id, now=now)["owed"] == 0
    assert_clean(session)


def test_a_claw_back_does_not_touch_what_has_expired(session: Session, now: datetime) -> None:
    who, order_id = factories.customer(session), new_id()
    earn(session, who.id, 100, now - 365 * DAY, order_id)
    earn(session, who.id, 30, now - DAY)
    assert claw_back(session, order_id, (1, 1), "refund:1", now) == 100
    assert remaining(session, who.id) == [100, 0]
    assert balances(session, who.id) == (100, 0, 70)
    assert ledger.expire_due(session, now=now, limit=10).customers == 1
    assert balances(session, who.id) == (0, 0, 70)
    assert_clean(session)


def test_expiry_books_each_customer_once_and_only_what_has_passed(session: Session, now: datetime) -> None:
    long_ago = now - 365 * DAY
    anna, (anna_old, anna_older, _) = customer_with(
        session, (10, long_ago), (20, long_ago - DAY), (40, long_ago + timedelta(microseconds=1))
    )
    berta, _ = customer_with(session, (5, long_ago))
    clara, _ = customer_with(session, (7, now))
    with db.counting() as count:
        assert ledger.expire_due(session, now=now, limit=100).customers == 2
    assert count.statements == 2
    assert last_entries(session, anna.id) == (
        "expire",
        [("expired", None, 30), ("member", anna_older, -20), ("member", anna_old, -10)],
    )
    assert balances(session, anna.id) == (40, 0, 0)
    assert balances(session, berta.id) == (0, 0, 0)
    assert balances(session, clara.id) == (7, 0, 0)
    before = snapshot(session)
    assert ledger.expire_due(session, now=now, limit=100).customers == 0
    assert snapshot(session) == before
    assert_clean(session)


def test_the_job_expires_batch_by_batch_until_nothing_is_left(
    session: Session, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expiring, "BATCH_LOTS", 2)
    customers = [customer_with(session, (points, now))[0] for points in (10, 20, 30, 40, 50)]
    assert jobs.expire_points() == 0
    with clock.shifted(365 * DAY):
        assert jobs.expire_points() == 5
        assert jobs.expire_points() == 0
    assert [balances(session, who.id) for who in customers] == [(0, 0, 0)] * 5
    assert_clean(session)


def test_the_database_refuses_entries_that_do_not_balance_or_change(session: Session, now: datetime) -> None:
    who, (lot,) = customer_with(session, (10, now))
    before = snapshot(session)
    for statement in (
        "INSERT INTO points_entry SELECT id, 9, 'member', customer_id, NULL, 5 FROM points_transaction",
        "UPDATE points_entry SET points = points * 2",
        "DELETE FROM points_transaction",
        "UPDATE points_lot SET remaining = -1",
        "UPDATE points_lot SET remaining = 11",
        "UPDATE points_account SET available = -1",
        "UPDATE points_account SET held = -1",
        "UPDATE points_account SET owed = -1",
    ):
        with pytest.raises(IntegrityError), session.begin_nested():
            session.execute(text(statement))
    assert snapshot(session) == before
    assert remaining(session, who.id) == [10]
    assert lot
