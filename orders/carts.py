"""Carts: what is about to be bought, where, and with how many points. Priced when looked at, fixed when placed.

Every edit names the version it was made against: the version moves first, by one conditional UPDATE, which also
serializes the edits of a cart.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import reservations
from orders import cart_answer, pricing, shipping_fees
from orders.checkout import Item, NotForSale
from orders.discounts import Promotion
from orders.drafts import PICKUP, SHIP
from orders.ownership import cart_of, channel_of, customer_for
from orders.pricing import Priced
from orders.promotions import applicable, coupons
from orders.queries import carts as cart_queries
from orders.queries.carts import CartFacts
from orders.queries.promotions import Shopper
from orders.shipping_fees import Sending
from retail import limits, taxes
from retail import queries as ground
from retail.kernel.auth import CUSTOMER, Principal
from retail.kernel.errors import Conflict, Invalid, NotFound, Stale
from retail.kernel.ids import new_id
from retail.queries import LocationFacts, Offer


class CartClosed(Conflict):
    """The cart has become an order or was given up, and is not edited any more."""

    code, title = "cart_closed", "The cart has been placed or given up"


class TooManyLines(Invalid):
    """More lines than limits.LINES_PER_ORDER."""

    code, title = "too_many_lines", "The cart has too many lines"


class TooManyCarts(Conflict):
    """More open carts than limits.OPEN_CARTS_PER_OWNER."""

    code, title = "too_many_carts", "There are too many open carts"


_CREATE = text(
    """
    INSERT INTO cart (id, owner, customer_id, channel_code, location_id, method, ship_to, points_to_spend, coupon_codes,
                      created_at, updated_at)
    VALUES (:id, :owner, :customer_id, :channel_code, :location_id, :method, CAST(:ship_to AS jsonb), :points_to_spend,
            :coupon_codes, :now, :now)
    """
)
_TOUCH = text(
    """
    UPDATE cart SET version = version + 1, updated_at = :now
    WHERE id = :cart_id AND version = :version AND state = 'open' RETURNING version
    """
)
_CHANGE = text(
    """
    UPDATE cart SET location_id = :location_id, method = :method, ship_to = CAST(:ship_to AS jsonb),
                    points_to_spend = :points_to_spend, coupon_codes = :coupon_codes
    WHERE id = :cart_id
    """
)
_ADD = text(
    """
    INSERT INTO cart_line (id, cart_id, position, variant_id, quantity)
    SELECT :id, :cart_id, coalesce(max(position), 0) + 1, :variant_id, :quantity FROM cart_line WHERE cart_id = :cart_id
    """
)
_ABANDON = text("UPDATE cart SET state = 'abandoned' WHERE id = :cart_id")
_QUANTITY = text("UPDATE cart_line SET quantity = :quantity WHERE id = :line_id AND cart_id = :cart_id RETURNING id")
_REMOVE = text("DELETE FROM cart_line WHERE id = :line_id AND cart_id = :cart_id RETURNING id")


def create(
    session: Session,
    *,
    caller: Principal,
    now: datetime,
    lines: Sequence[Item] = (),
    location: str | None = None,
    method: str = PICKUP,
    ship_to: Mapping[str, Any] | None = None,
    points_to_spend: int = 0,
    coupon_codes: Sequence[str] = (),
    customer_id: UUID | None = None,
) -> dict[str, Any]:
    """A new cart in the caller's channel, for herself (customers) or for the named customer (clients, staff).

    Returns: the cart, priced (see `show`).

    Raises:
        TooManyCarts, TooManyLines, NotForSale, NotFound, Invalid: nothing was made.
    """
    # A storefront's client makes the carts of all its guests; the limit is a customer's.
    if caller.kind == CUSTOMER and cart_queries.open_carts(session, owner=caller.actor) >= limits.OPEN_CARTS_PER_OWNER:
        raise TooManyCarts(f"At most {limits.OPEN_CARTS_PER_OWNER} carts may be open")
    customer = customer_for(session, customer_id=customer_id, caller=caller)
    place = _location(session, location)
    cart_id = new_id()
    row = {
        "id": cart_id,
        "owner": caller.actor,
        "customer_id": customer.id if customer else None,
        "channel_code": channel_of(caller),
        "location_id": place.id if place else None,
        "method": method,
        "ship_to": _json(ship_to),
        "points_to_spend": points_to_spend,
        "coupon_codes": coupons.normal_all(coupon_codes),
        "now": now,
    }
    session.execute(_CREATE, row)
    if lines:
        _insert(session, cart_of(session, cart_id=cart_id, caller=caller), lines, now=now)
    return show(session, cart_id=cart_id, caller=caller, now=now)


def change(
    session: Session, *, cart_id: UUID, version: int, changes: Mapping[str, Any], caller: Principal, now: datetime
) -> dict[str, Any]:
    """Set any of location (code or id, None to forget it), method, ship_to, points_to_spend, coupon_codes (in any spelling,
    in the place of those before). Returns the priced cart.

    Raises:
        NotFound, CartClosed, Stale, Invalid: nothing was changed.
    """
    cart = _touch(session, cart_id=cart_id, version=version, caller=caller, now=now)
    location_id = cart.location_id
    if "location" in changes:
        place = _location(session, changes["location"])
        location_id = place.id if place else None
    row = {
        "cart_id": cart_id,
        "location_id": location_id,
        "method": changes.get("method", cart.method),
        "ship_to": _json(changes.get("ship_to", cart.ship_to)),
        "points_to_spend": changes.get("points_to_spend", cart.points_to_spend),
        "coupon_codes": coupons.normal_all(changes.get("coupon_codes", cart.coupon_codes)),
    }
    session.execute(_CHANGE, row)
    return show(session, cart_id=cart_id, caller=caller, now=now)


def add_line(
    session: Session, *, cart_id: UUID, version: int, sku: str, quantity: int, caller: Principal, now: datetime
) -> dict[str, Any]:
    """Add a line; the same SKU may stand on several (a gift and an own one). Returns the priced cart.

    Raises:
        NotFound, CartClosed, Stale, TooManyLines, NotForSale: nothing was changed.
    """
    cart = _touch(session, cart_id=cart_id, version=version, caller=caller, now=now)
    _insert(session, cart, [Item(quantity, sku)], now=now)
    return show(session, cart_id=cart_id, caller=caller, now=now)


def change_line(
    session: Session, *, cart_id: UUID, line_id: UUID, version: int, quantity: int, caller: Principal, now: datetime
) -> dict[str, Any]:
    """Set a line's quantity. Returns the priced cart.

    Raises:
        NotFound, CartClosed, Stale: nothing was changed.
    """
    _touch(session, cart_id=cart_id, version=version, caller=caller, now=now)
    given = {"line_id": line_id, "cart_id": cart_id, "quantity": quantity}
    if session.execute(_QUANTITY, given).one_or_none() is None:
        raise NotFound
    return show(session, cart_id=cart_id, caller=caller, now=now)


def remove_line(
    session: Session, *, cart_id: UUID, line_id: UUID, version: int, caller: Principal, now: datetime
) -> dict[str, Any]:
    """Take a line out. Returns the priced cart.

    Raises:
        NotFound, CartClosed, Stale: nothing was changed.
    """
    _touch(session, cart_id=cart_id, version=version, caller=caller, now=now)
    if session.execute(_REMOVE, {"line_id": line_id, "cart_id": cart_id}).one_or_none() is None:
        raise NotFound
    return show(session, cart_id=cart_id, caller=caller, now=now)


def abandon(session: Session, *, cart_id: UUID, version: int, caller: Principal, now: datetime) -> None:
    """Give the cart up: nothing can be done with it any more, and what it held is free.

    Raises:
        NotFound, CartClosed, Stale: nothing was changed.
    """
    # Stock before the cart, like whoever places it: in the other order two could wait for each other.
    cart = cart_of(session, cart_id=cart_id, caller=caller)
    reservations.release(session, owner_id=cart.id, cause="cart_abandoned", actor=caller.actor, now=now)
    _touch(session, cart_id=cart_id, version=version, caller=caller, now=now)
    session.execute(_ABANDON, {"cart_id": cart_id})


def show(session: Session, *, cart_id: UUID, caller: Principal, now: datetime) -> dict[str, Any]:
    """The cart with today's prices: the shape of CartSchema.

    Lines that cannot be sold (any more) have no price, do not count, and make `sellable` false. What is sent has the fee of
    sending it in its total, or `not_sent` says why it cannot be sent there.

    Raises:
        NotFound: there is no such cart, or it is another's.
    """
    cart = cart_of(session, cart_id=cart_id, caller=caller)
    tax_region, not_sent = _taxed_at(session, cart)
    offers, promotions = _offers(session, cart, tax_region=tax_region, now=now)
    place = None
    if cart.location_id is not None:
        place = ground.locations_by_id(session, location_ids=[cart.location_id])[cart.location_id]
    sold = [line for line in cart.lines if line.variant_id in offers]
    items = [(offers[line.variant_id], line.quantity) for line in sold]
    priced = None
    if items:
        promoted: dict[str, Any] = {"promotions": promotions, "coupon_codes": cart.coupon_codes, "now": now}
        priced = pricing.price(items, **promoted)
        if tax_region is not None:
            costs, not_sent = _sending(session, cart, priced, tax_region=tax_region, now=now)
            if costs.fees or costs.told:
                priced = pricing.price(items, fees=costs.fees, told=costs.told, **promoted)
    return cart_answer.cart_dict(cart, sold, priced, not_sent=not_sent) | {
        "location": None
        if place is None
        else {"id": place.id, "code": place.code, "name": place.name, "name_ja": place.name_ja, "zone": place.zone}
    }


def _taxed_at(session: Session, cart: CartFacts) -> tuple[str | None, str | None]:
    """The tax region of where it is sent (None: it is not), or the code of the reason why it cannot be sent there."""
    if cart.method != SHIP or cart.ship_to is None:
        return None, None
    try:
        return taxes.tax_region_for(session, ship_to=cart.ship_to), None
    except taxes.NoTaxThere as refusal:
        return None, refusal.code


def _sending(
    session: Session, cart: CartFacts, goods: Priced, *, tax_region: str, now: datetime
) -> tuple[Sending, str | None]:
    """What sending it costs, or the code of the reason why it cannot be sent there."""
    try:
        where: dict[str, Any] = {
            "ship_to": cart.ship_to or {},
            "tax_region": tax_region,
            "customer_id": cart.customer_id,
        }
        return shipping_fees.sending(session, goods=goods, **where, now=now), None
    except (taxes.NoTaxThere, shipping_fees.NotSentThere) as refusal:
        return Sending(), refusal.code


def _insert(session: Session, cart: CartFacts, lines: Sequence[Item], *, now: datetime) -> None:
    if len(cart.lines) + len(lines) > limits.LINES_PER_ORDER:
        raise TooManyLines(f"A cart holds at most {limits.LINES_PER_ORDER} lines")
    offers = ground.offers_for(
        session,
        channel_code=cart.channel_code,
        skus=sorted({line.sku for line in lines}),
        location_id=cart.location_id,
        now=now,
    )
    by_sku = {offer.sku: offer.variant_id for offer in offers}
    missing = [
        {"line": position, "sku": line.sku, "code": "not_for_sale", "detail": "Unknown, or not sold in this channel"}
        for position, line in enumerate(lines, start=1)
        if line.sku not in by_sku
    ]
    if missing:
        raise NotForSale(errors=missing)
    for line in lines:
        row = {"id": new_id(), "cart_id": cart.id, "variant_id": by_sku[line.sku], "quantity": line.quantity}
        session.execute(_ADD, row)


def _offers(
    session: Session, cart: CartFacts, *, tax_region: str | None, now: datetime
) -> tuple[dict[UUID, Offer], list[Promotion]]:
    """What its lines cost by variant, and which promotions may count; one statement."""
    if not cart.lines:
        return {}, []
    offers, promotions = applicable(
        session,
        channel_code=cart.channel_code,
        variant_ids=[line.variant_id for line in cart.lines],
        location_id=cart.location_id,
        tax_region=tax_region,
        coupon_codes=cart.coupon_codes,
        shopper=Shopper(cart.customer_id),
        now=now,
    )
    return {offer.variant_id: offer for offer in offers}, promotions


def _location(session: Session, given: str | None) -> LocationFacts | None:
    if given is None:
        return None
    facts = ground.pickup_location(session, location=given)
    if facts is None:
        raise Invalid(errors=[{"field": "location", "code": "unknown", "detail": "There is no such location"}])
    return facts


def _touch(session: Session, *, cart_id: UUID, version: int, caller: Principal, now: datetime) -> CartFacts:
    """Move the version on: whoever does has the cart until the end of the transaction."""
    cart = require_open(cart_of(session, cart_id=cart_id, caller=caller))
    given = {"cart_id": cart_id, "version": version, "now": now}
    if cart.version != version or session.execute(_TOUCH, given).one_or_none() is None:
        raise Stale
    return cart


def require_open(cart: CartFacts) -> CartFacts:
    """The cart, if it can still be edited.

    Raises:
        CartClosed.
    """
    if cart.state != "open":
        raise CartClosed(order_id=cart.order_id)
    return cart


def _json(ship_to: Mapping[str, Any] | None) -> str | None:
    return None if ship_to is None else json.dumps(dict(ship_to), ensure_ascii=False)
