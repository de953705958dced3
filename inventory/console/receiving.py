"""Goods come in: scanned or typed line by line, without a delivery that was announced."""

from typing import Any

from flask import g
from sqlalchemy.orm import Session

from inventory import naming, stock
from inventory.console.fields import lines_in, load, scan_into, skus_in
from inventory.console.frame import key_of, names, own_store, pages, show, target
from inventory.schemas.levels import ReceiveStockSchema
from retail.kernel import db
from retail.kernel.web.api import Call


@pages.page("/receipt", permission="stock.work")
def receipt(session: Session, call: Call) -> Any:
    """Receive what nobody announced: a list that grows with each scan."""
    return _receipt_page(session, call, [])


def _receipt_page(session: Session, call: Call, choices: list[dict[str, Any]]) -> str:
    skus = skus_in(g.get("typed", {}), "quantity")
    return show(
        "stock/receipt.html", session, call, tab="receiving", choices=choices, lines=list(names(session, skus).values())
    )


@pages.plain_form("/receipt/scan", permission="stock.work", again=receipt)
def scan_receipt(call: Call, form: dict[str, str]) -> Any:  # noqa: ARG001
    """One more of what was scanned."""
    with db.reading() as session:
        return _receipt_page(session, call, scan_into(session, "quantity"))


@pages.form("/receipt", permission="stock.work", again=receipt)
def receive(session: Session, call: Call, form: dict[str, str]) -> str:
    """Take in all that is on the list."""
    store = own_store(session, call)
    given: dict[str, Any] = {"location": store["code"]}
    given["lines"] = [line for line in lines_in(form, "quantity") if line["quantity"] not in (0, None)]
    if form.get("bucket"):
        given["bucket"] = form["bucket"]
    body = load(ReceiveStockSchema(), given)
    variants = naming.variants_of(session, lines=body["lines"])
    stock.receive(
        session,
        location_id=store["id"],
        lines=[(variant_id, line["quantity"]) for variant_id, line in zip(variants, body["lines"], strict=True)],
        key=key_of(call),
        bucket=body["bucket"],
        actor=call.actor,
        now=call.now,
    )
    return target("/receiving", store, done="received")
