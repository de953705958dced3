"""Transfers over HTTP: asked for, made ready and shipped by the origin, received by the destination."""

from dataclasses import asdict
from typing import Any
from uuid import UUID

from flask import request
from sqlalchemy.orm import Session

from inventory import documents, naming, stock, transfers
from inventory.schemas import transfers as schemas
from inventory.transfers import Wanted
from retail.kernel.web import ApiBlueprint
from retail.kernel.web.api import Call
from retail.kernel.web.cursor import Page, decode_cursor

Json = dict[str, Any]
api = ApiBlueprint("transfers", __name__, url_prefix="/api/v1", description="Goods between locations")


@api.read("/transfers", permission="stock.read", query=schemas.TransferQuery, answer=schemas.TransferPageSchema)
def list_transfers(session: Session, call: Call, query: Json) -> Page:
    """Transfers without their lines, newest first. Store staff see what begins or ends at their own stores; not for
    customers."""

    def place(name: str | None) -> UUID | None:
        return None if name is None else stock.locate(session, name=name, caller=call.principal)["id"]

    after = decode_cursor(query["cursor"], [UUID]) or [None]
    found = transfers.browse(
        session,
        caller=call.principal,
        location_id=place(query["location"]),
        from_location_id=place(query["origin"]),
        to_location_id=place(query["destination"]),
        states=query["state"],
        due_before=query["due_before"],
        after=after[0],
        limit=query["limit"] + 1,
    )
    return Page.of(found, query["limit"], lambda row: [row["id"]])


@api.read("/transfers/<transfer>", permission="stock.read", answer=schemas.TransferSchema, etag=True)
def get_transfer(session: Session, call: Call, transfer: str) -> Json:
    """One transfer (id or reference) with its lines."""
    return transfers.view(session, transfer=transfer, caller=call.principal)


@api.write(
    "POST",
    "/transfers",
    permission="stock.work",
    body=schemas.DraftTransferSchema,
    answer=schemas.TransferSchema,
    status=201,
    idempotent=True,
)
def draft_transfer(session: Session, call: Call, body: Json) -> Json:
    """Write down what is to go; nothing is promised yet. Staff of either end may."""
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
    return transfers.view(session, transfer=reference, caller=call.principal)


@api.write(
    "PATCH",
    "/transfers/<transfer>",
    permission="stock.work",
    body=schemas.UpdateTransferSchema,
    answer=schemas.TransferSchema,
    if_match=True,
)
def update_transfer(session: Session, call: Call, transfer: str, body: Json) -> Json:
    """Change a transfer; `lines` replace all of them, in a draft alone."""
    lines = _wanted(session, body.pop("lines"), "quantity") if "lines" in body else None
    transfers.edit(
        session,
        transfer=transfer,
        version=call.version,
        lines=lines,
        caller=call.principal,
        now=call.now,
        **body,
    )
    return transfers.view(session, transfer=transfer, caller=call.principal)


@api.write(
    "POST", "/transfers/<transfer>/ready", permission="stock.work", answer=schemas.TransferSchema, idempotent=True
)
def make_transfer_ready(session: Session, call: Call, transfer: str) -> Json:
    """Allocate every line at the origin, or none: 409 names every short line, and where else there is some. For the
    origin's staff."""
    transfers.make_ready(session, transfer=transfer, caller=call.principal, now=call.now)
    return transfers.view(session, transfer=transfer, caller=call.principal)


@api.write(
    "POST",
    "/transfers/<transfer>/shipment",
    permission="stock.work",
    body=schemas.ShipTransferSchema,
    body_required=False,
    answer=schemas.ShippedTransferSchema,
    status=201,
    idempotent=True,
)
def ship_transfer(session: Session, call: Call, transfer: str, body: Json) -> Json:
    """The units leave the origin; what was allocated and does not leave is released there. For the origin's staff.

    When the shelf had fewer than were allocated, at most what is still allocated leaves: `shortfall` names these lines.
    """
    shipped = None if body["lines"] is None else _wanted(session, body["lines"], "shipped")
    shortfall = transfers.ship(
        session,
        transfer=transfer,
        shipped=shipped,
        due_at=body["due_at"],
        caller=call.principal,
        now=call.now,
    )
    found = transfers.view(session, transfer=transfer, caller=call.principal)
    return found | {"shortfall": [asdict(line) for line in shortfall]}


@api.write(
    "POST",
    "/transfers/<transfer>/receipts",
    permission="stock.work",
    body=schemas.ReceiveTransferSchema,
    answer=schemas.TransferSchema,
    status=201,
    idempotent=True,
)
def receive_transfer(session: Session, call: Call, transfer: str, body: Json) -> Json:
    """Units came in at the destination; damaged ones are set aside. For the destination's staff.

    409 names every line of which more came in than is on its way. `final`: what is outstanding is given up.
    """
    transfers.receive(
        session,
        transfer=transfer,
        arrived=documents.arrived(session, lines=body["lines"]),
        final=body["final"],
        key=f"{call.actor}:{request.headers['Idempotency-Key']}",
        caller=call.principal,
        now=call.now,
    )
    return transfers.view(session, transfer=transfer, caller=call.principal)


@api.write(
    "POST",
    "/transfers/<transfer>/cancellation",
    permission="stock.work",
    body=schemas.CancelTransferSchema,
    body_required=False,
    answer=schemas.TransferSchema,
    idempotent=True,
)
def cancel_transfer(session: Session, call: Call, transfer: str, body: Json) -> Json:
    """Give a transfer up. Once it was shipped, `choice` says what becomes of the units on their way: back at the origin
    (return), or given up (shrink). What was received stays."""
    transfers.cancel(
        session,
        transfer=transfer,
        choice=body["choice"],
        reason=body["reason"],
        caller=call.principal,
        now=call.now,
    )
    return transfers.view(session, transfer=transfer, caller=call.principal)


def _wanted(session: Session, lines: list[Json], field: str) -> list[Wanted]:
    variants = naming.variants_of(session, lines=lines)
    return [Wanted(variant_id, line[field]) for variant_id, line in zip(variants, lines, strict=True)]
