"""The feed of changes over HTTP."""

from typing import Any

from sqlalchemy.orm import Session

from inventory import changes
from inventory.schemas import changes as schemas
from retail.kernel.web import ApiBlueprint
from retail.kernel.web.api import Call
from retail.kernel.web.cursor import decode_cursor, encode_cursor

api = ApiBlueprint("stock-changes", __name__, url_prefix="/api/v1", description="The feed of stock changes")


@api.read("/stock/changes", permission="stock.read", query=schemas.ChangesQuery, answer=schemas.ChangesSchema)
def list_changes(session: Session, call: Call, query: dict[str, Any]) -> dict[str, Any]:
    """What changed since the cursor. Whoever follows `next` misses nothing, also under concurrent commits.

    Begin without a cursor: take `next`, load all levels, then follow from it (what changed in between is told again, which
    does no harm: the feed tells what a level says now). 410 `feed_restarted`: begin anew. A long transaction in the
    database delays the feed. Not for customers.
    """
    position = decode_cursor(query["cursor"], [int, int, int])
    page = changes.follow(
        session,
        position=None if position is None else (position[0], position[1], position[2]),
        limit=query["limit"],
        location=query["location"],
        caller=call.principal,
        now=call.now,
    )
    return {"items": page.items, "next": encode_cursor(*page.next), "more": page.more}
