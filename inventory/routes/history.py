"""Stock over HTTP: how a level came to be what it is."""

from typing import Any

from sqlalchemy.orm import Session

from inventory import history, stock
from inventory.schemas import history as schemas
from retail.kernel.web import ApiBlueprint
from retail.kernel.web.api import Call

Json = dict[str, Any]
api = ApiBlueprint("stock_history", __name__, url_prefix="/api/v1", description="Stock: why a level is what it is")


@api.read(
    "/stock/<location>/<sku>/history", permission="stock.read", query=schemas.HistoryQuery, answer=schemas.HistorySchema
)
def get_history(session: Session, call: Call, location: str, sku: str, query: Json) -> Json:
    """Every movement of one SKU at one location, newest first, with what the level said after each. Not for customers.

    `as_of` gives the level as of any past moment and the movements up to it. All pages tell of the first one's moment.
    """
    place = stock.locate(session, name=location, caller=call.principal)
    return history.of_level(
        session,
        location=place,
        sku=sku,
        as_of=query["as_of"],
        cursor=query["cursor"],
        limit=query["limit"],
        now=call.now,
    )
