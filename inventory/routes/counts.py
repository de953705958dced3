"""Cycle counts over HTTP."""

from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from inventory import counts, naming, stock
from inventory.schemas import counts as schemas
from retail.kernel.web import ApiBlueprint
from retail.kernel.web.api import Call
from retail.kernel.web.cursor import Page, decode_cursor

Json = dict[str, Any]
api = ApiBlueprint("stock_counts", __name__, url_prefix="/api/v1", description="Cycle counts: find, recount, approve")


@api.read("/stock-counts", permission="stock.read", query=schemas.CountsQuery, answer=schemas.StockCountPageSchema)
def list_counts(session: Session, call: Call, query: Json) -> Page:
    """Counts without their lines, newest first. Store staff see those of their own stores; not for customers."""
    place = None
    if query["location"] is not None:
        place = stock.locate(session, name=query["location"], caller=call.principal)["id"]
    after = decode_cursor(query["cursor"], [UUID]) or [None]
    limit = query["limit"]
    found = counts.browse(
        session,
        caller=call.principal,
        location_id=place,
        states=query["state"],
        after=after[0],
        limit=limit + 1,
    )
    return Page.of(found, limit, lambda row: [row["id"]])


@api.read("/stock-counts/<count>", permission="stock.read", answer=schemas.StockCountSchema, etag=True)
def get_count(session: Session, call: Call, count: str) -> Json:
    """One count (id or reference) with its lines."""
    return counts.view(session, count=count, caller=call.principal)


@api.write(
    "POST",
    "/stock-counts",
    permission="stock.write",
    body=schemas.BeginCountSchema,
    answer=schemas.StockCountSchema,
    status=201,
    idempotent=True,
)
def begin_count(session: Session, call: Call, body: Json) -> Json:
    """Begin a count of a list, of a shelf, or of everything ever stocked at a location."""
    place = stock.locate(session, name=body["location"], caller=call.principal, writing=True)
    variants = None
    if body["skus"] is not None:
        variants = naming.variants_of(session, lines=[{"sku": sku} for sku in body["skus"]])
    reference = counts.begin(
        session,
        location_id=place["id"],
        variant_ids=variants,
        shelf=body["shelf"],
        blind=body["blind"],
        approval_above=body["approval_above"],
        note=body["note"],
        actor=call.actor,
        now=call.now,
    )
    return counts.view(session, count=reference, caller=call.principal)


@api.write(
    "POST",
    "/stock-counts/<count>/entries",
    permission="stock.work",
    body=schemas.EnterCountSchema,
    answer=schemas.StockCountSchema,
    idempotent=True,
)
def enter_count(session: Session, call: Call, count: str, body: Json) -> Json:
    """Write down what was found of some variants.

    As the books say: settled. A difference: the line is to be counted once more, and that second figure counts. 409 names
    lines that are settled already; then nothing is written.
    """
    variants = naming.variants_of(session, lines=body["lines"])
    found = zip(variants, body["lines"], strict=True)
    entries = [counts.Entry(variant_id, line["counted"]) for variant_id, line in found]
    counts.enter(session, count=count, entries=entries, caller=call.principal, now=call.now)
    return counts.view(session, count=count, caller=call.principal)


@api.write(
    "POST",
    "/stock-counts/<count>/approval",
    permission="stock.approve",
    body=schemas.DecideCountSchema,
    answer=schemas.StockCountSchema,
    idempotent=True,
)
def decide_count(session: Session, call: Call, count: str, body: Json) -> Json:
    """Let large differences through, or have the lines recounted. Not for whoever counted them."""
    variants = None
    if body["skus"] is not None:
        variants = naming.variants_of(session, lines=[{"sku": sku} for sku in body["skus"]])
    counts.decide(
        session, count=count, variant_ids=variants, approve=body["approve"], caller=call.principal, now=call.now
    )
    return counts.view(session, count=count, caller=call.principal)


@api.write(
    "POST",
    "/stock-counts/<count>/completion",
    permission="stock.write",
    answer=schemas.StockCountSchema,
    idempotent=True,
)
def complete_count(session: Session, call: Call, count: str) -> Json:
    """Close a count early: lines that nobody counted are `rejected` and change nothing."""
    counts.complete(session, count=count, caller=call.principal, now=call.now)
    return counts.view(session, count=count, caller=call.principal)


@api.write(
    "POST",
    "/stock-counts/<count>/cancellation",
    permission="stock.write",
    answer=schemas.StockCountSchema,
    idempotent=True,
)
def cancel_count(session: Session, call: Call, count: str) -> Json:
    """Give a count up. What was applied stays applied."""
    counts.cancel(session, count=count, caller=call.principal, now=call.now)
    return counts.view(session, count=count, caller=call.principal)
