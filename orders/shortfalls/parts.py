"""A fulfillment under lock, as it moves, is told of, and is shown."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from orders import queries
from orders.fulfillment import TRANSITIONS, IllegalTransition
from orders.queries import shortfalls as shortfall_queries
from orders.queries.shortfalls import LineFacts, LockedOrder, Part
from retail.kernel.auth import Principal
from retail.kernel.errors import Invalid, NotFound

BEFORE_GONE = ("allocated", "picking", "packed", "arrived", "ready", "short")


class LineUnknown(Invalid):
    """A line is not of this fulfillment, is named twice, or is a bundle whose missing component is not named."""

    code, title = "line_unknown", "The line does not fit"


_STATE = text(
    """
    WITH moved AS (
        UPDATE fulfillment
        SET state = :state, version = version + 1, picking_at = CASE WHEN :state = 'allocated' THEN NULL ELSE picking_at END,
            collected_at = CASE WHEN :state = 'collected' THEN CAST(:now AS timestamptz) ELSE collected_at END,
            closed_at = CASE WHEN :state IN ('cancelled', 'collected') THEN CAST(:now AS timestamptz) ELSE closed_at END
        WHERE id = :part RETURNING order_id
    )
    UPDATE "order" SET version = version + 1 WHERE id IN (SELECT order_id FROM moved)
    """
)


def move_on(session: Session, *, part: Part, state: str, now: datetime) -> None:
    """Write the part's next state (or the same: its lines changed)."""
    session.execute(_STATE, {"part": part.id, "state": state, "now": now})


def illegal(part: Part, detail: str) -> IllegalTransition:
    """The refusal, with what can be done instead."""
    return IllegalTransition(detail, state=part.state, legal=legal_steps(part))


def legal_steps(part: Part) -> list[str]:
    """The states that may follow."""
    return list(TRANSITIONS[part.method].get(part.state, ()))


def view(session: Session, *, fulfillment_id: UUID) -> dict[str, Any]:
    """A fulfillment with all that was ever missing of it (PartShortfallsSchema).

    Raises:
        NotFound: there is none.
    """
    order_id = shortfall_queries.order_of_part(session, fulfillment_id=fulfillment_id)
    order = None if order_id is None else queries.order_dict(session, order_id=order_id)
    if order is None:
        raise NotFound
    part = next(one for one in order["fulfillments"] if one["id"] == fulfillment_id)
    missing = shortfall_queries.shortfalls_of(session, fulfillment_id=fulfillment_id)
    return {
        "order_id": order["id"],
        "reference": order["reference"],
        "fulfillment": part,
        "shortfalls": missing,
        "open": sum(one["quantity"] for one in missing if one["settled_at"] is None),
    }


def lock_part(session: Session, *, fulfillment_id: UUID, caller: Principal | None) -> tuple[LockedOrder, Part]:
    """Lock a confirmed order and all its parts, and find this one.

    Raises:
        NotFound: no such fulfillment, or neither of its places is the caller's.
    """
    order_id = shortfall_queries.order_of_part(session, fulfillment_id=fulfillment_id)
    order = None if order_id is None else shortfall_queries.lock_whole(session, order_id=order_id)
    if order is None or order.kind != "live" or order.confirmed_at is None:
        raise NotFound
    part = order.part(fulfillment_id)
    if caller is not None and not (caller.at_location(part.location_id) or caller.at_location(part.stock_at)):
        raise NotFound
    return order, part


def keys(order: LockedOrder, part: Part) -> dict[str, Any]:
    """What every event about a part says."""
    return {
        "order_id": order.id,
        "reference": order.reference,
        "customer_id": order.customer_id,
        "fulfillment_id": part.id,
        "location_id": part.location_id,
    }


def told(part: Part, lines: Mapping[UUID, int]) -> list[dict[str, Any]]:
    """Units per line as events name them."""
    known: Mapping[UUID, LineFacts] = {line.order_line_id: line for line in part.lines}
    return [
        {"order_line_id": str(line_id), "sku": known[line_id].sku, "quantity": units}
        for line_id, units in lines.items()
    ]
