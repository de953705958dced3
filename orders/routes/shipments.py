"""/shipments: what is sent to customers."""

from datetime import datetime
from typing import Any
from uuid import UUID

from flask import request

from orders import carrier_news, dispatching, shipping
from orders.ownership import shipment_of
from orders.queries import parcels as queries
from orders.schemas import shipments as schemas
from orders.shipping import Handed, Packed
from retail.kernel.idempotency import Claim
from retail.kernel.web.api import PUBLIC, Answer, ApiBlueprint, Call
from retail.kernel.web.bodies import read_raw
from retail.kernel.web.cursor import Page, decode_cursor

blp = ApiBlueprint("shipments", __name__, url_prefix="/api/v1", description="What is sent to customers")
hooks = ApiBlueprint("carrier_hooks", __name__, url_prefix="/hooks", description="Where carriers report to")
BLUEPRINTS = [blp, hooks]


@blp.read("/shipments", permission="pickups.read", query=schemas.ShipmentQuery, answer=schemas.ShipmentPageSchema)
def list_shipments(session: Any, call: Call, query: dict[str, Any]) -> Page:
    """What is to be sent, the longest waiting first; of store staff, from their locations."""
    rows = queries.list_shipments(
        session,
        limit=query["limit"],
        after=decode_cursor(query["cursor"], [datetime.fromisoformat, UUID]),
        locations=call.principal.locations,
        location=query["location"],
        states=query["state"],
    )
    return Page.of(rows, query["limit"], lambda row: [row["placed_at"], row["id"]])


@blp.read("/shipments/<uuid:shipment_id>", permission="pickups.read", answer=schemas.ShipmentSchema, etag=True)
def get_shipment(session: Any, call: Call, shipment_id: UUID) -> dict[str, Any]:
    """One shipment with its parcels."""
    return shipment_of(session, fulfillment_id=shipment_id, caller=call.principal)


@blp.write(
    "POST",
    "/shipments/<uuid:shipment_id>/picking",
    permission="pickups.work",
    answer=schemas.ShipmentSchema,
    idempotent=True,
)
def start_picking(session: Any, call: Call, shipment_id: UUID) -> dict[str, Any]:
    """Begin to pick. What is not found is said by `POST /pickups/{id}/short`, with the shipment's id."""
    shipping.start_picking(session, fulfillment_id=shipment_id, caller=call.principal, now=call.now)
    return shipment_of(session, fulfillment_id=shipment_id, caller=call.principal)


@blp.write(
    "POST",
    "/shipments/<uuid:shipment_id>/packing",
    permission="pickups.work",
    body=schemas.PackShipmentSchema,
    answer=schemas.ShipmentSchema,
    idempotent=True,
)
def pack_shipment(session: Any, call: Call, shipment_id: UUID, body: dict[str, Any]) -> dict[str, Any]:
    """Say what is in which parcel: together exactly what is to be sent."""
    parcels = [
        Packed({line["order_line_id"]: line["quantity"] for line in parcel["lines"]}, parcel["weight_g"])
        for parcel in body["parcels"]
    ]
    shipping.pack(session, fulfillment_id=shipment_id, parcels=parcels, caller=call.principal, now=call.now)
    return shipment_of(session, fulfillment_id=shipment_id, caller=call.principal)


@blp.workflow(
    "/shipments/<uuid:shipment_id>/dispatch",
    permission="pickups.work",
    body=schemas.DispatchShipmentSchema,
    answer=schemas.ShipmentSchema,
)
def dispatch_shipment(
    call: Call, claim: Claim, answer: Answer, shipment_id: UUID, body: dict[str, Any]
) -> dict[str, Any]:
    """Hand parcels to a carrier, all at once or one after the other.

    With each parcel its stock leaves, the card is charged at the latest, and points are earned; the customer gets the
    tracking number. The shipment is `shipped` when its last parcel has left.
    """
    handed = [Handed(**parcel) for parcel in body["parcels"]]
    return dispatching.dispatch(
        fulfillment_id=shipment_id,
        carrier=body["carrier"],
        handed=handed,
        caller=call.principal,
        now=call.now,
        begin=lambda session: claim.begin(session, lease=True),
        end=lambda session, found: answer.settle(claim, session, found),
    )


@blp.write(
    "POST",
    "/shipments/<uuid:shipment_id>/delivery",
    permission="pickups.work",
    answer=schemas.ShipmentSchema,
    idempotent=True,
)
def deliver_shipment(session: Any, call: Call, shipment_id: UUID) -> dict[str, Any]:
    """Every parcel has reached the customer."""
    shipping.deliver(session, fulfillment_id=shipment_id, caller=call.principal, now=call.now)
    return shipment_of(session, fulfillment_id=shipment_id, caller=call.principal)


@hooks.write("POST", "/carriers/<string:carrier>", permission=PUBLIC, answer=schemas.CarrierReceiptSchema)
def receive_carrier_news(session: Any, call: Call, carrier: str) -> dict[str, Any]:
    """A carrier's news of a parcel, `{"event_id", "status", "tracking"}`: signed with the shared key in `Carrier-Signature`.

    `delivered` is acted on; a repeat (`repeated`) changes nothing. 404 for a number we do not know (yet): tell it again later.
    """
    signature = request.headers.get("Carrier-Signature")
    new = carrier_news.receive(session, carrier=carrier, raw=read_raw(), signature=signature, now=call.now)
    return {"received": True, "repeated": not new}
