"""What all stock pages share: the blueprint, whose store is shown, what was done, and what is wrong with which line."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from flask import g, request
from sqlalchemy.orm import Session

from inventory import queries
from inventory.console.words import DONE, EXPLANATIONS, FAULTS, WORDS
from retail import queries as ground
from retail.kernel import i18n
from retail.kernel.auth import Principal
from retail.kernel.errors import NotFound, Problem
from retail.kernel.i18n import N_
from retail.kernel.web.api import Call
from retail.kernel.web.pages import PageBlueprint
from retail.kernel.web.rendering import NavItem, render, texts

HERE = Path(__file__).parents[1]
i18n.add(HERE / "translations")
ROOT = "/console/stock"
STORES = 500
MENU = [NavItem(N_("Stock"), ROOT, "stock.read", N_("Look up, receive, adjust, transfer and count"))]
TABS = (
    ("lookup", ROOT, "stock.read", N_("Look up")),
    ("receiving", f"{ROOT}/receiving", "stock.work", N_("Receive")),
    ("transfers", f"{ROOT}/transfers", "stock.work", N_("Transfers")),
    ("counts", f"{ROOT}/counts", "stock.work", N_("Count")),
    ("attention", f"{ROOT}/attention", "stock.read", N_("Attention")),
)
pages = PageBlueprint(
    "stock_console",
    __name__,
    url_prefix=ROOT,
    template_folder=str(HERE / "templates"),
    menu=MENU,
    explanations=EXPLANATIONS,
)


def show(template: str, session: Session, call: Call, *, tab: str, **context: Any) -> str:
    """A stock page: its tab, the stores to choose from, the one chosen, what was done, and the words for codes."""
    stores = stores_of(session, call.principal)
    store = store_of(session, call, stores)
    return render(
        template,
        tab=tab,
        tabs=[one for one in TABS if call.principal.may(one[2])],
        stores=stores,
        store=store,
        zone=store["zone"] if store else "Asia/Tokyo",
        faults=line_faults(),
        words=WORDS,
        here_path=request.path,
        now=call.now,
        notice=_notice(),
        **context,
    )


def stores_of(session: Session, caller: Principal) -> list[dict[str, Any]]:
    """The locations at which this person works, by code: ``{id, code, name, name_ja, zone}``."""
    if caller.locations is None:
        listed = ground.list_locations(session, kind=None, pickup=None, after=None, limit=STORES)
        return [{name: one[name] for name in ("id", "code", "name", "name_ja", "zone")} for one in listed]
    named = ground.locations_by_id(session, location_ids=sorted(caller.locations)).values()
    stores = [
        {"id": one.id, "code": one.code, "name": one.name, "name_ja": one.name_ja, "zone": one.zone} for one in named
    ]
    return sorted(stores, key=lambda one: str(one["code"]))


def store_of(session: Session, call: Call, stores: list[dict[str, Any]] | None = None) -> dict[str, Any] | None:
    """The store the page is about: the one asked for (`store`, a code), else this person's first; None without any.

    Raises:
        NotFound: the store asked for is not this person's.
    """
    stores = stores_of(session, call.principal) if stores is None else stores
    code = request.values.get("store")
    if not code:
        return stores[0] if stores else None
    for store in stores:
        if store["code"] == code:
            return store
    raise NotFound


def own_store(session: Session, call: Call) -> dict[str, Any]:
    """The store that a form is about.

    Raises:
        NotFound: it is not this person's, or she has none.
    """
    store = store_of(session, call)
    if store is None:
        raise NotFound
    return store


def names(session: Session, skus: list[str]) -> dict[str, dict[str, Any]]:
    """What SKUs are called; one that is not in the catalog is called by itself."""
    found = queries.variants_named(session, skus=skus) if skus else {}
    return {sku: found.get(sku, {"sku": sku, "title": sku, "title_ja": None}) for sku in skus}


def line_faults() -> dict[str, str]:
    """What is wrong with which SKU, in the reader's language: ``{sku: text}`` from a refusal that names lines."""
    problem: Problem | None = g.get("problem")
    if problem is None:
        return {}
    sent: list[str] = g.get("sent", [])
    found = {}
    for error in problem.errors:
        line = error.get("line")
        sku = error.get("sku") or (sent[line - 1] if isinstance(line, int) and 0 < line <= len(sent) else None)
        if sku:
            found[str(sku)] = _told(error)
    return found


def _told(error: Mapping[str, Any]) -> str:
    code = str(error.get("code", ""))
    known = FAULTS.get(code) or EXPLANATIONS.get(code)
    if known is None:
        return str(error.get("detail") or error.get("code", ""))
    try:
        return texts().gettext(known, **{"most": -int(error.get("lowest_delta", 0)), **error})
    except KeyError:
        return texts().gettext(known)


def key_of(call: Call) -> str:
    """The key of a form's movements: one form moves goods once, however often its button is pressed."""
    return f"{call.actor}:form:{request.form.get('_key') or call.request_id}"


def target(path: str, store: Mapping[str, Any] | None, *, done: str = "", **query: str) -> str:
    """Where to go after a form: a stock page of the same store, with the good news."""
    asked = {"store": store["code"] if store else "", "done": done} | query
    return f"{ROOT}{path}?{urlencode({name: value for name, value in asked.items() if value})}"


def _notice() -> str:
    done = DONE.get(request.args.get("done", ""))
    return texts().gettext(done) if done and request.method == "GET" else ""
