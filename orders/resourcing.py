"""What is missing here is taken from elsewhere: another store for the customer to go to, goods sent to her store, or a parcel."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import queries as stock_queries
from inventory import reservations
from inventory.reservations import OutOfStock, Promise
from orders import shortfalls
from orders.queries import shortfalls as shortfall_queries
from orders.queries.shortfalls import Part, Place
from orders.shortfalls import Chosen
from retail import queries as ground
from retail import stores
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
    otherwise it is the one that has most of the scarcest line.

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
    for place in candidates(session, chosen=chosen, method=method, named=location, now=now):
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
        except OutOfStock:
            continue
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


def candidates(
    session: Session, *, chosen: Chosen, method: str, named: UUID | None = None, now: datetime
) -> list[Place]:
    """Other locations that have all that is missing now, those with most of the scarcest line first."""
    part = chosen.part
    wanted: dict[UUID, int] = {}
    for line in part.lines:
        if line.order_line_id in chosen.lines:
            wanted[line.variant_id] = wanted.get(line.variant_id, 0) + chosen.lines[line.order_line_id]
    keys = [(variant_id, part.stock_at) for variant_id in wanted]
    known = stock_queries.places_for(session, keys=keys, channel=chosen.order.channel_code, now=now)
    spare: dict[UUID, list[int]] = {}
    for variant_id, here in keys:
        for other in known[variant_id, here][2]:
            if other["available"] >= wanted[variant_id]:
                spare.setdefault(other["location"]["id"], []).append(other["available"] - wanted[variant_id])
    enough = [place for place, left in spare.items() if len(left) == len(wanted)]
    found = shortfall_queries.places(session, here=part.stock_at, location_ids=enough)
    fit = [place for place in found.values() if _serves(place, part, method) and named in (None, place.id)]
    return sorted(fit, key=lambda place: (-min(spare[place.id]), place.code))


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
        return stores.ready_by(facts, now)
    except NeverOpen:
        return None


def _json(ship_to: Mapping[str, Any]) -> str:
    return json.dumps(dict(ship_to), ensure_ascii=False)
