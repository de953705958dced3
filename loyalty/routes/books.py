"""Statements of members, and what all their points come to."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from loyalty import liability, statements
from loyalty.routes.points import myself, sequence_number
from loyalty.schemas.statements import LiabilityQuery, LiabilitySchema, PointsStatementSchema, StatementQuery
from retail.kernel.web import ApiBlueprint, Call, Page, decode_cursor

books = ApiBlueprint("points_books", __name__, url_prefix="/api/v1", description="Points: statements and liability")


@books.read("/me/points/statement", permission="me", answer=PointsStatementSchema, query=StatementQuery)
def my_statement(session: Session, call: Call, query: dict[str, Any]) -> dict[str, Any]:
    """My points in a period: what I had, each movement with the balance it left, what I have, lot by lot."""
    return _statement(session, myself(call), query, call.now)


@books.read(
    "/customers/<uuid:customer_id>/points/statement",
    permission="points.read",
    answer=PointsStatementSchema,
    query=StatementQuery,
)
def customer_statement(session: Session, call: Call, customer_id: uuid.UUID, query: dict[str, Any]) -> dict[str, Any]:
    """A member's points in a period: opening, each movement with the balance it left, closing, lot by lot."""
    return _statement(session, customer_id, query, call.now)


@books.read("/points/liability", permission="points.report", answer=LiabilitySchema, query=LiabilityQuery)
def points_liability(session: Session, call: Call, query: dict[str, Any]) -> dict[str, Any]:
    """Outstanding points by the month they run out in, with their value; and whether they equal the ledger."""
    return liability.report(session, at=query["at"], now=call.now)


def _statement(session: Session, customer_id: uuid.UUID, query: dict[str, Any], now: datetime) -> dict[str, Any]:
    """One page; its cursor remembers the end of the period, so that "until now" means the same now on every page."""
    cursor = decode_cursor(query["cursor"], [_moment, sequence_number, _moment])
    limit: int = query["limit"]
    found = statements.statement(
        session,
        customer_id=customer_id,
        since=query["since"],
        until=query["until"] or (cursor[2] if cursor else None),
        after=(cursor[0], cursor[1]) if cursor else None,
        limit=limit + 1,
        now=now,
    )
    page = Page.of(found["items"], limit, lambda row: [row["at"], row["seq"], found["to"]])
    return found | {"items": page.items, "next": page.next}


def _moment(value: Any) -> datetime:
    """A moment as this list wrote it into its cursor."""
    found = datetime.fromisoformat(value)
    if found.tzinfo is None:
        raise ValueError("a moment without its offset")
    return found
