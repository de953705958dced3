"""The wording of every message, in Japanese and English. "Placed" never reads as "ready".

A letter is composed when it is sent, from what is true then; `None` instead of a letter means that the news is no longer
true (the pickup was collected or cancelled in the meantime) and nothing must be sent. Secrets (pickup and log-in codes)
are worked out here and never stored: what is kept of the letter has them masked.
"""

import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from sqlalchemy.orm import Session

from orders import pickup
from orders import queries as orders
from retail import sessions
from retail.kernel import i18n
from retail.kernel.i18n import N_, Texts
from support import queries

HERE = Path(__file__).parent
MASK = "●●●●●●"
i18n.add(HERE / "translations")
_LAYOUTS = Environment(
    loader=FileSystemLoader(HERE / "templates" / "mail"),
    undefined=StrictUndefined,
    autoescape=select_autoescape(["html"]),
    trim_blocks=True,
    lstrip_blocks=True,
)
WEEKDAYS = (N_("Mon"), N_("Tue"), N_("Wed"), N_("Thu"), N_("Fri"), N_("Sat"), N_("Sun"))
TENDERS = {
    "card": N_("Card"),
    "points": N_("Points"),
    "cash": N_("Cash"),
    "card_terminal": N_("Card at the till"),
    "pay_at_pickup": N_("To pay at pickup"),
}


@dataclass(frozen=True, slots=True)
class Letter:
    """One message's content, in its language; the two templates only lay it out.

    Attributes:
        code: what the customer shows, in clear. token: what the QR code says.
        facts, totals: (label, value). lines: (title, quantity, amount).
    """

    locale: str
    subject: str
    greeting: str
    paragraphs: tuple[str, ...]
    code: str = ""
    token: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    lines: tuple[tuple[str, str, str], ...] = ()
    totals: tuple[tuple[str, str], ...] = ()
    closing: tuple[str, ...] = ()
    signature: str = ""

    def text(self) -> str:
        """Plain text, one empty line between paragraphs."""
        laid_out = _LAYOUTS.get_template("letter.txt").render(letter=self)
        return re.sub(r"\n{3,}", "\n\n", laid_out).strip() + "\n"

    def html(self, *, qr_cid: str = "") -> str:
        """Simple HTML; `qr_cid` is the Content-ID of the QR code's picture."""
        return _LAYOUTS.get_template("letter.html").render(letter=self, qr_cid=qr_cid)

    def masked(self) -> str:
        """What is kept of it."""
        return replace(self, code=MASK if self.code else "").text()


def compose(session: Session, *, template: str, locale: str, params: Mapping[str, Any]) -> Letter | None:
    """The letter as it is true now, or None when it no longer is.

    `params` are ids and amounts from the event: order_id, fulfillment_id, code_id, rotation, amount_minor, points.
    """
    return _COMPOSERS[template](session, i18n.texts(locale), params)


def _placed(session: Session, t: Texts, params: Mapping[str, Any]) -> Letter | None:
    order = _order(session, params)
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
                store=_name(t, store),
            )
        )
        if part["ready_by"] is not None:  # else it waits for goods, and nobody knows when they come
            facts.append((t.gettext("Expected ready"), t.moment(part["ready_by"], store["zone"])))
        facts += _store_facts(t, store)
    return _letter(
        t,
        order,
        subject=t.gettext("We have received your order %(reference)s", reference=order["reference"]),
        paragraphs=paragraphs,
        facts=facts,
        totals=_totals(t, order),
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
        *_store_facts(t, store),
    ]
    return _letter(
        t,
        order,
        subject=t.gettext("Your order %(reference)s is ready to collect", reference=order["reference"]),
        paragraphs=[
            t.gettext("Your order is ready and waits for you at %(store)s.", store=_name(t, store)),
            t.gettext("Please show this code or the QR code at the counter."),
        ],
        facts=facts,
        totals=_totals(t, order),
        proof=proof,
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
        *_store_facts(t, store),
    ]
    return _letter(
        t,
        order,
        subject=t.gettext("Your new pickup code for order %(reference)s", reference=order["reference"]),
        paragraphs=[t.gettext("Here is your new pickup code. The earlier one is no longer valid.")],
        facts=facts,
        proof=proof,
        lines=False,
    )


def _cancelled(session: Session, t: Texts, params: Mapping[str, Any]) -> Letter | None:
    order = _order(session, params)
    return _letter(
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
    order = _order(session, params)
    facts = [(t.gettext("Order"), order["reference"])]
    if params["amount_minor"]:
        amount = t.money({"amount_minor": params["amount_minor"], "currency": params["currency"]})
        facts.append((t.gettext("Refunded amount"), amount))
    if params["points"]:
        facts.append((t.gettext("Points returned"), t.number(params["points"])))
    return _letter(
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
    order = _order(session, params)
    if order["cancelled_at"] is not None:
        return None
    facts = [(t.gettext("Order"), order["reference"])]
    part = next(iter(order["fulfillments"]), None)
    if part is not None:
        store = queries.store_card(session, location_id=part["location"]["id"])
        facts += [
            (t.gettext("Handed over at"), t.moment(part["collected_at"], store["zone"])),
            (t.gettext("Store"), _name(t, store)),
        ]
    earned = queries.points_earned_for(session, order_id=uuid.UUID(str(order["id"])))
    if earned:
        facts.append((t.gettext("Points earned"), t.number(earned)))
    return _letter(
        t,
        order,
        subject=t.gettext("Your receipt for order %(reference)s", reference=order["reference"]),
        paragraphs=[t.gettext("Thank you for shopping with us. This is your receipt.")],
        facts=facts,
        totals=_totals(t, order, paid=True),
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


_COMPOSERS: dict[str, Callable[[Session, Texts, Mapping[str, Any]], Letter | None]] = {
    "order_placed": _placed,
    "pickup_ready": _ready,
    "pickup_code": _new_code,
    "order_cancelled": _cancelled,
    "order_refunded": _refunded,
    "receipt": _receipt,
    "login_code": _log_in_code,
}
TEMPLATES = tuple(_COMPOSERS)


def _order(session: Session, params: Mapping[str, Any]) -> dict[str, Any]:
    order = orders.order_dict(session, order_id=uuid.UUID(str(params["order_id"])))
    if order is None:
        raise LookupError(f"no order {params['order_id']}")
    return order


def _waiting(
    session: Session, params: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any], tuple[str, str]] | None:
    """The order, the pickup and its present code and token, if the goods still wait at the counter."""
    fulfillment_id = uuid.UUID(str(params["fulfillment_id"]))
    part = orders.pickup_dict(session, fulfillment_id=fulfillment_id)
    if part is None or part["state"] != "ready" or part["code"] is None:
        return None
    return _order(session, params), part, pickup.secrets_of(fulfillment_id, part["code"]["rotation"])


def _letter(
    t: Texts,
    order: Mapping[str, Any],
    *,
    subject: str,
    paragraphs: list[str],
    facts: list[tuple[str, str]],
    totals: tuple[tuple[str, str], ...] = (),
    proof: tuple[str, str] = ("", ""),
    lines: bool = True,
) -> Letter:
    name = order["contact"]["name"]
    rows = (
        [(line["title"], t.number(line["quantity"]), t.money(line["total"])) for line in order["lines"]]
        if lines
        else []
    )
    return Letter(
        locale=t.locale,
        subject=subject,
        greeting=t.gettext("Dear %(name)s,", name=name) if name else t.gettext("Dear customer,"),
        paragraphs=tuple(paragraphs),
        code=proof[0],
        token=proof[1],
        facts=tuple(facts),
        lines=tuple(rows),
        totals=totals,
        closing=(t.gettext("If you have a question, simply answer this message or tell us the order number."),),
        signature=t.gettext("The shop"),
    )


def _totals(t: Texts, order: Mapping[str, Any], *, paid: bool = False) -> tuple[tuple[str, str], ...]:
    """The total, the tax per rate, and each tender's part."""
    rows = [(t.gettext("Total"), t.money(order["total"]))]
    label = N_("of which tax %(rate)s %%") if order["tax_inclusive"] else N_("Tax %(rate)s %%")
    rows += [(t.gettext(label, rate=f"{tax['rate_bp'] / 100:g}"), t.money(tax["tax"])) for tax in order["tax_lines"]]
    for payment in order["payments"]:
        if payment["state"] in ("failed", "voided") or (paid and payment["tender"] == "pay_at_pickup"):
            continue
        value = t.money(payment["amount"])
        if payment["points"]:
            value = f"{value} ({t.ngettext('%(num)s point', '%(num)s points', payment['points'])})"
        rows.append((t.gettext(TENDERS[payment["tender"]]), value))
    return tuple(rows)


def _store_facts(t: Texts, store: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = [(t.gettext("Store"), _name(t, store))]
    if store["address"]:
        rows.append((t.gettext("Address"), store["address"]))
    if store["phone"]:
        rows.append((t.gettext("Phone"), store["phone"]))
    if store["hours"]:
        rows.append((t.gettext("Hours"), _hours(t, store["hours"])))
    return rows


def _hours(t: Texts, hours: list[dict[str, Any]]) -> str:
    """Opening hours with equal neighbours put together: ``Mon-Fri 10:00-20:00, Sat-Sun 10:00-18:00``."""
    days = [", ".join(f"{h['opens']}-{h['closes']}" for h in hours if h["weekday"] == day) for day in range(7)]
    spans: list[tuple[int, int, str]] = []
    for day, open_at in enumerate(days):
        if spans and spans[-1][2] == open_at:
            spans[-1] = (spans[-1][0], day, open_at)
        else:
            spans.append((day, day, open_at))
    if len(spans) == 1:
        return t.gettext("daily %(hours)s", hours=spans[0][2])
    names = [t.gettext(day) for day in WEEKDAYS]
    parts = [f"{names[a]}{f'-{names[b]}' if b > a else ''} {open_at or t.gettext('closed')}" for a, b, open_at in spans]
    return ", ".join(parts)


def _name(t: Texts, thing: Mapping[str, Any]) -> str:
    return str(thing["name_ja"] if t.locale == "ja" and thing.get("name_ja") else thing["name"])
