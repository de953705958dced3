"""Placing an order: prices, stock, points, payment and the order itself, all or none, in one transaction.

From where its goods leave is a plan (planning.py): one entry for a pickup or the till, several where an order is split. The hot path of the shop: one statement per package, no ORM objects, nothing repeated per line. An order paid by card is
written unconfirmed; `payments` talks to the card network afterwards and `confirmation` settles it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from inventory import reservations
from loyalty import ledger, spend_proofs
from orders import earned, gift_cards, order_answer, order_writer, planning, pricing, queries, shipping_fees, splitting
from orders.confirmation import confirm, fail
from orders.drafts import CARRY_OUT, PICKUP, SHIP, Draft
from orders.ownership import cart_of, channel_of, contact_of, customer_for
from orders.planning import Take
from orders.pricing import Priced
from orders.promotions import applicable, coupons
from orders.queries.gift_cards import GiftCardFacts
from orders.queries.promotions import Shopper
from orders.till import drawers
from retail import queries as ground
from retail import taxes
from retail.kernel.auth import CLIENT, CUSTOMER, Principal
from retail.kernel.errors import Conflict, Forbidden, Invalid
from retail.kernel.ids import new_id, new_reference
from retail.queries import CustomerFacts, LocationFacts

__all__ = ["CartChanged", "Item", "confirm", "fail", "place"]


class CartChanged(Conflict):
    """The cart was edited, placed or given up before this request could place it."""

    code, title = "cart_changed", "The cart was changed or placed by another request"


class CartEmpty(Invalid):
    """There is nothing to order."""

    code, title = "cart_empty", "The cart has no lines"


class NotForSale(Invalid):
    """SKUs that are unknown, archived, or without a price in this channel; `errors` names every line."""

    code, title = "not_for_sale", "Some lines cannot be sold here"


class NoPickupHere(Invalid):
    """The location is unknown or does not serve this method."""

    code, title = "location_not_valid", "This location cannot serve the order"


@dataclass(frozen=True, slots=True)
class Item:
    """One wished line: a SKU, or a variant of a cart, and how many."""

    quantity: int
    sku: str = ""
    variant_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class _Wish:
    """What is to be ordered, from a cart or from the request itself."""

    channel: str
    items: tuple[Item, ...]
    method: str
    location: str | UUID | None
    customer_id: UUID | None
    points: int
    ship_to: Mapping[str, Any] | None = None
    split: bool = False
    coupon_codes: Sequence[str] = ()
    cart_id: UUID | None = None
    cart_version: int | None = None


def place(
    session: Session,
    *,
    caller: Principal,
    now: datetime,
    cart_id: UUID | None = None,
    lines: Sequence[Item] = (),
    method: str | None = None,
    location: str | UUID | None = None,
    ship_to: Mapping[str, Any] | None = None,
    slot_at: datetime | None = None,
    split: bool = False,
    payment: Mapping[str, Any] | None = None,
    payments: Sequence[Mapping[str, Any]] = (),
    gift_card_numbers: Sequence[str] = (),
    points_to_spend: int | None = None,
    points_proof: str | None = None,
    coupon_codes: Sequence[str] | None = None,
    customer_id: UUID | None = None,
    contact: Mapping[str, str | None] | None = None,
    till: str | None = None,
) -> dict[str, Any]:
    """Place an order from a cart or from `lines`; what the request says goes before what the cart says.

    1. who, what and where; 2. prices and tax of the store or destination; 3. points pay first (at most the total), `payment`
    the rest; 4. stock and points are taken; 5. everything is written by one statement; 6. at the till it is settled at once.

    Args:
        method: ``pickup``, ``ship`` or ``carry_out``. location: a store's code or id; of what is shipped, none.
        ship_to: where it is sent (AddressSchema). split: what the store of a pickup lacks may come to it from elsewhere;
            what is shipped is split as the sourcing policy says. slot_at: when a slot begins in which it is picked up.
        payment: ``{"method": card | pay_at_pickup | cash | card_terminal, "payment_method": "pm_..."}``; needed only
            when points and gift cards do not pay everything. Cards leave the order ``pending_payment`` for
            `payments.authorize`. payments: in its place at the till, several with amounts.
        coupon_codes: in any spelling; those that do not count are told, with the reason, and the order is placed all the same.
        gift_card_numbers: used in their order after points, as far as they go.
        contact: name, email, phone of a guest, or in the place of the customer's own. till: whose open drawer takes the cash.
        points_proof: of the look-up, where somebody else spends her points (`spend_proofs.require`).

    Returns: the order in the shape of OrderSchema (what `queries.order_dict` would say).

    Raises:
        NotFound: another's cart or customer, or another store's till. PointsProofRequired, -Invalid, -Expired.
        CartEmpty, NotForSale, NoPickupHere, NotSentThere, NoSuchSlot, Invalid: it cannot be sold; `errors` names all.
        OutOfStock, SplitNotWorth, SlotFull, InsufficientPoints, CouponUsedUp, CartChanged, DrawerClosed: not now; nothing was taken.
    """
    wish = _from_cart(session, cart_id, caller) if cart_id is not None else _from_lines(lines, caller)
    said: dict[str, Any] = {"method": method, "location": location, "ship_to": ship_to, "split": split}
    said |= {"points": points_to_spend, "coupon_codes": coupon_codes, "customer_id": customer_id}
    wish = replace(wish, **{name: value for name, value in said.items() if value is not None})
    place_ = _location(session, wish, caller)
    customer = _customer(session, wish, points_proof, caller=caller, now=now)
    named = contact_of(customer, contact, needed=wish.method != CARRY_OUT)
    shopper = Shopper(customer.id if customer else None, *named[1:])
    priced = _price(session, wish, place_, shopper, now)
    tenders = {"payment": payment, "payments": payments, "cards": _cards(session, gift_card_numbers)}
    draft = _draft(wish, customer, priced, contact=named, tenders=tenders, caller=caller, now=now)

    how = Take(wish.cart_id, caller.actor, now, slot_at)
    draft = planning.take(session, draft=draft, place=place_, split=wish.split, how=how)
    _take_points(session, draft, actor=caller.actor, now=now)
    if not order_writer.write(session, draft=draft, actor=caller.actor, now=now):
        raise CartChanged
    coupons.take(session, codes=priced.coupon_codes, order_id=draft.order_id, shopper=shopper, now=now)
    if draft.parts and gift_card_numbers:
        _spend_cards(session, draft, actor=caller.actor, now=now)
    if draft.method == CARRY_OUT:
        _settle_at_till(session, draft, actor=caller.actor, now=now)
    _into_drawer(session, draft, till, place_, caller=caller, now=now)
    return order_answer.order_of(draft)


def _take_points(session: Session, draft: Draft, *, actor: str, now: datetime) -> None:
    """Put the points aside, if there are any; at the till they are spent at once."""
    if not draft.points:
        return
    take = ledger.spend if draft.at_till else ledger.hold
    take(session, customer_id=draft.holder, order_id=draft.order_id, points=draft.points, actor=actor, now=now)


def _from_cart(session: Session, cart_id: UUID, caller: Principal) -> _Wish:
    cart = cart_of(session, cart_id=cart_id, caller=caller)
    if cart.state != "open":
        raise CartChanged(order_id=cart.order_id)
    if not cart.lines:
        raise CartEmpty
    return _Wish(
        channel=cart.channel_code,
        items=tuple(Item(line.quantity, line.sku, line.variant_id) for line in cart.lines),
        method=cart.method,
        location=cart.location_id,
        ship_to=cart.ship_to,
        customer_id=cart.customer_id,
        points=cart.points_to_spend,
        coupon_codes=cart.coupon_codes,
        cart_id=cart.id,
        cart_version=cart.version,
    )


def _from_lines(lines: Sequence[Item], caller: Principal) -> _Wish:
    if not lines:
        raise CartEmpty
    return _Wish(channel_of(caller), tuple(lines), PICKUP, None, None, 0)


def _customer(
    session: Session, wish: _Wish, points_proof: str | None, *, caller: Principal, now: datetime
) -> CustomerFacts | None:
    """For whom it is, if the caller may spend the points that it asks for."""
    customer = customer_for(session, customer_id=wish.customer_id, caller=caller)
    if customer is not None and wish.points > 0:
        spend_proofs.require(session, customer_id=customer.id, proof=points_proof, caller=caller, now=now)
    return customer


def _location(session: Session, wish: _Wish, caller: Principal) -> LocationFacts | None:
    """Where it happens: a store that serves pickups, the till that is asking, or nowhere yet for what is shipped."""
    if wish.method == SHIP:
        if wish.ship_to is None:
            raise Invalid(errors=[{"field": "ship_to", "code": "required", "detail": "Give the address"}])
        return None
    if wish.location is None:
        raise _no_location("required", "Name the store")
    facts = ground.pickup_location(session, location=wish.location)
    if facts is None:
        raise _no_location("unknown", "There is no such location")
    if wish.method == PICKUP:
        if not facts.pickup_enabled:
            raise _no_location("no_pickup", "Orders cannot be picked up there")
        return facts
    caller.require("till.sell")
    if caller.kind == CLIENT and caller.locations is None:
        raise Forbidden("This client is not bound to a store")
    caller.require_location(facts.id)
    return facts


def _no_location(code: str, detail: str) -> NoPickupHere:
    return NoPickupHere(errors=[{"field": "location", "code": code, "detail": detail}])


def _price(session: Session, wish: _Wish, place_: LocationFacts | None, shopper: Shopper, now: datetime) -> Priced:
    """Prices of the wish's channel less what promotions take off, at the store's tax, or the destination's with what sending
    costs. All lines that cannot be sold are named at once."""
    known = [item.variant_id for item in wish.items if item.variant_id is not None]
    codes = coupons.normal_all(wish.coupon_codes)
    skus = [] if known else sorted({item.sku for item in wish.items})
    sent_to = wish.ship_to if place_ is None else None
    tax_region = None if sent_to is None else taxes.tax_region_for(session, ship_to=sent_to)
    offers, found = applicable(
        session,
        channel_code=wish.channel,
        skus=skus,
        variant_ids=known,
        location_id=None if place_ is None else place_.id,
        tax_region=tax_region,
        coupon_codes=codes,
        shopper=shopper,
        now=now,
    )
    by_sku = {offer.sku: offer for offer in offers}
    missing = [
        {"line": position, "sku": item.sku, "code": "not_for_sale", "detail": "Unknown, or not sold in this channel"}
        for position, item in enumerate(wish.items, start=1)
        if item.sku not in by_sku
    ]
    if missing:
        raise NotForSale(errors=missing)
    items = [(by_sku[item.sku], item.quantity) for item in wish.items]
    promoted: dict[str, Any] = {"promotions": found, "coupon_codes": codes, "now": now}
    goods = pricing.price(items, **promoted)
    if sent_to is None or tax_region is None:
        return goods
    where: dict[str, Any] = {"ship_to": sent_to, "tax_region": tax_region, "customer_id": shopper.customer_id}
    costs = shipping_fees.sending(session, goods=goods, **where, now=now)
    return pricing.price(items, fees=costs.fees, told=costs.told, **promoted) if costs.fees or costs.told else goods


def _draft(
    wish: _Wish,
    customer: CustomerFacts | None,
    priced: Priced,
    *,
    contact: tuple[str, str | None, str | None],
    tenders: Mapping[str, Any],
    caller: Principal,
    now: datetime,
) -> Draft:
    """Everything about the new order that can be decided without taking anything; its plan is made when its stock is."""
    if wish.points > 0 and customer is None and priced.total_minor > 0:
        raise Invalid(errors=[{"field": "points_to_spend", "code": "no_customer", "detail": "Guests have no points"}])
    points, parts = splitting.split(
        priced.total_minor, priced.currency, method=wish.method, points=wish.points, **tenders
    )
    waits = any(part.tender == "card" for part in parts)
    name, email, phone = contact
    return Draft(
        order_id=new_id(),
        reference=new_reference(queries.REFERENCE_PREFIX),
        channel=wish.channel,
        customer_id=customer.id if customer else None,
        contact_name=name,
        contact_email=email,
        contact_phone=phone,
        locale=customer.locale if customer else caller.locale if caller.kind == CUSTOMER else "ja",
        placed_by=caller.actor,
        priced=priced,
        line_ids=tuple(new_id() for _ in priced.lines),
        method=wish.method,
        plan=(),
        ship_to=wish.ship_to if wish.method == SHIP else None,
        parts=parts,
        points=points,
        confirmed=not waits,
        cart_id=wish.cart_id,
        cart_version=wish.cart_version,
        now=now,
    )


def _cards(session: Session, numbers: Sequence[str]) -> list[GiftCardFacts]:
    """The gift cards of these numbers, in order.

    Raises:
        GiftCardUnknown: one of them is none. Invalid: one is named twice.
    """
    cards = [gift_cards.find(session, number=number) for number in numbers]
    if len({card.id for card in cards}) != len(cards):
        raise Invalid(errors=[{"field": "gift_cards", "code": "repeated", "detail": "A gift card is named twice"}])
    return cards


def _spend_cards(session: Session, draft: Draft, *, actor: str, now: datetime) -> None:
    """Take what the gift cards pay off them, in one order of locks; what they lack refuses the whole order."""
    by_card = sorted((part.gift_card.id, part) for part in draft.parts if part.gift_card is not None)
    for card_id, part in by_card:
        gift_cards.spend(
            session,
            gift_card_id=card_id,
            amount_minor=part.amount_minor,
            currency=draft.priced.currency,
            order_id=draft.order_id,
            key=f"spend:{part.payment_id}",
            actor=actor,
            now=now,
        )


def _into_drawer(
    session: Session, draft: Draft, till: str | None, place_: LocationFacts | None, *, caller: Principal, now: datetime
) -> None:
    if till is None:
        return
    cash = [part.payment_id for part in draft.parts if part.tender == "cash"]
    here = place_.id if place_ is not None and draft.method == CARRY_OUT else None
    drawers.take(session, till=till, location_id=here, payments=cash, caller=caller, now=now)


def _settle_at_till(session: Session, draft: Draft, *, actor: str, now: datetime) -> None:
    """The goods leave with the customer: stock is gone, points are earned (and were spent when they were taken)."""
    reservations.consume(session, owner_id=draft.order_id, line_ids=None, actor=actor, now=now)
    earned.at_the_till(session, draft=draft, actor=actor, now=now)
