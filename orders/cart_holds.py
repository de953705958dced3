"""A cart's stock, put aside for a while: at its store, or where the rules say that it will be sent from."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from inventory import reservations
from inventory.reservations import Demand
from orders import sourcing
from orders.carts import require_open
from orders.checkout import CartEmpty
from orders.drafts import SHIP
from orders.ownership import cart_of
from orders.queries.carts import CartFacts
from orders.sourcing import Want
from retail.kernel.auth import Principal
from retail.kernel.errors import Invalid


def hold(session: Session, *, cart_id: UUID, hold_seconds: int, caller: Principal, now: datetime) -> dict[str, Any]:
    """Put the cart's stock aside for `hold_seconds`; replaces an earlier hold of the cart. An order that is placed from the
    cart uses it up.

    Returns: ``{"cart_id", "expires_at"}``.

    Raises:
        NotFound, CartClosed, CartEmpty, Invalid: no such cart, or no lines, store or address in it.
        OutOfStock: nothing was held; an earlier hold stays as it was.
    """
    cart = require_open(cart_of(session, cart_id=cart_id, caller=caller))
    if not cart.lines:
        raise CartEmpty
    expires_at = reservations.hold(
        session,
        owner_id=cart.id,
        demands=_demands(session, cart, now=now),
        hold_seconds=hold_seconds,
        channel=cart.channel_code,
        actor=caller.actor,
        now=now,
    )
    # Whoever ordered from it meanwhile had the stock's locks until then, and has closed it: nothing is held for it any more.
    require_open(cart_of(session, cart_id=cart_id, caller=caller))
    return {"cart_id": cart.id, "expires_at": expires_at}


def release(session: Session, *, cart_id: UUID, caller: Principal, now: datetime) -> None:
    """Give the cart's hold back; nothing happens when there is none.

    Raises:
        NotFound: there is no such cart, or it is another's.
    """
    cart = cart_of(session, cart_id=cart_id, caller=caller)
    reservations.release(session, owner_id=cart.id, cause="cart_released", actor=caller.actor, now=now)


def _demands(session: Session, cart: CartFacts, *, now: datetime) -> Sequence[Demand]:
    if cart.method == SHIP:
        return _sent(session, cart, now=now)
    if cart.location_id is None:
        raise Invalid(errors=[{"field": "location", "code": "required", "detail": "Choose a store first"}])
    return [
        Demand(variant_id=line.variant_id, location_id=cart.location_id, quantity=line.quantity, line_id=line.id)
        for line in cart.lines
    ]


def _sent(session: Session, cart: CartFacts, *, now: datetime) -> list[Demand]:
    """From where it is sent, as things are now. What the goods cost is not known here, so that a small order is split too."""
    if cart.ship_to is None:
        raise Invalid(errors=[{"field": "ship_to", "code": "required", "detail": "Give the address first"}])
    decision = sourcing.decide(
        session,
        wants=[Want(position, line.sku, line.quantity) for position, line in enumerate(cart.lines)],
        destination=sourcing.address(cart.ship_to),
        channel=cart.channel_code,
        value_minor=None,
        held_for=cart.id,
        now=now,
    )
    return [
        Demand(cart.lines[position].variant_id, place.id, units, cart.lines[position].id)
        for place, lines in decision.parts
        for position, units in lines
    ]
