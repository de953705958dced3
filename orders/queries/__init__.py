"""Questions others may ask about orders, carts and pickups. Frozen dataclasses, ids and dicts come out, never rows."""

from orders.queries.orders import (
    REFERENCE_PREFIX,
    list_orders,
    order_dict,
    order_key,
    orders_for_customer,
    references_of,
    returns_for_customer,
    timeline,
)
from orders.queries.pickups import list_pickups, pickup_dict
from orders.queries.proofs import fulfillment_by_code

__all__ = [
    "REFERENCE_PREFIX",
    "fulfillment_by_code",
    "list_orders",
    "list_pickups",
    "order_dict",
    "order_key",
    "orders_for_customer",
    "pickup_dict",
    "references_of",
    "returns_for_customer",
    "timeline",
]
