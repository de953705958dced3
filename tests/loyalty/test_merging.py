"""Two members become one and two again: the ledger's part of it."""

from datetime import datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from loyalty import ledger, queries
from retail.kernel.ids import new_id
from tests.loyalty.ledger_facts import ACTOR, assert_clean, balances, customer_with, earn, remaining, snapshot

DAY = timedelta(days=1)


def merge(session: Session, gone: UUID, stays: UUID, now: datetime) -> UUID:
    merge_id = new_id()
    session.execute(text("UPDATE customer SET merged_into = :stays WHERE id = :gone"), {"stays": stays, "gone": gone})
    ledger.merge(session, gone_id=gone, stays_id=stays, merge_id=merge_id, actor=ACTOR, now=now)
    assert_clean(session)
    return merge_id


def unmerge(session: Session, gone: UUID, stays: UUID, merge_id: UUID, now: datetime) -> None:
    session.execute(text("UPDATE customer SET merged_into = NULL WHERE id = :gone"), {"gone": gone})
    ledger.unmerge(
        session, gone_id=gone, stays_id=stays, also=(), merge_id=merge_id, merged_at=now, actor=ACTOR, now=now
    )
    assert_clean(session)


def hold(session: Session, customer_id: UUID, points: int, now: datetime) -> UUID:
    order_id = new_id()
    ledger.hold(session, customer_id=customer_id, order_id=order_id, points=points, actor=ACTOR, now=now)
    return order_id


def state_of(session: Session, customer_id: UUID) -> str:
    statement = text("SELECT state FROM points_account WHERE customer_id = :id")
    return str(session.execute(statement, {"id": customer_id}).scalar_one())


def test_lots_and_debts_move_by_paired_entries_and_back(session: Session, now: datetime) -> None:
    gone, (old, new) = customer_with(session, (60, now - DAY), (40, now))
    stays, (own,) = customer_with(session, (500, now))
    bought = new_id()
    earn(session, gone.id, 30, now, bought)
    spent = hold(session, gone.id, 130, now)
    ledger.claw_back(session, order_id=bought, numerator=1, denominator=1, key="back", actor=ACTOR, now=now)
    ledger.release(session, order_id=spent, actor=ACTOR, now=now)
    assert balances(session, gone.id) == (130, 0, 30)
    before = snapshot(session)
    merge_id = merge(session, gone.id, stays.id, now)
    assert balances(session, gone.id) == (0, 0, 0)
    assert balances(session, stays.id) == (630, 0, 30)
    assert state_of(session, gone.id) == "merged"
    sides = session.execute(
        text(
            "SELECT t.customer_id, e.account, e.points FROM points_transaction AS t JOIN points_entry AS e ON e.transaction_id = t.id"
            " WHERE t.kind = 'merge' ORDER BY t.seq, e.position"
        )
    ).all()
    per: dict[UUID, list[tuple[str, int]]] = {}
    for row in sides:
        per.setdefault(row.customer_id, []).append((row.account, row.points))
    out = [("merged", 100), ("owed", 30), ("member", -60), ("member", -40), ("member", -30)]
    assert per[gone.id] == out
    assert per[stays.id] == [(account, -points) for account, points in out]
    assert {old, new, own} <= {
        row.id for row in session.execute(text("SELECT id FROM points_lot WHERE customer_id = :id"), {"id": stays.id})
    }
    unmerge(session, gone.id, stays.id, merge_id, now)
    after = snapshot(session)
    assert after[:4] == before[:4]  # accounts, lots, holds, slices: row by row
    statement = "SELECT customer_id, sum(points) FROM points_entry WHERE account = 'merged' GROUP BY 1"
    assert {row.customer_id: row.sum for row in session.execute(text(statement)).all()} == {gone.id: 0, stays.id: 0}
    assert balances(session, gone.id) == (130, 0, 30)


def test_who_has_nothing_is_merged_without_an_entry(session: Session, now: datetime) -> None:
    gone, _ = customer_with(session)
    stays, _ = customer_with(session, (10, now))
    merge_id = merge(session, gone.id, stays.id, now)
    assert session.execute(text("SELECT count(*) FROM points_transaction WHERE kind = 'merge'")).scalar_one() == 0
    assert state_of(session, gone.id) == "merged"
    unmerge(session, gone.id, stays.id, merge_id, now)
    assert state_of(session, gone.id) == "active"


def test_joint_points_are_spent_from_the_lots_that_expire_first(session: Session, now: datetime) -> None:
    gone, _ = customer_with(session, (60, now - DAY))
    stays, _ = customer_with(session, (40, now))
    merge_id = merge(session, gone.id, stays.id, now)
    order_id = hold(session, gone.id, 80, now)  # named by the merged record: the survivor's points
    assert queries.hold_of(session, order_id=order_id) == queries.HoldFacts(stays.id, 80, 0, "open")
    assert balances(session, stays.id) == (20, 80, 0)
    ledger.burn(session, order_id=order_id, actor=ACTOR, now=now)
    unmerge(session, gone.id, stays.id, merge_id, now)
    assert (remaining(session, gone.id), remaining(session, stays.id)) == ([0], [20])
    assert ledger.refund(session, order_id=order_id, points=70, key="refund", actor=ACTOR, now=now) == 70
    assert_clean(session)  # the same slices get them back, whoever owns them now
    assert (balances(session, gone.id), balances(session, stays.id)) == ((60, 0, 0), (30, 0, 0))
    newest = queries.entries_of(session, customer_id=stays.id, before=None, limit=1)[0]
    assert (newest["kind"], newest["points"]) == ("refund", 10)  # what came back to the other is not told as hers


def test_what_was_held_before_comes_back_to_its_lots_wherever_they_are(session: Session, now: datetime) -> None:
    gone, _ = customer_with(session, (60, now))
    stays, _ = customer_with(session, (40, now))
    order_id = hold(session, gone.id, 50, now)
    merge_id = merge(session, gone.id, stays.id, now)
    assert queries.points_of(session, customer_id=stays.id, now=now)["held"] == 50
    assert ledger.release(session, order_id=order_id, actor=ACTOR, now=now) == 50
    assert_clean(session)
    assert (balances(session, gone.id), balances(session, stays.id)) == ((0, 0, 0), (100, 0, 0))
    unmerge(session, gone.id, stays.id, merge_id, now)
    assert (balances(session, gone.id), balances(session, stays.id)) == ((60, 0, 0), (40, 0, 0))


def test_what_is_earned_meanwhile_follows_the_record_that_earned_it(session: Session, now: datetime) -> None:
    gone, _ = customer_with(session, (60, now))
    stays, _ = customer_with(session, (40, now))
    merge_id = merge(session, gone.id, stays.id, now)
    mine, hers = new_id(), new_id()
    earn(session, gone.id, 7, now, mine)
    earn(session, stays.id, 5, now, hers)
    assert balances(session, stays.id) == (112, 0, 0)
    assert ledger.claw_back(session, order_id=mine, numerator=1, denominator=7, key="c", actor=ACTOR, now=now) == 1
    unmerge(session, gone.id, stays.id, merge_id, now)
    assert (balances(session, gone.id), balances(session, stays.id)) == ((66, 0, 0), (45, 0, 0))
    assert ledger.claw_back(session, order_id=mine, numerator=1, denominator=1, key="d", actor=ACTOR, now=now) == 6
    assert (balances(session, gone.id), balances(session, stays.id)) == ((60, 0, 0), (45, 0, 0))
    assert_clean(session)


def test_a_debt_goes_back_to_who_made_it(session: Session, now: datetime) -> None:
    gone, _ = customer_with(session)
    stays, _ = customer_with(session)
    merge_id = merge(session, gone.id, stays.id, now)
    order_id = new_id()
    earn(session, gone.id, 50, now, order_id)
    spent = hold(session, stays.id, 50, now)
    ledger.burn(session, order_id=spent, actor=ACTOR, now=now)
    ledger.claw_back(session, order_id=order_id, numerator=1, denominator=1, key="c", actor=ACTOR, now=now)
    assert balances(session, stays.id) == (0, 0, 50)
    unmerge(session, gone.id, stays.id, merge_id, now)
    assert (balances(session, gone.id), balances(session, stays.id)) == ((0, 0, 50), (0, 0, 0))


@pytest.mark.parametrize("blocked", ["gone", "stays"])
def test_a_blocked_member_is_not_merged(session: Session, now: datetime, blocked: str) -> None:
    gone, _ = customer_with(session, (60, now))
    stays, _ = customer_with(session, (40, now))
    who = gone if blocked == "gone" else stays
    session.execute(text("UPDATE points_account SET state = 'blocked' WHERE customer_id = :id"), {"id": who.id})
    before = snapshot(session)
    with pytest.raises(ledger.AccountBlocked):
        ledger.merge(session, gone_id=gone.id, stays_id=stays.id, merge_id=new_id(), actor=ACTOR, now=now)
    assert snapshot(session) == before


def test_a_debt_made_while_the_survivor_was_merged_herself_goes_back_to_who_made_it(
    session: Session, now: datetime
) -> None:
    one, _ = customer_with(session)
    two, _ = customer_with(session)
    three, _ = customer_with(session)
    bought = new_id()
    earn(session, one.id, 50, now, bought)
    spent = hold(session, one.id, 50, now)
    ledger.burn(session, order_id=spent, actor=ACTOR, now=now)
    first = merge(session, one.id, two.id, now)
    session.execute(text("UPDATE customer SET merged_into = :to WHERE id = :id"), {"to": three.id, "id": one.id})
    second = merge(session, two.id, three.id, now)
    ledger.claw_back(session, order_id=bought, numerator=1, denominator=1, key="c", actor=ACTOR, now=now)
    session.execute(text("UPDATE customer SET merged_into = :to WHERE id = :id"), {"to": two.id, "id": one.id})
    session.execute(text("UPDATE customer SET merged_into = NULL WHERE id = :id"), {"id": two.id})
    ledger.unmerge(
        session, gone_id=two.id, stays_id=three.id, also=[one.id], merge_id=second, merged_at=now, actor=ACTOR, now=now
    )
    assert balances(session, two.id) == (0, 0, 50)
    unmerge(session, one.id, two.id, first, now)
    assert [balances(session, who.id)[2] for who in (one, two, three)] == [50, 0, 0]


def test_a_debt_of_a_request_that_waited_for_the_merge_goes_back_too(session: Session, now: datetime) -> None:
    """Its moment is before the merge's; the order of the books counts."""
    gone, _ = customer_with(session, (30, now))
    stays, _ = customer_with(session)
    bought = new_id()
    earn(session, gone.id, 50, now, bought)
    merge_id = merge(session, gone.id, stays.id, now)
    spent = hold(session, stays.id, 80, now)
    ledger.burn(session, order_id=spent, actor=ACTOR, now=now)
    ledger.claw_back(session, order_id=bought, numerator=1, denominator=1, key="c", actor=ACTOR, now=now - DAY)
    unmerge(session, gone.id, stays.id, merge_id, now)
    assert (balances(session, gone.id), balances(session, stays.id)) == ((0, 0, 50), (0, 0, 0))


def test_a_debt_of_a_merge_that_was_undone_is_not_counted_twice(session: Session, now: datetime) -> None:
    gone, _ = customer_with(session, (30, now))
    stays, _ = customer_with(session)
    theirs, hers = new_id(), new_id()
    earn(session, gone.id, 50, now, hers)
    earn(session, stays.id, 70, now, theirs)
    first = merge(session, gone.id, stays.id, now)
    spent = hold(session, stays.id, 150, now)
    ledger.burn(session, order_id=spent, actor=ACTOR, now=now)
    for key, order_id in (("c", hers), ("d", theirs)):
        ledger.claw_back(session, order_id=order_id, numerator=1, denominator=1, key=key, actor=ACTOR, now=now)
    unmerge(session, gone.id, stays.id, first, now)
    assert (balances(session, gone.id), balances(session, stays.id)) == ((0, 0, 50), (0, 0, 70))
    again = merge(session, gone.id, stays.id, now)
    unmerge(session, gone.id, stays.id, again, now)
    assert (balances(session, gone.id), balances(session, stays.id)) == ((0, 0, 50), (0, 0, 70))
