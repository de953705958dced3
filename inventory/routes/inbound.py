"""Deliveries of suppliers over HTTP: announced, received box by box, closed with their differences."""

from typing import Any
from uuid import UUID

from flask import request
from sqlalchemy.orm import Session

from inventory import documents, inbound, naming, stock
from inventory.inbound import Expected
from inventory.schemas import inbound as schemas
from retail.kernel.web import ApiBlueprint
from retail.kernel.web.api import Call
from retail.kernel.web.cursor import Page, decode_cursor

Json = dict[str, Any]
api = ApiBlueprint("inbound", __name__, url_prefix="/api/v1", description="Deliveries of suppliers")


@api.read("/inbound-shipments", permission="stock.read", query=schemas.InboundQuery, answer=schemas.InboundPageSchema)
def list_inbound(session: Session, call: Call, query: Json) -> Page:
    """Deliveries without their lines, newest first. Store staff see those of their own stores; not for customers."""
    place = None
    if query["location"] is not None:
        place = stock.locate(session, name=query["location"], caller=call.principal)["id"]
    after = decode_cursor(query["cursor"], [UUID]) or [None]
    found = inbound.browse(
        session,
        caller=call.principal,
        location_id=place,
        states=query["state"],
        due_before=query["due_before"],
        after=after[0],
        limit=query["limit"] + 1,
    )
    return Page.of(found, query["limit"], lambda row: [row["id"]])


@api.read("/inbound-shipments/<shipment>", permission="stock.read", answer=schemas.InboundShipmentSchema, etag=True)
def get_inbound(session: Session, call: Call, shipment: str) -> Json:
    """One delivery (id or reference) with its lines."""
    return inbound.view(session, shipment=shipment, caller=call.principal)


@api.write(
    "POST",
    "/inbound-shipments",
    permission="stock.write",
    body=schemas.AnnounceInboundSchema,
    answer=schemas.InboundShipmentSchema,
    status=201,
    idempotent=True,
)
def announce_inbound(session: Session, call: Call, body: Json) -> Json:
    """A supplier will bring goods: until they are here, they count as incoming. 422 names every unknown SKU or barcode."""
    place = stock.locate(session, name=body["location"], caller=call.principal, writing=True)
    reference = inbound.announce(
        session,
        location_id=place["id"],
        lines=_expected(session, body["lines"]),
        due_at=body["due_at"],
        supplier=body["supplier"],
        note=body["note"],
        actor=call.actor,
        now=call.now,
    )
    return inbound.view(session, shipment=reference, caller=call.principal)


@api.write(
    "PATCH",
    "/inbound-shipments/<shipment>",
    permission="stock.write",
    body=schemas.UpdateInboundSchema,
    answer=schemas.InboundShipmentSchema,
    if_match=True,
)
def update_inbound(session: Session, call: Call, shipment: str, body: Json) -> Json:
    """Change what was announced; `lines` replace all of them, while nothing has come in."""
    lines = _expected(session, body.pop("lines")) if "lines" in body else None
    inbound.edit(
        session,
        shipment=shipment,
        version=call.version,
        lines=lines,
        caller=call.principal,
        now=call.now,
        **body,
    )
    return inbound.view(session, shipment=shipment, caller=call.principal)


@api.write(
    "POST",
    "/inbound-shipments/<shipment>/receipts",
    permission="stock.work",
    body=schemas.ReceiveInboundSchema,
    answer=schemas.InboundShipmentSchema,
    status=201,
    idempotent=True,
)
def receive_inbound(session: Session, call: Call, shipment: str, body: Json) -> Json:
    """Goods came in. More than announced and goods that nobody announced are taken in and become differences; damaged
    units are set aside; whoever waits for the goods gets them."""
    inbound.receive(
        session,
        shipment=shipment,
        arrived=documents.arrived(session, lines=body["lines"]),
        final=body["final"],
        key=f"{call.actor}:{request.headers['Idempotency-Key']}",
        caller=call.principal,
        now=call.now,
    )
    return inbound.view(session, shipment=shipment, caller=call.principal)


@api.write(
    "POST",
    "/inbound-shipments/<shipment>/cancellation",
    permission="stock.write",
    body=schemas.CancelInboundSchema,
    body_required=False,
    answer=schemas.InboundShipmentSchema,
    idempotent=True,
)
def cancel_inbound(session: Session, call: Call, shipment: str, body: Json) -> Json:
    """Nothing (more) of this delivery will come. What came in stays."""
    inbound.cancel(session, shipment=shipment, reason=body["reason"], caller=call.principal, now=call.now)
    return inbound.view(session, shipment=shipment, caller=call.principal)


def _expected(session: Session, lines: list[Json]) -> list[Expected]:
    variants = naming.variants_of(session, lines=lines)
    return [Expected(variant_id, line["expected"]) for variant_id, line in zip(variants, lines, strict=True)]
