"""Tiers for tests: a program with its tiers as rows, what members spent, and where they stand."""

from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import text
from sqlalchemy.orm import Session

from loyalty.models import Tier, TierProgram
from retail.kernel.ids import new_id
from tests import factories

THREE = {"silver": 1000, "gold": 5000, "platinum": 20_000}


def program(session: Session, *, tiers: dict[str, int] | None = None, **facts: Any) -> None:
    """A program (the defaults of the tables unless told) and its tiers, lowest first, by threshold."""
    at = datetime.fromisoformat("2020-01-01T00:00:00+00:00")
    session.execute(sa.insert(TierProgram).values({"id": 1, "updated_at": at} | facts))
    for rank, (code, threshold) in enumerate((THREE if tiers is None else tiers).items(), start=1):
        row = {"code": code, "name": code.title(), "rank": rank * 10, "threshold": threshold, "updated_at": at}
        session.execute(sa.insert(Tier).values(row))


def member(session: Session, at: datetime) -> UUID:
    """A customer with an account."""
    who = factories.customer(session).id
    session.execute(
        text("INSERT INTO points_account (customer_id, opened_at) VALUES (:id, :at)"), {"id": who, "at": at}
    )
    return who


def spent(
    session: Session,
    customer_id: UUID,
    minor: int,
    at: datetime,
    order_id: UUID | None = None,
    *,
    points: int = 1,
    member_id: UUID | None = None,
) -> UUID:
    """An earning as the ledger books it (negative: a claw-back; without points: no entries); returns the order."""
    order_id = order_id or new_id()
    row = {"id": new_id(), "customer_id": customer_id, "member_id": member_id, "order_id": order_id, "minor": minor}
    row |= {"kind": "earn" if minor >= 0 else "claw_back", "at": at, "sign": 1 if minor >= 0 else -1, "points": points}
    session.execute(
        text(
            """
            INSERT INTO points_transaction (id, customer_id, member_id, kind, key, order_id, spend_minor, actor, at)
            VALUES (:id, :customer_id, :member_id, :kind, 'test:' || :id, :order_id, :minor, 'system', :at)
            """
        ),
        row,
    )
    if points:
        session.execute(
            text(
                """
                INSERT INTO points_entry (transaction_id, position, account, customer_id, points)
                VALUES (:id, 1, 'issued', :customer_id, -:sign * :points), (:id, 2, 'owed', :customer_id, :sign * :points)
                """
            ),
            row,
        )
    return order_id


def standing(session: Session, customer_id: UUID) -> tuple[Any, ...] | None:
    """(tier, since, below_since, due_at); None in no tier."""
    row = session.execute(
        text("SELECT tier_code, since, below_since, due_at FROM member_tier WHERE customer_id = :id"),
        {"id": customer_id},
    ).one_or_none()
    return None if row is None else tuple(row)


def changes(session: Session, customer_id: UUID) -> list[tuple[Any, ...]]:
    """(from, to, reason, figure), the oldest first."""
    rows = session.execute(
        text("SELECT from_code, to_code, reason, figure FROM tier_change WHERE customer_id = :id ORDER BY seq"),
        {"id": customer_id},
    )
    return [tuple(row) for row in rows]


def snapshot(session: Session) -> list[list[tuple[object, ...]]]:
    """Every row about tiers and every event: two equal snapshots mean that nothing changed."""
    statements = [
        "SELECT * FROM tier_program",
        "SELECT * FROM tier ORDER BY code",
        "SELECT * FROM member_tier ORDER BY customer_id",
        "SELECT * FROM tier_change ORDER BY seq",
        "SELECT type, aggregate_id, party_id FROM event ORDER BY id",
    ]
    return [[tuple(row) for row in session.execute(text(statement))] for statement in statements]
