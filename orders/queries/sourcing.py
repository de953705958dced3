"""Locations as sourcing sees them, the chain of rules, what sending costs, and the decisions that were made."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from retail.kernel.hot import Hot
from retail.queries import LocationFacts


@dataclass(frozen=True, slots=True)
class SiteFacts:
    """A location with what the rules ask about. `open_orders`: fulfillments whose goods are still to be picked there, counted only
    where there is a capacity."""

    place: LocationFacts
    ship_enabled: bool
    capacity: int | None
    priority: int
    latitude: float | None
    longitude: float | None
    open_orders: int | None


_SITES = Hot(
    """
    SELECT l.id, l.code, l.kind, l.name, l.name_ja, l.zone, l.tax_region, l.pickup_enabled, l.pickup_lead_minutes,
           l.pickup_keep_days, l.capture_at, l.pick_minutes_per_line, l.ship_enabled, l.pick_capacity, l.sourcing_priority, l.latitude, l.longitude,
           (SELECT json_agg(json_build_array(weekday, opens, closes) ORDER BY weekday, opens)
            FROM location_hours WHERE location_id = l.id) AS hours,
           (SELECT json_agg(json_build_array(on_day, opens, closes) ORDER BY on_day)
            FROM location_holiday WHERE location_id = l.id) AS holidays,
           CASE WHEN l.pick_capacity IS NOT NULL THEN
               (SELECT count(*) FROM fulfillment AS f
                WHERE f.location_id = l.id AND f.source_location_id IS NULL AND f.state IN ('allocated', 'picking'))
               + (SELECT count(*) FROM fulfillment AS f
                  WHERE f.source_location_id = l.id AND f.state IN ('allocated', 'picking')) END AS open_orders
    FROM location AS l WHERE l.id = ANY(CAST((SELECT CAST(:ids AS uuid[])) AS uuid[])) ORDER BY l.code
    """
)


def sites(session: Session, *, location_ids: Sequence[UUID]) -> list[SiteFacts]:
    """These locations by code; one statement."""
    return [_site(row) for row in _SITES.run(session, {"ids": list(location_ids)})]


def _site(row: Any) -> SiteFacts:
    values = row._asdict()
    hours = tuple((day, _time(opens), _time(shuts)) for day, opens, shuts in values["hours"] or ())
    holidays = tuple(
        (date.fromisoformat(day), opens and _time(opens), shuts and _time(shuts))
        for day, opens, shuts in values["holidays"] or ()
    )
    names = ("id", "code", "kind", "name", "name_ja", "zone", "tax_region", "pickup_enabled", "pickup_lead_minutes")
    known = {name: values[name] for name in (*names, "pickup_keep_days", "capture_at", "pick_minutes_per_line")}
    return SiteFacts(
        place=LocationFacts(**known, hours=hours, holidays=holidays),
        ship_enabled=row.ship_enabled,
        capacity=row.pick_capacity,
        priority=row.sourcing_priority,
        latitude=row.latitude,
        longitude=row.longitude,
        open_orders=row.open_orders,
    )


def _time(given: str) -> time:
    return time.fromisoformat(given)


_POLICY = Hot("SELECT rules, most_parts, no_split_below_minor, areas, version FROM sourcing_policy")


def policy(session: Session) -> Any | None:
    """The chain of rules as it stands (rules, most_parts, no_split_below_minor, areas, version); None where none was set."""
    return _POLICY.run(session, {}).one_or_none()


_DECISIONS = text(
    """
    SELECT id, cause, decision, actor, decided_at FROM sourcing_decision WHERE order_id = :order_id
    ORDER BY decided_at, id LIMIT 100
    """
)


def decisions(session: Session, *, order_id: UUID) -> list[dict[str, Any]]:
    """Why an order's goods come from where they come from, oldest first (SourcingDecisionSchema)."""
    rows = session.execute(_DECISIONS, {"order_id": order_id})
    return [
        {"id": row.id, "cause": row.cause, "actor": row.actor, "decided_at": row.decided_at} | row.decision
        for row in rows
    ]


@dataclass(frozen=True, slots=True)
class RateFacts:
    """What sending costs there, minor units, and how the fee is taxed."""

    amount_minor: int
    free_from_minor: int | None
    tax_class: str


_RATE = Hot(
    """
    SELECT r.amount_minor, r.free_from_minor, r.tax_class_code
    FROM shipping_rate AS r
    WHERE r.currency = :currency AND r.country IN (:country, '') AND r.region IN (:region, '')
    ORDER BY r.country = '', r.region = '' LIMIT 1
    """
)
_RATES = text(
    """
    SELECT currency, country, region, amount_minor, free_from_minor, tax_class_code AS tax_class, version FROM shipping_rate
    WHERE (CAST(:currency AS text) IS NULL OR (currency, country, region) > (:currency, :country, :region))
    ORDER BY currency, country, region LIMIT :limit
    """
)
_ONE_RATE = text(
    """
    SELECT currency, country, region, amount_minor, free_from_minor, tax_class_code AS tax_class, version FROM shipping_rate
    WHERE currency = :currency AND country = :country AND region = :region
    """
)


def rate(session: Session, *, currency: str, country: str, region: str) -> RateFacts | None:
    """The most specific rate for that destination; None: nothing is sent there in that currency."""
    given = {"currency": currency, "country": country, "region": region}
    row = _RATE.run(session, given).one_or_none()
    return None if row is None else RateFacts(*row)


def rates(session: Session, *, after: Sequence[str] | None, limit: int) -> list[dict[str, Any]]:
    """All rates by currency, country and region (ShippingRateSchema), from behind `after` on."""
    currency, country, region = after or (None, None, None)
    given = {"currency": currency, "country": country, "region": region, "limit": limit}
    return [_rate(row) for row in session.execute(_RATES, given).mappings()]


def rate_dict(session: Session, *, currency: str, country: str, region: str) -> dict[str, Any] | None:
    """One rate (ShippingRateSchema)."""
    given = {"currency": currency, "country": country, "region": region}
    row = session.execute(_ONE_RATE, given).mappings().one_or_none()
    return None if row is None else _rate(row)


def _rate(row: Any) -> dict[str, Any]:
    found = dict(row)
    currency = found["currency"]
    free = found.pop("free_from_minor")
    found["amount"] = {"amount_minor": found.pop("amount_minor"), "currency": currency}
    found["free_from"] = None if free is None else {"amount_minor": free, "currency": currency}
    return found


_HELD = text(
    """
    SELECT location_id, sku, CAST(sum(units) AS integer) AS units
    FROM (SELECT held.location_id, variant.sku, held.line_id, min(held.quantity / held.per_unit) AS units
          FROM reservation AS held JOIN cart_line AS line ON line.id = held.line_id JOIN variant ON variant.id = line.variant_id
          WHERE held.owner_id = :cart_id AND held.state = 'held' AND held.expires_at > :now
          GROUP BY held.location_id, variant.sku, held.line_id) AS part
    GROUP BY location_id, sku
    """
)


def held_for(session: Session, *, cart_id: UUID, now: datetime) -> list[tuple[UUID, str, int]]:
    """What is put aside for a cart: (location, SKU, units); of a bundle, as many as all of its components make."""
    return [(row[0], row[1], row[2]) for row in session.execute(_HELD, {"cart_id": cart_id, "now": now})]
