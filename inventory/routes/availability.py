"""Stock over HTTP: what can be promised."""

from typing import Any

from sqlalchemy.orm import Session

from inventory import availability
from inventory.schemas import availability as schemas
from retail.kernel.auth import CUSTOMER
from retail.kernel.web import ApiBlueprint
from retail.kernel.web.api import Call

Json = dict[str, Any]
api = ApiBlueprint("availability", __name__, url_prefix="/api/v1", description="Availability: what can be promised")


@api.read("/availability", permission="stock.read", query=schemas.AvailabilityQuery, answer=schemas.AvailabilitySchema)
def get_availability(session: Session, call: Call, query: Json) -> Json:
    """What can be sold, per SKU and location and in total: now or at a moment to come, and why.

    One statement (two with `location`). 422 names every unknown SKU or location. A customer's explanation is numbers and
    dates: rules, references and suppliers are the shop's own.
    """
    places = None if query["location"] is None else availability.locate(session, names=query["location"])
    items = availability.for_skus(
        session,
        skus=query["sku"],
        location_ids=places,
        channel=query["channel"] or call.principal.channel,
        at=query["at"],
        explain=query["explain"],
        promise=query["promise"],
        names=call.principal.kind != CUSTOMER,
        now=call.now,
    )
    return {"items": items}
