"""What a letter consists of, and the parts that many of them share."""

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from sqlalchemy.orm import Session

from orders import queries as orders
from retail.kernel import i18n
from retail.kernel.i18n import N_, Texts

HERE = Path(__file__).parents[1]
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
        code: what the customer shows, in clear. token: what the QR code says. link: where a click leads, with its secret.
        facts, totals: (label, value). lines: (title, quantity, amount).
    """

    locale: str
    subject: str
    greeting: str
    paragraphs: tuple[str, ...]
    code: str = ""
    token: str = ""
    link: str = ""
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
        return replace(self, code=MASK if self.code else "", link=MASK if self.link else "").text()


def order_of(session: Session, *, params: Mapping[str, Any]) -> dict[str, Any]:
    """The order that the news is about."""
    order = orders.order_dict(session, order_id=uuid.UUID(str(params["order_id"])))
    if order is None:
        raise LookupError(f"no order {params['order_id']}")
    return order


def to_customer(
    t: Texts,
    order: Mapping[str, Any],
    *,
    subject: str,
    paragraphs: list[str],
    facts: list[tuple[str, str]],
    totals: tuple[tuple[str, str], ...] = (),
    proof: tuple[str, str] = ("", ""),
    link: str = "",
    lines: bool = True,
) -> Letter:
    """A letter about an order, to whom it is for."""
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
        link=link,
        facts=tuple(facts),
        lines=tuple(rows),
        totals=totals,
        closing=(t.gettext("If you have a question, simply answer this message or tell us the order number."),),
        signature=t.gettext("The shop"),
    )


def totals(t: Texts, order: Mapping[str, Any], *, paid: bool = False) -> tuple[tuple[str, str], ...]:
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


def store_facts(t: Texts, store: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Where, and when it is open."""
    rows = [(t.gettext("Store"), name_of(t, store))]
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


def name_of(t: Texts, thing: Mapping[str, Any]) -> str:
    """What it is called in the letter's language."""
    return str(thing["name_ja"] if t.locale == "ja" and thing.get("name_ja") else thing["name"])
