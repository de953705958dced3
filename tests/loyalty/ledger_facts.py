"""What the points tests look at: entries, lots and balances as plain values, and that the audit agrees."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from loyalty import audit, ledger
from retail.kernel.ids import new_id
from tests import factories

ACTOR = "system"


def customer_with(session: Session, *earned: tuple[int, datetime]) -> tuple[factories.Actor, list[UUID]]:
    """A customer who earned these numbers of points at these moments, and the ids of her lots, in that order."""
    who = factories.customer(session)
    for points, at in earned:
        earn(session, who.id, points, at)
    return who, lots_of(session, who.id)


def earn(session: Session, customer_id: UUID, points: int, at: datetime, order_id: UUID | None = None) -> int:
    return ledger.earn(
        session,
        customer_id=customer_id,
        order_id=order_id,
        points=points,
        key=f"test:{new_id()}",
        reason="test",
        actor=ACTOR,
        now=at,
    )


# keys made within one millisecond do not tell their order; the transactions' sequence does
_LOTS = text(
    """
    SELECT lot.id, lot.remaining FROM points_lot AS lot WHERE customer_id = :id ORDER BY (
        SELECT min(t.seq) FROM points_entry AS e JOIN points_transaction AS t ON t.id = e.transaction_id
        WHERE e.lot_id = lot.id), lot.id
    """
)


def lots_of(session: Session, customer_id: UUID) -> list[UUID]:
    """Ids in the order in which they were made."""
    return [row.id for row in session.execute(_LOTS, {"id": customer_id})]


def remaining(session: Session, customer_id: UUID) -> list[int]:
    """What is left in each lot, in the order in which they were made."""
    return [row.remaining for row in session.execute(_LOTS, {"id": customer_id})]


def balances(session: Session, customer_id: UUID) -> tuple[int, int, int]:
    """available (cached), held, owed."""
    statement = text("SELECT available, held, owed FROM points_account WHERE customer_id = :id")
    return tuple(session.execute(statement, {"id": customer_id}).one())  # type: ignore[return-value]


def last_entries(session: Session, customer_id: UUID) -> tuple[str, list[tuple[str, UUID | None, int]]]:
    """Kind and (account, lot, points) of the newest transaction."""
    transaction = session.execute(
        text("SELECT id, kind FROM points_transaction WHERE customer_id = :id ORDER BY seq DESC LIMIT 1"),
        {"id": customer_id},
    ).one()
    sides = session.execute(
        text("SELECT account, lot_id, points FROM points_entry WHERE transaction_id = :id ORDER BY position"),
        {"id": transaction.id},
    ).all()
    return transaction.kind, [tuple(side) for side in sides]


def snapshot(session: Session) -> list[list[tuple[object, ...]]]:
    """Every row of the ledger: two equal snapshots mean that nothing changed."""
    statements = [
        "SELECT * FROM points_account ORDER BY customer_id",
        "SELECT * FROM points_lot ORDER BY id",
        "SELECT * FROM points_hold ORDER BY id",
        "SELECT * FROM points_slice ORDER BY hold_id, lot_id",
        "SELECT * FROM points_transaction ORDER BY id",
        "SELECT * FROM points_entry ORDER BY transaction_id, position",
        "SELECT type, aggregate_id, party_id FROM event ORDER BY id",
    ]
    return [[tuple(row) for row in session.execute(text(statement))] for statement in statements]


def assert_clean(session: Session) -> None:
    """The ledger, its caches and its lots agree."""
    assert list(audit.divergences(session)) == []
