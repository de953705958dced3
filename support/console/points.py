"""A member's points on the desk: her lots with their dates, and in words why each entry of her history exists."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from loyalty import goodwill
from loyalty.queries import desk
from loyalty.queries import goodwill as gifts
from orders import queries as orders
from retail.kernel.i18n import N_
from retail.kernel.web.api import Call
from retail.kernel.web.rendering import called, texts

LOTS, ENTRIES, PENDING = 100, 15, 20
GOODWILL = {
    "late": N_("Delivered or ready late"),
    "damaged": N_("Damaged or faulty"),
    "missing": N_("Something was missing"),
    "wrong_item": N_("Wrong item"),
    "misinformed": N_("We told her something wrong"),
    "points_missing": N_("Points were not credited"),
    "courtesy": N_("Courtesy"),
    "other": N_("Other"),
}
KINDS = {
    "earn": N_("Earned"),
    "hold": N_("Put aside for an order"),
    "burn": N_("Spent"),
    "release": N_("Not needed: back from an order"),
    "refund": N_("Back with a refund"),
    "claw_back": N_("Taken back with returned goods"),
    "expire": N_("Ran out"),
    "goodwill": N_("Goodwill"),
    "transfer": N_("Given to another member"),
    "received": N_("From another member"),
    "merge": N_("Records merged"),
    "unmerge": N_("Merge undone"),
}
SOURCES = {
    "order": N_("Order"),
    "grant": N_("Credited"),
    "goodwill": N_("Goodwill"),
    "referral": N_("Brought by another member"),
    "transfer": N_("From another member"),
}
WORDS = {"goodwill": GOODWILL, "points_kinds": KINDS, "points_sources": SOURCES}
BUILT_IN = {"name": N_("Points on every purchase")}
TIER = "tier:"


def shown(session: Session, call: Call, customer_id: UUID) -> dict[str, Any] | None:
    """What the section about points needs; None for somebody who may not see them. Six statements."""
    if not call.principal.may("points.read"):
        return None
    lots = desk.lots_of(session, customer_id=customer_id, now=call.now, limit=LOTS + 1)
    entries = desk.entries_why(session, customer_id=customer_id, limit=ENTRIES + 1)
    named = {row["order_id"] for row in (*lots, *entries) if row["order_id"] is not None}
    first = next((lot["expires_at"] for lot in lots if lot["state"] == "open"), None)
    return {
        "lots": [lot | {"next": lot["state"] == "open" and lot["expires_at"] == first} for lot in lots[:LOTS]],
        "more_lots": len(lots) > LOTS,
        "entries": [entry | {"told": _kind(entry), "why": why(entry)} for entry in entries[:ENTRIES]],
        "more_entries": len(entries) > ENTRIES,
        "orders": orders.references_of(session, order_ids=sorted(named)) if named else {},
        "tier": desk.tier_of(session, customer_id=customer_id),
        "waiting": gifts.gifts(session, state=goodwill.PENDING, customer_id=customer_id, limit=PENDING),
        "at_once": goodwill.left_for(session, customer_id=customer_id, now=call.now),
    }


def why(entry: Mapping[str, Any]) -> list[str]:
    """Why an entry exists, in the reader's language, a line each: rules with what they counted, who gave, who received."""
    told = [reason_words(reason, entry["currency"]) for reason in entry["reasons"] or ()]
    if entry["kind"] == "earn" and not told and entry["order_id"] is None:
        told += [entry["reason"]]
    gift, transfer, merged = entry["gift"], entry["transfer"], entry["merged"]
    if gift:
        told += [texts().gettext(GOODWILL.get(gift["reason"], gift["reason"]))]
        told += [gift["note"]] if gift["note"] else []
    if transfer:
        told += [f"{transfer['name']} {transfer['reference']}".strip()]
        told += [f"“{transfer['message']}”"] if transfer["message"] else []
    if merged:
        told += [f"{merged['name']} {merged['reference']}".strip()]
    if entry["merged_reference"]:
        told += [texts().gettext("through the merged record %(reference)s", reference=entry["merged_reference"])]
    if entry["kind"] == "earn" and entry["owed"] < 0:
        told += [texts().gettext("of which %(points)s paid what was owed", points=texts().number(-entry["owed"]))]
    return told


def reason_words(reason: Mapping[str, Any], currency: str) -> str:
    """What one rule gave, and for what."""
    t = texts()
    given, basis = t.number(reason["points"]), reason["basis"]
    code = str(reason["rule_code"])
    if code.startswith(TIER):
        return t.gettext("Tier %(tier)s: %(points)s on top", tier=code.removeprefix(TIER), points=given)
    name = called(reason) if reason["name"] else t.gettext(BUILT_IN["name"])
    if basis == "unit":
        return t.gettext(
            "%(rule)s: %(points)s for %(units)s units", rule=name, points=given, units=t.number(reason["counted"])
        )
    if basis in ("order", "referral"):
        return t.gettext("%(rule)s: %(points)s", rule=name, points=given)
    counted = t.money({"amount_minor": reason["counted"], "currency": currency})
    if basis == "multiplier":
        return t.gettext("%(rule)s: %(points)s on top for %(amount)s", rule=name, points=given, amount=counted)
    every = {"amount_minor": reason["per_minor"] or 100, "currency": currency}
    return t.gettext(
        "%(rule)s: %(points)s for %(amount)s (%(each)s per %(every)s)",
        rule=name,
        points=given,
        amount=counted,
        each=t.number(reason["per_points"] or 1),
        every=t.money(every),
    )


def _kind(entry: Mapping[str, Any]) -> str:
    return KINDS["received" if entry["kind"] == "transfer" and entry["points"] > 0 else entry["kind"]]
