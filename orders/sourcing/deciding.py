"""Where an order's goods come from: facts are read, plans are made, the rules choose, and the decision can be told."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import asin, cos, radians, sin, sqrt
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import availability
from inventory.reservations import OutOfStock
from orders.queries import sourcing as queries
from orders.queries.sourcing import SiteFacts
from orders.sourcing import policy as policies
from orders.sourcing.plans import Plan, Site, Stock, Want, by_line, demand_of, plans
from orders.sourcing.policy import Policy
from orders.sourcing.rules import ALTERNATIVES_TOLD, choose
from retail import stores
from retail.kernel.errors import Conflict
from retail.kernel.ids import new_id
from retail.queries import LocationFacts

EARTH_KM = 6371.0088  # mean radius (IUGG)
NO_SHIPPING, FULL = "no_shipping", "at_capacity"

Coordinates = tuple[float, float]
_Counted = dict[UUID, dict[str, int]]


class SplitNotWorth(Conflict):
    """No location has everything, and an order of so little value is not split (the policy's no_split_below_minor)."""

    code, title = "split_not_worth", "The order is too small to be sent from several places"


@dataclass(frozen=True, slots=True)
class Destination:
    """Where goods go: to an address, which the policy's areas find by its postal code, or to the store that the customer comes
    to."""

    told: Mapping[str, Any]
    coordinates: Coordinates | None = None
    postal_code: str = ""

    def at(self, policy: Policy) -> Coordinates | None:
        """Its coordinates, as far as they are known."""
        return self.coordinates or policy.coordinates(self.postal_code)


@dataclass(frozen=True, slots=True)
class Decision:
    """What comes from where, as (location, ((position of the line, units), ...)), and why (SourcingDecisionSchema)."""

    parts: tuple[tuple[LocationFacts, tuple[tuple[int, int], ...]], ...]
    told: Mapping[str, Any]


_WRITE = text(
    """
    INSERT INTO sourcing_decision (id, order_id, cause, decision, actor, decided_at)
    VALUES (:id, :order_id, :cause, CAST(:decision AS jsonb), :actor, :now)
    """
)


def address(ship_to: Mapping[str, Any]) -> Destination:
    """An address (AddressSchema) as a destination."""
    postal_code = str(ship_to.get("postal_code") or "")
    return Destination({"country": ship_to.get("country"), "postal_code": postal_code}, postal_code=postal_code)


def store(session: Session, *, location_id: UUID) -> Destination:
    """A store as a destination."""
    (facts,) = queries.sites(session, location_ids=[location_id])
    return Destination({"location": facts.place.code}, _at(facts))


def decide(
    session: Session,
    *,
    wants: Sequence[Want],
    destination: Destination,
    channel: str,
    value_minor: int | None,
    without: Collection[UUID] = (),
    only: Collection[UUID] | None = None,
    most_parts: int | None = None,
    held_for: UUID | None = None,
    on_hand_only: bool = False,
    now: datetime,
) -> Decision:
    """Choose the locations that give `wants`. Three statements; nothing is taken: whoever takes may find it gone, and asks again.

    What is here is preferred to what would have to come in first. `without`: locations that do not count (the store that has
    too little); `only`: those that do, whether they ship or not. `value_minor`: what the goods cost, where it is known. `held_for`:
    a cart whose holds are free for this order. `on_hand_only`: nothing that would have to come in first. Bundles that share a component are each counted in full: then a
    plan may be chosen that the stock does not bear, and taking it is refused.

    Raises:
        OutOfStock: all together have too little; every short line is named.
        SplitNotWorth: only several together have enough, and the order's value is below what is split.
    """
    policy = policies.current(session)
    demand = demand_of(wants)
    here, ordered = _stock(session, demand, channel, now)
    if held_for is not None:
        for place, sku, units in queries.held_for(session, cart_id=held_for, now=now):
            for stock in (here, ordered):
                has = stock.setdefault(place, {})
                has[sku] = has.get(sku, 0) + units
    facts = queries.sites(session, location_ids=sorted(set(ordered) - set(without)))
    excluded = {one.place.id: reason for one in facts if (reason := _excluded(one, only)) is not None}
    fit = [one for one in facts if one.place.id not in excluded]
    goal = destination.at(policy)
    sites = [_site(one, goal, now) for one in fit]
    most = min(policy.most_parts, most_parts or policy.most_parts)
    small = value_minor is not None and value_minor < policy.no_split_below_minor
    waits, found = False, plans(demand, sites, here, most_parts=1 if small else most)
    if not found and not on_hand_only:
        waits, found = True, plans(demand, sites, ordered, most_parts=1 if small else most)
    if not found and small and plans(demand, sites, ordered, most_parts=most):
        raise SplitNotWorth(no_split_below_minor=policy.no_split_below_minor, value_minor=value_minor)
    choice = choose(found, policy.chain)
    if choice.plan is None:
        raise _short(wants, demand, [site.id for site in sites], ordered)
    told = {
        "decided_by": choice.decided_by,
        "policy_version": policy.version,
        "destination": dict(destination.told),
        "value_minor": value_minor,
        "split_allowed": not small and most > 1,
        "waits_for_goods": waits,
        "rules": choice.rules,
        "chosen": _told(choice.plan),
        "alternatives": [
            {"rejected_by": rule, "value": None if value is None else round(value, 2), "parts": _told(plan)}
            for plan, rule, value in choice.rejected[:ALTERNATIVES_TOLD]
        ],
        "alternatives_total": len(choice.rejected),
        "locations": [_place_told(one, excluded.get(one.place.id), demand, here) for one in facts],
    }
    by_id = {one.place.id: one.place for one in fit}
    return Decision(tuple((by_id[site.id], units) for site, units in by_line(wants, choice.plan)), told)


def write_down(session: Session, *, order_id: UUID, cause: str, decision: Decision, actor: str, now: datetime) -> None:
    """Keep a decision that was made about an order after it was placed."""
    given = {"id": new_id(), "order_id": order_id, "cause": cause, "actor": actor, "now": now}
    session.execute(_WRITE, given | {"decision": json.dumps(decision.told, ensure_ascii=False, default=str)})


def _stock(session: Session, demand: Mapping[str, int], channel: str, now: datetime) -> tuple[_Counted, _Counted]:
    """What is here, and what could be promised, per location and SKU."""
    here: _Counted = {}
    ordered: _Counted = {}
    for item in availability.for_skus(session, skus=sorted(demand), location_ids=None, channel=channel, now=now):
        for entry in item["locations"]:
            place = UUID(str(entry["location"]["id"]))
            here.setdefault(place, {})[item["sku"]] = entry["available"]
            ordered.setdefault(place, {})[item["sku"]] = entry["orderable"]
    return here, ordered


def _excluded(facts: SiteFacts, only: Collection[UUID] | None) -> str | None:
    if only is not None:
        return None if facts.place.id in only else NO_SHIPPING
    if not facts.ship_enabled:
        return NO_SHIPPING
    return FULL if facts.capacity is not None and (facts.open_orders or 0) >= facts.capacity else None


def _site(facts: SiteFacts, goal: Coordinates | None, now: datetime) -> Site:
    here = _at(facts)
    return Site(
        id=facts.place.id,
        code=facts.place.code,
        name=facts.place.name,
        name_ja=facts.place.name_ja,
        zone=facts.place.zone,
        open_orders=facts.open_orders or 0,
        capacity=facts.capacity,
        priority=facts.priority,
        opens_in_hours=_opens_in(facts.place, now),
        km=None if here is None or goal is None else _km(here, goal),
    )


def _opens_in(place: LocationFacts, now: datetime) -> float | None:
    """Hours until it is open, 0 while it is; None: it never is, or has no hours."""
    for opens, closes in stores.open_intervals(place, now.date()):
        if closes > now:
            return max(0.0, (opens - now).total_seconds() / 3600)
    return None


def _km(one: Coordinates, other: Coordinates) -> float:
    """Great-circle distance (haversine; R. W. Sinnott, "Virtues of the Haversine", Sky and Telescope 68, 1984)."""
    south, north = radians(one[0]), radians(other[0])
    half = sin((north - south) / 2) ** 2 + cos(south) * cos(north) * sin(radians(other[1] - one[1]) / 2) ** 2
    return 2 * EARTH_KM * asin(min(1.0, sqrt(half)))


def _at(facts: SiteFacts) -> Coordinates | None:
    return None if facts.latitude is None or facts.longitude is None else (facts.latitude, facts.longitude)


def _short(wants: Sequence[Want], demand: Mapping[str, int], sites: Sequence[UUID], ordered: Stock) -> OutOfStock:
    total = {sku: sum(max(0, ordered[site].get(sku, 0)) for site in sites) for sku in demand}
    lacking = [sku for sku, units in demand.items() if total[sku] < units]
    return OutOfStock(
        errors=[
            {
                "line": want.position + 1,
                "code": "short" if want.sku in lacking else "too_many_parts",
                "detail": f"{want.sku}: {want.quantity} wanted, {total[want.sku]} available to be sent",
                "sku": want.sku,
                "requested": want.quantity,
                "available": total[want.sku],
                "location": None,
                "elsewhere": [],
            }
            for want in wants
            if want.sku in lacking or not lacking
        ]
    )


def _told(plan: Plan) -> list[dict[str, Any]]:
    return [
        {
            "location": share.site.code,
            "lines": [{"sku": sku, "quantity": units} for sku, units in sorted(share.units.items())],
            "km": None if share.site.km is None else round(share.site.km, 1),
        }
        for share in plan
    ]


def _place_told(facts: SiteFacts, excluded: str | None, demand: Mapping[str, int], here: Stock) -> dict[str, Any]:
    has = here.get(facts.place.id, {})
    return {
        "location": facts.place.code,
        "excluded": excluded,
        "open_orders": facts.open_orders,
        "capacity": facts.capacity,
        "priority": facts.priority,
        "available": {sku: has.get(sku, 0) for sku in sorted(demand)},
    }
