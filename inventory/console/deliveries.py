"""Deliveries that suppliers announced: what is due, and receiving one with what differs from the note."""

from typing import Any

from flask import g, redirect, request
from sqlalchemy.orm import Session

from inventory import documents, inbound
from inventory.console.fields import arrived_lines, load, reordered, scan_into, skus_in
from inventory.console.frame import key_of, names, pages, show, store_of, target
from inventory.schemas.inbound import ReceiveInboundSchema
from retail.kernel import db
from retail.kernel.web.api import Call

OPEN = ("expected", "partly_received")
LISTED = 200


@pages.page("/receiving", permission="stock.work")
def receiving(session: Session, call: Call) -> Any:
    """What is expected in one store: due first, what is late marked."""
    store = store_of(session, call)
    found = (
        inbound.browse(session, caller=call.principal, location_id=store["id"], states=OPEN, limit=LISTED)
        if store is not None
        else []
    )
    found.sort(key=lambda one: one["due_at"])
    return show(
        "stock/receiving.html",
        session,
        call,
        tab="receiving",
        deliveries=[one | {"late": one["due_at"] < call.now} for one in found],
        more=len(found) == LISTED,
    )


@pages.page("/deliveries/<reference>", permission="stock.work")
def delivery(session: Session, call: Call, reference: str) -> Any:
    """One delivery with a field for each line."""
    return _delivery_page(session, call, reference, [])


def _delivery_page(session: Session, call: Call, reference: str, choices: list[dict[str, Any]]) -> Any:
    found = inbound.view(session, shipment=reference, caller=call.principal)
    place = found["location"]
    if request.method == "GET" and request.args.get("store") != place["code"]:
        return redirect(target(f"/deliveries/{found['reference']}", place), 303)
    announced = {line["sku"] for line in found["lines"]}
    others = [sku for sku in skus_in(g.get("typed", {}), "quantity") if sku not in announced]
    return show(
        "stock/delivery.html",
        session,
        call,
        tab="receiving",
        delivery=found | {"late": found["state"] in OPEN and found["due_at"] < call.now},
        is_open=found["state"] in OPEN,
        as_announced=request.method == "GET" and request.args.get("fill") == "1",
        choices=choices,
        lines=reordered(found["lines"], "quantity"),
        others=list(names(session, others).values()),
    )


@pages.plain_form("/deliveries/<reference>/receipts/scan", permission="stock.work", again=delivery)
def scan_delivery(call: Call, form: dict[str, str], reference: str) -> Any:  # noqa: ARG001
    """One more of what was scanned."""
    with db.reading() as session:
        choices = scan_into(session, "quantity")
        return _delivery_page(session, call, reference, choices)


@pages.form("/deliveries/<reference>/receipts", permission="stock.work", again=delivery)
def receive_delivery(session: Session, call: Call, form: dict[str, str], reference: str) -> str:
    """Take in what came. `final`: yes, nothing more comes; no, more comes; else it is over when all is there."""
    given: dict[str, Any] = {"lines": arrived_lines(form)}
    if form.get("final") in ("yes", "no"):
        given["final"] = form["final"] == "yes"
    body = load(ReceiveInboundSchema(), given)
    inbound.receive(
        session,
        shipment=reference,
        arrived=documents.arrived(session, lines=body["lines"]),
        final=body["final"],
        key=key_of(call),
        caller=call.principal,
        now=call.now,
    )
    return target("/receiving", store_of(session, call), done="received")
