"""The search box, the customer seen whole, and a note of a word with her."""

from collections.abc import Mapping
from typing import Any

from flask import redirect
from sqlalchemy.orm import Session

from retail.kernel import db
from retail.kernel.web.api import Call
from retail.kernel.web.rendering import render
from support import contacts, context
from support.console import points
from support.console.frame import WORDS, notice, pages, who
from support.schemas import NoteContactSchema

PLACES = {"customers": "customer", "orders": "order"}


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
    zones = {part["location"]["zone"] for order in orders_of(found) for part in order["fulfillments"]}
    return render(
        "desk/context.html",
        found=found,
        place=place,
        key=key,
        every_order=orders_of(found),
        timeline=[event | {"who": who(event["actor"])} for event in found["timeline"]],
        zone=min(zones, default="Asia/Tokyo"),
        points=points.shown(session, call, found["customer"]["id"]) if found["customer"] else None,
        words=WORDS | points.WORDS,
        notice=notice(),
    )


@pages.form("/<any(customers, orders):place>/<key>/contacts", permission="support.write", again=context_page)
def note_contact(session: Session, call: Call, form: dict[str, str], place: str, key: str) -> str:
    """Note a word with the customer."""
    body = NoteContactSchema().load({name: value for name, value in form.items() if value})
    contacts.note(session, caller=call.principal, now=call.now, **body)
    return f"/console/desk/{place}/{key}?done=contact#contacts"


def orders_of(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Open ones first; the one that was looked for is there even when it is older than the list reaches."""
    listed = [*found["orders"]["open"], *found["orders"]["past"]]
    looked_for = found["order"]
    if looked_for is not None and looked_for["id"] not in {order["id"] for order in listed}:
        listed.append(looked_for)
    return listed
