"""What several pages ask for: which locations are this person's, and a number that somebody typed."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy.orm import Session

from retail import queries as ground
from retail.kernel.auth import Principal
from retail.kernel.errors import Invalid, NotFound
from retail.kernel.i18n import N_

MOST = 500
DIGITS = 7


def places_of(session: Session, caller: Principal, *, pickup: bool | None = None) -> list[dict[str, Any]]:
    """The locations at which this person may act, by name: code, name, name_ja, zone. `pickup`: of those who may act
    everywhere, only the ones with (or without) pickup."""
    if caller.locations is None:
        listed = ground.list_locations(session, kind=None, pickup=pickup, after=None, limit=MOST)
        return [{name: one[name] for name in ("code", "name", "name_ja", "zone")} for one in listed]
    named = ground.locations_by_id(session, location_ids=sorted(caller.locations)).values()
    places = [{"code": one.code, "name": one.name, "name_ja": one.name_ja, "zone": one.zone} for one in named]
    return sorted(places, key=lambda one: str(one["name"]))


def chosen(places: Sequence[dict[str, Any]], code: str | None) -> dict[str, Any] | None:
    """The location asked for, else the first; None when there is none.

    Raises:
        NotFound: the location asked for is not this person's.
    """
    if not code:
        return places[0] if places else None
    for place in places:
        if place["code"] == code:
            return place
    raise NotFound


def number(field: str, typed: str) -> int:
    """A whole number that was typed, in digits of any width; nothing typed is 0.

    Raises:
        Invalid: it is not one.
    """
    if not typed:
        return 0
    if not typed.isdecimal() or len(typed) > DIGITS:
        raise Invalid(errors=[{"field": field, "code": "invalid", "detail": N_("This is not valid.")}])
    return int(typed)
