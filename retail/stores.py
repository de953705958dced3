"""Locations: what they promise (ready-by, collect-by) and how their facts are changed."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo, available_timezones

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from retail import events, limits, queries
from retail.kernel import outbox, versions
from retail.kernel.errors import Conflict, Invalid, NotFound
from retail.kernel.ids import new_id
from retail.models import Location, LocationHoliday, LocationHours
from retail.queries import LocationFacts


class NeverOpen(Conflict):
    """The location has no opening hours to compute a promise from."""

    code, title = "never_open", "The location has no opening hours"


def ready_by(facts: LocationFacts, now: datetime, *, queue_minutes: int = 0) -> datetime:
    """The promise of a pickup order placed `now`: the first moment (UTC) by which the store was open for its lead
    minutes and the minutes of what is to be picked before it. An order placed after closing is ready that long after the next opening, holidays respected.

    Raises:
        NeverOpen: the store does not open often enough within a year.
    """
    left = timedelta(minutes=facts.pickup_lead_minutes + queue_minutes)
    for opens, closes in open_intervals(facts, _local(facts, now).date()):
        start = max(opens, now)
        if start > closes:
            continue
        if start + left <= closes:
            return (start + left).astimezone(UTC)
        left -= closes - start
    raise NeverOpen


def collect_by(facts: LocationFacts, ready_at: datetime) -> datetime:
    """Until when (UTC) goods that are ready at `ready_at` are kept: closing time of the keep-days-th day after it, in
    the store's zone, or of the next day the store opens, in the customer's favor.

    Raises:
        NeverOpen: the store does not open within a year of that day.
    """
    last_day = _local(facts, ready_at).date() + timedelta(days=facts.pickup_keep_days)
    for ahead in range(limits.DAYS_AHEAD):
        intervals = intervals_on(facts, last_day + timedelta(days=ahead))
        if intervals:
            return _moment(facts, last_day + timedelta(days=ahead), intervals[-1][1])
    raise NeverOpen


def open_intervals(facts: LocationFacts, first_day: date) -> Iterator[tuple[datetime, datetime]]:
    """Opening and closing moments (UTC) from `first_day` on, a year ahead, in order."""
    for ahead in range(limits.DAYS_AHEAD):
        day = first_day + timedelta(days=ahead)
        for opens, closes in intervals_on(facts, day):
            yield _moment(facts, day, opens), _moment(facts, day, closes)


def intervals_on(facts: LocationFacts, day: date) -> list[tuple[time, time]]:
    """One day's opening intervals in the store's zone, in order; a holiday replaces the weekday's."""
    for holiday, opens, closes in facts.holidays:
        if holiday == day:
            return [] if opens is None or closes is None else [(opens, closes)]
    return sorted((opens, closes) for weekday, opens, closes in facts.hours if weekday == day.weekday())


def _local(facts: LocationFacts, at: datetime) -> datetime:
    return at.astimezone(ZoneInfo(facts.zone))


def _moment(facts: LocationFacts, day: date, at: time) -> datetime:
    """A wall-clock time as a moment; one that a summer-time change skips or repeats is taken at its first reading."""
    return datetime.combine(day, at, ZoneInfo(facts.zone)).astimezone(UTC)


class LocationCodeTaken(Conflict):
    """Another location has this code."""

    code, title = "location_code_taken", "Another location has this code"


class LocationInvalid(Invalid):
    """A zone, region or opening time that cannot be."""

    code, title = "location_invalid", "The location's facts are not valid"


class LocationUnknown(Invalid):
    """A location that the request names does not exist."""

    code, title = "location_unknown", "There is no such location"


def key_of(session: Session, *, location: str) -> UUID:
    """The id of a location named by id or code.

    Raises:
        NotFound: there is no such location.
    """
    found = queries.location_keys(session, locations=[location]).get(location)
    if found is None:
        raise NotFound("There is no such location")
    return found


def keys_of(session: Session, *, locations: Sequence[str]) -> list[UUID]:
    """The ids of locations named by id or code, in the same order.

    Raises:
        LocationUnknown: one of them does not exist; `errors` names each.
    """
    known = queries.location_keys(session, locations=locations)
    unknown = [name for name in locations if name not in known]
    if unknown:
        raise LocationUnknown(errors=[{"field": "locations", "code": "unknown", "detail": name} for name in unknown])
    return [known[name] for name in locations]


def create(session: Session, *, facts: Mapping[str, Any], actor: str, now: datetime) -> UUID:
    """Make a location from the fields of LocationSchema (hours and holidays too); returns its id.

    Raises:
        LocationCodeTaken; LocationInvalid: an unknown zone or tax region, or overlapping hours.
    """
    columns = {name: value for name, value in facts.items() if name not in ("hours", "holidays")}
    _check(session, facts)
    table: Any = Location.__table__
    row = columns | {"id": new_id()}
    made = insert(table).values(row).on_conflict_do_nothing(index_elements=["code"]).returning(table.c.id)
    location_id = session.execute(made).scalar_one_or_none()
    if location_id is None:
        raise LocationCodeTaken
    _replace_opening(session, location_id, facts)
    event = events.LocationChanged(location_id=row["id"], fields=["created"])
    outbox.publish(session, event, actor=actor, now=now)
    return UUID(str(location_id))


def update(
    session: Session, *, location_id: UUID, version: int, changes: Mapping[str, Any], actor: str, now: datetime
) -> int:
    """Change a location's facts; `hours` and `holidays`, where given, replace all of them. Returns the new version.

    Promises made before (ready_by, collect_by) stay as they were told.

    Raises:
        NotFound, Stale; LocationInvalid: an unknown zone or tax region, or overlapping hours.
    """
    _check(session, changes)
    columns = {name: value for name, value in changes.items() if name not in ("hours", "holidays")}
    changed = versions.change(session, model=Location, row_id=location_id, version=version, values=columns)
    _replace_opening(session, location_id, changes)
    event = events.LocationChanged(location_id=location_id, fields=sorted(changes))
    outbox.publish(session, event, actor=actor, now=now)
    return changed


def _replace_opening(session: Session, location_id: UUID, changes: Mapping[str, Any]) -> None:
    for name, model in (("hours", LocationHours), ("holidays", LocationHoliday)):
        if name in changes:
            table: Any = model.__table__
            session.execute(sa.delete(table).where(table.c.location_id == location_id))
            rows = [{**row, "location_id": location_id} for row in changes[name]]
            if rows:
                session.execute(sa.insert(table), rows)


def _check(session: Session, changes: Mapping[str, Any]) -> None:
    wrong = []
    if "zone" in changes and changes["zone"] not in available_timezones():
        wrong.append({"field": "zone", "code": "unknown", "detail": "An IANA zone such as Asia/Tokyo"})
    if "tax_region" in changes and changes["tax_region"] not in queries.tax_regions(session):
        wrong.append({"field": "tax_region", "code": "unknown", "detail": "A region that has tax rates"})
    wrong += _overlaps(changes.get("hours", ()))
    days = [row["on_day"] for row in changes.get("holidays", ())]
    wrong += [
        {"field": f"holidays.{at}", "code": "repeated", "detail": f"{day} is listed twice"}
        for at, day in enumerate(days)
        if day in days[:at]
    ]
    if wrong:
        raise LocationInvalid(errors=wrong)


def _overlaps(hours: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    wrong = []
    ordered = sorted(enumerate(hours), key=lambda item: (item[1]["weekday"], item[1]["opens"]))
    for (_, before), (at, after) in pairwise(ordered):
        if before["weekday"] == after["weekday"] and after["opens"] < before["closes"]:
            wrong.append({"field": f"hours.{at}", "code": "overlap", "detail": "Two intervals of a day overlap"})
    return wrong
