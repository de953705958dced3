"""Counting: begin a list, a shelf or everything; enter what was found, scan by scan; recount; let large differences through."""

from typing import Any

from flask import g, redirect, request
from sqlalchemy.orm import Session

from inventory import counts, naming
from inventory.console.fields import lines_in, load, reordered, scan_into, skus_in, whole
from inventory.console.frame import names, own_store, pages, show, store_of, target
from inventory.schemas.counts import BeginCountSchema, DecideCountSchema, EnterCountSchema
from retail import limits
from retail.kernel import db
from retail.kernel.errors import Invalid
from retail.kernel.i18n import N_
from retail.kernel.web.api import Call

OPEN = ("open", "approval")
CLOSED = ("applied", "cancelled")
LISTED = 100
CLOSED_SHOWN = 10
LINES_SHOWN = 50
SETTLED_SHOWN = 200
SCOPES = {
    "list": N_("What I scan now"),
    "shelf": N_("A shelf"),
    "everything": N_("Everything in this store"),
}


@pages.page("/counts", permission="stock.work")
def count_list(session: Session, call: Call) -> Any:
    """The counts of one store: those under way, and the last ones."""
    store = store_of(session, call)
    found: dict[str, list[dict[str, Any]]] = {"under_way": [], "over": []}
    if store is not None:
        for name, states, most in (("under_way", OPEN, LISTED), ("over", CLOSED, CLOSED_SHOWN)):
            found[name] = counts.browse(
                session, caller=call.principal, location_id=store["id"], states=states, after=None, limit=most
            )
    return show("stock/counts.html", session, call, tab="counts", **found)


@pages.page("/counts/new", permission="stock.write")
def new_count(session: Session, call: Call) -> Any:
    """What is to be counted."""
    return _new_page(session, call, [])


def _new_page(session: Session, call: Call, choices: list[dict[str, Any]]) -> str:
    skus = skus_in(g.get("typed", {}), "sku")
    return show(
        "stock/new_count.html",
        session,
        call,
        tab="counts",
        scopes=SCOPES,
        scope=asked if (asked := request.values.get("scope")) in SCOPES else "list",
        choices=choices,
        lines=list(names(session, skus).values()),
        approval_above=limits.COUNT_APPROVAL_ABOVE,
    )


@pages.plain_form("/counts/new/scan", permission="stock.write", again=new_count)
def scan_new_count(call: Call, form: dict[str, str]) -> Any:  # noqa: ARG001
    """One more SKU on the list."""
    with db.reading() as session:
        return _new_page(session, call, scan_into(session, "sku"))


@pages.form("/counts/new", permission="stock.write", again=new_count)
def begin(session: Session, call: Call, form: dict[str, str]) -> str:
    """Begin the count."""
    store = own_store(session, call)
    scope = form.get("scope", "list")
    given: dict[str, Any] = {
        "location": store["code"],
        "blind": form.get("blind") == "yes",
        "note": form.get("note", ""),
    }
    if scope == "list":
        given["skus"] = skus_in(form, "sku")
    elif scope == "shelf":
        given["shelf"] = form.get("shelf", "")
    above = whole(form, "approval_above")
    body = load(BeginCountSchema(), given if above is None else given | {"approval_above": above}, {"skus": "scan"})
    variants = None
    if body["skus"] is not None:
        variants = naming.variants_of(session, lines=[{"sku": sku} for sku in body["skus"]])
    reference = counts.begin(
        session,
        location_id=store["id"],
        variant_ids=variants,
        shelf=body["shelf"],
        blind=body["blind"],
        approval_above=body["approval_above"],
        note=body["note"],
        actor=call.actor,
        now=call.now,
    )
    return target(f"/counts/{reference}", store, done="count_begun")


@pages.page("/counts/<reference>", permission="stock.work")
def one_count(session: Session, call: Call, reference: str) -> Any:
    """One count: what is still to be counted, what waits for approval, what was found."""
    return _count_page(session, call, reference, [])


def _count_page(session: Session, call: Call, reference: str, choices: list[dict[str, Any]]) -> Any:
    count = counts.view(session, count=reference, caller=call.principal)
    if request.method == "GET" and request.args.get("store") != count["location"]["code"]:
        return redirect(target(f"/counts/{count['reference']}", {"code": count["location"]["code"]}), 303)
    lines = sorted(count["lines"], key=lambda line: (line["shelf"] is None, line["shelf"] or "", line["position"]))
    to_count = reordered([line for line in lines if line["state"] in ("open", "recount")], "counted")
    known = {line["sku"] for line in lines}
    found = [sku for sku in skus_in(g.get("typed", {}), "counted") if sku not in known]
    settled = [line for line in lines if line["state"] in ("applied", "rejected")]
    settled.sort(key=lambda line: -abs(line["difference"] or 0))
    return show(
        "stock/count.html",
        session,
        call,
        tab="counts",
        count=count,
        choices=choices,
        found_too=list(names(session, found).values()),
        to_count=to_count[:LINES_SHOWN],
        more=max(0, len(to_count) - LINES_SHOWN),
        waiting=[line for line in lines if line["state"] == "approval"],
        own=[line["sku"] for line in lines if call.actor in (line["counted_by"], line["recounted_by"])],
        settled=settled[:SETTLED_SHOWN],
        settled_more=max(0, len(settled) - SETTLED_SHOWN),
    )


@pages.plain_form("/counts/<reference>/entries/scan", permission="stock.work", again=one_count)
def scan_count(call: Call, form: dict[str, str], reference: str) -> Any:  # noqa: ARG001
    """One more of what was scanned."""
    with db.reading() as session:
        choices = scan_into(session, "counted")
        return _count_page(session, call, reference, choices)


@pages.form("/counts/<reference>/entries", permission="stock.work", again=one_count)
def enter_count(session: Session, call: Call, form: dict[str, str], reference: str) -> str:
    """Write down what was found."""
    given = [line for line in lines_in(form, "counted") if line["counted"] is not None]
    if not given:
        raise Invalid(errors=[{"field": "lines", "code": "required", "detail": N_("Nothing has been entered yet.")}])
    body = load(EnterCountSchema(), {"lines": given})
    variants = naming.variants_of(session, lines=body["lines"])
    found = zip(variants, body["lines"], strict=True)
    entries = [counts.Entry(variant_id, line["counted"]) for variant_id, line in found]
    counts.enter(session, count=reference, entries=entries, caller=call.principal, now=call.now)
    return target(f"/counts/{reference}", store_of(session, call), done="counted")


@pages.form("/counts/<reference>/approval", permission="stock.approve", again=one_count)
def decide(session: Session, call: Call, form: dict[str, str], reference: str) -> str:
    """Let the chosen differences through, or have them recounted."""
    approve = form.get("decision") == "approve"
    body = load(DecideCountSchema(), {"approve": approve, "skus": skus_in(form, "sku")}, {"skus": "lines"})
    variants = naming.variants_of(session, lines=[{"sku": sku} for sku in body["skus"]])
    counts.decide(session, count=reference, variant_ids=variants, approve=approve, caller=call.principal, now=call.now)
    return target(f"/counts/{reference}", store_of(session, call), done="approved" if approve else "sent_back")


@pages.form("/counts/<reference>/completion", permission="stock.write", again=one_count)
def complete(session: Session, call: Call, form: dict[str, str], reference: str) -> str:  # noqa: ARG001
    """Close a count that is not counted to its end."""
    counts.complete(session, count=reference, caller=call.principal, now=call.now)
    return target(f"/counts/{reference}", store_of(session, call), done="count_closed")


@pages.form("/counts/<reference>/cancellation", permission="stock.write", again=one_count)
def cancel_count(session: Session, call: Call, form: dict[str, str], reference: str) -> str:  # noqa: ARG001
    """Give a count up."""
    counts.cancel(session, count=reference, caller=call.principal, now=call.now)
    return target(f"/counts/{reference}", store_of(session, call), done="count_cancelled")
