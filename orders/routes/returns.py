"""/returns, /exchanges, what may come back of an order, and /return-policies."""

from datetime import datetime
from typing import Any
from uuid import UUID

from orders import cancellation, gift_receipts, return_policies, returning
from orders.returning import Wanted
from orders.schemas import returns as schemas
from retail import stores
from retail.kernel import db
from retail.kernel.idempotency import Claim
from retail.kernel.web.api import Answer, ApiBlueprint, Call
from retail.kernel.web.cursor import Page, decode_cursor

blp = ApiBlueprint("returns", __name__, url_prefix="/api/v1", description="What comes back")
BLUEPRINTS = [blp]
ASKS = "returns.work|returns.approve|me"
SEES = "orders.read|me"


@blp.write(
    "POST",
    "/returns",
    permission=ASKS,
    body=schemas.AskReturnSchema,
    answer=schemas.ReturnSchema,
    status=201,
    idempotent=True,
)
def ask_return(session: Any, call: Call, body: dict[str, Any]) -> dict[str, Any]:
    """Ask for units of an order to come back, to any location, from any channel.

    The policy (`GET /orders/{ref}/returnability`) decides at once or leaves it to a person: `approved` or `requested`. 409
    `not_returnable` names each line that may not come back and why; `destination_not_allowed` where the money may go.
    """
    return _ask(session, call, body)


@blp.write(
    "POST",
    "/exchanges",
    permission=ASKS,
    body=schemas.AskExchangeSchema,
    answer=schemas.ReturnSchema,
    status=201,
    idempotent=True,
)
def ask_exchange(session: Any, call: Call, body: dict[str, Any]) -> dict[str, Any]:
    """Ask for other goods in the place of what comes back. They are kept for you, at today's price.

    `difference` is what they cost more (negative: less); it is paid or given back when the goods are swapped. A gift card
    that is to pay it must be able to now: 409 `gift_card_short`.
    """
    place = body.pop("location", None)
    return _ask(session, call, body, location=None if place is None else stores.key_of(session, location=place))


def _ask(session: Any, call: Call, body: dict[str, Any], location: UUID | None = None) -> dict[str, Any]:
    lines = [Wanted(**line) for line in body.pop("lines")]
    made = returning.ask(session, **body, lines=lines, location=location, caller=call.principal, now=call.now)
    return returning.show(session, given=str(made), caller=call.principal)


@blp.read("/returns", permission=SEES, query=schemas.ReturnQuery, answer=schemas.ReturnPageSchema)
def list_returns(session: Any, call: Call, query: dict[str, Any]) -> Page:
    """Returns and exchanges, newest first: your own (customers), those at your stores or on their way (their staff), all."""
    rows = returning.browse(
        session,
        order=query["order"],
        states=query["state"],
        limit=query["limit"],
        after=decode_cursor(query["cursor"], [datetime.fromisoformat, UUID]),
        caller=call.principal,
    )
    return Page.of(rows, query["limit"], lambda row: [row["requested_at"], row["id"]])


@blp.read("/returns/<string:reference>", permission=SEES, answer=schemas.ReturnSchema, etag=True)
def get_return(session: Any, call: Call, reference: str) -> dict[str, Any]:
    """One return, by reference or id."""
    return returning.show(session, given=reference, caller=call.principal)


@blp.write(
    "POST",
    "/returns/<string:reference>/approval",
    permission="returns.approve",
    answer=schemas.ReturnSchema,
    idempotent=True,
)
def approve_return(session: Any, call: Call, reference: str) -> dict[str, Any]:
    """Let the goods come back. Approving twice is the same as once."""
    returning.approve(session, given=reference, caller=call.principal, now=call.now)
    return returning.show(session, given=reference, caller=call.principal)


@blp.write(
    "POST",
    "/returns/<string:reference>/rejection",
    permission="returns.approve",
    body=schemas.CloseReturnSchema,
    answer=schemas.ReturnSchema,
    idempotent=True,
)
def reject_return(session: Any, call: Call, reference: str, body: dict[str, Any]) -> dict[str, Any]:
    """Refuse the return, and say why; the customer keeps the goods, or gets them again."""
    returning.reject(session, given=reference, reason=body["reason"], caller=call.principal, now=call.now)
    return returning.show(session, given=reference, caller=call.principal)


@blp.write(
    "POST",
    "/returns/<string:reference>/cancellation",
    permission=ASKS,
    body=schemas.CloseReturnSchema,
    answer=schemas.ReturnSchema,
    idempotent=True,
)
def cancel_return(session: Any, call: Call, reference: str, body: dict[str, Any]) -> dict[str, Any]:
    """Give the return up before the goods are here; what was kept in exchange is free."""
    returning.cancel(session, given=reference, reason=body["reason"], caller=call.principal, now=call.now)
    return returning.show(session, given=reference, caller=call.principal)


@blp.write(
    "POST",
    "/returns/<string:reference>/receipt",
    permission="returns.work",
    body=schemas.ReceiveReturnSchema,
    answer=schemas.ReturnSchema,
    idempotent=True,
)
def receive_return(session: Any, call: Call, reference: str, body: dict[str, Any]) -> dict[str, Any]:
    """The goods are here, at any location, whatever the order's was."""
    lines = body.get("lines")
    returning.receive(
        session,
        given=reference,
        location_id=stores.key_of(session, location=body["location"]),
        quantities=None if lines is None else {line["return_line_id"]: line["quantity"] for line in lines},
        caller=call.principal,
        now=call.now,
    )
    return returning.show(session, given=reference, caller=call.principal)


@blp.workflow(
    "/returns/<string:reference>/inspection",
    permission="returns.work",
    body=schemas.InspectReturnSchema,
    answer=schemas.ReturnSchema,
)
def inspect_return(call: Call, claim: Claim, answer: Answer, reference: str, body: dict[str, Any]) -> dict[str, Any]:
    """What was found decides where the goods go and what is paid: sellable goods are on the shelf again, others are set
    aside; accepted units are refunded, or swapped for what was kept in exchange. A card's share follows as soon as the card
    network answers."""
    outcomes = {
        line["return_line_id"]: {one["condition"]: one["quantity"] for one in line["outcomes"]}
        for line in body["lines"]
    }
    with db.transaction() as session:
        claim.begin(session)
        order_id = returning.inspect(
            session,
            given=reference,
            outcomes=outcomes,
            over_the_counter=body["over_the_counter"],
            tender=body["tender"],
            caller=call.principal,
            now=call.now,
        )
        found = returning.show(session, given=reference, caller=call.principal)
        answer.settle(claim, session, found)
    cancellation.settle(order_id=order_id, now=call.now)
    return found


@blp.read(
    "/orders/<string:reference>/returnability",
    permission=SEES,
    query=schemas.ReturnabilityQuery,
    answer=schemas.ReturnabilitySchema,
)
def get_returnability(session: Any, call: Call, reference: str, query: dict[str, Any]) -> dict[str, Any]:
    """What may come back of an order, now or at a moment: per line how many units, until when, by which rule, and why not."""
    at = query["at"] or call.now
    return returning.returnability(session, order=reference, at=at, caller=call.principal)


@blp.write(
    "POST",
    "/orders/<string:reference>/gift-receipt",
    permission="orders.read|orders.place",
    answer=schemas.NewGiftReceiptSchema,
    status=201,
    idempotent=True,
)
def make_gift_receipt(session: Any, call: Call, reference: str) -> dict[str, Any]:
    """A gift receipt of an order, without prices: for a paper (`qr_svg`), or a link (`path`). An order has one."""
    return gift_receipts.make(session, order=reference, caller=call.principal, now=call.now)


@blp.read("/gift-receipts/<string:given>", permission=ASKS, answer=schemas.GiftReceiptSchema)
def get_gift_receipt(session: Any, call: Call, given: str) -> dict[str, Any]:
    """What is on a gift receipt, by its reference or token, and what of it may come back."""
    return gift_receipts.shown(session, receipt=gift_receipts.find(session, given=given), now=call.now)


@blp.read(
    "/return-policies/<string:scope>/<path:scope_key>",
    permission="orders.read",
    answer=schemas.ReturnPolicySchema,
    etag=True,
)
def get_return_policy(session: Any, call: Call, scope: str, scope_key: str) -> dict[str, Any]:  # noqa: ARG001
    """The return policy of the company (`company/all`), a category or a SKU."""
    return return_policies.view(session, scope=scope, scope_key="" if scope == "company" else scope_key)


@blp.write(
    "PUT",
    "/return-policies/<string:scope>/<path:scope_key>",
    permission="returns.policy",
    body=schemas.SetReturnPolicySchema,
    answer=schemas.ReturnPolicySchema,
    if_match=True,
)
def put_return_policy(session: Any, call: Call, scope: str, scope_key: str, body: dict[str, Any]) -> dict[str, Any]:
    """Set a return policy whole. `If-Match: "0"` where none is set yet."""
    return return_policies.put(
        session,
        scope=scope,
        scope_key="" if scope == "company" else scope_key,
        rules=body,
        version=call.version,
        actor=call.actor,
        now=call.now,
    )
