"""Locations, their hours and holidays, read."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, time
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from retail.kernel.hot import Hot
from retail.kernel.ids import parse_uuid


@dataclass(frozen=True, slots=True)
class LocationName:
    """What a location is called, and its zone (IANA)."""

    id: UUID
    code: str
    name: str
    name_ja: str | None
    zone: str


@dataclass(frozen=True, slots=True)
class LocationFacts:
    """What a pickup promise is computed from.

    Attributes:
        kind: ``store`` or ``warehouse``. zone: IANA name; hours and holidays are in it.
        pickup_lead_minutes: minutes of open time that the store needs. pickup_keep_days: how long it keeps the goods.
        pick_minutes_per_line: how long picking a line takes; None: what waits to be picked delays no promise.
        capture_at: when cards are charged: ``placed``, ``ready`` or ``collected``.
        hours: (weekday, opens, closes), 0 = Monday, several a day are normal.
        holidays: (day, opens, closes): that day's only interval; closed when both are None.
    """

    id: UUID
    code: str
    kind: str
    name: str
    name_ja: str | None
    zone: str
    tax_region: str
    pickup_enabled: bool
    pickup_lead_minutes: int
    pickup_keep_days: int
    capture_at: str
    hours: tuple[tuple[int, time, time], ...]
    holidays: tuple[tuple[date, time | None, time | None], ...]
    pick_minutes_per_line: int | None = None


_FACTS = """
    SELECT l.id, l.code, l.kind, l.name, l.name_ja, l.zone, l.tax_region, l.pickup_enabled, l.pickup_lead_minutes,
           l.pickup_keep_days, l.capture_at, l.pick_minutes_per_line,
           (SELECT json_agg(json_build_array(weekday, opens, closes) ORDER BY weekday, opens)
            FROM location_hours WHERE location_id = l.id) AS hours,
           (SELECT json_agg(json_build_array(on_day, opens, closes) ORDER BY on_day)
            FROM location_holiday WHERE location_id = l.id) AS holidays
    FROM location AS l
    WHERE """
_FACTS_BY_ID = Hot(_FACTS + "l.id = :id")
_FACTS_BY_CODE = Hot(_FACTS + "l.code = :code")


def pickup_location(session: Session, *, location: str | UUID) -> LocationFacts | None:
    """A location by its id or code, with hours and holidays; one statement. None when there is none."""
    key = location if isinstance(location, UUID) else parse_uuid(location)
    statement, given = (_FACTS_BY_CODE, {"code": location}) if key is None else (_FACTS_BY_ID, {"id": key})
    row = statement.run(session, given).one_or_none()
    if row is None:
        return None
    hours = tuple((day, time.fromisoformat(opens), time.fromisoformat(shuts)) for day, opens, shuts in row.hours or ())
    holidays = tuple((date.fromisoformat(day), _time(opens), _time(shuts)) for day, opens, shuts in row.holidays or ())
    return LocationFacts(**{**row._asdict(), "hours": hours, "holidays": holidays})


def _time(text_: str | None) -> time | None:
    return None if text_ is None else time.fromisoformat(text_)


_NAMES = text("SELECT id, code, name, name_ja, zone FROM location WHERE id = ANY(CAST(:ids AS uuid[]))")


def locations_by_id(session: Session, *, location_ids: Sequence[UUID]) -> dict[UUID, LocationName]:
    """The names of these locations; unknown ones are missing."""
    return {row.id: LocationName(*row) for row in session.execute(_NAMES, {"ids": list(location_ids)}).all()}


_SHOWN = """
    SELECT l.id, l.code, l.kind, l.name, l.name_ja, l.address, l.phone, l.zone, l.tax_region, l.pickup_enabled,
           l.pickup_lead_minutes, l.pickup_keep_days, l.capture_at, l.shortfall_policy, l.ship_enabled, l.pick_capacity,
           l.sourcing_priority, l.latitude, l.longitude, l.pick_minutes_per_line, l.version,
           coalesce((SELECT json_agg(json_build_object('weekday', weekday, 'opens', opens, 'closes', closes)
                                     ORDER BY weekday, opens)
                     FROM location_hours WHERE location_id = l.id), '[]') AS hours,
           coalesce((SELECT json_agg(json_build_object('on_day', on_day, 'opens', opens, 'closes', closes, 'name', name)
                                     ORDER BY on_day)
                     FROM location_holiday WHERE location_id = l.id), '[]') AS holidays
    FROM location AS l
    WHERE """
_SHOWN_BY_KEY = text(_SHOWN + "l.id = CAST(:id AS uuid) OR l.code = :code")
_LISTED = text(
    _SHOWN
    + """(CAST(:kind AS text) IS NULL OR l.kind = :kind)
      AND (CAST(:pickup AS boolean) IS NULL OR l.pickup_enabled = :pickup)
      AND (CAST(:after AS text) IS NULL OR l.code > :after)
    ORDER BY l.code LIMIT :limit"""
)
_KEYS = text(
    """
    SELECT asked, l.id FROM unnest(CAST(:asked AS text[])) AS asked
    JOIN location AS l ON l.code = asked OR l.id::text = lower(asked)
    """
)


def location_dict(session: Session, *, location: str) -> dict[str, Any] | None:
    """One location as the API shows it (LocationSchema), by id or code; one statement."""
    row = session.execute(_SHOWN_BY_KEY, {"id": parse_uuid(location), "code": location}).mappings().one_or_none()
    return None if row is None else _shown(dict(row))


def list_locations(
    session: Session, *, kind: str | None, pickup: bool | None, after: str | None, limit: int
) -> list[dict[str, Any]]:
    """Locations by code, from behind `after` on; of one kind, with or without pickup where asked."""
    given = {"kind": kind, "pickup": pickup, "after": after, "limit": limit}
    return [_shown(dict(row)) for row in session.execute(_LISTED, given).mappings().all()]


def location_keys(session: Session, *, locations: Sequence[str]) -> dict[str, UUID]:
    """The ids of locations named by id or code; unknown ones are missing."""
    return {row.asked: row.id for row in session.execute(_KEYS, {"asked": list(locations)}).all()}


def tax_regions(session: Session) -> list[str]:
    """The regions that have tax rates."""
    return list(session.execute(text("SELECT DISTINCT region FROM tax_rate ORDER BY region")).scalars())


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    for item in (*row["hours"], *row["holidays"]):
        item["opens"], item["closes"] = _time(item["opens"]), _time(item["closes"])
    for item in row["holidays"]:
        item["on_day"] = date.fromisoformat(item["on_day"])
    return row
