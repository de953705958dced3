"""Goods between stores: ask for or send them, make ready, ship, receive with what is missing, give up."""

from typing import Any

from flask import g, redirect, request
from sqlalchemy.orm import Session

from inventory import documents, naming, stock, transfers
from inventory.console.fields import arrived_lines, lines_in, load, moment, reordered, scan_into, skus_in
from inventory.console.frame import STORES, key_of, names, own_store, pages, show, store_of, target
from inventory.schemas.transfers import (
    CancelTransferSchema,
    DraftTransferSchema,
    ReceiveTransferSchema,
    ShipTransferSchema,
)
from retail import queries as ground
from retail.kernel import db
from retail.kernel.auth import Principal
from retail.kernel.web.api import Call

OPEN = ("draft", "ready", "in_transit", "partly_received")
CLOSED = ("received", "cancelled")
ON_ITS_WAY = ("in_transit", "partly_received")
LISTED = 200
CLOSED_SHOWN = 10


@pages.page("/transfers", permission="stock.work")
def transfer_list(session: Session, call: Call) -> Any:
    """What comes to one store, what leaves it, and what was over lately."""
    store = store_of(session, call)
    under_way: list[dict[str, Any]] = []
    over: list[dict[str, Any]] = []
    if store is not None:
        here = {"caller": call.principal, "location_id": store["id"]}
        under_way = transfers.browse(session, **here, states=OPEN, limit=LISTED)
        over = transfers.browse(session, **here, states=CLOSED, limit=CLOSED_SHOWN)
    for one in under_way:
        one["late"] = one["state"] in ON_ITS_WAY and one["due_at"] is not None and one["due_at"] < call.now
    return show(
        "stock/transfers.html",
        session,
        call,
        tab="transfers",
        coming=[one for one in under_way if store and one["to"]["code"] == store["code"]],
        leaving=[one for one in under_way if store and one["from"]["code"] == store["code"]],
        over=over,
    )


@pages.page("/transfers/new", permission="stock.work")
def new_transfer(session: Session, call: Call) -> Any:
    """What is to go where."""
    return _new_page(session, call, [])


def _new_page(session: Session, call: Call, choices: list[dict[str, Any]]) -> str:
    places = ground.list_locations(session, kind=None, pickup=None, after=None, limit=STORES)
    store = store_of(session, call)
    return show(
        "stock/new_transfer.html",
        session,
        call,
        tab="transfers",
        choices=choices,
        places=[place for place in places if store is None or place["code"] != store["code"]],
        lines=list(names(session, skus_in(g.get("typed", {}), "quantity")).values()),
    )


@pages.plain_form("/transfers/new/scan", permission="stock.work", again=new_transfer)
def scan_new_transfer(call: Call, form: dict[str, str]) -> Any:  # noqa: ARG001
    """One more of what was scanned."""
    with db.reading() as session:
        return _new_page(session, call, scan_into(session, "quantity"))


@pages.form("/transfers/new", permission="stock.work", again=new_transfer)
def draft(session: Session, call: Call, form: dict[str, str]) -> str:
    """Write the transfer down; nothing is promised yet."""
    store = own_store(session, call)
    other = form.get("other", "")
    ends = {"from": store["code"], "to": other} if form.get("way") != "ask" else {"from": other, "to": store["code"]}
    given = ends | {
        "lines": [line for line in lines_in(form, "quantity") if line["quantity"] not in (0, None)],
        "due_at": moment(form, "due_at", store["zone"]),
        "note": form.get("note", ""),
    }
    body = load(DraftTransferSchema(), given, {"from": "other", "to": "other"})
    reference = transfers.draft(
        session,
        from_location_id=stock.locate(session, name=body["origin"], caller=call.principal)["id"],
        to_location_id=stock.locate(session, name=body["destination"], caller=call.principal)["id"],
        lines=_wanted(session, body["lines"], "quantity"),
        due_at=body["due_at"],
        note=body["note"],
        caller=call.principal,
        now=call.now,
    )
    return target(f"/transfers/{reference}", store, done="transfer_drafted")


@pages.page("/transfers/<reference>", permission="stock.work")
def one_transfer(session: Session, call: Call, reference: str) -> Any:
    """One transfer with what this end can do next."""
    return _transfer_page(session, call, reference, [])


def _transfer_page(session: Session, call: Call, reference: str, choices: list[dict[str, Any]]) -> Any:
    found = transfers.view(session, transfer=reference, caller=call.principal)
    ends = (found["to"], found["from"])
    if request.method == "GET" and request.args.get("store") not in {end["code"] for end in ends}:
        return redirect(target(f"/transfers/{found['reference']}", _end_of(call.principal, found)), 303)
    on_it = {line["sku"] for line in found["lines"]}
    others = [sku for sku in skus_in(g.get("typed", {}), "quantity") if sku not in on_it]
    due_at = found["due_at"]
    return show(
        "stock/transfer.html",
        session,
        call,
        tab="transfers",
        transfer=found | {"late": found["state"] in ON_ITS_WAY and due_at is not None and due_at < call.now},
        at_origin=call.principal.at_location(found["from"]["id"]),
        at_destination=call.principal.at_location(found["to"]["id"]),
        is_open=found["state"] in OPEN,
        on_its_way=found["state"] in ON_ITS_WAY,
        choices=choices,
        lines=reordered(found["lines"], "quantity"),
        others=list(names(session, others).values()),
        as_announced=request.method == "GET" and request.args.get("fill") == "1",
    )


def _end_of(caller: Principal, found: dict[str, Any]) -> dict[str, Any]:
    """The end that this person works at; the destination, if both."""
    end: dict[str, Any] = found["to"] if caller.at_location(found["to"]["id"]) else found["from"]
    return end


@pages.form("/transfers/<reference>/ready", permission="stock.work", again=one_transfer)
def make_ready(session: Session, call: Call, form: dict[str, str], reference: str) -> str:  # noqa: ARG001
    """Put the goods aside at the origin."""
    transfers.make_ready(session, transfer=reference, caller=call.principal, now=call.now)
    return target(f"/transfers/{reference}", store_of(session, call), done="transfer_ready")


@pages.form("/transfers/<reference>/shipment", permission="stock.work", again=one_transfer)
def ship(session: Session, call: Call, form: dict[str, str], reference: str) -> str:
    """The goods leave, all of them or fewer."""
    store = own_store(session, call)
    given = {
        "lines": [line | {"shipped": line["shipped"] or 0} for line in lines_in(form, "shipped")],
        "due_at": moment(form, "due_at", store["zone"]),
    }
    body = load(ShipTransferSchema(), given)
    shortfall = transfers.ship(
        session,
        transfer=reference,
        shipped=_wanted(session, body["lines"], "shipped"),
        due_at=body["due_at"],
        caller=call.principal,
        now=call.now,
    )
    return target(f"/transfers/{reference}", store, done="shipped_short" if shortfall else "shipped")


@pages.plain_form("/transfers/<reference>/receipts/scan", permission="stock.work", again=one_transfer)
def scan_transfer(call: Call, form: dict[str, str], reference: str) -> Any:  # noqa: ARG001
    """One more of what was scanned."""
    with db.reading() as session:
        choices = scan_into(session, "quantity")
        return _transfer_page(session, call, reference, choices)


@pages.form("/transfers/<reference>/receipts", permission="stock.work", again=one_transfer)
def receive_transfer(session: Session, call: Call, form: dict[str, str], reference: str) -> str:
    """The goods arrive."""
    given = {"lines": arrived_lines(form), "final": form.get("final") == "yes"}
    body = load(ReceiveTransferSchema(), given)
    transfers.receive(
        session,
        transfer=reference,
        arrived=documents.arrived(session, lines=body["lines"]),
        final=body["final"],
        key=key_of(call),
        caller=call.principal,
        now=call.now,
    )
    return target(f"/transfers/{reference}", store_of(session, call), done="received")


@pages.form("/transfers/<reference>/cancellation", permission="stock.work", again=one_transfer)
def cancel_transfer(session: Session, call: Call, form: dict[str, str], reference: str) -> str:
    """Give the transfer up; what is on its way comes back, or is gone."""
    given = {"choice": form.get("choice") or None, "reason": form.get("reason", "")}
    body = load(CancelTransferSchema(), given)
    transfers.cancel(
        session,
        transfer=reference,
        choice=body["choice"],
        reason=body["reason"],
        caller=call.principal,
        now=call.now,
    )
    return target(f"/transfers/{reference}", store_of(session, call), done="transfer_cancelled")


def _wanted(session: Session, lines: list[dict[str, Any]], field: str) -> list[transfers.Wanted]:
    variants = naming.variants_of(session, lines=lines)
    return [transfers.Wanted(variant_id, line[field]) for variant_id, line in zip(variants, lines, strict=True)]
