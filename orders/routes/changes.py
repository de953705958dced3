"""Changes of orders (/orders/{ref}/...), the rules they follow (/order-policies), and saved payment methods."""

from typing import Any
from uuid import UUID

from orders import cancellation, changing, order_policies, payment_methods
from orders.changing import Addition, LineChange
from orders.changing.money import Settlement
from orders.schemas import changes as schemas
from orders.schemas.orders import OrderSchema
from retail import customers
from retail.kernel import db
from retail.kernel.idempotency import Claim
from retail.kernel.web.api import Answer, ApiBlueprint, Call
from retail.kernel.web.cursor import Page, decode_cursor

blp = ApiBlueprint("changes", __name__, url_prefix="/api/v1", description="Changing what was ordered")
BLUEPRINTS = [blp]
MAY = "orders.change|me"


@blp.workflow(
    "/orders/<string:reference>/goods-changes", permission=MAY, body=schemas.ChangeGoodsSchema, answer=OrderSchema
)
def change_goods(call: Call, claim: Claim, answer: Answer, reference: str, body: dict[str, Any]) -> dict[str, Any]:
    """Change lines of an order that nobody has begun to pick: another SKU, more or fewer units, lines added.

    All of it or nothing: stock is taken and given back, the order priced anew (what stays keeps its price), the
    difference paid or given back by `settlement`. 409 `not_changeable` (with what is `legal`), `not_allowed` (with the
    shop's `rule`), `out_of_stock`, `payment_missing`, `gift_card_short`.
    """
    with db.transaction() as session:
        claim.begin(session)
        order = changing.change_goods(
            session,
            order=reference,
            changes=[LineChange(**change) for change in body["changes"]],
            additions=[Addition(**one) for one in body["additions"]],
            settlement=Settlement(**body["settlement"]),
            caller=call.principal,
            now=call.now,
        )
        answer.settle(claim, session, order)
    cancellation.settle(order_id=order["id"], now=call.now)
    return order


@blp.workflow(
    "/orders/<string:reference>/payment-method", permission=MAY, body=schemas.ChangeMethodSchema, answer=OrderSchema
)
def change_method(call: Call, claim: Claim, answer: Answer, reference: str, body: dict[str, Any]) -> dict[str, Any]:
    """Pay an order that nobody has begun with another saved method, which must cover all of it; the old one gets its money
    back."""
    with db.transaction() as session:
        claim.begin(session)
        order = changing.change_method(session, order=reference, **body, caller=call.principal, now=call.now)
        answer.settle(claim, session, order)
    cancellation.settle(order_id=order["id"], now=call.now)
    return order


@blp.write(
    "PUT",
    "/orders/<string:reference>/address",
    permission=MAY,
    body=schemas.ChangeAddressSchema,
    answer=OrderSchema,
)
def change_address(session: Any, call: Call, reference: str, body: dict[str, Any]) -> dict[str, Any]:
    """Send what has not left yet to another address of the same country."""
    return changing.change_address(session, order=reference, **body, caller=call.principal, now=call.now)


@blp.write(
    "PUT",
    "/orders/<string:reference>/contact",
    permission=MAY,
    body=schemas.ChangeContactSchema,
    answer=OrderSchema,
)
def change_contact(session: Any, call: Call, reference: str, body: dict[str, Any]) -> dict[str, Any]:
    """Change whom messages about the order reach, and in whose name it is collected. What is left out stays."""
    return changing.change_contact(session, order=reference, contact=body, caller=call.principal, now=call.now)


@blp.read(
    "/orders/<string:reference>/changes",
    permission="orders.read|me",
    query=schemas.OrderChangeQuery,
    answer=schemas.OrderChangePageSchema,
)
def list_changes(session: Any, call: Call, reference: str, query: dict[str, Any]) -> Page:
    """What was changed of an order, oldest first, with what was before and after."""
    after = decode_cursor(query["cursor"], [UUID])
    rows = changing.browse(
        session, order=reference, after_id=after[0] if after else None, limit=query["limit"], caller=call.principal
    )
    return Page.of(rows, query["limit"], lambda row: [row["id"]])


@blp.read("/order-policies/<channel>", permission="orders.read", answer=schemas.OrderPolicySchema, etag=True)
def get_order_policy(session: Any, call: Call, channel: str) -> dict[str, Any]:  # noqa: ARG001
    """What the shop allows to be changed of orders of a channel, or (`default`) of all channels without rules of their own."""
    return order_policies.view(session, channel=channel)


@blp.write(
    "PUT",
    "/order-policies/<channel>",
    permission="orders.policy",
    body=schemas.SetOrderPolicySchema,
    answer=schemas.OrderPolicySchema,
    if_match=True,
)
def put_order_policy(session: Any, call: Call, channel: str, body: dict[str, Any]) -> dict[str, Any]:
    """Set all rules of a channel or of all others. `If-Match: "0"` where none are set yet."""
    return order_policies.put(
        session, channel=channel, rules=body, version=call.version, actor=call.actor, now=call.now
    )


@blp.read("/me/payment-methods", permission="me", answer=schemas.PaymentMethodsSchema)
def list_my_methods(session: Any, call: Call) -> dict[str, Any]:
    """Your saved payment methods."""
    return {"items": payment_methods.browse(session, customer_id=customers.own(call.principal))}


@blp.write(
    "POST",
    "/me/payment-methods",
    permission="me",
    body=schemas.SavePaymentMethodSchema,
    answer=schemas.PaymentMethodsSchema,
    status=201,
)
def save_my_method(session: Any, call: Call, body: dict[str, Any]) -> dict[str, Any]:
    """Save a card by the provider's token, or a gift card by its number."""
    customer_id = customers.own(call.principal)
    payment_methods.add(session, customer_id=customer_id, **body, now=call.now)
    return {"items": payment_methods.browse(session, customer_id=customer_id)}


@blp.write("DELETE", "/me/payment-methods/<uuid:method_id>", permission="me", answer=None)
def retire_my_method(session: Any, call: Call, method_id: UUID) -> None:
    """Give a saved method up."""
    payment_methods.retire(session, customer_id=customers.own(call.principal), method_id=method_id, now=call.now)


@blp.read("/customers/<customer>/payment-methods", permission="customers.read", answer=schemas.PaymentMethodsSchema)
def list_methods(session: Any, call: Call, customer: str) -> dict[str, Any]:  # noqa: ARG001
    """A customer's saved payment methods."""
    customer_id = customers.key_of(session, customer=customer)
    return {"items": payment_methods.browse(session, customer_id=customer_id)}


@blp.write(
    "POST",
    "/customers/<customer>/payment-methods",
    permission="customers.write",
    body=schemas.SavePaymentMethodSchema,
    answer=schemas.PaymentMethodsSchema,
    status=201,
)
def save_method(session: Any, call: Call, customer: str, body: dict[str, Any]) -> dict[str, Any]:
    """Save a payment method for a customer."""
    customer_id = customers.key_of(session, customer=customer)
    payment_methods.add(session, customer_id=customer_id, **body, now=call.now)
    return {"items": payment_methods.browse(session, customer_id=customer_id)}


@blp.write(
    "DELETE", "/customers/<customer>/payment-methods/<uuid:method_id>", permission="customers.write", answer=None
)
def retire_method(session: Any, call: Call, customer: str, method_id: UUID) -> None:
    """Give up a customer's saved method."""
    customer_id = customers.key_of(session, customer=customer)
    payment_methods.retire(session, customer_id=customer_id, method_id=method_id, now=call.now)
