"""Stock over HTTP: what can be promised."""

from typing import Any

from sqlalchemy.orm import Session

from inventory import availability
from inventory.schemas import availability as schemas
from retail.kernel.web import ApiBlueprint
from retail.kernel.web.api import Call

Json = dict[str, Any]
api = ApiBlueprint("availability", __name__, url_prefix="/api/v1", description="Availability: what can be promised")


@api.read("/availability", permission="stock.read", query=schemas.AvailabilityQuery, answer=schemas.AvailabilitySchema)
def get_availability(session: Session, call: Call, query: Json) -> Json:
    """What can be promised now, per SKU and location.

    One statement (two with `location`). 422 names every unknown SKU or location.
    """
    places = None if query["location"] is None else availability.locate(session, names=query["location"])
    return {"items": availability.for_skus(session, skus=query["sku"], location_ids=places, now=call.now)}
