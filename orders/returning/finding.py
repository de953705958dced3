"""Returns shown: one, many, and what may come back at all."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from orders import return_policies
from orders.ownership import order_for
from orders.queries import returns as queries
from orders.returning.rules import REFERENCE_PREFIX
from retail.kernel.auth import CUSTOMER, Principal
from retail.kernel.errors import NotFound
from retail.kernel.ids import parse_reference, parse_uuid


def show(session: Session, *, given: str, caller: Principal) -> dict[str, Any]:
    """One return by reference or id (ReturnSchema); of one by gift receipt a customer is told no price and no order.

    Raises:
        NotFound: there is none, or it is another customer's, or its goods are at another store.
    """
    keys = queries.return_keys(session, return_id=parse_uuid(given), reference=parse_reference(given, REFERENCE_PREFIX))
    if keys is None:
        raise NotFound
    found = queries.return_dict(session, return_id=keys[0])
    if caller.kind == CUSTOMER and not caller.owns(found["customer_id"]):
        raise NotFound
    if found["location_id"] is not None and not caller.at_location(found["location_id"]):
        raise NotFound
    return _told(found, caller)


def _told(found: dict[str, Any], caller: Principal) -> dict[str, Any]:
    """As this caller may know it. Whoever was given the goods learns what she got for them, not what was paid, nor by whom."""
    if caller.kind != CUSTOMER or found["gift_receipt"] is None:
        return found
    hidden = dict.fromkeys(("order_id", "order_reference", "fee", "refund_id"))
    hidden |= {} if found["state"] == "refunded" else {"amount": None}
    return found | hidden | {"lines": [line | {"amount": None} for line in found["lines"]]}


def browse(
    session: Session,
    *,
    order: str | None,
    states: Collection[str],
    limit: int,
    after: Sequence[Any] | None,
    caller: Principal,
) -> list[dict[str, Any]]:
    """`limit` + 1 returns that the caller may see, newest first: a customer's own; a store's staff those that are there or
    nowhere yet.

    Raises:
        NotFound: `order` names none, or another's.
    """
    order_id: UUID | None = None if order is None else order_for(session, order=order, caller=caller)
    found = queries.list_returns(
        session,
        limit=limit,
        after=after,
        customer_id=caller.id if caller.kind == CUSTOMER else None,
        order_id=order_id,
        states=states,
        locations=caller.locations,
    )
    return [_told(one, caller) for one in found]


def returnability(session: Session, *, order: str, at: datetime, caller: Principal) -> dict[str, Any]:
    """What may come back of an order at a moment, and by which rule, per line (ReturnabilitySchema).

    Raises:
        NotFound: there is no such order, or it is another's.
    """
    order_id = order_for(session, order=order, caller=caller)
    found = return_policies.findings(session, order_id=order_id, at=at)
    return {"order_id": order_id, "at": at, "lines": [finding.told() for finding in found]}
