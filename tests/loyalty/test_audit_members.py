"""The audit names what the members' tables say otherwise than the ledger; a person puts it right."""

from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from loyalty import audit, ledger
from loyalty.ledger import Reason
from retail.kernel.ids import new_id
from tests import factories
from tests.loyalty import tier_facts
from tests.loyalty.ledger_facts import ACTOR, assert_clean, customer_with, lots_of

DAY = timedelta(days=1)


def found(session: Session) -> list[tuple[str, str, str, str]]:
    everything = list(audit.divergences(session))
    assert all(one.repair is None for one in everything)
    return [(one.ledger, one.key, one.stored, one.rebuilt) for one in everything]


@pytest.fixture
def edit(session: Session) -> Callable[..., None]:
    """Change rows behind everybody's back; rolled back with the test."""

    def change(table: str, statement: str, **params: object) -> None:
        session.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER USER"))
        session.execute(text(statement), params)

    return change


def test_reasons_that_do_not_explain_what_was_earned(
    session: Session, now: datetime, edit: Callable[..., None]
) -> None:
    who = factories.customer(session)
    reasons = [Reason(None, "base", 0, 20, 2000), Reason(None, "tea", 1, 10, 3)]
    ledger.earn(
        session, customer_id=who.id, order_id=new_id(), points=30, key="k", reason="t", actor=ACTOR, now=now, reasons=reasons
    )  # fmt: skip
    assert_clean(session)
    edit("points_reason", "UPDATE points_reason SET points = 11 WHERE rule_code = 'tea'")
    assert found(session) == [("points_reason", "earn k", "explains 31", "issued 30")]


def test_lots_that_lie_with_the_wrong_member(session: Session, now: datetime, edit: Callable[..., None]) -> None:
    gone, (lot,) = customer_with(session, (60, now))
    stays, (own,) = customer_with(session, (40, now))
    statement = "UPDATE customer SET merged_into = :stays WHERE id = :gone"
    session.execute(text(statement), {"stays": stays.id, "gone": gone.id})
    assert found(session) == [("points_account", str(gone.id), "active", f"the customer is merged into {stays.id}")]
    ledger.merge(session, gone_id=gone.id, stays_id=stays.id, merge_id=new_id(), actor=ACTOR, now=now)
    assert_clean(session)
    edit(
        "points_lot",
        "UPDATE points_lot SET member_id = NULL, customer_id = :gone WHERE id = :lot",
        gone=gone.id,
        lot=lot,
    )
    assert found(session) == [
        ("points_lot", str(lot), f"of {gone.id} (merged), by right of None", "a merged member owns no lot")
    ]
    other, _ = customer_with(session, (1, now))
    edit(
        "points_lot",
        "UPDATE points_lot SET member_id = :gone, customer_id = :other WHERE id = :lot",
        gone=gone.id,
        other=other.id,
        lot=lot,
    )
    assert found(session) == [
        ("points_lot", str(lot), f"of {other.id} (active), by right of {gone.id}", f"merged into {stays.id}")
    ]
    assert lots_of(session, stays.id) == [own]


def test_an_account_that_is_merged_without_its_customer(session: Session, now: datetime) -> None:
    who, _ = customer_with(session)
    row = {"id": who.id, "at": now}
    session.execute(text("INSERT INTO points_account (customer_id, opened_at, state) VALUES (:id, :at, 'merged')"), row)
    assert found(session) == [("points_account", str(who.id), "merged", "the customer is active")]


def give_on(session: Session, giver: UUID, receiver: UUID, points: int, now: datetime) -> UUID:
    transfer_id = new_id()
    ledger.transfer(
        session, transfer_id=transfer_id, from_id=giver, to_id=receiver, points=points, key=f"transfer:{transfer_id}",
        actor=ACTOR, now=now,
    )  # fmt: skip
    return transfer_id


def test_transfers_that_do_not_equal_their_pair(session: Session, now: datetime, edit: Callable[..., None]) -> None:
    giver, _ = customer_with(session, (60, now))
    receiver, _ = customer_with(session, (40, now))
    transfer_id = give_on(session, giver.id, receiver.id, 25, now)
    assert_clean(session)
    row = {"id": transfer_id, "giver": giver.id, "receiver": receiver.id, "at": now}
    session.execute(
        text(
            "INSERT INTO points_transfer (id, from_id, to_id, points, to_hint, actor, at)"
            " VALUES (:id, :giver, :receiver, 25, '', 'test', :at)"
        ),
        row,
    )
    assert_clean(session)
    edit("points_transfer", "UPDATE points_transfer SET points = 26")
    assert found(session) == [("points_transfer", str(transfer_id), "points 26", "given 25, received 25")]
    edit("points_transfer", "UPDATE points_transfer SET points = 25")
    # one half is gone, with its lot and what it did to the balance
    edit(
        "points_entry",
        "DELETE FROM points_entry WHERE customer_id = :id AND transaction_id IN (SELECT id FROM points_transaction WHERE kind = 'transfer')",
        id=receiver.id,
    )
    edit(
        "points_transaction",
        "DELETE FROM points_transaction WHERE customer_id = :id AND kind = 'transfer'",
        id=receiver.id,
    )
    session.execute(text("DELETE FROM points_lot WHERE source = 'transfer'"))
    session.execute(text("UPDATE points_account SET available = 40 WHERE customer_id = :id"), {"id": receiver.id})
    assert found(session) == [
        ("points_entry", "transferred", "sum 25", "sum 0: points only pass through"),
        ("points_transfer", str(transfer_id), "points 25", "given 25, received 0"),
    ]


@pytest.mark.parametrize(
    ("state", "points", "wrong"), [("given", 60, "given, points 60"), ("declined", 50, "declined, points 50")]
)
def test_gifts_that_were_booked_otherwise(session: Session, now: datetime, state: str, points: int, wrong: str) -> None:
    who, _ = customer_with(session, (1, now))
    gift = new_id()
    row = {"id": gift, "who": who.id, "at": now}
    session.execute(
        text(
            "INSERT INTO goodwill_gift (id, customer_id, points, reason, state, asked_by, asked_at, decided_by, decided_at)"
            " VALUES (:id, :who, 50, 'late', 'given', 'a', :at, 'b', :at)"
        ),
        row,
    )
    assert found(session) == [("goodwill_gift", str(gift), "given, points 50", "booked 0")]
    ledger.give(
        session, customer_id=who.id, points=50, gift_id=gift, key=f"goodwill:{gift}", reason="late", actor=ACTOR, now=now
    )  # fmt: skip
    assert_clean(session)
    session.execute(
        text("UPDATE goodwill_gift SET state = :state, points = :points"), {"state": state, "points": points}
    )
    assert found(session) == [("goodwill_gift", str(gift), wrong, "booked 50")]


def test_a_tier_that_no_change_explains(session: Session, now: datetime, edit: Callable[..., None]) -> None:
    tier_facts.program(session)
    who = tier_facts.member(session, now)
    for at, before, after in ((now - DAY, None, "gold"), (now, "gold", "silver")):
        session.execute(
            text(
                "INSERT INTO tier_change (id, customer_id, from_code, to_code, reason, figure, actor, at)"
                " VALUES (:id, :who, :before, :after, 'staff', 0, 'test', :at)"
            ),
            {"id": new_id(), "who": who, "before": before, "after": after, "at": at},
        )
    assert found(session) == [("member_tier", str(who), "none", "last change: silver")]
    session.execute(
        text("INSERT INTO member_tier (customer_id, tier_code, since) VALUES (:who, 'silver', :at)"),
        {"who": who, "at": now},
    )
    assert_clean(session)
    session.execute(text("UPDATE member_tier SET tier_code = 'gold'"))
    assert found(session) == [("member_tier", str(who), "gold", "last change: silver")]
    edit("tier_change", "DELETE FROM tier_change")
    assert found(session) == [("member_tier", str(who), "gold", "last change: none")]
