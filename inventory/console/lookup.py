"""Looking goods up: by barcode, SKU or a part of the name; then how many are where, the own store first."""

from typing import Any

from flask import redirect, request
from sqlalchemy.orm import Session

from inventory import availability, queries
from inventory.console.fields import FOUND_MOST, find
from inventory.console.frame import pages, show, store_of, target
from retail.kernel.errors import NotFound
from retail.kernel.web.api import Call


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
    )
