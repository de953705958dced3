"""Days of the shop's zone as stretches of time, for whoever reports on points."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from retail.kernel import config
from retail.kernel.errors import Invalid

MOMENT = timedelta(microseconds=1)  # the smallest there is: a day ends one of it before the next begins


class PeriodInvalid(Invalid):
    """The period lies in the future, or ends before it begins; `errors` names the field."""

    code, title = "period_invalid", "This period cannot be reported on"


def zone() -> ZoneInfo:
    """The shop's zone."""
    return ZoneInfo(config.current().zone)


def first_of(given: date | datetime) -> datetime:
    """The moment itself, or the first of a day."""
    if isinstance(given, datetime):
        return given
    return datetime.combine(given, time(), zone()).astimezone(UTC)


def last_of(given: date | datetime, *, field: str, now: datetime) -> datetime:
    """The moment itself, or the last of a day; of today, `now`.

    Raises:
        PeriodInvalid: it has not come yet.
    """
    if isinstance(given, datetime):
        if given > now:
            raise _future(field)
        return given
    if given > day_of(now):
        raise _future(field)
    return min(now, first_of(given + timedelta(days=1)) - MOMENT)


def day_of(at: datetime) -> date:
    """The shop's day of a moment."""
    return at.astimezone(zone()).date()


def _future(field: str) -> PeriodInvalid:
    return PeriodInvalid("What is to come cannot be told yet", errors=[{"field": field, "code": "future"}])
