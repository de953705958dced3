"""/orders and /me/orders."""

from datetime import datetime
from typing import Any
from uuid import UUID

from orders import checkout, claims, finding, payments, proofs, queries, receipt_codes, timeline
from orders.checkout import Item
from orders.schemas.orders import (
    ClaimedOrdersSchema,
    GiveOrderSchema,
    OrderQuery,
    OrderSchema,
    PlaceOrderSchema,
    ReceiptClaimSchema,
    TimelineQuery,
    TimelineStepSchema,
)
from orders.schemas.pickups import PickupCodeSchema
from retail import customers, limits
from retail.kernel import auth, db
from retail.kernel.auth import CUSTOMER
from retail.kernel.idempotency import Claim
from retail.kernel.web.api import Answer, ApiBlueprint, Call
from retail.kernel.web.cursor import Page, PageQuery, decode_cursor, page_schema

blp = ApiBlueprint("orders", __name__, url_prefix="/api/v1", description="From the cart to the handover")
BLUEPRINTS = [blp]
OrderPageSchema = page_schema(OrderSchema)
TimelinePageSchema = page_schema(TimelineStepSchema)
SEES = "orders.read|orders.place"  # whoever may only place sees her own


@blp.workflow("/orders", permission="orders.place", body=PlaceOrderSchema, answer=OrderSchema, status=201)
def place_order(call: Call, claim: Claim, answer: Answer, body: dict[str, Any]) -> dict[str, Any]:
    """Place an order, from a cart or from lines.

    Points pay first, at most the total, then gift cards; the rest is paid by card, at pickup, or (carry_out) at the till. Everything is
    taken or nothing: `out_of_stock` names every short line and where its SKU is available. A card is authorized before
    the answer; `card_declined` gives stock and points back; with `requires_action` the order is `pending_payment` and
    the payment carries a `client_secret` for the provider's own page.

    A till or a store's staff spend a member's points with the `spend_proof` of their own look-up of her (403 `points_proof_required`,
    `points_proof_invalid`, `points_proof_expired`: nothing was taken). A repeat with the same key sends the same proof.
    """
    if body.get("payment", {}).get("method") == "card":
        return _place_by_card(call, claim, answer, body)
    with db.transaction() as session:
        claim.begin(session)
        order = _place(session, call, body)
        answer.settle(claim, session, order)
    return order


def _place(session: Any, call: Call, body: dict[str, Any]) -> dict[str, Any]:
    lines = [Item(line["quantity"], line["sku"]) for line in body.pop("lines", ())]
    numbers = body.pop("gift_cards", ())
    return checkout.place(session, **body, gift_card_numbers=numbers, lines=lines, caller=call.principal, now=call.now)


def _place_by_card(call: Call, claim: Claim, answer: Answer, body: dict[str, Any]) -> dict[str, Any]:
    """tx 1: the order, unconfirmed, and what is to be asked; the card network; its answer is written by `payments`.

    A repeat of an interrupted request finds the order in `claim.resource` and goes on from there.
    """
    with db.transaction() as session:
        claim.begin(session, lease=True)
        if claim.resource is None:
            order = _place(session, call, body)
            card = next((part for part in order["payments"] if part["tender"] == "card"), None)
            if card is None:  # points paid everything
                answer.settle(claim, session, order)
                return order
            payments.prepare_authorization(
                session,
                order_id=order["id"],
                payment_id=card["id"],
                amount_minor=card["amount"]["amount_minor"],
                currency=order["currency"],
                provider_method=body["payment"]["payment_method"],
                actor=call.actor,
                now=call.now,
            )
            claim.attach(session, str(order["id"]))
    order_id = UUID(claim.resource)
    card_state = payments.authorize(order_id=order_id, actor=call.actor, now=call.now)
    with db.transaction() as session:
        found = queries.order_dict(session, order_id=order_id)
        if found is None:
            raise LookupError(f"no order {order_id}")
        if card_state.client_secret is not None:
            for part in found["payments"]:
                if part["state"] == "requires_action":
                    part["client_secret"] = card_state.client_secret
        answer.settle(claim, session, found)
    return found


@blp.read("/orders", permission=SEES, query=OrderQuery, answer=OrderPageSchema)
def list_orders(session: Any, call: Call, query: dict[str, Any]) -> Page:
    """Orders, newest first. Without `orders.read`: those that you bought (customers) or placed (clients).

    `q` finds by reference (ours or another system's), phone number, email, SKU, or how a name begins.
    """
    own: dict[str, Any] = {}
    if not call.principal.may("orders.read"):
        own = {"customer_id": call.principal.id} if call.principal.kind == CUSTOMER else {"placed_by": call.actor}
    return _page(session, call, query, own)


@blp.read("/orders/<string:reference>", permission=SEES, answer=OrderSchema, etag=True)
def get_order(session: Any, call: Call, reference: str) -> dict[str, Any]:
    """One order, by reference or id."""
    return timeline.find(session, given=reference, caller=call.principal)


@blp.read("/orders/<string:reference>/timeline", permission=SEES, query=TimelineQuery, answer=TimelinePageSchema)
def get_order_timeline(session: Any, call: Call, reference: str, query: dict[str, Any]) -> Page:
    """What happened to an order, oldest first."""
    order = timeline.find(session, given=reference, caller=call.principal)
    after = decode_cursor(query["cursor"], [int]) or [0]
    steps = timeline.of_order(session, order=order, caller=call.principal, after=after[0], limit=query["limit"])
    return Page.of(steps, query["limit"], lambda step: [step["seq"]])


@blp.read("/me/orders", permission="me", query=PageQuery, answer=OrderPageSchema)
def list_my_orders(session: Any, call: Call, query: dict[str, Any]) -> Page:
    """Your orders, newest first, also those of the time before this shop had accounts."""
    return _page(session, call, query, {"customer_id": call.principal.id})


@blp.write("POST", "/me/orders/claims", permission="me", answer=ClaimedOrdersSchema, idempotent=True)
def claim_orders(session: Any, call: Call) -> dict[str, Any]:
    """Take over what you bought as a guest: orders placed with an email or phone that you have proved to be yours."""
    return {
        "references": claims.claim(session, customer_id=customers.own(call.principal), actor=call.actor, now=call.now)
    }


@blp.workflow("/me/orders/receipt-claims", permission="me", body=ReceiptClaimSchema, answer=ClaimedOrdersSchema)
def claim_by_receipt(call: Call, claim: Claim, answer: Answer, body: dict[str, Any]) -> dict[str, Any]:
    """Take over what you bought as a guest and left no address for: with the reference and the code on its receipt. What was
    handed over earns its points now.

    Within 90 days of the purchase. 404 for an unknown order as for a wrong code; 409 `order_has_customer`,
    `claim_by_address` (an address was given: prove that one), `receipt_too_old`; 429 after too many attempts.
    """
    typed = receipt_codes.parse(body["receipt_code"])
    with db.transaction() as session:  # counted for itself, so that a refusal counts too
        claim.begin(session)
        auth.hit_limit(
            session,
            bucket=f"receipt-code:{call.actor}",
            limit=limits.RECEIPT_CODE_TRIES,
            window_seconds=limits.RECEIPT_CODE_TRY_SECONDS,
            now=call.now,
        )
    with db.transaction() as session:
        claim.begin(session)  # the same request may have run meanwhile
        taken = claims.by_receipt(
            session, reference=body["reference"], typed=typed, caller=call.principal, now=call.now
        )
        found = {"references": taken}
        answer.settle(claim, session, found)
    return found


@blp.write(
    "POST",
    "/orders/<string:reference>/customer",
    permission="orders.change",
    body=GiveOrderSchema,
    answer=OrderSchema,
    idempotent=True,
)
def give_order(session: Any, call: Call, reference: str, body: dict[str, Any]) -> dict[str, Any]:
    """Give a guest's order to a customer, saying how you know that it is hers. What was handed over earns its points now.

    An address on the order or its age is no hindrance. 409 `order_has_customer`: it is no guest's.
    """
    claims.by_staff(session, order=reference, **body, caller=call.principal, now=call.now)
    return timeline.find(session, given=reference, caller=call.principal)


@blp.read("/me/orders/<string:reference>/pickup-code", permission="me", answer=PickupCodeSchema)
def get_my_pickup_code(session: Any, call: Call, reference: str) -> dict[str, Any]:
    """The code and QR code to show at the counter, once the goods are ready."""
    order = timeline.find(session, given=reference, caller=call.principal)
    return proofs.code_for(session, order=order, caller=call.principal)


def _page(session: Any, call: Call, query: dict[str, Any], own: dict[str, Any]) -> Page:
    after = decode_cursor(query["cursor"], [datetime.fromisoformat, UUID])
    q = query.get("q")
    filters: dict[str, Any] = {
        name: query[name] for name in ("customer_id", "status", "placed_from", "placed_to") if name in query
    }
    if q is not None:
        filters["search"] = finding.meanings(q)
    limit = query["limit"]
    if own.get("customer_id") is not None and not call.principal.owns(filters.get("customer_id", own["customer_id"])):
        return Page([], None)
    found = queries.list_orders(session, limit=limit, after=after, **filters | own)
    return Page.of(found, limit, lambda order: [order["placed_at"], order["id"]])
