"""Calling a line of an order off, or some of its units, before they are handed over: stock and money follow, in one
transaction. What is left of the order goes on; when nothing would be left, the whole order is called off.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import reservations
from orders import cancellation, shortfalls, value
from orders.cancellation import TooLateToCancel
from orders.changing import rules
from orders.ownership import order_for
from orders.queries import lines as queries
from orders.queries import payments as payment_queries
from orders.queries.lines import OpenPart
from retail.events import OrderLineCancelled
from retail.kernel import outbox
from retail.kernel.auth import CUSTOMER, Principal
from retail.kernel.errors import NotFound

CAUSE = "line_cancelled"
STAFF_MAY_IN = ("allocated", "picking", "ready", "arrived", "short")

_OFF = text(
    """
    WITH gone AS (
        UPDATE fulfillment_line
        SET cancelled = cancelled + :units, picked = least(picked, quantity - short - cancelled - :units)
        WHERE fulfillment_id = :part_id AND order_line_id = :line_id
    )
    UPDATE fulfillment AS f
    SET version = version + 1,
        state = CASE WHEN others.left_units = 0 AND NOT others.waits THEN 'cancelled' ELSE f.state END,
        closed_at = CASE WHEN others.left_units = 0 AND NOT others.waits THEN CAST(:now AS timestamptz) ELSE f.closed_at END
    FROM (SELECT coalesce(sum(CASE WHEN order_line_id = :line_id THEN quantity - short - cancelled - :units
                                   ELSE quantity - short - cancelled END), 0) AS left_units,
                 EXISTS (SELECT 1 FROM shortfall WHERE fulfillment_id = :part_id AND state IN ('open', 'proposed')) AS waits
          FROM fulfillment_line WHERE fulfillment_id = :part_id) AS others
    WHERE f.id = :part_id
    """
)


def cancel_line(
    session: Session,
    *,
    order: str,
    line_id: UUID,
    quantity: int | None,
    reason: str,
    caller: Principal,
    now: datetime,
) -> UUID:
    """Call `quantity` units of a line off, what is missing first (None: all that were not handed over). Returns the order's
    id, for `cancellation.settle`. A customer may until picking starts, staff until the goods are handed over or packed.

    Raises:
        NotFound: there is no such order or line, or it is another's or another store's.
        TooLateToCancel: fewer units are still to be had; `legal` names what can be done. NotAllowed: the shop's rules.
        Nothing was changed.
    """
    order_id = order_for(session, order=order, caller=caller)
    facts = payment_queries.lock_order(session, order_id=order_id)
    if facts is None:
        raise NotFound
    for fulfillment in payment_queries.lock_parts(session, order_id=order_id):
        caller.require_location(fulfillment.location_id)
    if facts.kind != "live" or facts.cancelled_at is not None or facts.confirmed_at is None:
        raise TooLateToCancel("Nothing of this order is under way", legal=[])
    parts = queries.open_parts(session, order_id=order_id)
    mine = [part for part in parts if part.order_line_id == line_id]
    if not mine:
        raise NotFound("The order has no such line, or nothing of it is under way")
    rules.require_may_cancel(session, order_id=order_id, reason=reason)
    taken = _units(mine, quantity, customer=caller.kind == CUSTOMER)
    if sum(taken) == sum(part.left for part in parts) and not queries.anything_gone(session, order_id=order_id):
        cancellation.call_off(session, order_id=order_id, reason=reason, caller=caller, now=now)
        return order_id
    if quantity is None:  # all of it: also what is missing, whose money goes back like any shortfall's
        for part in (one for one in mine if one.missing):
            where = part.fulfillment_id
            shortfalls.refund(
                session, fulfillment_id=where, line_ids=[line_id], caller=None, actor=caller.actor, now=now
            )
    for part, units in zip(mine, taken, strict=True):
        if units:
            _give_up(session, part, units, order_id=order_id, actor=caller.actor, now=now)
    value.give_up(session, order_id=order_id, lines={line_id: sum(taken)}, reason=reason, actor=caller.actor, now=now)
    # Stock gives up what is missing before what is there: then that is what was called off, and the rest is to be had.
    shortfalls.note(session, order_id=order_id, cause=CAUSE, actor=caller.actor, now=now)
    event = OrderLineCancelled(
        order_id=order_id,
        reference=facts.reference,
        customer_id=facts.customer_id,
        order_line_id=line_id,
        quantity=sum(taken),
        reason=reason,
    )
    outbox.publish(session, event, actor=caller.actor, now=now)
    return order_id


def _units(parts: Sequence[OpenPart], quantity: int | None, *, customer: bool) -> list[int]:
    """How many units each part gives up, in order.

    Raises:
        TooLateToCancel: so many are not to be had any more.
    """
    may = ("allocated",) if customer else STAFF_MAY_IN
    can = [part.left if part.state in may else 0 for part in parts]
    wanted = sum(part.left for part in parts) if quantity is None else quantity
    if wanted > sum(can) or wanted == 0:
        states = sorted({part.state for part in parts})
        legal = ["return"] if not any(part.left for part in parts) else []
        raise TooLateToCancel(
            f"{sum(can)} units can still be called off", states=states, cancellable=sum(can), legal=legal
        )
    taken = []
    for most in can:
        taken.append(min(most, wanted))
        wanted -= taken[-1]
    return taken


def _give_up(session: Session, part: OpenPart, units: int, *, order_id: UUID, actor: str, now: datetime) -> None:
    reservations.release(
        session,
        owner_id=order_id,
        line_ids=[part.order_line_id],
        quantities={part.order_line_id: units},
        location_id=part.stock_at,
        cause=CAUSE,
        actor=actor,
        now=now,
    )
    session.execute(_OFF, {"part_id": part.fulfillment_id, "line_id": part.order_line_id, "units": units, "now": now})
