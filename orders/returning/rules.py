"""How a return may move, how it is locked, and how what happened is told."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from orders.queries import payments as payment_queries
from orders.queries import returns as queries
from orders.queries.payments import OrderFacts
from orders.queries.returns import LockedReturn
from retail.events import ReturnEvent
from retail.kernel import outbox
from retail.kernel.auth import CUSTOMER, Principal
from retail.kernel.errors import Conflict, NotFound
from retail.kernel.ids import parse_reference, parse_uuid

REFERENCE_PREFIX = "B"
TRANSITIONS: Mapping[str, tuple[str, ...]] = {
    "requested": ("approved", "rejected", "cancelled"),
    "approved": ("received", "cancelled"),
    "received": ("refunded", "exchanged", "rejected"),
    "refunded": (),
    "exchanged": (),
    "rejected": (),
    "cancelled": (),
}


class NotReturnable(Conflict):
    """Some of the lines may not come back, or not so many units; `errors` names each with why_not and the rule."""

    code, title = "not_returnable", "This may not be returned"


class DestinationNotAllowed(Conflict):
    """The money may not go there; `allowed` names where it may."""

    code, title = "destination_not_allowed", "The money may not be sent there"


class ReturnMoved(Conflict):
    """The return is in a state from which this cannot happen; `legal` names what can."""

    code, title = "illegal_transition", "This cannot be done with the return now"


def require_step(state: str, *steps: str) -> None:
    """Raises:
    ReturnMoved: none of `steps` follows `state`.
    """
    legal = TRANSITIONS[state]
    if not set(steps) & set(legal):
        raise ReturnMoved(f"A return that is {state} cannot become {steps[0]}", state=state, legal=list(legal))


def locked(session: Session, *, given: str, caller: Principal) -> tuple[OrderFacts, LockedReturn]:
    """The return that `given` (a reference or an id) names, with its order, both locked.

    Raises:
        NotFound: there is none, or it is another customer's, or goods of it are at another store.
    """
    keys = queries.return_keys(session, return_id=parse_uuid(given), reference=parse_reference(given, REFERENCE_PREFIX))
    order = None if keys is None else payment_queries.lock_order(session, order_id=keys[1])
    if keys is None or order is None:
        raise NotFound
    found = queries.lock_return(session, return_id=keys[0])
    if caller.kind == CUSTOMER and not caller.owns(found.customer_id):
        raise NotFound
    if found.location_id is not None:
        caller.require_location(found.location_id)
    return order, found


_MOVE = text(
    """
    UPDATE "return"
    SET state = CAST(:state AS text), version = version + 1, closed_at = CAST(:closed_at AS timestamptz),
        close_reason = coalesce(CAST(:close_reason AS text), close_reason),
        decided_at = coalesce(CAST(:decided_at AS timestamptz), decided_at),
        decided_by = CASE WHEN CAST(:decided_at AS timestamptz) IS NULL THEN decided_by ELSE :actor END,
        received_at = coalesce(CAST(:received_at AS timestamptz), received_at),
        inspected_at = coalesce(CAST(:inspected_at AS timestamptz), inspected_at),
        location_id = coalesce(CAST(:location_id AS uuid), location_id),
        amount_minor = coalesce(CAST(:amount_minor AS bigint), amount_minor),
        fee_minor = coalesce(CAST(:fee_minor AS bigint), fee_minor),
        difference_minor = coalesce(CAST(:difference_minor AS bigint), difference_minor)
    WHERE id = :id
    """
)
_NOTHING = dict.fromkeys(
    (
        "close_reason",
        "decided_at",
        "received_at",
        "inspected_at",
        "location_id",
        "amount_minor",
        "fee_minor",
        "difference_minor",
    )
)
CLOSED = ("refunded", "exchanged", "rejected", "cancelled")


def move(
    session: Session, *, found: LockedReturn, state: str, event: ReturnEvent, actor: str, now: datetime, **columns: Any
) -> None:
    """Write the return's next state with what goes with it, and announce it."""
    given = _NOTHING | columns | {"id": found.id, "state": state, "actor": actor}
    given["closed_at"] = now if state in CLOSED else None
    session.execute(_MOVE, given)
    outbox.publish(session, event, actor=actor, now=now)


_LET_GO = text(
    """
    UPDATE order_line AS o SET returning_quantity = o.returning_quantity - l.quantity
    FROM return_line AS l WHERE l.return_id = :return_id AND o.id = l.order_line_id
    """
)


def let_go(session: Session, *, return_id: UUID) -> None:
    """The units of a return are in it no more: it has ended one way or another."""
    session.execute(_LET_GO, {"return_id": return_id})


def keys_of(found: LockedReturn) -> dict[str, Any]:
    """What every event about this return names."""
    return {
        "order_id": found.order_id,
        "reference": found.reference,
        "customer_id": found.customer_id,
        "return_id": found.id,
        "purpose": found.purpose,
    }
