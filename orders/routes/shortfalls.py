"""/pickups (and any other fulfillment): what is missing and what becomes of it; moving, expiring; shipments to stores."""

from typing import Any
from uuid import UUID

from orders import (
    cancellation,
    moving,
    no_shows,
    ownership,
    queries,
    resolution,
    ship_to_store,
    shortfalls,
    substitutes,
    waiting,
)
from orders.queries import shortfalls as shipments
from orders.schemas.orders import OrderSchema
from orders.schemas.shortfalls import (
    ExtendPickupSchema,
    MovePickupSchema,
    PartShortfallsSchema,
    ReportShortSchema,
    ResolveSchema,
    StoreArrivalSchema,
    StoreShipmentQuery,
    StoreShipmentSchema,
    SubstituteAnswerSchema,
    SubstituteSchema,
)
from orders.ship_to_store import Scanned
from orders.shortfalls import Lack
from retail.kernel import db
from retail.kernel.errors import NotFound
from retail.kernel.idempotency import Claim
from retail.kernel.web.api import PUBLIC, Answer, ApiBlueprint, Call
from retail.kernel.web.cursor import Page, decode_cursor, page_schema

blp = ApiBlueprint(
    "shortfalls", __name__, url_prefix="/api/v1", description="Goods that are missing, moved, or not fetched"
)
BLUEPRINTS = [blp]
StoreShipmentPageSchema = page_schema(StoreShipmentSchema)


@blp.write(
    "POST",
    "/pickups/<uuid:pickup_id>/short",
    permission="pickups.work",
    body=ReportShortSchema,
    answer=PartShortfallsSchema,
    idempotent=True,
)
def report_short(session: Any, call: Call, pickup_id: UUID, body: dict[str, Any]) -> dict[str, Any]:
    """While picking (a pickup, a parcel, a shipment to a store) these units were not found, or are damaged.

    They leave the books and the lines are short, in one transaction; with nothing left the fulfillment is `short`. What the
    books still call free at that place is set aside until somebody counts. The store's policy may decide what becomes of
    it; otherwise staff or an agent do (`/shortfall-resolution`).
    """
    lines = [Lack(line["order_line_id"], line["quantity"], line.get("sku")) for line in body["lines"]]
    return shortfalls.report(
        session, fulfillment_id=pickup_id, lines=lines, reason=body["reason"], caller=call.principal, now=call.now
    )


@blp.read("/pickups/<uuid:pickup_id>/shortfalls", permission="pickups.read", answer=PartShortfallsSchema)
def list_shortfalls(session: Any, call: Call, pickup_id: UUID) -> dict[str, Any]:
    """All that was ever missing of a fulfillment, and what became of it."""
    return resolution.view(session, fulfillment_id=pickup_id, caller=call.principal)


@blp.workflow(
    "/pickups/<uuid:pickup_id>/shortfall-resolution",
    permission="shortfalls.resolve",
    body=ResolveSchema,
    answer=PartShortfallsSchema,
)
def resolve_shortfall(
    call: Call, claim: Claim, answer: Answer, pickup_id: UUID, body: dict[str, Any]
) -> dict[str, Any]:
    """Say what becomes of what is missing; of one shortfall once (`nothing_short` for who comes second).

    `resource`: fetch it at another store (a parcel is sent from there instead). `ship_to_store`: it is sent to this store.
    `ship`: it is sent to the customer's address. `substitute`: she is asked by a link whether `sku` will do, never dearer.
    `refund`: the money goes back.
    """
    return resolution.resolve(
        fulfillment_id=pickup_id,
        **body,
        caller=call.principal,
        now=call.now,
        begin=claim.begin,
        end=lambda session, found: answer.settle(claim, session, found),
    )


@blp.write(
    "POST",
    "/pickups/<uuid:pickup_id>/location",
    permission="pickups.move",
    body=MovePickupSchema,
    answer=OrderSchema,
    idempotent=True,
)
def move_pickup(session: Any, call: Call, pickup_id: UUID, body: dict[str, Any]) -> dict[str, Any]:
    """Fetch it at another store. The stock that is promised for it moves with it, whole or not at all; the new store promises
    anew, and a code that was issued counts no more. Customers may until it is picked."""
    order_id = moving.move(
        session, fulfillment_id=pickup_id, location=body["location"], caller=call.principal, now=call.now
    )
    return _order(session, order_id)


@blp.workflow("/pickups/<uuid:pickup_id>/expiry", permission="pickups.expire", answer=OrderSchema)
def expire_pickup(call: Call, claim: Claim, answer: Answer, pickup_id: UUID) -> dict[str, Any]:
    """Nobody came by `collect_by`: the goods are for sale again, money and points go back, the customer is told. The job does
    this by itself a while later. Doing it twice is once."""
    with db.transaction() as session:
        claim.begin(session)
        no_shows.expire(session, fulfillment_id=pickup_id, before=call.now, caller=call.principal, now=call.now)
        order = _order(session, ownership.order_of_part(session, fulfillment_id=pickup_id))
        answer.settle(claim, session, order)
    cancellation.settle(order_id=order["id"], now=call.now)
    return order


@blp.write(
    "POST",
    "/pickups/<uuid:pickup_id>/extension",
    permission="pickups.work|pickups.move|me",
    body=ExtendPickupSchema,
    body_required=False,
    answer=OrderSchema,
    idempotent=True,
)
def extend_pickup(session: Any, call: Call, pickup_id: UUID, body: dict[str, Any]) -> dict[str, Any]:
    """Keep goods that are ready longer. Customers may once, for three days; staff and agents as they see fit."""
    order_id = waiting.extend(session, fulfillment_id=pickup_id, days=body["days"], caller=call.principal, now=call.now)
    return _order(session, order_id)


@blp.read("/store-shipments", permission="pickups.read", query=StoreShipmentQuery, answer=StoreShipmentPageSchema)
def list_store_shipments(session: Any, call: Call, query: dict[str, Any]) -> Page:
    """Goods on their way to the store where their customer collects them, oldest first; of store staff, from or to theirs."""
    cursor = decode_cursor(query["cursor"], [UUID])
    limit = query["limit"]
    found = shipments.list_shipments(
        session,
        own=call.principal.locations,
        location=query["location"],
        states=query.get("state") or ("allocated", "picking", "in_transit"),
        after=None if cursor is None else cursor[0],
        limit=limit + 1,
    )
    return Page.of(found, limit, lambda one: [one["id"]])


@blp.write(
    "POST",
    "/store-shipments/<uuid:fulfillment_id>/dispatch",
    permission="pickups.work",
    answer=OrderSchema,
    idempotent=True,
)
def dispatch_store_shipment(session: Any, call: Call, fulfillment_id: UUID) -> dict[str, Any]:
    """The goods for a pickup elsewhere leave this location, on a transfer of their own. Doing it twice is once."""
    ship_to_store.dispatch(session, fulfillment_id=fulfillment_id, caller=call.principal, now=call.now)
    return _order(session, ownership.order_of_part(session, fulfillment_id=fulfillment_id))


@blp.write(
    "POST",
    "/store-shipments/<uuid:fulfillment_id>/arrival",
    permission="pickups.work",
    body=StoreArrivalSchema,
    answer=OrderSchema,
    idempotent=True,
)
def record_arrival(session: Any, call: Call, fulfillment_id: UUID, body: dict[str, Any]) -> dict[str, Any]:
    """The goods were scanned at the store: in stock, and promised to the order in the same moment. Not ready, not completed.

    What is missing or damaged is given from the store's own shelf if some is free, else it is short.
    """
    scanned = [Scanned(**line) for line in body["lines"]]
    ship_to_store.arrive(session, fulfillment_id=fulfillment_id, scanned=scanned, caller=call.principal, now=call.now)
    return _order(session, ownership.order_of_part(session, fulfillment_id=fulfillment_id))


@blp.read("/substitutes/<string:token>", permission=PUBLIC, answer=SubstituteSchema)
def get_substitute(session: Any, call: Call, token: str) -> dict[str, Any]:
    """What the customer who holds the link is asked."""
    return substitutes.by_token(session, token=token, now=call.now)


@blp.workflow(
    "/substitutes/<string:token>/answer",
    permission=PUBLIC,
    body=SubstituteAnswerSchema,
    answer=SubstituteSchema,
    idempotent=False,
)
def answer_substitute(call: Call, token: str, body: dict[str, Any]) -> dict[str, Any]:
    """Yes or no to the substitute; the link is the proof. The same answer twice is one."""
    return resolution.answer(token=token, accept=body["accept"], now=call.now)


def _order(session: Any, order_id: UUID) -> dict[str, Any]:
    found = queries.order_dict(session, order_id=order_id)
    if found is None:
        raise NotFound
    return found
