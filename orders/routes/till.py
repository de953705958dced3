"""/tills and /till-sales: registers, and what they sold while they could not reach us."""

from typing import Any
from uuid import UUID

from orders import till as tills
from orders.schemas import till as schemas
from retail.kernel.web.api import ApiBlueprint, Call
from retail.kernel.web.cursor import Page, decode_cursor

blp = ApiBlueprint(
    "tills", __name__, url_prefix="/api/v1", description="Tills, and their sales while they were offline"
)
BLUEPRINTS = [blp]


@blp.write(
    "POST",
    "/tills",
    permission="till.manage",
    body=schemas.CreateTillSchema,
    answer=schemas.TillSchema,
    status=201,
    idempotent=True,
)
def create_till(session: Any, call: Call, body: dict[str, Any]) -> dict[str, Any]:
    """Add a till to a store. 409 `till_exists` when its code is taken."""
    return tills.create(session, **body, caller=call.principal, now=call.now)


@blp.write(
    "POST",
    "/tills/<string:till>/sales",
    permission="till.sell",
    body=schemas.UploadSalesSchema,
    answer=schemas.UploadReportSchema,
    idempotent=True,
)
def upload_sales(session: Any, call: Call, till: str, body: dict[str, Any]) -> dict[str, Any]:
    """Tell of sales that the till made offline.

    They have happened, so they are recorded as they were, once by (till, `sale_id`), also where stock, points or a gift card no
    longer suffice: what did not fit is in `flags`. Points need no `points_proof` here: the till decided by its own look-up.
    `repeated` answers with the first order, `conflict` when the content differs from what was told before. Only what is no
    sale (`invalid`: no lines, tenders that do not add up) is left out.
    """
    return {"sales": tills.upload(session, till=till, sales=body["sales"], caller=call.principal, now=call.now)}


@blp.read("/till-sales", permission="till.sell", query=schemas.FlaggedQuery, answer=schemas.FlaggedPageSchema)
def list_flagged_sales(session: Any, call: Call, query: dict[str, Any]) -> Page:
    """Sales of offline tills that did not fit, at your stores, oldest first; those that nobody has seen unless asked."""
    limit = query["limit"]
    after = decode_cursor(query["cursor"], [UUID])
    found = tills.browse(
        session,
        caller=call.principal,
        seen=query["seen"],
        till=query.get("till"),
        after=after[0] if after else None,
        limit=limit,
    )
    return Page.of(found, limit, lambda one: [one["id"]])


@blp.write(
    "POST",
    "/till-sales/<uuid:sale>/review",
    permission="till.sell",
    answer=schemas.FlaggedSaleSchema,
    idempotent=True,
)
def review_sale(session: Any, call: Call, sale: UUID) -> dict[str, Any]:
    """Note that you have looked at a flagged sale. Doing it twice keeps the first."""
    return tills.mark_seen(session, sale=sale, caller=call.principal, now=call.now)
