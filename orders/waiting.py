"""Goods that wait at the counter: the customer is reminded once, and may have them kept longer."""

from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from orders import ownership, shortfalls
from orders.fulfillment import IllegalTransition
from orders.queries import waiting as queries
from retail import limits, stores
from retail import queries as ground
from retail.events import PickupExtended, PickupReminded
from retail.kernel import outbox
from retail.kernel.auth import Principal
from retail.kernel.errors import Conflict, NotFound

REMIND_BEFORE = timedelta(hours=limits.REMIND_HOURS_BEFORE)
AT_COUNTER = ("pickup", "ship_to_store")


class NoMoreExtensions(Conflict):
    """The customer has had it kept longer as often as she may; the store or an agent can still."""

    code, title = "no_more_extensions", "It cannot be kept longer this way"


_EXTEND = text(
    """
    WITH longer AS (
        UPDATE fulfillment SET collect_by = :collect_by, extensions = extensions + :counted, reminded_at = NULL,
                               version = version + 1
        WHERE id = :part RETURNING order_id
    )
    UPDATE "order" SET version = version + 1 WHERE id IN (SELECT order_id FROM longer)
    """
)
_REMINDED = text("UPDATE fulfillment SET reminded_at = :now WHERE id = :part AND reminded_at IS NULL RETURNING id")


def extend(session: Session, *, fulfillment_id: UUID, days: int | None, caller: Principal, now: datetime) -> UUID:
    """Keep goods that are ready `days` longer than until now (None: limits.EXTENSION_DAYS), to closing time of that day or of
    the next the store opens. Returns the order's id. A customer may limits.EXTENSIONS_BY_CUSTOMER times and for at most
    EXTENSION_DAYS, staff and agents as often as they like.

    Raises:
        NotFound: no such pickup, or another's or another store's. IllegalTransition: it does not wait at the counter.
        NoMoreExtensions: nothing was changed.
    """
    by_customer = ownership.is_customer(caller)
    order, part = shortfalls.lock_part(session, fulfillment_id=fulfillment_id, caller=None if by_customer else caller)
    if part.method not in AT_COUNTER:
        raise NotFound
    if by_customer:
        ownership.require_party(
            caller, fulfillment_id=part.id, customer_id=order.customer_id, location_id=part.location_id
        )
    if part.state != "ready" or part.collect_by is None:
        raise IllegalTransition("Only goods that wait at the counter are kept longer", state=part.state, legal=[])
    wanted = limits.EXTENSION_DAYS if days is None else days
    if by_customer:
        used = queries.extensions_of(session, fulfillment_id=part.id)
        if used >= limits.EXTENSIONS_BY_CUSTOMER or wanted > limits.EXTENSION_DAYS:
            raise NoMoreExtensions(used=used, most=limits.EXTENSIONS_BY_CUSTOMER, days=limits.EXTENSION_DAYS)
    facts = ground.pickup_location(session, location=part.location_id)
    if facts is None:
        raise NotFound
    collect_by = stores.collect_by(replace(facts, pickup_keep_days=wanted), max(part.collect_by, now))
    given = {"part": part.id, "collect_by": collect_by, "counted": int(by_customer)}
    session.execute(_EXTEND, given)
    event = PickupExtended(**shortfalls.keys(order, part), collect_by=collect_by.isoformat())
    outbox.publish(session, event, actor=caller.actor, now=now)
    return order.id


def remind_due(session: Session, *, now: datetime, limit: int) -> int:
    """Announce pickups whose time runs out within limits.REMIND_HOURS_BEFORE and whose customers were not reminded of it;
    returns how many. Safe to run in many workers at once: each is announced once."""
    told = 0
    for one in queries.lock_unreminded(session, before=now + REMIND_BEFORE, now=now, limit=limit):
        if session.execute(_REMINDED, {"part": one.id, "now": now}).one_or_none() is None:
            continue
        event = PickupReminded(
            order_id=one.order_id,
            reference=one.reference,
            customer_id=one.customer_id,
            fulfillment_id=one.id,
            location_id=one.location_id,
            collect_by=one.collect_by.isoformat(),
        )
        outbox.publish(session, event, actor=outbox.SYSTEM, now=now)
        told += 1
    return told
