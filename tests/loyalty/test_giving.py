"""Points that one member gives to another, and what an agent gives: the ledger's part."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from loyalty import ledger
from retail import limits
from retail.kernel.errors import NotFound
from retail.kernel.ids import new_id
from tests.loyalty.ledger_facts import ACTOR, assert_clean, balances, customer_with, last_entries, lots_of, snapshot

DAY = timedelta(days=1)


def test_points_given_on_keep_their_dates(session: Session, now: datetime) -> None:
    giver, (old, new) = customer_with(session, (60, now - DAY), (40, now))
    receiver, _ = customer_with(session)
    transfer_id = new_id()
    ledger.transfer(
        session, transfer_id=transfer_id, from_id=giver.id, to_id=receiver.id, points=70, key="t", actor=ACTOR, now=now
    )
    assert (balances(session, giver.id), balances(session, receiver.id)) == ((30, 0, 0), (70, 0, 0))
    assert last_entries(session, giver.id) == (
        "transfer",
        [("transferred", None, 70), ("member", old, -60), ("member", new, -10)],
    )
    [first, second] = lots_of(session, receiver.id)
    kind, sides = last_entries(session, receiver.id)
    assert (kind, sides[0]) == ("transfer", ("transferred", None, -70))
    assert {(side[1], side[2]) for side in sides[1:]} in ({(first, 60), (second, 10)}, {(second, 60), (first, 10)})
    dates = "SELECT earned, source, source_id, available_from, expires_at FROM points_lot WHERE customer_id = :id ORDER BY expires_at"
    assert [tuple(row) for row in session.execute(text(dates), {"id": receiver.id})] == [
        (60, "transfer", transfer_id, now - DAY, now + 364 * DAY),
        (10, "transfer", transfer_id, now, now + 365 * DAY),
    ]
    assert_clean(session)


def test_a_transfer_that_cannot_be_changes_nothing(session: Session, now: datetime) -> None:
    giver, _ = customer_with(session, (60, now))
    receiver, _ = customer_with(session, (5, now))
    blocked, _ = customer_with(session, (5, now))
    session.execute(text("UPDATE points_account SET state = 'blocked' WHERE customer_id = :id"), {"id": blocked.id})
    before = snapshot(session)
    for from_id, to_id, points, error in (
        (giver.id, receiver.id, 61, ledger.InsufficientPoints),
        (giver.id, giver.id, 1, ledger.GivenToHerself),
        (giver.id, blocked.id, 1, ledger.AccountBlocked),
        (blocked.id, giver.id, 1, ledger.AccountBlocked),
        (giver.id, new_id(), 1, NotFound),
        (giver.id, receiver.id, 0, ValueError),
    ):
        with pytest.raises(error):
            ledger.transfer(
                session,
                transfer_id=new_id(),
                from_id=from_id,
                to_id=to_id,
                points=points,
                key="t",
                actor=ACTOR,
                now=now,
            )
    assert snapshot(session) == before


def test_goodwill_is_a_lot_of_its_own_and_nets_no_debt(session: Session, now: datetime) -> None:
    who, _ = customer_with(session, (10, now))
    session.execute(text("UPDATE points_account SET owed = 5 WHERE customer_id = :id"), {"id": who.id})
    gift = new_id()
    for _ in range(2):  # once, with one key
        given = ledger.give(
            session, customer_id=who.id, points=30, gift_id=gift, key="gift:1", reason="late", actor=ACTOR, now=now
        )
        assert given == 30
    kind, sides = last_entries(session, who.id)
    assert (kind, [(account, points) for account, _, points in sides]) == (
        "goodwill",
        [("goodwill", -30), ("member", 30)],
    )
    assert balances(session, who.id) == (40, 0, 5)


def test_a_blocked_member_gets_no_goodwill_and_spends_nothing_but_earns(session: Session, now: datetime) -> None:
    who, _ = customer_with(session, (100, now))
    session.execute(text("UPDATE points_account SET state = 'blocked' WHERE customer_id = :id"), {"id": who.id})
    before = snapshot(session)
    with pytest.raises(ledger.AccountBlocked):
        ledger.give(session, customer_id=who.id, points=1, gift_id=new_id(), key="g", reason="", actor=ACTOR, now=now)
    for take in (ledger.hold, ledger.spend):
        with pytest.raises(ledger.AccountBlocked):
            take(session, customer_id=who.id, order_id=new_id(), points=1, actor=ACTOR, now=now)
    assert snapshot(session) == before
    assert (
        ledger.earn(session, customer_id=who.id, order_id=None, points=5, key="e", reason="", actor=ACTOR, now=now) == 5
    )
    assert_clean(session)


def test_more_than_anybody_earns_is_refused(session: Session, now: datetime) -> None:
    who, _ = customer_with(session)
    before = snapshot(session)
    with pytest.raises(ledger.TooManyPoints):
        ledger.earn(
            session, customer_id=who.id, order_id=None, points=limits.POINTS_PER_EARNING + 1,
            key="e", reason="", actor=ACTOR, now=now,
        )  # fmt: skip
    assert snapshot(session)[1:] == before[1:]  # her account was opened for the look at it, and is empty


def test_grants_become_lots_with_their_dates_and_reasons_must_explain_them(session: Session, now: datetime) -> None:
    who, _ = customer_with(session)
    grants = [ledger.Grant(30, now, now + DAY), ledger.Grant(20, now + DAY, now + 9 * DAY)]
    reasons = [ledger.Reason(None, "base", 0, 30, 3000), ledger.Reason(None, "tea", 2, 20, 1)]
    with pytest.raises(ValueError, match="explain"):
        ledger.earn(
            session, customer_id=who.id, order_id=None, points=50, key="e", reason="", actor=ACTOR, now=now,
            grants=grants, reasons=reasons[:1],
        )  # fmt: skip
    with pytest.raises(ValueError, match="add up"):
        ledger.earn(
            session,
            customer_id=who.id,
            order_id=None,
            points=51,
            key="e",
            reason="",
            actor=ACTOR,
            now=now,
            grants=grants,
        )
    assert (
        ledger.earn(
            session, customer_id=who.id, order_id=None, points=50, key="e", reason="", actor=ACTOR, now=now,
            grants=grants, reasons=reasons, spend_minor=3000,
        )
        == 50
    )  # fmt: skip
    lots = session.execute(text("SELECT earned, available_from, expires_at FROM points_lot ORDER BY expires_at")).all()
    assert [tuple(lot) for lot in lots] == [(30, now, now + DAY), (20, now + DAY, now + 9 * DAY)]
    stored = session.execute(text("SELECT rule_code, rule_version, points, basis FROM points_reason ORDER BY position"))
    assert [tuple(row) for row in stored] == [("base", 0, 30, 3000), ("tea", 2, 20, 1)]
    assert session.execute(text("SELECT spend_minor FROM points_transaction")).scalar_one() == 3000
    assert_clean(session)


def test_spending_at_once_is_hold_and_burn_in_one_statement(session: Session, now: datetime) -> None:
    who, (lot,) = customer_with(session, (100, now))
    order_id = new_id()
    ledger.spend(session, customer_id=who.id, order_id=order_id, points=70, actor=ACTOR, now=now)
    ledger.spend(session, customer_id=who.id, order_id=order_id, points=70, actor=ACTOR, now=now)  # changes nothing
    assert balances(session, who.id) == (30, 0, 0)
    assert_clean(session)
    assert ledger.refund(session, order_id=order_id, points=70, key="r", actor=ACTOR, now=now) == 70
    assert balances(session, who.id) == (100, 0, 0)
    assert lots_of(session, who.id) == [lot]


def test_returned_goods_take_their_spend_along(session: Session, now: datetime) -> None:
    who, order_id = customer_with(session)[0], new_id()
    ledger.earn(
        session,
        customer_id=who.id,
        order_id=order_id,
        points=10,
        key="e",
        reason="",
        actor=ACTOR,
        now=now,
        spend_minor=999,
    )
    for number in range(1, 4):
        ledger.claw_back(
            session, order_id=order_id, numerator=number, denominator=3, key=f"c{number}", actor=ACTOR, now=now
        )
    rows = session.execute(text("SELECT spend_minor FROM points_transaction ORDER BY seq")).scalars().all()
    assert rows == [999, -333, -333, -333]
    told = session.execute(text("SELECT data FROM event WHERE type = 'PointsClawedBack' ORDER BY seq")).scalars().all()
    assert [(one["points"], one["owed"], one["customer_id"]) for one in told] == [
        (3, 0, str(who.id)),
        (3, 0, str(who.id)),
        (4, 0, str(who.id)),
    ]
    assert_clean(session)
