"""/points/lots: the lots behind a balance, what runs out next first."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from loyalty.queries import desk as queries
from loyalty.schemas.lots import PointsLotPageSchema
from retail import customers
from retail.kernel.web import ApiBlueprint, Call, Page, decode_cursor
from retail.kernel.web.cursor import PageQuery

blp = ApiBlueprint("points_lots", __name__, url_prefix="/api/v1", description="The lots behind a balance")


@blp.read("/me/points/lots", permission="me", query=PageQuery, answer=PointsLotPageSchema)
def my_lots(session: Session, call: Call, query: dict[str, Any]) -> Page:
    """My points by when they run out, with where they came from and from when on they can be spent."""
    return _lots(session, call, customers.own(call.principal), query)


@blp.read("/customers/<customer>/points/lots", permission="points.read", query=PageQuery, answer=PointsLotPageSchema)
def customer_lots(session: Session, call: Call, customer: str, query: dict[str, Any]) -> Page:
    """A customer's points by when they run out; of a merged one, the survivor's."""
    return _lots(session, call, customers.key_of(session, customer=customer), query)


def _lots(session: Session, call: Call, customer_id: UUID, query: dict[str, Any]) -> Page:
    cursor = decode_cursor(query["cursor"], [_moment, UUID])
    after = (cursor[0], cursor[1]) if cursor else None
    limit: int = query["limit"]
    rows = queries.lots_of(session, customer_id=customer_id, now=call.now, after=after, limit=limit + 1)
    return Page.of(rows, limit, lambda row: [row["expires_at"], row["id"]])


def _moment(value: Any) -> datetime:
    """A moment with its zone."""
    found = datetime.fromisoformat(value)
    if found.tzinfo is None:
        raise ValueError("not a moment")
    return found
