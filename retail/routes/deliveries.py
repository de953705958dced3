"""Dead letters of the outbox: look at them, put them back."""

from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from retail.kernel import outbox
from retail.kernel.web import ApiBlueprint, Call, Page, decode_cursor
from retail.schemas import access as schemas

blueprint = ApiBlueprint("deliveries", __name__, url_prefix="/api/v1", description="Events that could not be delivered")


@blueprint.read(
    "/deliveries", permission="deliveries.manage", answer=schemas.DeliveryPageSchema, query=schemas.DeliveryQuery
)
def list_deliveries(*, session: Session, call: Call, query: dict[str, Any]) -> Page:  # noqa: ARG001
    """Deliveries that were given up, the oldest event first."""
    after = decode_cursor(query["cursor"], [str])
    rows = outbox.dead_letters(session, limit=query["limit"] + 1, after=after[0] if after else None)
    return Page.of(rows, query["limit"], lambda row: [f"{row['event_id']} {row['handler']}"])


@blueprint.write(
    "POST",
    "/deliveries/<uuid:event_id>/<handler>/redelivery",
    permission="deliveries.manage",
    answer=schemas.RedeliverySchema,
    status=202,
    idempotent=True,
)
def redeliver(*, session: Session, call: Call, event_id: UUID, handler: str) -> dict[str, Any]:
    """Try a dead letter again at once, its attempts counted anew."""
    outbox.redeliver(session, event_id=event_id, handler=handler, now=call.now)
    return {"event_id": event_id, "handler": handler, "state": "pending"}
