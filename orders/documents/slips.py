"""Slips that go with goods: what is in the bag or parcel, for a gift without prices; and the delivery note of a shipment.

They are no documents in the sense of the law: not numbered, not kept, printed as often as one likes.
"""

from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from orders import queries
from orders.ownership import order_of_part
from retail.kernel.auth import Principal
from retail.kernel.errors import NotFound


def slip_of(session: Session, *, fulfillment_id: UUID, prices: bool, caller: Principal) -> dict[str, Any]:
    """What is in a fulfillment: reference, method, location, name, ship_to, placed_at, currency, and lines (title, sku,
    quantity, and with `prices` unit_price). What was called off or is missing is left out.

    Raises:
        NotFound: there is no such fulfillment, it is another location's, or (`prices`) it is not sent.
    """
    order = queries.order_dict(session, order_id=order_of_part(session, fulfillment_id=fulfillment_id))
    if order is None:
        raise NotFound
    part = next(one for one in order["fulfillments"] if str(one["id"]) == str(fulfillment_id))
    caller.require_location(part["location"]["id"])
    if prices and part["method"] != "ship":
        raise NotFound
    known = {line["id"]: line for line in order["lines"]}
    lines = []
    for one in part["lines"]:
        quantity = one["quantity"] - one["short"] - one["cancelled"]
        if quantity <= 0:
            continue
        line = known[one["order_line_id"]]
        told = {"title": line["title"], "sku": line["sku"], "quantity": quantity}
        lines.append(told | ({"unit_price": line["unit_price"]} if prices else {}))
    sent = order["ship_to"] if part["method"] == "ship" else None
    return {
        "reference": order["reference"],
        "method": part["method"],
        "location": part["location"],
        "name": (sent or {}).get("name") or order["contact"]["name"],
        "ship_to": sent,
        "placed_at": order["placed_at"],
        "locale": order["locale"],
        "lines": lines,
    }
