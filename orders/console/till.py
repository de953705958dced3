"""The till: its drawer is opened with a count, goods are scanned and sold, the drawer is closed. The API with templates."""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from flask import Blueprint, g, request
from sqlalchemy.orm import Session

from loyalty import queries as loyalty
from orders import carts
from orders.console.places import number
from orders.queries import drawers as queries
from orders.schemas.drawers import CloseDrawerSchema, MoveCashSchema, OpenDrawerSchema
from orders.tenders import AT_THE_TILL
from orders.till import drawers, of, selling
from retail import limits
from retail import queries as ground
from retail.kernel import ids, money
from retail.kernel.errors import Invalid, NotFound
from retail.kernel.i18n import N_
from retail.kernel.web.api import Call
from retail.kernel.web.pages import PageBlueprint
from retail.kernel.web.rendering import NavItem, render, texts

HERE = "/console/till"
SESSIONS = 20
TENDERS = {"cash": N_("Cash"), "card_terminal": N_("Card terminal")}
MOVEMENTS = {"pay_in": N_("Put in"), "pay_out": N_("Taken out")}
DONE = {
    "opened": N_("The drawer is open."),
    "moved": N_("Noted."),
    "closed": N_("The drawer is closed."),
    "given_up": N_("The sale was given up."),
}
EXPLANATIONS = {
    "drawer_closed": N_("The drawer is not open. Count it and open it first."),
    "drawer_open": N_("The drawer is open already."),
    "drawer_currency": N_("The drawer holds another currency."),
    "total_changed": N_("The total has changed. Tell the customer the new one."),
    "customer_not_known": N_("Nobody is known by this phone number or card."),
    "cart_closed": N_("This sale is over. Begin a new one."),
    "cart_changed": N_("This sale is over, or was changed elsewhere."),
    "cart_empty": N_("Scan something first."),
    "member_token_invalid": N_("This is not the code of a member's card."),
    "member_token_expired": N_("This code has run out. Scan the one that her phone shows now."),
    "member_token_used": N_("This code was used before. Her phone shows the next one soon."),
    "points_proof_required": N_("Find the customer by her card first: a phone number spends no points."),
    "points_proof_invalid": N_("Find the customer by her card again: this was for somebody else."),
    "points_proof_expired": N_("Find the customer by her card again: the last time was too long ago."),
}
MENU = [NavItem(N_("Till"), HERE, "till.sell", N_("Sell at the till; open, count and close its drawer"))]
pages = PageBlueprint(
    "till_console",
    __name__,
    url_prefix=HERE,
    template_folder=str(Path(__file__).parents[1] / "templates"),
    menu=MENU,
    explanations=EXPLANATIONS,
)
BLUEPRINTS: list[Blueprint] = [pages]


@pages.page("", permission="till.sell")
def tills(session: Session, call: Call) -> Any:
    """Which till is this?"""
    return render("till/list.html", tills=selling.tills_of(session, caller=call.principal))


@pages.page("/<string:till>", permission="till.sell")
def sale(session: Session, call: Call, till: str) -> Any:
    """The sale that is being made; with the drawer closed, the question for its count."""
    facts = of(session, code=till, caller=call.principal)
    drawer = queries.open_dict(session, till_id=facts.id)
    cart = customer = None
    proof, points = _proof(request.values), 0
    if drawer is not None and (cart_id := _cart(request.values.get("cart", ""))) is not None:
        cart = carts.show(session, cart_id=cart_id, caller=call.principal, now=call.now)
    if cart is not None and cart["state"] != "open":
        cart = None
    if cart is not None and cart["customer_id"] is not None:
        customer = ground.customer_facts(session, customer_id=cart["customer_id"])
        if proof is not None:
            points = loyalty.points_of(session, customer_id=cart["customer_id"], now=call.now)["available"]
    return render(
        "till/sale.html",
        till=facts,
        drawer=drawer,
        cart=cart,
        customer=None if customer is None else customer.name,
        proof=proof,
        points=points,
        tenders=TENDERS,
        notice=_notice(),
    )


@pages.page("/<string:till>/drawer", permission="till.sell")
def drawer(session: Session, call: Call, till: str) -> Any:
    """What should be in the drawer; closing it; the sessions before."""
    facts = of(session, code=till, caller=call.principal)
    return render(
        "till/drawer.html",
        till=facts,
        drawer=queries.open_dict(session, till_id=facts.id),
        closed=drawers.browse(session, till=till, before=None, limit=SESSIONS, caller=call.principal)[:SESSIONS],
        movements=MOVEMENTS,
        notice=_notice(),
    )


@pages.page("/<string:till>/sold/<string:reference>", permission="till.sell")
def sold(session: Session, call: Call, till: str, reference: str) -> Any:
    """What was sold, the change to give back, and the way to the receipt."""
    facts = of(session, code=till, caller=call.principal)
    order = selling.sold(session, reference=reference, till=facts)
    received = request.args.get("received", "")
    back = int(received) - selling.cash_of(order) if received.isdecimal() and len(received) < 16 else 0
    change = {"amount_minor": back, "currency": order["currency"]} if back > 0 else None
    return render("till/sold.html", till=facts, order=order, change=change, tenders=TENDERS)


@pages.form("/<string:till>/drawer", permission="till.sell", again=sale)
def open_drawer(session: Session, call: Call, form: dict[str, str], till: str) -> str:
    """Open the drawer with what was counted."""
    currency = drawers.currency_of(session, till=till, caller=call.principal)
    body = OpenDrawerSchema().load({"opening_minor": _amount("opening_minor", form, currency)})
    drawers.open_(session, till=till, **body, caller=call.principal, now=call.now)
    return f"{HERE}/{till}?done=opened"


@pages.form("/<string:till>/drawer/movements", permission="till.sell", again=drawer)
def move(session: Session, call: Call, form: dict[str, str], till: str) -> str:
    """Put cash in, or take it out, for no sale."""
    amount = _amount("amount_minor", form, drawers.currency_of(session, till=till, caller=call.principal))
    body = MoveCashSchema().load(
        {"kind": form.get("kind", ""), "amount_minor": amount, "reason": form.get("reason", "")}
    )
    drawers.move(session, till=till, **body, caller=call.principal, now=call.now)
    return f"{HERE}/{till}/drawer?done=moved"


@pages.form("/<string:till>/drawer/closing", permission="till.sell", again=drawer)
def close_drawer(session: Session, call: Call, form: dict[str, str], till: str) -> str:
    """Close the drawer with what was counted."""
    currency = drawers.currency_of(session, till=till, caller=call.principal)
    body = CloseDrawerSchema().load({"counted_minor": _amount("counted_minor", form, currency)})
    drawers.close(session, till=till, **body, caller=call.principal, now=call.now)
    return f"{HERE}/{till}/drawer?done=closed"


@pages.form("/<string:till>/lines", permission="till.sell", again=sale)
def scan(session: Session, call: Call, form: dict[str, str], till: str) -> str:
    """Add what was scanned."""
    facts = of(session, code=till, caller=call.principal)
    units = number("quantity", form.get("quantity", "")) or 1
    if units > limits.QUANTITY_PER_LINE:
        raise Invalid(errors=[{"field": "quantity", "code": "invalid", "detail": N_("This is not valid.")}])
    cart = selling.scan(
        session,
        till=facts,
        cart_id=_cart(form.get("cart", "")),
        typed=_needed(form, "scan"),
        quantity=units,
        caller=call.principal,
        now=call.now,
    )
    return _here(till, cart, _proof(form))


@pages.form("/<string:till>/lines/<uuid:line_id>/removal", permission="till.sell", again=sale)
def remove(session: Session, call: Call, form: dict[str, str], till: str, line_id: UUID) -> str:
    """Take a line out again."""
    of(session, code=till, caller=call.principal)
    on: dict[str, Any] = {"cart_id": _the_cart(form), "version": number("version", form.get("version", ""))}
    cart = carts.remove_line(session, line_id=line_id, **on, caller=call.principal, now=call.now)
    return _here(till, cart, _proof(form))


@pages.form("/<string:till>/customer", permission="till.sell", again=sale)
def name_customer(session: Session, call: Call, form: dict[str, str], till: str) -> str:
    """Say whose purchase it is. Found by her card she may spend points: the proof goes along until the sale is over."""
    facts = of(session, code=till, caller=call.principal)
    given: dict[str, Any] = {"cart_id": _the_cart(form), "typed": form.get("customer", "")}
    return _here(till, *selling.sell_to(session, till=facts, **given, caller=call.principal, now=call.now))


@pages.form("/<string:till>/abandonment", permission="till.sell", again=sale)
def give_up(session: Session, call: Call, form: dict[str, str], till: str) -> str:
    """The customer does not buy."""
    of(session, code=till, caller=call.principal)
    on: dict[str, Any] = {"cart_id": _the_cart(form), "version": number("version", form.get("version", ""))}
    carts.abandon(session, **on, caller=call.principal, now=call.now)
    return f"{HERE}/{till}?done=given_up"


@pages.form("/<string:till>/sale", permission="till.sell", again=sale)
def sell(session: Session, call: Call, form: dict[str, str], till: str) -> str:
    """Take the money and hand the goods over."""
    tender = form.get("tender", "")
    if tender not in AT_THE_TILL:
        raise Invalid(errors=[{"field": "tender", "code": "invalid", "detail": N_("This is not valid.")}])
    currency = drawers.currency_of(session, till=till, caller=call.principal)
    received = _amount("received", form, currency) if tender == selling.CASH and form.get("received") else None
    order = selling.sell(
        session,
        till=till,
        cart_id=_the_cart(form),
        told_minor=_told(form),
        tender=tender,
        received_minor=received,
        points=number("points", form.get("points", "")),
        points_proof=_proof(form),
        gift_cards=[form["gift_card"]] if form.get("gift_card") else [],
        caller=call.principal,
        now=call.now,
    )
    target = f"{HERE}/{till}/sold/{order['reference']}"
    return target if received is None else f"{target}?{urlencode({'received': received})}"


def _here(till: str, cart: dict[str, Any], proof: str | None) -> str:
    return f"{HERE}/{till}?{urlencode({'cart': cart['id']} | ({'proof': proof} if proof else {}))}"


def _proof(values: Mapping[str, str]) -> str | None:
    """What the look-up of the customer gave; whether it counts is found out when her points are spent."""
    typed = values.get("proof", "")
    return typed if 0 < len(typed) <= limits.SPEND_PROOF_CHARACTERS else None


def _cart(typed: str) -> UUID | None:
    return ids.parse_uuid(typed) if typed else None


def _the_cart(form: dict[str, str]) -> UUID:
    found = _cart(form.get("cart", ""))
    if found is None:
        raise NotFound
    return found


def _needed(form: dict[str, str], name: str) -> str:
    typed = form.get(name, "")
    if not typed or len(typed) > limits.SKU_CHARACTERS:
        raise Invalid(errors=[{"field": name, "code": "invalid", "detail": N_("This is not valid.")}])
    return typed


def _told(form: dict[str, str]) -> int:
    """The total that the page showed; what no page of ours says is no total."""
    told = form.get("told", "")
    return int(told) if told.isdecimal() and len(told) < 16 else -1


def _amount(field: str, form: dict[str, str], currency: str) -> int:
    """An amount as people write it ("1980", "19.80", "1,980") in minor units."""
    try:
        typed = Decimal(form.get(field, "").replace(",", ""))
        exact = typed == round(typed, money.exponent(currency))
    except (InvalidOperation, ValueError):
        exact, typed = False, Decimal(0)
    if not exact or not 0 <= typed < money.MAX_MINOR // 1000:
        raise Invalid(errors=[{"field": field, "code": "invalid", "detail": N_("This is not an amount.")}])
    return money.from_decimal(typed, currency).amount_minor


def _notice() -> str:
    done = DONE.get(request.args.get("done", ""))
    return texts().gettext(done) if done and request.method == "GET" and not g.get("problem") else ""
