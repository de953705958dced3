"""Nobody came: the goods are for sale again, money and points go back, the customer is told. One transaction but for the
card network's part, which is settled afterwards (and by the settle job, should this process die in between)."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import reservations
from orders import cancellation, shortfalls, value
from orders.fulfillment import require_step
from orders.queries import no_shows as queries
from orders.queries.shortfalls import Part
from retail import limits
from retail.events import PickupExpired
from retail.kernel import db, outbox
from retail.kernel.auth import Principal
from retail.kernel.errors import Conflict, NotFound, Problem

log = structlog.get_logger()
GRACE = timedelta(hours=limits.NO_SHOW_GRACE_HOURS)
BATCH = 200


class StillKept(Conflict):
    """The goods are kept for the customer until `collect_by`."""

    code, title = "still_kept", "The goods are still kept for the customer"


# What was handed over stays handed over: a pickup of which a part was collected ends as collected.
_EXPIRED = text(
    """
    WITH moved AS (
        UPDATE fulfillment SET state = :state, closed_at = :now, version = version + 1,
                               collected_at = CASE WHEN :state = 'collected' THEN CAST(:now AS timestamptz) END
        WHERE id = :part RETURNING order_id
    ), given_up AS (
        UPDATE fulfillment_line SET picked = collected, cancelled = quantity - short - collected WHERE fulfillment_id = :part
    )
    UPDATE "order" SET version = version + 1 WHERE id IN (SELECT order_id FROM moved)
    """
)


def expire_due(*, now: datetime) -> int:
    """Expire every pickup whose time (and grace) is over, one transaction each; returns how many this call expired."""
    expired = 0
    with db.reading() as session:
        due = queries.due_pickups(session, collect_before=now - GRACE, limit=BATCH)
    for fulfillment_id in due:
        try:
            with db.transaction() as session:
                order_id = expire(session, fulfillment_id=fulfillment_id, before=now - GRACE, caller=None, now=now)
        except Problem as problem:  # the card network is being asked, or somebody else was faster: the next turn sees
            log.warning("pickup not expired", fulfillment_id=str(fulfillment_id), code=problem.code)
            continue
        if order_id is not None:
            cancellation.settle(order_id=order_id, now=now)
            expired += 1
    return expired


def expire(
    session: Session, *, fulfillment_id: UUID, before: datetime, caller: Principal | None, now: datetime
) -> UUID | None:
    """ready -> expired, if it was to be collected `before` then: what is left of it is released, its money and points go back.
    Returns the order's id, or None when it has been expired already; follow with `cancellation.settle`.

    Raises:
        NotFound: no such pickup, or another store's. IllegalTransition: it does not wait at the counter.
        StillKept. value.PaymentBusy: a capture is under way; a moment later it can be done.
    """
    order, part = shortfalls.lock_part(session, fulfillment_id=fulfillment_id, caller=caller)
    if part.state == "expired":
        return None
    if part.method not in ("pickup", "ship_to_store"):
        raise NotFound
    require_step(part.state, "expired", method=part.method)
    if part.collect_by is None or part.collect_by > before:
        raise StillKept(
            collect_by=None if part.collect_by is None else part.collect_by.isoformat(), legal=["collected"]
        )
    actor = "system" if caller is None else caller.actor
    left = _left(part)
    given = value.GivenUp()
    if left:
        given = value.give_up(session, order_id=order.id, lines=left, reason="not_collected", actor=actor, now=now)
        reservations.release(
            session,
            owner_id=order.id,
            cause="not_collected",
            line_ids=list(left),
            quantities=left,
            location_id=part.location_id,
            actor=actor,
            now=now,
        )
    shortfalls.drop(session, part=part, actor=actor, now=now)
    state = "collected" if any(line.collected for line in part.lines) else "expired"
    session.execute(_EXPIRED, {"part": part.id, "state": state, "now": now})
    money: dict[str, Any] = {"amount_minor": given.released_minor + given.refunded_minor, "points": given.points}
    event = PickupExpired(**shortfalls.keys(order, part), **money, currency=order.currency)
    outbox.publish(session, event, actor=actor, now=now)
    return order.id


def _left(part: Part) -> dict[UUID, int]:
    """Units per line that nobody fetched, and those that were missing and not settled."""
    units = {line.order_line_id: line.todo + line.unsettled for line in part.lines}
    return {line_id: count for line_id, count in units.items() if count}
