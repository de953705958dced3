"""The letters of an order that goes as planned, and of one that is called off; and the log-in code."""

import uuid
from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy.orm import Session

from orders import pickup_links, proofs
from orders import queries as orders
from retail import sessions
from retail.kernel.i18n import Texts
from support import queries
from support.letters.letter import Letter, name_of, order_of, store_facts, to_customer, totals


def _placed(session: Session, t: Texts, params: Mapping[str, Any]) -> Letter | None:
    order = order_of(session, params=params)
    if order["cancelled_at"] is not None:
        return None
    part = next((p for p in order["fulfillments"] if p["method"] == "pickup"), None)
    facts = [(t.gettext("Order"), order["reference"])]
    paragraphs = [t.gettext("Thank you for your order. We have received it.")]
    if part is not None:
        store = queries.store_card(session, location_id=part["location"]["id"])
        paragraphs.append(
            t.gettext(
                "It is not ready yet: we will write to you again as soon as it waits for you at %(store)s.",
                store=name_of(t, store),
            )
        )
        if part["ready_by"] is not None:  # else it waits for goods, and nobody knows when they come
            facts.append((t.gettext("Expected ready"), t.moment(part["ready_by"], store["zone"])))
        facts += store_facts(t, store)
    return to_customer(
        t,
        order,
        subject=t.gettext("We have received your order %(reference)s", reference=order["reference"]),
        paragraphs=paragraphs,
        facts=facts,
        totals=totals(t, order),
    )


def _ready(session: Session, t: Texts, params: Mapping[str, Any]) -> Letter | None:
    found = _waiting(session, params)
    if found is None:
        return None
    order, part, proof = found
    store = queries.store_card(session, location_id=part["location"]["id"])
    facts = [
        (t.gettext("Order"), order["reference"]),
        (t.gettext("Collect by"), t.moment(part["collect_by"], store["zone"])),
        *store_facts(t, store),
    ]
    return to_customer(
        t,
        order,
        subject=t.gettext("Your order %(reference)s is ready to collect", reference=order["reference"]),
        paragraphs=[
            t.gettext("Your order is ready and waits for you at %(store)s.", store=name_of(t, store)),
            t.gettext("Please show this code or the QR code at the counter."),
            t.gettext(
                "By the link you can also tell us that you have arrived, have it kept longer, or name somebody else who collects it."
            ),
        ],
        facts=facts,
        totals=totals(t, order),
        proof=proof,
        link=pickup_links.address_of(session, fulfillment_id=part["id"]),
    )


def _reminder(session: Session, t: Texts, params: Mapping[str, Any]) -> Letter | None:
    return _still_waiting(
        session,
        t,
        params,
        subject=t.gettext("Your order still waits for you"),
        paragraph=t.gettext("Please collect it in time: afterwards we put the goods back."),
    )


def _extended(session: Session, t: Texts, params: Mapping[str, Any]) -> Letter | None:
    return _still_waiting(
        session,
        t,
        params,
        subject=t.gettext("We keep your order longer"),
        paragraph=t.gettext("We keep your order for you until the moment below. Your code stays the same."),
    )


def _still_waiting(
    session: Session, t: Texts, params: Mapping[str, Any], *, subject: str, paragraph: str
) -> Letter | None:
    """News of goods at the counter, with until when and the code; nothing once they were collected."""
    found = _waiting(session, params)
    if found is None:
        return None
    order, part, proof = found
    store = queries.store_card(session, location_id=part["location"]["id"])
    facts = [
        (t.gettext("Order"), order["reference"]),
        (t.gettext("Collect by"), t.moment(part["collect_by"], store["zone"])),
        *store_facts(t, store),
    ]
    link = pickup_links.address_of(session, fulfillment_id=part["id"])
    return to_customer(
        t, order, subject=subject, paragraphs=[paragraph], facts=facts, proof=proof, link=link, lines=False
    )


def _new_code(session: Session, t: Texts, params: Mapping[str, Any]) -> Letter | None:
    found = _waiting(session, params)
    if found is None or found[1]["code"]["rotation"] != params["rotation"]:
        return None
    order, part, proof = found
    store = queries.store_card(session, location_id=part["location"]["id"])
    facts = [
        (t.gettext("Order"), order["reference"]),
        (t.gettext("Collect by"), t.moment(part["collect_by"], store["zone"])),
        *store_facts(t, store),
    ]
    return to_customer(
        t,
        order,
        subject=t.gettext("Your new pickup code for order %(reference)s", reference=order["reference"]),
        paragraphs=[t.gettext("Here is your new pickup code. The earlier one is no longer valid.")],
        facts=facts,
        proof=proof,
        link=pickup_links.address_of(session, fulfillment_id=part["id"]),
        lines=False,
    )


def _cancelled(session: Session, t: Texts, params: Mapping[str, Any]) -> Letter | None:
    order = order_of(session, params=params)
    return to_customer(
        t,
        order,
        subject=t.gettext("Your order %(reference)s has been cancelled", reference=order["reference"]),
        paragraphs=[
            t.gettext(
                "Your order has been cancelled. Whatever you have paid goes back to the means of payment you used, and points you spent have been returned."
            ),
        ],
        facts=[(t.gettext("Order"), order["reference"])],
    )


def _refunded(session: Session, t: Texts, params: Mapping[str, Any]) -> Letter | None:
    order = order_of(session, params=params)
    facts = [(t.gettext("Order"), order["reference"])]
    if params["amount_minor"]:
        amount = t.money({"amount_minor": params["amount_minor"], "currency": params["currency"]})
        facts.append((t.gettext("Refunded amount"), amount))
    if params["points"]:
        facts.append((t.gettext("Points returned"), t.number(params["points"])))
    return to_customer(
        t,
        order,
        subject=t.gettext("Your refund for order %(reference)s", reference=order["reference"]),
        paragraphs=[
            t.gettext(
                "We have refunded your order to the means of payment you used. Cards can take a few days to show it."
            ),
        ],
        facts=facts,
    )


def _receipt(session: Session, t: Texts, params: Mapping[str, Any]) -> Letter | None:
    order = order_of(session, params=params)
    if order["cancelled_at"] is not None:
        return None
    facts = [(t.gettext("Order"), order["reference"])]
    part = next(iter(order["fulfillments"]), None)
    if part is not None:
        store = queries.store_card(session, location_id=part["location"]["id"])
        facts += [
            (t.gettext("Handed over at"), t.moment(part["collected_at"], store["zone"])),
            (t.gettext("Store"), name_of(t, store)),
        ]
    earned = queries.points_earned_for(session, order_id=uuid.UUID(str(order["id"])))
    if earned:
        facts.append((t.gettext("Points earned"), t.number(earned)))
    return to_customer(
        t,
        order,
        subject=t.gettext("Your receipt for order %(reference)s", reference=order["reference"]),
        paragraphs=[t.gettext("Thank you for shopping with us. This is your receipt.")],
        facts=facts,
        totals=totals(t, order, paid=True),
    )


def _log_in_code(_: Session, t: Texts, params: Mapping[str, Any]) -> Letter | None:
    return Letter(
        locale=t.locale,
        subject=t.gettext("Your log-in code"),
        greeting=t.gettext("Hello,"),
        paragraphs=(t.gettext("Enter this code to log in:"),),
        code=sessions.login_code(uuid.UUID(str(params["code_id"]))),
        closing=(
            t.gettext(
                "It is valid for ten minutes and only once. If you did not ask for it, you need not do anything."
            ),
        ),
        signature=t.gettext("The shop"),
    )


COMPOSERS: dict[str, Callable[[Session, Texts, Mapping[str, Any]], Letter | None]] = {
    "order_placed": _placed,
    "pickup_ready": _ready,
    "pickup_code": _new_code,
    "pickup_reminder": _reminder,
    "pickup_extended": _extended,
    "order_cancelled": _cancelled,
    "order_refunded": _refunded,
    "receipt": _receipt,
    "login_code": _log_in_code,
}


def _waiting(
    session: Session, params: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any], tuple[str, str]] | None:
    """The order, the pickup and its present code and token, if the goods still wait at the counter."""
    fulfillment_id = uuid.UUID(str(params["fulfillment_id"]))
    part = orders.pickup_dict(session, fulfillment_id=fulfillment_id)
    if part is None or part["state"] != "ready" or part["code"] is None:
        return None
    return order_of(session, params=params), part, proofs.secrets_of(fulfillment_id, part["code"]["rotation"])
