"""Looking goods up: by barcode, SKU or a part of the name; then how many are where, the own store first."""

from typing import Any

from flask import redirect, request
from sqlalchemy.orm import Session

from inventory import availability, queries, rules, stock
from inventory.console.fields import FOUND_MOST, find
from inventory.console.frame import ROOT, pages, show, store_of, target
from retail.kernel.errors import NotFound
from retail.kernel.i18n import N_
from retail.kernel.web.api import Call
from retail.kernel.web.rendering import called, texts

FORMS = {  # the last words of addresses that only take forms
    *("scan", "entries", "approval", "completion", "cancellation", "receipts", "ready", "shipment"),
    *("adjustments", "set-asides", "restorations", "write-offs", "limits", "levels"),
}


@pages.page("", permission="stock.read")
def look_up(session: Session, call: Call) -> Any:
    """The search box; what it finds. A barcode or SKU goes to the goods at once."""
    typed = request.args.get("q", "").strip()[:200]
    store = store_of(session, call)
    found = find(session, typed) if typed else []
    if len(found) == 1:
        return redirect(target("/item", store, sku=found[0]["sku"]), 303)
    units_here = {}
    if store is not None and found:
        skus = [one["sku"] for one in found]
        answers = availability.for_skus(session, skus=skus, location_ids=[store["id"]], now=call.now)
        units_here = {one["sku"]: one["available"] for one in answers}
    return show(
        "stock/look_up.html",
        session,
        call,
        tab="lookup",
        q=typed,
        found=found,
        units_here=units_here,
        more=len(found) == FOUND_MOST,
    )


@pages.page("/item", permission="stock.read")
def item(session: Session, call: Call) -> Any:
    """One SKU: how many are where, and what can be done about it here."""
    sku = request.values.get("sku", "")
    found = queries.variants_named(session, skus=[sku]).get(sku)
    if found is None:
        raise NotFound
    store = store_of(session, call)
    answer = availability.for_skus(session, skus=[sku], location_ids=None, explain=True, now=call.now)[0]
    own = next((one for one in answer["locations"] if store and one["location"]["code"] == store["code"]), None)
    others = [one for one in answer["locations"] if one is not own]
    others.sort(key=lambda one: (-one["available"], one["location"]["code"]))
    levels = (
        queries.levels_for(session, location_id=store["id"], variant_ids=[found["variant_id"]], now=call.now)
        if store
        else []
    )
    return show(
        "stock/item.html",
        session,
        call,
        tab="lookup",
        item=found,
        answer=answer,
        own=own,
        places=others,
        level=levels[0] if levels else None,
        rule_says=_rule_says(session, found, store) if levels and store and call.principal.may("stock.write") else "",
        adjustment_reasons=stock.ADJUSTMENT_REASONS,
    )


@pages.page("/<path:address>", permission="stock.read")
def page_of_form(session: Session, call: Call, address: str) -> Any:  # noqa: ARG001
    """An address that only takes forms, opened (by the switch of languages after a refusal): the page of the form."""
    parts = address.split("/")
    while parts and parts[-1] in FORMS:
        parts.pop()
    if len(parts) == address.count("/") + 1:
        raise NotFound
    return redirect("/".join([ROOT, *parts]), 303)


def _rule_says(session: Session, found: dict[str, Any], store: dict[str, Any]) -> str:
    """What is kept back where nobody sets it by hand, and because of which rule."""
    key = (found["variant_id"], store["id"])
    rule = rules.explain(session, keys=[key])[key]["safety_rule"]
    language = texts()
    if rule is None:
        return language.gettext(N_("Empty: nothing is kept back, since no rule says so"))
    scope = rule["sku"] or rule["category"] or language.gettext(N_("everything"))
    place = called(rule["location"]) if rule["location"] else language.gettext(N_("all stores"))
    told = N_("Empty: %(units)s, by the rule for %(scope)s, %(place)s")
    return language.gettext(told, units=rule["quantity"], scope=scope, place=place)
