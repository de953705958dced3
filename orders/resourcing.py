"""What is missing here is taken from elsewhere: another store for the customer to go to, goods sent to her store, or a parcel."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import reservations
from inventory.reservations import OutOfStock, Promise
from orders import shortfalls, sourcing, workload
from orders.queries import shortfalls as shortfall_queries
from orders.queries.shortfalls import Part, Place
from orders.shortfalls import Chosen
from orders.sourcing import Decision, Destination, Want
from retail import queries as ground
from retail.kernel.auth import Principal
from retail.kernel.errors import Conflict, Invalid
from retail.stores import NeverOpen

RESOURCE, SHIP_TO_STORE, SHIP = "resource", "ship_to_store", "ship"
WAYS = (RESOURCE, SHIP_TO_STORE, SHIP)


class NowhereElse(Conflict):
    """No other location has all that is missing, or the one that was named cannot serve it this way."""

    code, title = "nowhere_else", "No other location can serve this"


class AddressMissing(Invalid):
    """The order has no address to ship to: give one."""

    code, title = "address_missing", "Where should it be shipped?"


_ADDRESS = text('UPDATE "order" SET ship_to = CAST(:ship_to AS jsonb) WHERE id = :order_id')


def resource(
    session: Session,
    *,
    fulfillment_id: UUID,
    way: str,
    line_ids: Sequence[UUID] | None = None,
    location: UUID | None = None,
    ship_to: Mapping[str, Any] | None = None,
    caller: Principal | None,
    actor: str,
    now: datetime,
) -> UUID:
    """Take what is missing from another location, all of it from one; returns the new fulfillment's id.

    way: ``resource``, for pickup at that other store (a parcel or a shipment to a store is sent from there instead);
    ``ship_to_store``, sent from there to the store the customer chose; ``ship``, to her address. `location` names it;
    otherwise the sourcing policy's rules choose, and the decision is kept.

    Raises:
        See `shortfalls.choose`. NowhereElse; AddressMissing.
    """
    chosen = shortfalls.choose(session, fulfillment_id=fulfillment_id, line_ids=line_ids, caller=caller)
    part, order = chosen.part, chosen.order
    method = _method(part, way)
    address = ship_to if ship_to is not None else order.ship_to
    if method == SHIP and address is None:
        raise AddressMissing(errors=[{"field": "ship_to", "code": AddressMissing.code, "detail": "Give an address"}])
    if method == SHIP and ship_to is not None:
        session.execute(_ADDRESS, {"order_id": order.id, "ship_to": _json(ship_to)})
    here = part.stock_at
    serving = _serving(session, part=part, method=method, named=location)
    to = sourcing.address(address or {}) if method == SHIP else None
    to = to or sourcing.store(session, location_id=part.location_id)
    tried = [here]
    while decision := _decision(session, chosen=chosen, serving=serving, without=tried, to=to, now=now):
        place = decision.parts[0][0]
        try:
            with session.begin_nested():
                waits = reservations.move(
                    session,
                    owner_id=order.id,
                    line_ids=list(chosen.lines),
                    quantities=chosen.lines,
                    from_location_id=here,
                    to_location_id=place.id,
                    channel=order.channel_code,
                    actor=actor,
                    now=now,
                )
        except OutOfStock:  # somebody was faster
            tried.append(place.id)
            continue
        sourcing.write_down(session, order_id=order.id, cause="short", decision=decision, actor=actor, now=now)
        target = part.location_id if method == SHIP_TO_STORE else place.id
        made = shortfalls.add_part(
            session,
            order_id=order.id,
            method=method,
            location_id=target,
            source_location_id=place.id if method == SHIP_TO_STORE else None,
            ready_by=_ready_by(session, place.id, method, waits, now),
            lines=chosen.lines,
        )
        state = "shipped" if method == SHIP else "resourced"
        shortfalls.settle(session, chosen=chosen, state=state, to=made, actor=actor, now=now)
        return made
    raise NowhereElse(legal=["refund", "substitute"])


def _method(part: Part, way: str) -> str:
    """How the goods reach the customer from now on."""
    if way == RESOURCE and part.method in ("ship", "ship_to_store"):
        return part.method
    return {RESOURCE: "pickup", SHIP_TO_STORE: "ship_to_store", SHIP: "ship"}[way]


def _serving(session: Session, *, part: Part, method: str, named: UUID | None) -> list[UUID]:
    """The other locations that may serve it this way, whatever they have."""
    found = shortfall_queries.places(session, here=part.stock_at)
    return [
        place.id
        for place in found
        if _serves(place, part, method) and (place.id == named or (named is None and _offers_itself(place, method)))
    ]


def _offers_itself(place: Place, method: str) -> bool:
    """What a person has not named sends parcels only where that is its work."""
    return method != SHIP or place.ship_enabled


def _decision(
    session: Session,
    *,
    chosen: Chosen,
    serving: Sequence[UUID],
    without: Sequence[UUID],
    to: Destination,
    now: datetime,
) -> Decision | None:
    """The one location that gives all that is missing, now; None when there is none."""
    lines = [line for line in chosen.part.lines if line.order_line_id in chosen.lines]
    wants = [Want(at, line.sku, chosen.lines[line.order_line_id]) for at, line in enumerate(lines)]
    try:
        return sourcing.decide(
            session,
            wants=wants,
            destination=to,
            channel=chosen.order.channel_code,
            value_minor=None,
            without=without,
            only=serving,
            most_parts=1,
            on_hand_only=True,
            now=now,
        )
    except OutOfStock:
        return None


def _serves(place: Place, part: Part, method: str) -> bool:
    """A pickup moves only to a store where the price stays what it was (tax is the store's); goods are sent from anywhere
    but the very store they are sent to."""
    if method == "pickup":
        return place.pickup_enabled and place.same_tax
    return place.same_tax and (method != SHIP_TO_STORE or place.id != part.location_id)


def _ready_by(
    session: Session, location_id: UUID, method: str, waits: Sequence[Promise], now: datetime
) -> datetime | None:
    """The new promise; None when nobody knows."""
    facts = ground.pickup_location(session, location=location_id)
    if facts is None or waits or method == SHIP_TO_STORE:
        return None
    try:
        return workload.ready_by(session, place=facts, now=now)
    except NeverOpen:
        return None


def _json(ship_to: Mapping[str, Any]) -> str:
    return json.dumps(dict(ship_to), ensure_ascii=False)
