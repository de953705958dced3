"""Slots in which pickups are fetched."""

from typing import Any
from uuid import UUID

from orders import queries, slots
from orders.schemas import slots as schemas
from orders.schemas.orders import OrderSchema
from retail.kernel.web.api import ApiBlueprint, Call

blp = ApiBlueprint("slots", __name__, url_prefix="/api/v1", description="When pickups are fetched")
BLUEPRINTS = [blp]


@blp.read(
    "/locations/<string:location>/pickup-slots",
    permission="stores.read",
    query=schemas.SlotQuery,
    answer=schemas.SlotsSchema,
)
def list_pickup_slots(session: Any, call: Call, location: str, query: dict[str, Any]) -> dict[str, Any]:
    """A day's slots of a store, within its opening hours, and what is left of them. None where the store has no slots."""
    return {"items": slots.list_slots(session, location=location, on=query["on"], now=call.now)}


@blp.read(
    "/locations/<string:location>/slot-policy", permission="stores.read", answer=schemas.SlotPolicySchema, etag=True
)
def get_slot_policy(session: Any, call: Call, location: str) -> dict[str, Any]:  # noqa: ARG001
    """How long a store's slots are, and how many pickups each takes."""
    return slots.policy(session, location=location)


@blp.write(
    "PUT",
    "/locations/<string:location>/slot-policy",
    permission="pickups.expire",
    body=schemas.SetSlotPolicySchema,
    answer=schemas.SlotPolicySchema,
    if_match=True,
)
def put_slot_policy(session: Any, call: Call, location: str, body: dict[str, Any]) -> dict[str, Any]:
    """Set a store's slots (its manager, or an administrator). `If-Match: "0"` where it has none. What was promised stays."""
    return slots.put_policy(
        session, location=location, wanted=body, version=call.version, caller=call.principal, now=call.now
    )


@blp.write(
    "POST",
    "/pickups/<uuid:pickup_id>/slot",
    permission="pickups.move",
    body=schemas.ChangeSlotSchema,
    answer=OrderSchema,
    idempotent=True,
)
def change_slot(session: Any, call: Call, pickup_id: UUID, body: dict[str, Any]) -> dict[str, Any]:
    """Fetch it in another slot, or in none; the place in the old one is free. 409 `slot_full` names the next free ones."""
    order_id = slots.change(
        session, fulfillment_id=pickup_id, starts_at=body["slot_at"], caller=call.principal, now=call.now
    )
    found = queries.order_dict(session, order_id=order_id)
    if found is None:
        raise LookupError(f"no order {order_id}")
    return found
