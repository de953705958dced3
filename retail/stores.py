"""Locations: what they promise (ready-by, collect-by) and how their facts are changed."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from retail import limits
from retail.kernel.errors import Conflict
from retail.queries import LocationFacts


class NeverOpen(Conflict):
    """The location has no opening hours to compute a promise from."""

    code, title = "never_open", "The location has no opening hours"


def ready_by(facts: LocationFacts, now: datetime) -> datetime:
    """The promise of a pickup order placed `now`: the first moment (UTC) by which the store was open for its lead
    minutes. An order placed after closing is ready that long after the next opening, holidays respected.

    Raises:
        NeverOpen: the store does not open often enough within a year.
    """
    left = timedelta(minutes=facts.pickup_lead_minutes)
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
