"""Stock over HTTP: what is where and why, receipts and adjustments."""

from typing import Any
from uuid import UUID

from flask import request
from sqlalchemy.orm import Session

from inventory import queries, stock
from inventory.schemas import levels as schemas
from retail.kernel.web import ApiBlueprint
from retail.kernel.web.api import Call
from retail.kernel.web.cursor import Page, decode_cursor

Json = dict[str, Any]
api = ApiBlueprint("stock", __name__, url_prefix="/api/v1", description="Stock: levels, movements")


@api.read("/stock", permission="stock.read", query=schemas.LevelsQuery, answer=schemas.LevelPageSchema)
def list_levels(session: Session, call: Call, query: Json) -> Page:
    """The levels of one location. Not for customers, who ask for availability."""
    place = stock.locate(session, name=query["location"], caller=call.principal)
    after = decode_cursor(query["cursor"], [UUID]) or [None]
    limit = query["limit"]
    rows = queries.levels_at(session, location_id=place["id"], after=after[0], limit=limit + 1, now=call.now)
    return Page.of(rows, limit, lambda row: [row["variant_id"]])


@api.read("/stock/movements", permission="stock.read", query=schemas.MovementsQuery, answer=schemas.MovementPageSchema)
def list_movements(session: Session, call: Call, query: Json) -> Page:
    """Everything that ever happened to one SKU at one location, newest first. Not for customers."""
    place = stock.locate(session, name=query["location"], caller=call.principal)
    variant_id = stock.variants(session, skus=[query["sku"]])[query["sku"]]
    before = decode_cursor(query["cursor"], [int]) or [None]
    limit = query["limit"]
    rows = queries.movements_of(
        session, location_id=place["id"], variant_id=variant_id, before=before[0], limit=limit + 1
    )
    return Page.of(rows, limit, lambda row: [row["seq"]])


@api.read("/stock/<location>/<sku>", permission="stock.read", answer=schemas.LevelSchema, etag=True)
def get_level(session: Session, call: Call, location: str, sku: str) -> Json:
    """One SKU at one location (id or code). Not for customers."""
    place = stock.locate(session, name=location, caller=call.principal)
    return stock.level(session, location_id=place["id"], sku=sku, now=call.now)


@api.write(
    "PATCH",
    "/stock/<location>/<sku>",
    permission="stock.write",
    body=schemas.UpdateLevelSchema,
    answer=schemas.LevelSchema,
    if_match=True,
)
def update_level(session: Session, call: Call, location: str, sku: str, body: Json) -> Json:
    """Set how many units are kept back (safety) and how many may be promised beyond what is on hand."""
    place = stock.locate(session, name=location, caller=call.principal, writing=True)
    before = stock.level(session, location_id=place["id"], sku=sku, now=call.now)
    stock.set_limits(
        session,
        location_id=place["id"],
        variant_id=before["variant_id"],
        changes=body,
        version=call.version,
        actor=call.actor,
        now=call.now,
    )
    return stock.level(session, location_id=place["id"], sku=sku, now=call.now)


@api.write(
    "POST",
    "/stock/receipts",
    permission="stock.write",
    body=schemas.ReceiveStockSchema,
    answer=schemas.ReceiptSchema,
    status=201,
    idempotent=True,
)
def receive_stock(session: Session, call: Call, body: Json) -> Json:
    """Goods came in from a supplier. 422 names every unknown SKU; then nothing is received."""
    place = stock.locate(session, name=body["location"], caller=call.principal, writing=True)
    variants = stock.variants(session, skus=[line["sku"] for line in body["lines"]])
    lines = [(variants[line["sku"]], line["quantity"]) for line in body["lines"]]
    stock.receive(session, location_id=place["id"], lines=lines, key=_key(call), actor=call.actor, now=call.now)
    ids = list(variants.values())
    return {
        "location": place,
        "levels": queries.levels_for(session, location_id=place["id"], variant_ids=ids, now=call.now),
    }


@api.write(
    "POST",
    "/stock/adjustments",
    permission="stock.write",
    body=schemas.AdjustStockSchema,
    answer=schemas.LevelSchema,
    status=201,
    idempotent=True,
)
def adjust_stock(session: Session, call: Call, body: Json) -> Json:
    """Change what is on hand and say why. 409 when less would be left than is promised."""
    place = stock.locate(session, name=body["location"], caller=call.principal, writing=True)
    variant_id = stock.variants(session, skus=[body["sku"]])[body["sku"]]
    stock.adjust(
        session,
        location_id=place["id"],
        variant_id=variant_id,
        delta=body["delta"],
        reason=body["reason"],
        key=_key(call),
        actor=call.actor,
        now=call.now,
    )
    return stock.level(session, location_id=place["id"], sku=body["sku"], now=call.now)


def _key(call: Call) -> str:
    """The movement's own key: it outlives the claim, which is forgotten after some days."""
    return f"{call.actor}:{request.headers['Idempotency-Key']}"
