"""/points/goodwill: agents give within their caps, a second person decides about more."""

from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from loyalty import goodwill
from loyalty.queries import goodwill as queries
from loyalty.schemas import goodwill as schemas
from retail import customers
from retail.kernel.web import ApiBlueprint, Call, Page, decode_cursor

blp = ApiBlueprint("goodwill", __name__, url_prefix="/api/v1", description="Points given as goodwill")


@blp.write(
    "POST",
    "/customers/<customer>/points/goodwill",
    permission="points.give",
    body=schemas.OfferGoodwillSchema,
    answer=schemas.GoodwillSchema,
    status=201,
    idempotent=True,
)
def offer_goodwill(session: Session, call: Call, customer: str, body: dict[str, Any]) -> dict[str, Any]:
    """Give points. Within the caps they are `given` at once; above, the gift is `pending` until somebody else decides."""
    gift_id = goodwill.offer(
        session,
        customer_id=customers.key_of(session, customer=customer),
        **body,
        actor=call.actor,
        now=call.now,
    )
    return goodwill.view(session, gift_id=gift_id)


@blp.write(
    "POST",
    "/points/goodwill/<uuid:gift_id>/decision",
    permission="points.approve",
    body=schemas.DecideGoodwillSchema,
    answer=schemas.GoodwillSchema,
    idempotent=True,
)
def decide_goodwill(session: Session, call: Call, gift_id: UUID, body: dict[str, Any]) -> dict[str, Any]:
    """Give the points that were asked for, or decline. Not by who asked: 403 `goodwill_own`; not twice: 409."""
    goodwill.decide(session, gift_id=gift_id, **body, actor=call.actor, now=call.now)
    return goodwill.view(session, gift_id=gift_id)


@blp.read(
    "/points/goodwill",
    permission="points.give|points.approve",
    query=schemas.GoodwillQuery,
    answer=schemas.GoodwillPageSchema,
)
def list_goodwill(session: Session, call: Call, query: dict[str, Any]) -> Page:
    """Gifts, newest first. Who may not approve sees what she gave or asked for herself."""
    after = decode_cursor(query["cursor"], [UUID])
    named = query["customer"]
    found = queries.gifts(
        session,
        state=query["state"],
        asked_by=None if call.principal.may("points.approve") else call.actor,
        customer_id=None if named is None else customers.key_of(session, customer=named),
        after=after[0] if after else None,
        limit=query["limit"] + 1,
    )
    return Page.of(found, query["limit"], lambda row: [row["id"]])
