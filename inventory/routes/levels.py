"""Stock over HTTP: what is where and why; receipts, adjustments, what is set aside and comes back."""

from typing import Any
from uuid import UUID

from flask import request
from sqlalchemy.orm import Session

from inventory import naming, queries, rules, stock
from inventory.schemas import levels as schemas
from inventory.schemas import rules as rule_schemas
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
    rows = queries.levels_at(
        session,
        location_id=place["id"],
        shelf=query["shelf"],
        q=query["q"],
        low=query["low"],
        after=after[0],
        limit=limit + 1,
        now=call.now,
    )
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
    """Set how a level is sold: kept back (safety), promised beyond what is on hand, told when low, lying on which shelf."""
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


@api.read(
    "/stock/<location>/<sku>/rules",
    permission="stock.read",
    query=rule_schemas.ExplainQuery,
    answer=rule_schemas.ExplanationSchema,
)
def explain_level(session: Session, call: Call, location: str, sku: str, query: Json) -> Json:
    """Which rule gives the safety stock, and with `channel` the buffer, of one SKU at one location."""
    place = stock.locate(session, name=location, caller=call.principal)
    key = (stock.variants(session, skus=[sku])[sku], place["id"])
    return rules.explain(session, keys=[key], channel=query["channel"])[key]


@api.write(
    "POST",
    "/stock/levels",
    permission="stock.write",
    body=schemas.OpenLevelsSchema,
    answer=schemas.ReceiptSchema,
    status=201,
)
def open_levels(session: Session, call: Call, body: Json) -> Json:
    """Make empty levels, so that limits can be set before the first delivery. Those that exist stay as they are."""
    place = stock.locate(session, name=body["location"], caller=call.principal, writing=True)
    ids = list(stock.variants(session, skus=body["skus"]).values())
    stock.open_levels(session, location_id=place["id"], variant_ids=ids, actor=call.actor, now=call.now)
    return _levels(session, call, place, ids)


@api.write(
    "POST",
    "/stock/receipts",
    permission="stock.work",
    body=schemas.ReceiveStockSchema,
    answer=schemas.ReceiptSchema,
    status=201,
    idempotent=True,
)
def receive_stock(session: Session, call: Call, body: Json) -> Json:
    """Goods came in from a supplier; who waits for them gets them. 422 names every unknown SKU; then nothing is received."""
    place = stock.locate(session, name=body["location"], caller=call.principal, writing=True)
    ids = naming.variants_of(session, lines=body["lines"])
    lines = [(variant_id, line["quantity"]) for variant_id, line in zip(ids, body["lines"], strict=True)]
    stock.receive(
        session,
        location_id=place["id"],
        lines=lines,
        key=_key(call),
        bucket=body["bucket"],
        actor=call.actor,
        now=call.now,
    )
    return _levels(session, call, place, ids)


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
    """Change what is on hand and say why. 409 when more is taken than there is, or (a correction) than is promised."""
    here = _here(session, call, body)
    stock.adjust(session, **here, delta=body["delta"], reason=body["reason"], **_by(call))
    return stock.level_of(session, **here, now=call.now)


@api.write(
    "POST",
    "/stock/set-asides",
    permission="stock.work",
    body=schemas.SetAsideSchema,
    answer=schemas.LevelSchema,
    status=201,
    idempotent=True,
)
def set_stock_aside(session: Session, call: Call, body: Json) -> Json:
    """Take units out of sale: damaged (the youngest promises give way), or for inspection (409 if they are promised)."""
    here = _here(session, call, body)
    stock.set_aside(session, **here, quantity=body["quantity"], reason=body["reason"], **_by(call))
    return stock.level_of(session, **here, now=call.now)


@api.write(
    "POST",
    "/stock/restorations",
    permission="stock.work",
    body=schemas.OutOfUnavailableSchema,
    answer=schemas.LevelSchema,
    status=201,
    idempotent=True,
)
def restore_stock(session: Session, call: Call, body: Json) -> Json:
    """Units that were set aside can be sold again; who waits for them gets them."""
    here = _here(session, call, body)
    stock.restore(session, **here, quantity=body["quantity"], **_by(call))
    return stock.level_of(session, **here, now=call.now)


@api.write(
    "POST",
    "/stock/write-offs",
    permission="stock.write",
    body=schemas.OutOfUnavailableSchema,
    answer=schemas.LevelSchema,
    status=201,
    idempotent=True,
)
def write_stock_off(session: Session, call: Call, body: Json) -> Json:
    """Units that were set aside are thrown away."""
    here = _here(session, call, body)
    stock.write_off(session, **here, quantity=body["quantity"], **_by(call))
    return stock.level_of(session, **here, now=call.now)


def _here(session: Session, call: Call, body: Json) -> Json:
    place = stock.locate(session, name=body["location"], caller=call.principal, writing=True)
    (variant_id,) = naming.variants_of(session, lines=[body])
    return {"location_id": place["id"], "variant_id": variant_id}


def _by(call: Call) -> Json:
    """Who, when, and the movement's own key: it outlives the claim, which is forgotten after some days."""
    return {"key": _key(call), "actor": call.actor, "now": call.now}


def _key(call: Call) -> str:
    return f"{call.actor}:{request.headers['Idempotency-Key']}"


def _levels(session: Session, call: Call, place: Json, ids: list[UUID]) -> Json:
    levels = queries.levels_for(session, location_id=place["id"], variant_ids=ids, now=call.now)
    return {"location": place, "levels": levels}
