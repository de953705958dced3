"""The audit names what the entries do not explain, and repairs what can be."""

from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from loyalty import audit, ledger
from retail.kernel import db
from retail.kernel.ids import new_id
from tests.loyalty.ledger_facts import ACTOR, assert_clean, balances, customer_with, snapshot


def found(session: Session) -> list[tuple[str, str, str, str, bool]]:
    return [
        (one.ledger, one.key, one.stored, one.rebuilt, one.repair is not None) for one in audit.divergences(session)
    ]


def test_a_ledger_that_agrees_has_no_divergence_in_eleven_statements(session: Session, now: datetime) -> None:
    who, _ = customer_with(session, (200, now), (300, now))
    order_id = new_id()
    ledger.hold(session, customer_id=who.id, order_id=order_id, points=250, actor=ACTOR, now=now)
    ledger.burn(session, order_id=order_id, actor=ACTOR, now=now)
    ledger.refund(session, order_id=order_id, points=20, key="r", actor=ACTOR, now=now)
    with db.counting() as count:
        assert found(session) == []
    assert count.statements == 11


def test_a_balance_that_somebody_changed_is_named_and_repaired(session: Session, now: datetime) -> None:
    who, _ = customer_with(session, (200, now))
    right, _ = customer_with(session, (10, now))
    before = snapshot(session)
    session.execute(
        text("UPDATE points_account SET available = 900, held = 3, owed = 1 WHERE customer_id = :id"), {"id": who.id}
    )
    assert found(session) == [
        (
            "points_account",
            str(who.id),
            "available 900, held 3, owed 1",
            "available 200, held 0, owed 0",
            True,
        )
    ]
    repair_all(session)
    assert snapshot(session) == before
    assert balances(session, right.id) == (10, 0, 0)


def test_a_lot_that_somebody_changed_is_named_and_repaired(session: Session, now: datetime) -> None:
    who, (lot,) = customer_with(session, (200, now))
    before = snapshot(session)
    session.execute(text("UPDATE points_lot SET remaining = 150 WHERE id = :id"), {"id": lot})
    assert found(session) == [("points_lot", str(lot), "remaining 150", "remaining 200", True)]
    repair_all(session)
    assert snapshot(session) == before
    assert who


def test_a_holds_refunded_sum_is_repaired_but_its_state_needs_a_person(session: Session, now: datetime) -> None:
    who, _ = customer_with(session, (200, now))
    order_id = new_id()
    ledger.hold(session, customer_id=who.id, order_id=order_id, points=50, actor=ACTOR, now=now)
    ledger.burn(session, order_id=order_id, actor=ACTOR, now=now)
    before = snapshot(session)
    session.execute(text("UPDATE points_hold SET refunded = 20"))
    assert found(session) == [
        (
            "points_hold",
            str(order_id),
            "burned: slices 50, held 0, burned 50, refunded 20",
            "slices 50, held 0, burned 50, refunded 0",
            True,
        )
    ]
    repair_all(session)
    assert snapshot(session) == before
    session.execute(text("UPDATE points_hold SET state = 'open'"))
    assert found(session) == [
        (
            "points_hold",
            str(order_id),
            "open: slices 50, held 50, burned 0, refunded 0",
            "slices 50, held 0, burned 50, refunded 0",
            False,
        )
    ]


def test_a_transaction_without_its_sides_is_named(session: Session, now: datetime) -> None:
    who, (lot,) = customer_with(session, (200, now))
    key = session.execute(text("SELECT key FROM points_transaction")).scalar_one()
    session.execute(text("ALTER TABLE points_entry DISABLE TRIGGER USER"))  # rolled back with the test
    session.execute(text("DELETE FROM points_entry WHERE account = 'issued'"))
    assert found(session) == [
        ("points_transaction", f"earn {key}", "1 entries, sum 200", "2 entries or more, sum 0", False)
    ]
    session.execute(text("DELETE FROM points_entry"))
    assert found(session) == [
        ("points_account", str(who.id), "available 200, held 0, owed 0", "available 0, held 0, owed 0", True),
        ("points_lot", str(lot), "remaining 200", "remaining 0", True),
        ("points_transaction", f"earn {key}", "0 entries, sum 0", "2 entries or more, sum 0", False),
    ]


def test_what_cannot_be_is_left_to_a_person(session: Session, now: datetime) -> None:
    who, (lot,) = customer_with(session, (200, now))
    session.execute(text("ALTER TABLE points_entry DISABLE TRIGGER USER"))  # rolled back with the test
    session.execute(text("UPDATE points_entry SET points = -points"))
    assert found(session) == [
        ("points_account", str(who.id), "available 200, held 0, owed 0", "available -200, held 0, owed 0", False),
        ("points_lot", str(lot), "remaining 200", "remaining -200", False),
    ]


def repair_all(session: Session) -> None:
    for one in list(audit.divergences(session)):
        assert one.repair is not None
        one.repair(session)
    assert_clean(session)
