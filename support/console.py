"""The agent desk: one search box, the customer seen whole, a note, a refund or a cancellation after a confirmation."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from flask import Blueprint, redirect, request
from sqlalchemy.orm import Session

from orders import cancellation, refunds
from orders import queries as orders
from retail.kernel import db, i18n
from retail.kernel.auth import Principal
from retail.kernel.errors import NotFound
from retail.kernel.i18n import N_
from retail.kernel.idempotency import Claim
from retail.kernel.web.api import Call
from retail.kernel.web.pages import PageBlueprint
from retail.kernel.web.rendering import NavItem, render, texts
from support import actions, contacts, context
from support.actions import NothingToDo, Preview
from support.desk_words import (
    ACTORS,
    ASSURANCES,
    CHANNELS,
    DIRECTIONS,
    DONE,
    EVENTS,
    EXPLANATIONS,
    IDENTITIES,
    MESSAGE_STATES,
    ORDER_STATES,
    PAYMENT_STATES,
    PICKUP_STATES,
    REASONS,
    STEPS,
    TENDERS,
)
from support.schemas import NoteContactSchema

i18n.add(Path(__file__).parent / "translations")
PLACES = {"customers": "customer", "orders": "order"}
MENU = [
    NavItem(N_("Agent desk"), "/console/desk", "support.read", N_("Find a customer and see everything in one place"))
]
pages = PageBlueprint(
    "support_console",
    __name__,
    url_prefix="/console/desk",
    template_folder="templates",
    menu=MENU,
    explanations=EXPLANATIONS,
)
BLUEPRINTS: list[Blueprint] = [pages]
WORDS = {
    "assurances": ASSURANCES,
    "channels": CHANNELS,
    "directions": DIRECTIONS,
    "events": EVENTS,
    "identities": IDENTITIES,
    "message_states": MESSAGE_STATES,
    "order_states": ORDER_STATES,
    "payment_states": PAYMENT_STATES,
    "pickup_states": PICKUP_STATES,
    "tenders": TENDERS,
}


@pages.page("", permission="support.read")
def desk(session: Session, call: Call) -> Any:  # noqa: ARG001
    """The search box."""
    return render("desk/search.html", suggestions=[], words=WORDS)


@pages.plain_form("/search", permission="support.read", again=desk)
def search(call: Call, form: dict[str, str]) -> Any:
    """Whatever was typed: to the customer, to a guest's order, or to suggestions that the agent must prove first."""
    with db.reading() as session:
        found = context.search(session, text=form.get("q", ""), now=call.now)
    if found["customer"] is not None:
        order = f"#o-{found['order']['id']}" if found["order"] else ""
        return redirect(f"/console/desk/customers/{found['customer']['reference']}{order}", 303)
    if found["order"] is not None:
        return redirect(f"/console/desk/orders/{found['order']['reference']}", 303)
    return render("desk/search.html", suggestions=found["suggestions"], words=WORDS)


@pages.page("/<any(customers, orders):place>/<key>", permission="support.read")
def context_page(session: Session, call: Call, place: str, key: str) -> Any:
    """Everything about one customer, or about a guest's order."""
    found = context.find(session, kind=PLACES[place], value=key, now=call.now)
    zones = {part["location"]["zone"] for order in _orders(found) for part in order["fulfillments"]}
    return render(
        "desk/context.html",
        found=found,
        place=place,
        key=key,
        every_order=_orders(found),
        timeline=[event | {"who": _who(event["actor"])} for event in found["timeline"]],
        zone=min(zones, default="Asia/Tokyo"),
        words=WORDS,
        notice=_notice(),
    )


@pages.form("/<any(customers, orders):place>/<key>/contacts", permission="support.write", again=context_page)
def note_contact(session: Session, call: Call, form: dict[str, str], place: str, key: str) -> str:
    """Note a word with the customer."""
    body = NoteContactSchema().load({name: value for name, value in form.items() if value})
    contacts.note(session, caller=call.principal, now=call.now, **body)
    return f"/console/desk/{place}/{key}?done=contact#contacts"


@pages.page("/orders/<key>/refund", permission="orders.refund")
def refund_page(session: Session, call: Call, key: str) -> Any:
    """What a refund will do, to be confirmed."""
    return _confirmation(session, call, key, "refund", actions.refund_preview)


@pages.workflow_form("/orders/<key>/refund", permission="orders.refund", again=refund_page)
def refund(call: Call, form: dict[str, str], claim: Claim, key: str) -> str:
    """Refund the order in full."""
    order = _confirmed(call, claim, form, key, actions.refund_preview)
    refunds.refund_order(
        order=order["reference"],
        reason=_reason(form),
        restock=form.get("restock") == "yes",
        caller=call.principal,
        claim=claim,
        now=call.now,
    )
    return f"{_place_of(order, call.principal)}?done=refund"


@pages.page("/orders/<key>/cancellation", permission="orders.cancel")
def cancellation_page(session: Session, call: Call, key: str) -> Any:
    """What a cancellation will do, to be confirmed."""
    return _confirmation(session, call, key, "cancellation", actions.cancel_preview)


@pages.workflow_form("/orders/<key>/cancellation", permission="orders.cancel", again=cancellation_page)
def cancel(call: Call, form: dict[str, str], claim: Claim, key: str) -> str:
    """Cancel the order."""
    order = _confirmed(call, claim, form, key, actions.cancel_preview)
    cancellation.cancel(
        order=order["reference"], reason=_reason(form), caller=call.principal, claim=claim, now=call.now
    )
    return f"{_place_of(order, call.principal)}?done=cancellation"


def _confirmation(session: Session, call: Call, key: str, action: str, preview: Callable[..., Preview]) -> str:
    order = _order(session, call.principal, key)
    found = preview(order)
    return render(
        "desk/confirm.html",
        order=order,
        action=action,
        preview=found,
        steps=[(texts().gettext(STEPS[step.what]), step) for step in found.steps],
        reasons=REASONS[action],
        back=_place_of(order, call.principal),
        words=WORDS,
    )


def _confirmed(
    call: Call, claim: Claim, form: Mapping[str, str], key: str, preview: Callable[..., Preview]
) -> dict[str, Any]:
    """The order, if this is not a second click and it still is what the agent saw.

    Raises:
        Replayed: a second click. Stale: it has changed since. NothingToDo: it cannot be done (any more).
    """
    with db.transaction() as session:
        claim.begin(session)
        order = _order(session, call.principal, key)
    if claim.resource is None:  # else: the same click, interrupted; it goes on where it stopped
        actions.require_same(order, form.get("version", ""))
        if not preview(order).possible:
            raise NothingToDo
    return order


def _order(session: Session, caller: Principal, key: str) -> dict[str, Any]:
    """Raises:
    NotFound: no such order, or it is another store's.
    """
    order = orders.order_dict(session, **orders.order_key(key))
    if order is None or not all(caller.at_location(part["location"]["id"]) for part in order["fulfillments"]):
        raise NotFound
    return order


def _reason(form: Mapping[str, str]) -> str:
    return form.get("reason") or "customer"


def _place_of(order: Mapping[str, Any], caller: Principal) -> str:
    """Where the order is looked at by this person: the desk, or the store's counter."""
    if caller.may("support.read"):
        return f"/console/desk/orders/{order['reference']}"
    part = next(iter(order["fulfillments"]), None)
    return f"/console/pickups/{part['id']}" if part is not None else "/console/"


def _orders(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Open ones first; the one that was looked for is there even when it is older than the list reaches."""
    listed = [*found["orders"]["open"], *found["orders"]["past"]]
    looked_for = found["order"]
    if looked_for is not None and looked_for["id"] not in {order["id"] for order in listed}:
        listed.append(looked_for)
    return listed


def _who(actor: str) -> str:
    return ACTORS.get(actor.split(":")[0], ACTORS["system"])


def _notice() -> str:
    done = DONE.get(request.args.get("done", ""))
    return texts().gettext(done) if done and request.method == "GET" else ""
