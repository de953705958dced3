"""Cancellation and refund of an order, the look at its card payment, and the door for Stripe's webhooks."""

from typing import Any
from uuid import UUID

from flask import request

from orders import cancellation, line_cancellation, payments, queries, refunds, webhooks
from orders.ownership import order_for
from orders.schemas.orders import OrderSchema
from orders.schemas.payments import (
    CancelLineSchema,
    CancelOrderSchema,
    CardStateSchema,
    RefundOrderSchema,
    RefundReceiptSchema,
    WebhookReceiptSchema,
)
from retail.kernel import db
from retail.kernel.errors import NotFound
from retail.kernel.idempotency import Claim
from retail.kernel.web.api import PUBLIC, Answer, ApiBlueprint, Call
from retail.kernel.web.bodies import read_raw

blp = ApiBlueprint("payments", __name__, url_prefix="/api/v1", description="Money: cards, cancellations, refunds")
hooks = ApiBlueprint("hooks", __name__, url_prefix="/hooks", description="Where the card network reports to")
BLUEPRINTS = [blp, hooks]


@blp.workflow(
    "/orders/<string:reference>/cancellation",
    permission="orders.cancel|me",
    body=CancelOrderSchema,
    answer=OrderSchema,
)
def cancel_order(call: Call, claim: Claim, answer: Answer, reference: str, body: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG001 - stored by the decorator
    """Call an order off: stock, points and money go back to where they came from.

    Customers may until picking starts; staff with `orders.cancel` until the goods are handed over (409
    `too_late_to_cancel` then names what is `legal`). Cancelling a cancelled order answers the same again. The
    cancellation stands even while the card network is down: what was put aside is given free as soon as it answers.
    """
    return cancellation.cancel(order=reference, reason=body["reason"], caller=call.principal, claim=claim, now=call.now)


@blp.workflow(
    "/orders/<string:reference>/lines/<uuid:line_id>/cancellation",
    permission="orders.cancel|me",
    body=CancelLineSchema,
    answer=OrderSchema,
)
def cancel_line(
    call: Call, claim: Claim, answer: Answer, reference: str, line_id: UUID, body: dict[str, Any]
) -> dict[str, Any]:
    """Call a line off, or some of its units: their stock is free, their money is not taken or goes back.

    Customers may until picking starts, staff until the goods are handed over. When nothing would be left of the order, it
    is called off whole.
    """
    with db.transaction() as session:
        claim.begin(session)
        order_id = line_cancellation.cancel_line(
            session,
            order=reference,
            line_id=line_id,
            quantity=body.get("quantity"),
            reason=body["reason"],
            caller=call.principal,
            now=call.now,
        )
        order = queries.order_dict(session, order_id=order_id)
        if order is None:
            raise NotFound
        answer.settle(claim, session, order)
    cancellation.settle(order_id=order_id, now=call.now)
    return order


@blp.workflow(
    "/orders/<string:reference>/refunds",
    permission="orders.refund",
    body=RefundOrderSchema,
    answer=RefundReceiptSchema,
    status=201,
)
def refund_order(call: Call, claim: Claim, answer: Answer, reference: str, body: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG001 - stored by the decorator
    """Refund an order in full: card, card at the till, cash, then points; earned points are taken back. Or a part of it: what
    was paid for `lines`, or an `amount` out of goodwill (above a share of the order only with `orders.goodwill`).

    Never more than was captured: of two refunds at once one wins, the other gets 409 `nothing_to_refund` with what
    remains. An order that was charged but not handed over is called off as well. With `till`, its open drawer gives the cash
    (409 `drawer_closed`); without, no drawer counts it.
    """
    return refunds.refund_order(
        order=reference,
        reason=body["reason"],
        restock=body["restock"],
        lines=body.get("lines"),
        amount=body.get("amount"),
        till=body.get("till"),
        caller=call.principal,
        claim=claim,
        now=call.now,
    )


@blp.workflow("/orders/<string:reference>/payment", permission="orders.read|orders.place", answer=CardStateSchema)
def check_payment(call: Call, claim: Claim, answer: Answer, reference: str) -> dict[str, Any]:  # noqa: ARG001 - stored by the decorator
    """Look at the card network and complete the order by what it says.

    For the page a customer returns to after authenticating. A webhook does the same without it; both at once complete
    the order once. 409 `card_declined` when the card said no.
    """
    with db.transaction() as session:
        claim.begin(session, lease=True)
        order_id = order_for(session, order=reference, caller=call.principal)
    state = payments.refresh(order_id=order_id, now=call.now)
    with db.reading() as session:
        order = queries.order_dict(session, order_id=order_id)
    if order is None:
        raise NotFound
    return {
        "order_reference": order["reference"],
        "order_status": order["status"],
        "state": state.state,
        "client_secret": state.client_secret,
    }


@hooks.write("POST", "/stripe/<string:account>", permission=PUBLIC, answer=WebhookReceiptSchema)
def receive_stripe_event(session: Any, call: Call, account: str) -> dict[str, Any]:
    """Stripe's webhook: verified by its `Stripe-Signature`, kept, answered at once; a worker acts on it.

    `account` names the endpoint, for installations with several Stripe accounts. 400 `bad_signature` when the signature
    is missing, wrong or older than five minutes.
    """
    if len(account) > 40 or not account.isascii() or not account.replace("-", "").replace("_", "").isalnum():
        raise NotFound
    webhooks.keep(
        session, account=account, raw=read_raw(), signature=request.headers.get("Stripe-Signature"), now=call.now
    )
    return {"received": True}
