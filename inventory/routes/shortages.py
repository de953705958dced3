"""Who waits for goods, over HTTP."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from inventory import queries, stock
from inventory.schemas import shortages as schemas
from retail.kernel.web import ApiBlueprint
from retail.kernel.web.api import Call
from retail.kernel.web.cursor import Page, decode_cursor

Json = dict[str, Any]
api = ApiBlueprint("shortages", __name__, url_prefix="/api/v1", description="Promises that wait for goods")


@api.read("/stock/shortages", permission="stock.read", query=schemas.ShortagesQuery, answer=schemas.ShortagePageSchema)
def list_shortages(session: Session, call: Call, query: Json) -> Page:
    """Who waits for which goods, for how many, since when and promised for when; longest waiting first. Not for customers."""
    stock.refuse_customers(call.principal)
    name = query["location"]
    place = None if name is None else stock.locate(session, name=name, caller=call.principal)["id"]
    cursor = decode_cursor(query["cursor"], [datetime.fromisoformat, UUID])
    after = None if cursor is None else (cursor[0], cursor[1])
    limit = query["limit"]
    rows = queries.shortages(session, location_id=place, state=query["state"], after=after, limit=limit + 1)
    return Page.of(rows, limit, lambda row: [row["since"], row["id"]])
