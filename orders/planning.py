"""From where an order's goods leave: the plan is made, its stock is taken, and made anew when somebody else was faster.

A pickup and a sale at the till are the plan with one entry, and ask nobody. What is sent, and what a store lacks of a pickup
that may be split, is decided by `sourcing`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from inventory import reservations
from inventory.reservations import Demand, OutOfStock, Promise
from orders import slots, sourcing, workload
from orders.drafts import CARRY_OUT, PICKUP, SHIP, SHIP_TO_STORE, Draft, Planned, named, whole
from orders.slots import NoSuchSlot
from orders.sourcing import Want
from retail import stores
from retail.kernel.ids import new_id
from retail.queries import LocationFacts
from retail.stores import NeverOpen

TRIES = 3  # a decision is made on what was read; so often it may be overtaken before the order is refused


@dataclass(frozen=True, slots=True)
class Take:
    """How the stock is taken: the cart whose holds are used up, by whom, and when; and the slot a pickup is wanted in."""

    held_for: UUID | None
    actor: str
    now: datetime
    slot_at: datetime | None = None


def _at_one_place(session: Session, draft: Draft, place: LocationFacts) -> Draft:
    """Everything at one store, for its counter or from its till."""
    ready_by = None if draft.method == CARRY_OUT else workload.ready_by(session, place=place, now=draft.now)
    planned = Planned(new_id(), draft.method, named(place), whole(draft.priced), ready_by)
    return replace(draft, plan=(planned,))


def take(session: Session, *, draft: Draft, place: LocationFacts | None, split: bool, how: Take) -> Draft:
    """Take the stock of the draft's goods; returns it with its plan, and with the promises that the goods allow.

    place: the store of a pickup or a till. split: what a pickup's store lacks may come to it from elsewhere.

    Raises:
        OutOfStock, SplitNotWorth, NoSuchSlot, SlotFull: nothing was taken.
    """
    taken = _taken(session, draft, place, split, how)
    return taken if how.slot_at is None else _in_slot(session, taken, place, how.slot_at)


def _taken(session: Session, draft: Draft, place: LocationFacts | None, split: bool, how: Take) -> Draft:
    if place is None:
        return _sent(session, draft, how)
    draft = _at_one_place(session, draft, place)
    try:
        promises = _allocate(session, draft, how)
    except OutOfStock as short:
        if not split or draft.method != PICKUP:
            raise
        return _joined(session, draft, place, short, how)
    return replace(draft, plan=_promised(draft, {place.id: place}, promises)) if promises else draft


def _in_slot(session: Session, draft: Draft, place: LocationFacts | None, slot_at: datetime) -> Draft:
    """Take a place in a slot for what is picked up at `place`; returns the draft with it.

    Raises:
        NoSuchSlot: nothing is picked up, or see `slots.take`. SlotFull.
    """
    at_counter = [planned for planned in draft.plan if planned.method == PICKUP]
    if place is None or not at_counter:
        raise NoSuchSlot(errors=[{"field": "slot_at", "code": NoSuchSlot.code, "detail": "Nothing is picked up now"}])
    slots.take(session, place=place, starts_at=slot_at, ready_by=at_counter[0].ready_by, now=draft.now)
    plan = tuple(replace(planned, slot_at=slot_at) if planned.method == PICKUP else planned for planned in draft.plan)
    return replace(draft, plan=plan)


def _sent(session: Session, draft: Draft, how: Take) -> Draft:
    """Sent to an address, from where the rules say."""
    destination = sourcing.address(draft.ship_to or {})
    wants = [_want(draft, position, units) for position, units in whole(draft.priced)]
    for left in reversed(range(TRIES)):
        decision = sourcing.decide(
            session,
            wants=wants,
            destination=destination,
            channel=draft.channel,
            value_minor=_worth(draft),
            held_for=how.held_for,
            now=how.now,
        )
        places = {place.id: place for place, _ in decision.parts}
        plan = tuple(
            Planned(new_id(), SHIP, named(place), units, _ready_by(session, place, how.now))
            for place, units in decision.parts
        )
        tried = replace(draft, plan=plan, decision=decision.told)
        try:
            return replace(tried, plan=_promised(tried, places, _allocate(session, tried, how)))
        except OutOfStock:
            if not left:
                raise
    raise AssertionError("the last try returns or raises")


def _joined(session: Session, draft: Draft, place: LocationFacts, short: OutOfStock, how: Take) -> Draft:
    """A pickup at `place` of what it has, and of what it lacks once that has come there from elsewhere.

    Raises:
        OutOfStock: the refusal of the store alone, when all others together do not have the rest either.
    """
    destination = sourcing.store(session, location_id=place.id)
    for left in reversed(range(TRIES)):
        here, lacking = _at_store(draft, short)
        try:
            decision = sourcing.decide(
                session,
                wants=[_want(draft, position, units) for position, units in lacking],
                destination=destination,
                channel=draft.channel,
                value_minor=_worth(draft),
                without=[place.id],
                now=how.now,
            )
        except OutOfStock:
            raise short from None
        plan = [Planned(new_id(), PICKUP, named(place), here, _ready_by(session, place, how.now))] if here else []
        plan += [
            Planned(new_id(), SHIP_TO_STORE, named(place), units, source=named(source))
            for source, units in decision.parts
        ]
        tried = replace(draft, plan=tuple(plan), decision=dict(decision.told))
        try:
            promises = _allocate(session, tried, how)
        except OutOfStock as again:
            short = _of_place(again, place, short)
            if not left:
                raise short from None
            continue
        return replace(tried, plan=_promised(tried, {place.id: place}, promises))
    raise AssertionError("the last try returns or raises")


def _at_store(draft: Draft, short: OutOfStock) -> tuple[tuple[tuple[int, int], ...], tuple[tuple[int, int], ...]]:
    """What the store gives of each line, and what it lacks, as (position, units); its stock goes to the lines in order."""
    has = {str(error["sku"]): int(error["available"]) for error in short.errors}
    here, lacking = [], []
    for position, units in whole(draft.priced):
        sku = draft.priced.lines[position].sku
        given = min(units, has.get(sku, units))
        if sku in has:
            has[sku] -= given
        if given:
            here.append((position, given))
        if units > given:
            lacking.append((position, units - given))
    return tuple(here), tuple(lacking)


def _of_place(again: OutOfStock, place: LocationFacts, before: OutOfStock) -> OutOfStock:
    """What the store lacks by now: what it was told to lack before, unless it turned out to have even less."""
    now_has = {str(error["sku"]): error for error in again.errors if error["location"]["id"] == place.id}
    known = {str(error["sku"]) for error in before.errors}
    errors = [now_has.get(str(error["sku"]), error) for error in before.errors]
    return OutOfStock(errors=errors + [error for sku, error in now_has.items() if sku not in known])


def _want(draft: Draft, position: int, units: int) -> Want:
    return Want(position, draft.priced.lines[position].sku, units)


def _worth(draft: Draft) -> int:
    """What the goods cost, tax included, without fees."""
    return sum(draft.priced.lines[position].total_minor for position, _ in whole(draft.priced))


def _allocate(session: Session, draft: Draft, how: Take) -> list[Promise]:
    """Take the plan's stock, all or none, in one statement; returns what cannot be handed over yet."""
    demands = []
    for planned in draft.plan:
        for position, units in planned.units:
            variant_id = draft.priced.lines[position].variant_id
            if variant_id is not None:
                demands.append(Demand(variant_id, planned.stock_at, units, draft.line_ids[position]))
    return reservations.allocate(
        session,
        owner_id=draft.order_id,
        demands=demands,
        held_for=how.held_for,
        channel=draft.channel,
        actor=how.actor,
        now=how.now,
    )


def _promised(draft: Draft, places: dict[UUID, LocationFacts], promises: Sequence[Promise]) -> tuple[Planned, ...]:
    """The plan with the moments that goods allow which are not here yet."""
    waiting: dict[UUID, list[Promise]] = {}
    for promise in promises:
        waiting.setdefault(promise.location_id, []).append(promise)
    if not waiting or draft.method == CARRY_OUT:
        return draft.plan
    changed: dict[UUID, Any] = {
        place_id: _ready_when(places[place_id], waiting[place_id]) for place_id in waiting if place_id in places
    }
    return tuple(
        replace(planned, ready_by=changed[planned.stock_at])
        if planned.source is None and planned.stock_at in changed
        else planned
        for planned in draft.plan
    )


def _ready_when(place: LocationFacts, promises: Sequence[Promise]) -> datetime | None:
    """When an order can be ready whose goods are not all here; None when nobody knows when they come."""
    moments = [promise.promised_at for promise in promises if promise.promised_at is not None]
    return _open_after(place, max(moments)) if len(moments) == len(promises) else None


def _ready_by(session: Session, place: LocationFacts, now: datetime) -> datetime | None:
    """By when goods are ready there, after what waits there now; None where there are no hours."""
    try:
        return workload.ready_by(session, place=place, now=now)
    except NeverOpen:
        return None


def _open_after(place: LocationFacts, at: datetime) -> datetime | None:
    """By when goods are ready that come in at `at`: what will wait there by then is not known. None without hours."""
    try:
        return stores.ready_by(place, at)
    except NeverOpen:
        return None
