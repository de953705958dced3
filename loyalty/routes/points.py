"""The API of points: a customer reads her own, staff and clients with `points.read` read anybody's. Orders move them."""

import uuid
from typing import Any

from sqlalchemy.orm import Session

from loyalty import queries
from loyalty.schemas.points import PointsEntryPageSchema, PointsSchema
from retail.kernel.errors import Forbidden
from retail.kernel.web import ApiBlueprint, Call, Page, decode_cursor
from retail.kernel.web.cursor import PageQuery

points = ApiBlueprint("points", __name__, url_prefix="/api/v1", description="Points: balances and their ledger")


@points.read("/me/points", permission="me", answer=PointsSchema)
def my_points(session: Session, call: Call) -> dict[str, Any]:
    """My points: what I can spend, what open orders hold, what runs out next."""
    return queries.points_of(session, customer_id=myself(call), now=call.now)


@points.read("/me/points/entries", permission="me", answer=PointsEntryPageSchema, query=PageQuery)
def my_entries(session: Session, call: Call, query: dict[str, Any]) -> Page:
    """My points' history, newest first."""
    return _entries(session, myself(call), query)


@points.read("/customers/<uuid:customer_id>/points", permission="points.read", answer=PointsSchema)
def customer_points(session: Session, call: Call, customer_id: uuid.UUID) -> dict[str, Any]:
    """A customer's points: what she can spend, what open orders hold, what runs out next."""
    return queries.points_of(session, customer_id=customer_id, now=call.now)


@points.read(
    "/customers/<uuid:customer_id>/points/entries",
    permission="points.read",
    answer=PointsEntryPageSchema,
    query=PageQuery,
)
def customer_entries(session: Session, call: Call, customer_id: uuid.UUID, query: dict[str, Any]) -> Page:  # noqa: ARG001
    """A customer's points history, newest first."""
    return _entries(session, customer_id, query)


def myself(call: Call) -> uuid.UUID:
    """The customer who asks.

    Raises:
        Forbidden: the caller holds `me` without being a customer.
    """
    if call.principal.kind != "customer" or call.principal.id is None:
        raise Forbidden("Only a customer has points of her own")
    return call.principal.id


def _entries(session: Session, customer_id: uuid.UUID, query: dict[str, Any]) -> Page:
    cursor = decode_cursor(query["cursor"], [sequence_number])
    limit: int = query["limit"]
    rows = queries.entries_of(session, customer_id=customer_id, before=cursor[0] if cursor else None, limit=limit + 1)
    return Page.of(rows, limit, lambda row: [row["seq"]])


def sequence_number(value: Any) -> int:
    """A number that `points_transaction.seq` can have."""
    if type(value) is not int or not 0 < value < 2**63:
        raise ValueError("not a sequence")
    return value
