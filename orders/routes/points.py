"""/orders/{reference}/points: why an order earned what it did."""

from typing import Any

from orders import earned, ownership
from orders.schemas.points import OrderPointsSchema
from retail.kernel.web.api import ApiBlueprint, Call

blp = ApiBlueprint("order_points", __name__, url_prefix="/api/v1", description="Why an order earned its points")
BLUEPRINTS = [blp]


@blp.read("/orders/<string:reference>/points", permission="orders.read|orders.place", answer=OrderPointsSchema)
def order_points(session: Any, call: Call, reference: str) -> dict[str, Any]:
    """Why 37 points? What an order earned by line and rule, what it is still expected to earn, and what was taken back."""
    order_id = ownership.order_for(session, order=reference, caller=call.principal)
    return earned.explained(session, order_id=order_id, locale=call.principal.locale, now=call.now)
