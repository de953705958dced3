"""/tills/{till}/drawer: the cash of a till, from count to count."""

from typing import Any
from uuid import UUID

from orders.schemas import drawers as schemas
from orders.till import drawers
from retail.kernel.web.api import ApiBlueprint, Call
from retail.kernel.web.cursor import Page, PageQuery, decode_cursor

blp = ApiBlueprint("drawers", __name__, url_prefix="/api/v1", description="Cash drawers of tills")
BLUEPRINTS = [blp]


@blp.write(
    "POST",
    "/tills/<string:till>/drawer",
    permission="till.sell",
    body=schemas.OpenDrawerSchema,
    answer=schemas.DrawerSchema,
    status=201,
    idempotent=True,
)
def open_drawer(session: Any, call: Call, till: str, body: dict[str, Any]) -> dict[str, Any]:
    """Open the drawer with a count. 409 `drawer_open` while it is open."""
    return drawers.open_(session, till=till, **body, caller=call.principal, now=call.now)


@blp.read("/tills/<string:till>/drawer", permission="till.sell", answer=schemas.DrawerSchema)
def get_drawer(session: Any, call: Call, till: str) -> dict[str, Any]:
    """The open drawer, and what should be in it. 404 `no_open_drawer` when there is none."""
    return drawers.current(session, till=till, caller=call.principal)


@blp.write(
    "POST",
    "/tills/<string:till>/drawer/movements",
    permission="till.sell",
    body=schemas.MoveCashSchema,
    answer=schemas.DrawerSchema,
    status=201,
    idempotent=True,
)
def move_cash(session: Any, call: Call, till: str, body: dict[str, Any]) -> dict[str, Any]:
    """Put cash in or take it out for no sale, with the reason. 409 `drawer_closed` when it is not open."""
    return drawers.move(session, till=till, **body, caller=call.principal, now=call.now)


@blp.write(
    "POST",
    "/tills/<string:till>/drawer/closing",
    permission="till.sell",
    body=schemas.CloseDrawerSchema,
    answer=schemas.DrawerSchema,
    idempotent=True,
)
def close_drawer(session: Any, call: Call, till: str, body: dict[str, Any]) -> dict[str, Any]:
    """Close the drawer with a count: the difference to what was expected is kept with who and when. 409 `drawer_closed` when it is
    not open. It is opened anew for the next session; a closed one is never changed."""
    return drawers.close(session, till=till, **body, caller=call.principal, now=call.now)


@blp.read("/tills/<string:till>/drawers", permission="till.sell", query=PageQuery, answer=schemas.DrawerPageSchema)
def list_drawers(session: Any, call: Call, till: str, query: dict[str, Any]) -> Page:
    """Closed sessions of a till's drawer, newest first."""
    limit = query["limit"]
    before = decode_cursor(query["cursor"], [UUID])
    found = drawers.browse(session, till=till, before=before[0] if before else None, limit=limit, caller=call.principal)
    return Page.of(found, limit, lambda one: [one["id"]])
