"""The letters of what does not go as planned: goods are missing, replaced, moved, or were not fetched; a card
said no when it was asked again."""

import uuid
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy.orm import Session

from orders import substitutes
from orders.queries import shortfalls as shortfall_queries
from orders.queries import substitutes as substitute_queries
from retail.kernel import clock, config
from retail.kernel.i18n import N_, Texts
from support import queries
from support.letters.letter import Letter, name_of, order_of, store_facts, to_customer

RESOLVED = {
    "resourced": N_(
        "Another store has the missing goods and keeps them for you. We will write to you again when they are ready."
    ),
    "shipped": N_("We send the missing goods to your address. We will write to you again when they are on their way."),
    "substituted": N_("The substitute that you agreed to is on your order."),
    "refunded": N_(
        "We could not get the missing goods for you. You do not pay for them: what you have paid goes back to the means of payment you used, and points you spent on them are returned."
    ),
}


def _short(session: Session, t: Texts, params: Mapping[str, Any]) -> Letter | None:
    order = order_of(session, params=params)
    fulfillment_id = uuid.UUID(str(params["fulfillment_id"]))
    missing = shortfall_queries.shortfalls_of(session, fulfillment_id=fulfillment_id)
    if order["cancelled_at"] is not None or not any(one["state"] == "open" for one in missing):
        return None  # it was found, or decided about: another letter says so
    return to_customer(
        t,
        order,
        subject=t.gettext("Something is missing of your order %(reference)s", reference=order["reference"]),
        paragraphs=[
            t.gettext("We are sorry: while preparing your order we found that the following is missing."),
            t.gettext("We are looking for the best way to get it to you, and will write to you again."),
        ],
        facts=[(t.gettext("Order"), order["reference"]), *_goods(t, order, params["lines"])],
        lines=False,
    )


def _resolved(session: Session, t: Texts, params: Mapping[str, Any]) -> Letter | None:
    order = order_of(session, params=params)
    facts = [(t.gettext("Order"), order["reference"]), *_goods(t, order, params["lines"])]
    part = next((one for one in order["fulfillments"] if str(one["id"]) == params["to_fulfillment_id"]), None)
    if part is not None and params["resolution"] == "resourced":
        facts += store_facts(t, queries.store_card(session, location_id=part["location"]["id"]))
    if params["amount_minor"]:
        money = {"amount_minor": params["amount_minor"], "currency": params["currency"]}
        facts.append((t.gettext("Less to pay, or refunded"), t.money(money)))
    if params["points"]:
        facts.append((t.gettext("Points returned"), t.number(params["points"])))
    return to_customer(
        t,
        order,
        subject=t.gettext("About the missing goods of your order %(reference)s", reference=order["reference"]),
        paragraphs=[t.gettext(RESOLVED[params["resolution"]])],
        facts=facts,
        lines=False,
    )


def _proposed(session: Session, t: Texts, params: Mapping[str, Any]) -> Letter | None:
    proposal_id = uuid.UUID(str(params["proposal_id"]))
    asked = substitute_queries.proposal_dict(session, proposal_id=proposal_id)
    if asked is None or asked["state"] != "proposed" or asked["expires_at"] <= clock.now():
        return None
    order = order_of(session, params=params)
    return to_customer(
        t,
        order,
        subject=t.gettext("May we replace something of your order %(reference)s?", reference=order["reference"]),
        paragraphs=[
            t.gettext(
                "%(title)s is missing. Instead we can offer you %(other)s.",
                title=asked["missing_title"],
                other=asked["title"],
            ),
            t.gettext("It costs you nothing more. Please say yes or no by this link:"),
        ],
        facts=[
            (t.gettext("Order"), order["reference"]),
            (t.gettext("Substitute"), f"{asked['title']} × {t.number(asked['quantity'])}"),
            (t.gettext("Price"), t.money(asked["price"])),
            (t.gettext("Answer by"), t.moment(asked["expires_at"], asked["location"]["zone"])),
        ],
        link=f"{config.current().public_url}/substitutes/{substitutes.token_of(proposal_id)}",
        lines=False,
    )


def _moved(session: Session, t: Texts, params: Mapping[str, Any]) -> Letter | None:
    order = order_of(session, params=params)
    part = next((one for one in order["fulfillments"] if str(one["id"]) == params["fulfillment_id"]), None)
    if (
        part is None
        or str(part["location"]["id"]) != params["location_id"]
        or part["state"] in ("cancelled", "collected")
    ):
        return None  # it has moved on, or is over
    store = queries.store_card(session, location_id=part["location"]["id"])
    facts = [(t.gettext("Order"), order["reference"])]
    if part["ready_by"] is not None:
        facts.append((t.gettext("Expected ready"), t.moment(part["ready_by"], store["zone"])))
    return to_customer(
        t,
        order,
        subject=t.gettext("You collect your order %(reference)s at another store", reference=order["reference"]),
        paragraphs=[
            t.gettext(
                "It is not ready yet: we will write to you again as soon as it waits for you at %(store)s.",
                store=name_of(t, store),
            ),
            t.gettext("A code that you were sent before is no longer valid."),
        ],
        facts=[*facts, *store_facts(t, store)],
        lines=False,
    )


def _expired(session: Session, t: Texts, params: Mapping[str, Any]) -> Letter | None:
    order = order_of(session, params=params)
    facts = [(t.gettext("Order"), order["reference"])]
    if params["amount_minor"]:
        money = {"amount_minor": params["amount_minor"], "currency": params["currency"]}
        facts.append((t.gettext("Less to pay, or refunded"), t.money(money)))
    if params["points"]:
        facts.append((t.gettext("Points returned"), t.number(params["points"])))
    return to_customer(
        t,
        order,
        subject=t.gettext("Your order %(reference)s was not collected", reference=order["reference"]),
        paragraphs=[
            t.gettext(
                "We kept your order for you and nobody came to collect it, so we have put the goods back. Whatever you have paid goes back to the means of payment you used, and points you spent have been returned."
            ),
        ],
        facts=facts,
        lines=False,
    )


def _renewal_refused(session: Session, t: Texts, params: Mapping[str, Any]) -> Letter | None:
    order = order_of(session, params=params)
    payment = next((one for one in order["payments"] if str(one["id"]) == params["payment_id"]), None)
    if order["cancelled_at"] is not None or payment is None or payment["state"] not in ("failed", "requires_action"):
        return None  # it was seen to, or nothing is to be paid any more
    return to_customer(
        t,
        order,
        subject=t.gettext("Your payment for order %(reference)s", reference=order["reference"]),
        paragraphs=[
            t.gettext(
                "The amount put aside on your card for this order lapses soon, and your card could not be asked for it again."
            ),
            t.gettext(
                "Your order stands. Please open your order and confirm the payment, or contact us to pay in another way."
            ),
        ],
        facts=[(t.gettext("Order"), order["reference"])],
        lines=False,
    )


def _shipped(session: Session, t: Texts, params: Mapping[str, Any]) -> Letter | None:
    order = order_of(session, params=params)
    facts = [(t.gettext("Order"), order["reference"]), *_goods(t, order, params["lines"])]
    facts += [(t.gettext("Carrier"), params["carrier"]), (t.gettext("Tracking number"), params["tracking"])]
    return to_customer(
        t,
        order,
        subject=t.gettext("Your order %(reference)s is on its way", reference=order["reference"]),
        paragraphs=[t.gettext("These goods of your order have left and are on their way to you.")],
        facts=facts,
        lines=False,
    )


COMPOSERS: dict[str, Callable[[Session, Texts, Mapping[str, Any]], Letter | None]] = {
    "pickup_short": _short,
    "shortfall_resolved": _resolved,
    "substitute_proposed": _proposed,
    "pickup_moved": _moved,
    "pickup_expired": _expired,
    "parcel_shipped": _shipped,
    "renewal_refused": _renewal_refused,
}


def _goods(t: Texts, order: Mapping[str, Any], lines: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """(title, how many) of what the news is about."""
    titles = {str(line["id"]): line["title"] for line in order["lines"]}
    return [(titles.get(line["order_line_id"], line["sku"]), t.number(line["quantity"])) for line in lines]
