"""/carts."""

from typing import Any
from uuid import UUID

from orders import cart_holds, carts
from orders.checkout import Item
from orders.schemas.carts import (
    AddCartLineSchema,
    CartHoldSchema,
    CartSchema,
    ChangeCartLineSchema,
    ChangeCartSchema,
    CreateCartSchema,
    HoldCartSchema,
)
from retail.kernel.web.api import ApiBlueprint, Call

blp = ApiBlueprint("carts", __name__, url_prefix="/api/v1", description="What is about to be bought")
BLUEPRINTS = [blp]


@blp.write("POST", "/carts", permission="carts.write", body=CreateCartSchema, answer=CartSchema, status=201)
def create_cart(session: Any, call: Call, body: dict[str, Any]) -> dict[str, Any]:
    """Make a cart.

    For yourself; clients and staff may name the customer. Prices are the channel's, tax is the store's.
    """
    lines = [Item(line["quantity"], line["sku"]) for line in body.pop("lines")]
    return carts.create(session, **body, lines=lines, caller=call.principal, now=call.now)


@blp.read("/carts/<uuid:cart_id>", permission="carts.write", answer=CartSchema, etag=True)
def get_cart(session: Any, call: Call, cart_id: UUID) -> dict[str, Any]:
    """A cart with today's prices."""
    return carts.show(session, cart_id=cart_id, caller=call.principal, now=call.now)


@blp.write(
    "PATCH", "/carts/<uuid:cart_id>", permission="carts.write", body=ChangeCartSchema, answer=CartSchema, if_match=True
)
def change_cart(session: Any, call: Call, cart_id: UUID, body: dict[str, Any]) -> dict[str, Any]:
    """Choose the store, the method, the points to spend."""
    return carts.change(
        session, cart_id=cart_id, version=call.version, changes=body, caller=call.principal, now=call.now
    )


@blp.write("DELETE", "/carts/<uuid:cart_id>", permission="carts.write", answer=None, if_match=True)
def abandon_cart(session: Any, call: Call, cart_id: UUID) -> None:
    """Give the cart up, and what it holds."""
    carts.abandon(session, cart_id=cart_id, version=call.version, caller=call.principal, now=call.now)


@blp.write(
    "POST",
    "/carts/<uuid:cart_id>/lines",
    permission="carts.write",
    body=AddCartLineSchema,
    answer=CartSchema,
    status=201,
    if_match=True,
)
def add_cart_line(session: Any, call: Call, cart_id: UUID, body: dict[str, Any]) -> dict[str, Any]:
    """Add a line. The same SKU may stand on two lines."""
    return carts.add_line(session, cart_id=cart_id, version=call.version, **body, caller=call.principal, now=call.now)


@blp.write(
    "PATCH",
    "/carts/<uuid:cart_id>/lines/<uuid:line_id>",
    permission="carts.write",
    body=ChangeCartLineSchema,
    answer=CartSchema,
    if_match=True,
)
def change_cart_line(session: Any, call: Call, cart_id: UUID, line_id: UUID, body: dict[str, Any]) -> dict[str, Any]:
    """Set a line's quantity."""
    return carts.change_line(
        session, cart_id=cart_id, line_id=line_id, version=call.version, **body, caller=call.principal, now=call.now
    )


@blp.write(
    "DELETE",
    "/carts/<uuid:cart_id>/lines/<uuid:line_id>",
    permission="carts.write",
    answer=CartSchema,
    if_match=True,
)
def remove_cart_line(session: Any, call: Call, cart_id: UUID, line_id: UUID) -> dict[str, Any]:
    """Take a line out; the cart is answered."""
    return carts.remove_line(
        session, cart_id=cart_id, line_id=line_id, version=call.version, caller=call.principal, now=call.now
    )


@blp.write(
    "POST",
    "/carts/<uuid:cart_id>/hold",
    permission="carts.write",
    body=HoldCartSchema,
    body_required=False,
    answer=CartHoldSchema,
    status=201,
    idempotent=True,
)
def hold_cart(session: Any, call: Call, cart_id: UUID, body: dict[str, Any]) -> dict[str, Any]:
    """Put the cart's stock aside for 15 minutes, or for as long as the body says.

    Replaces an earlier hold of the cart. All of it is held, or nothing: `out_of_stock` names every short line.
    """
    return cart_holds.hold(session, cart_id=cart_id, hold_seconds=body["seconds"], caller=call.principal, now=call.now)


@blp.write("DELETE", "/carts/<uuid:cart_id>/hold", permission="carts.write", answer=None)
def release_cart(session: Any, call: Call, cart_id: UUID) -> None:
    """Give the hold back; 204 also when there is none."""
    cart_holds.release(session, cart_id=cart_id, caller=call.principal, now=call.now)
