"""A sale at a till by people: goods are scanned into a cart, which is then sold. `carts` and `checkout` do the work."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from loyalty import cards, lookup
from orders import carts, checkout, queries
from orders.drafts import CARRY_OUT
from orders.ownership import cart_of
from orders.queries import till as till_queries
from orders.queries.till import TillFacts
from orders.till import registers
from retail import barcodes
from retail import queries as ground
from retail.kernel.auth import Principal
from retail.kernel.errors import Conflict, Invalid, NotFound
from retail.kernel.i18n import N_

CASH = "cash"
KNOWN = ("attested", "verified")  # how sure it must be whose phone or card it is, before it is hers


class TotalChanged(Conflict):
    """The cart costs something else than what the customer was told; nothing was sold."""

    code, title = "total_changed", "The total has changed: tell the customer the new one"


class NobodyKnown(NotFound):
    """No customer is known by this phone number or card."""

    code, title = "customer_not_known", "Nobody is known by this phone number or card"


def tills_of(session: Session, *, caller: Principal) -> list[dict[str, Any]]:
    """The tills at which this person may sell, by code (TillSchema)."""
    locations = None if caller.locations is None else sorted(caller.locations)
    return [registers.shown(one) for one in till_queries.tills(session, locations=locations)]


def scan(
    session: Session,
    *,
    till: TillFacts,
    cart_id: UUID | None,
    typed: str,
    quantity: int,
    caller: Principal,
    now: datetime,
) -> dict[str, Any]:
    """Put what was scanned (a barcode) or typed (a SKU) into the cart, a new one if there is none; more of what is in it already.

    Returns: the cart (CartSchema).

    Raises:
        NotForSale, Invalid: it means nothing, or is not sold here. NotFound, CartClosed: the cart is not to be had.
    """
    sku = _sku(session, typed)
    if cart_id is None:
        item = checkout.Item(quantity, sku)
        return carts.create(
            session, lines=[item], location=till.location_code, method=CARRY_OUT, caller=caller, now=now
        )
    cart = cart_of(session, cart_id=cart_id, caller=caller)
    on: dict[str, Any] = {"cart_id": cart_id, "version": cart.version, "caller": caller, "now": now}
    for line in cart.lines:
        if line.sku == sku:
            return carts.change_line(session, line_id=line.id, quantity=line.quantity + quantity, **on)
    return carts.add_line(session, sku=sku, quantity=quantity, **on)


def sell_to(
    session: Session, *, till: TillFacts, cart_id: UUID, typed: str, caller: Principal, now: datetime
) -> tuple[dict[str, Any], str | None]:
    """Whose cart it is, by phone number, loyalty card or the token that her phone shows; what she may have had off is in the
    total then. A cart is made for one customer, so this is a new one with the same goods. Nothing typed: a guest's again.

    Returns: the cart (CartSchema), and the proof with which her points are spent, if she was found so surely (`lookup`).

    Raises:
        NobodyKnown: nobody is, or nobody surely. TokenInvalid, TokenExpired, TokenUsed: see `cards.use_token`. NotFound, CartClosed: the cart is not to be had.
    """
    found = _member(session, typed, caller, now) if typed else {"customer_id": None, "spend_proof": None}
    cart = carts.require_open(cart_of(session, cart_id=cart_id, caller=caller))
    carts.abandon(session, cart_id=cart_id, version=cart.version, caller=caller, now=now)
    items = [checkout.Item(line.quantity, line.sku) for line in cart.lines]
    made = carts.create(
        session, lines=items, location=till.location_code, method=CARRY_OUT, customer_id=found["customer_id"],
        coupon_codes=cart.coupon_codes, caller=caller, now=now,
    )  # fmt: skip
    return made, found["spend_proof"]


def sell(
    session: Session,
    *,
    till: str,
    cart_id: UUID,
    told_minor: int,
    tender: str,
    received_minor: int | None,
    points: int,
    points_proof: str | None,
    gift_cards: Sequence[str],
    caller: Principal,
    now: datetime,
) -> dict[str, Any]:
    """Sell the cart (`checkout.place`): `told_minor` is the total that the customer was told, `received_minor` the cash that she
    gave. Returns the order (OrderSchema).

    Raises:
        TotalChanged: it costs something else by now. Invalid: she gave too little. And whatever `checkout.place` raises.
    """
    order = checkout.place(
        session, cart_id=cart_id, method=CARRY_OUT, payment={"method": tender}, gift_card_numbers=gift_cards,
        points_to_spend=points, points_proof=points_proof, till=till, caller=caller, now=now,
    )  # fmt: skip
    if order["total"]["amount_minor"] != told_minor:
        raise TotalChanged
    if received_minor is not None and received_minor < cash_of(order):
        raise Invalid(
            errors=[{"field": "received", "code": "too_little", "detail": N_("It is less than what is to be paid.")}]
        )
    return order


def cash_of(order: Mapping[str, Any]) -> int:
    """What of an order was paid in cash, minor units."""
    return sum(int(part["amount"]["amount_minor"]) for part in order["payments"] if part["tender"] == CASH)


def sold(session: Session, *, reference: str, till: TillFacts) -> dict[str, Any]:
    """An order that was sold at the store of this till (OrderSchema).

    Raises:
        NotFound: there is none, or it was sold elsewhere.
    """
    order = queries.order_dict(session, **queries.order_key(reference))
    if order is None or all(part["location"]["id"] != till.location_id for part in order["fulfillments"]):
        raise NotFound
    return order


def _sku(session: Session, typed: str) -> str:
    try:
        gtin = barcodes.normalize(typed)
    except barcodes.BarcodeInvalid:
        return typed
    named = ground.variant_of_barcode(session, gtin=gtin)
    return typed if named is None else str(named["sku"])


def _member(session: Session, typed: str, caller: Principal, now: datetime) -> dict[str, Any]:
    """Who is surely known by it (MemberSchema); a token that her phone shows is used up."""
    if cards.is_token(typed):
        return lookup.by_token(session, token=typed, caller=caller, now=now)
    for kind in ("phone", "card"):
        try:
            found = lookup.by_identity(session, kind=kind, value=typed, caller=caller, now=now)
        except (Invalid, lookup.MemberUnknown):
            continue
        if found["assurance"] in KNOWN:
            return found
    raise NobodyKnown
