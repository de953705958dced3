"""A member's birthday: month and day, no year. She states it once; what staff correct is not hers to change back."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from loyalty.queries import members as queries
from retail.kernel.errors import Conflict, Invalid

DAYS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)  # born on the 29th of February: she has it every fourth year


class BirthdayInvalid(Invalid):
    """No year has such a day; `errors` names what is wrong."""

    code, title = "birthday_invalid", "There is no such day"


class BirthdaySet(Conflict):
    """She has stated another day before: whoever could move it would have a birthday every month."""

    code, title = "birthday_set", "The birthday is set: staff can correct it"


@dataclass(frozen=True, slots=True)
class Birthday:
    """A day of every year."""

    month: int
    day: int


_STATE = """
    INSERT INTO points_account AS a (customer_id, birth_month, birth_day, opened_at)
    VALUES (:customer_id, :month, :day, :now)
    ON CONFLICT (customer_id) DO UPDATE SET birth_month = excluded.birth_month, birth_day = excluded.birth_day
    WHERE {condition} RETURNING 1
"""
_STATE_ONCE = text(
    _STATE.format(
        condition="a.birth_month IS NULL OR (a.birth_month, a.birth_day) = (excluded.birth_month, excluded.birth_day)"
    )
)
_CORRECT = text(_STATE.format(condition="true"))


def read(stated: Mapping[str, int], *, field: str = "") -> Birthday:
    """`stated` (month, day) as a day. `field` is where it stands in the request: ``birthday`` in an enrollment.

    Raises:
        BirthdayInvalid: naming each part that is wrong.
    """
    month, day = stated["month"], stated["day"]
    errors = []
    known = 1 <= month <= len(DAYS)
    if not known:
        errors.append(_wrong(field, "month", f"1 to {len(DAYS)}"))
    longest = DAYS[month - 1] if known else max(DAYS)
    if not 1 <= day <= longest:
        errors.append(_wrong(field, "day", f"1 to {longest}"))
    if errors:
        raise BirthdayInvalid(errors=errors)
    return Birthday(month, day)


def state(session: Session, *, customer_id: UUID, birthday: Birthday, now: datetime) -> None:
    """The member says when it is; saying the same again changes nothing. Opens her account.

    Raises:
        BirthdaySet: it is another day already.
    """
    if session.execute(_STATE_ONCE, _given(customer_id, birthday, now)).one_or_none() is None:
        raise BirthdaySet


def correct(session: Session, *, customer_id: UUID, birthday: Birthday, now: datetime) -> None:
    """Staff have seen a document."""
    session.execute(_CORRECT, _given(customer_id, birthday, now)).one()


def shown(session: Session, *, customer_id: UUID) -> dict[str, Any]:
    """``{"birthday": {"month", "day"} | None}``."""
    found = queries.birthday_of(session, customer_id=customer_id)
    return {"birthday": None if found is None else {"month": found[0], "day": found[1]}}


def _wrong(field: str, part: str, detail: str) -> dict[str, str]:
    return {"field": f"{field}.{part}" if field else part, "code": "out_of_range", "detail": detail}


def _given(customer_id: UUID, birthday: Birthday, now: datetime) -> dict[str, Any]:
    return {"customer_id": customer_id, "month": birthday.month, "day": birthday.day, "now": now}
