"""Which of the ways a shortfall goes: chosen by somebody, or by the store's policy."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from orders import cancellation, resourcing, shortfalls, substitutes
from orders.queries import shortfalls as shortfall_queries
from orders.resourcing import NowhereElse
from orders.shortfalls import NothingShort
from retail import stores
from retail.kernel import db
from retail.kernel.auth import Principal
from retail.kernel.errors import NotFound

ASK = "ask"
Begin = Callable[[Session], None]
End = Callable[[Session, dict[str, Any]], None]


def resolve(
    *,
    fulfillment_id: UUID,
    resolution: str,
    lines: Sequence[UUID] | None,
    location: str | None,
    ship_to: Mapping[str, Any] | None,
    sku: str | None,
    caller: Principal,
    now: datetime,
    begin: Begin,
    end: End,
) -> dict[str, Any]:
    """Do what staff or an agent chose, then the card network's part. `begin` runs first in the transaction (an idempotency
    claim), `end` last (its answer). Returns the view (PartShortfallsSchema).

    Raises:
        What shortfalls.refund, resourcing.resource and substitutes.propose raise.
    """
    with db.transaction() as session:
        begin(session)
        which: dict[str, Any] = {"fulfillment_id": fulfillment_id, "line_ids": lines, "caller": caller, "now": now}
        if resolution == shortfalls.REFUND:
            shortfalls.refund(session, **which, actor=caller.actor)
        elif resolution == substitutes.PURPOSE:
            substitutes.propose(session, **which, sku=sku or "")
        else:
            place = None if location is None else stores.key_of(session, location=location)
            resourcing.resource(session, **which, way=resolution, location=place, ship_to=ship_to, actor=caller.actor)
        found = shortfalls.view(session, fulfillment_id=fulfillment_id)
        end(session, found)
    cancellation.settle(order_id=found["order_id"], now=now)
    return found


def by_policy(session: Session, *, fulfillment_id: UUID, now: datetime) -> None:
    """What the store has laid down for what is missing there: nothing (somebody is asked), another location if one has it,
    or the money back. Repeating it changes nothing. What waits for the card network is run by the settle job."""
    try:
        _, part = shortfalls.lock_part(session, fulfillment_id=fulfillment_id, caller=None)
    except NotFound:
        return
    policy = shortfall_queries.policy_of(session, location_id=part.stock_at)
    which: dict[str, Any] = {"fulfillment_id": part.id, "line_ids": None, "caller": None, "actor": "system", "now": now}
    try:
        if policy == shortfalls.REFUND:
            shortfalls.refund(session, **which)
        elif policy == resourcing.RESOURCE:
            resourcing.resource(session, **which, way=resourcing.RESOURCE)
    except (NothingShort, NowhereElse):
        return  # settled meanwhile, or nobody else has it: somebody will be asked


def view(session: Session, *, fulfillment_id: UUID, caller: Principal) -> dict[str, Any]:
    """What is missing of a fulfillment at a store of the caller's.

    Raises:
        NotFound.
    """
    found = shortfalls.view(session, fulfillment_id=fulfillment_id)
    part = found["fulfillment"]
    ends = [place["id"] for place in (part["location"], part["source"]) if place is not None]
    if not any(caller.at_location(end) for end in ends):
        raise NotFound
    return found


def answer(*, token: str, accept: bool, now: datetime) -> dict[str, Any]:
    """The customer's answer to a substitute, then the card network's part. Returns what she was asked.

    Raises:
        What substitutes.answer raises.
    """
    with db.transaction() as session:
        order_id = substitutes.answer(session, token=token, accept=accept, now=now)
        found = substitutes.by_token(session, token=token, now=now)
    cancellation.settle(order_id=order_id, now=now)
    return found
