"""What happened to an order, as one list: the events, which are the audit trail too."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from orders import queries
from orders.ownership import may_see_order
from retail.kernel.auth import CUSTOMER, Principal
from retail.kernel.errors import NotFound


def find(session: Session, *, given: str, caller: Principal) -> dict[str, Any]:
    """The order that a caller means by a UUID or a reference in any spelling, if she may see it (OrderSchema).

    Raises:
        NotFound: there is none, or it is another's.
    """
    order = queries.order_dict(session, **queries.order_key(given))
    if order is None or not may_see_order(order, caller):
        raise NotFound
    return order


def of_order(
    session: Session, *, order: Mapping[str, Any], caller: Principal, after: int, limit: int
) -> list[dict[str, Any]]:
    """`limit` + 1 steps of an order after sequence number `after`: seq, type, at, actor, data.

    A customer sees what happened, and whether it was she who did it, not which member of staff, nor which other customer
    (who brings goods back by a gift receipt is none of the buyer's business).
    """
    steps = queries.timeline(session, order_id=order["id"], after=after, limit=limit)
    if caller.kind != CUSTOMER:
        return steps
    return [
        step | {"actor": "you" if caller.did(step["actor"]) else "shop", "data": _hers(step["data"], caller)}
        for step in steps
    ]


def _hers(data: Mapping[str, Any], caller: Principal) -> dict[str, Any]:
    """An event's data without the id of another customer, and without what staff noted for each other."""
    told = {name: value for name, value in data.items() if name != "note"}
    named = told.get("customer_id")
    return told if named is None or caller.owns(UUID(named)) else told | {"customer_id": None}
