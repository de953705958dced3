"""The company in whose name invoices and receipts are issued, and its number in Japan's qualified invoice system."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from retail import queries
from retail.kernel.errors import Invalid, NotFound, Stale

SHOP = "shop"  # the one issuer there is; numbers of documents are counted per issuer all the same
DIGITS = 13


class RegistrationNumberInvalid(Invalid):
    """Not T and 13 digits, or the check digit of the corporate number is another."""

    code, title = "registration_number_invalid", "This is no registration number"


_SET = text(
    """
    INSERT INTO issuer (code, name, name_en, address, phone, registration_number, corporate, updated_at)
    SELECT :code, :name, :name_en, :address, :phone, CAST(:registration_number AS text), :corporate, :now
    WHERE CAST(:version AS integer) = 0
    ON CONFLICT (code) DO NOTHING RETURNING 1
    """
)
_CHANGE = text(
    """
    UPDATE issuer SET name = :name, name_en = :name_en, address = :address, phone = :phone,
                      registration_number = CAST(:registration_number AS text), corporate = :corporate,
                      version = version + 1, updated_at = :now
    WHERE code = :code AND version = :version RETURNING 1
    """
)


def check_digit(base: str) -> int:
    """The first digit of a corporate number, of its other twelve (National Tax Agency, "Calculating the check digit";
    Order of the Ministry of Finance no. 70 of 2014, art. 2): counted from the right, odd places weigh 1 and even ones 2;
    9 less the remainder by 9."""
    total = sum(int(digit) * (1 if place % 2 else 2) for place, digit in enumerate(reversed(base), start=1))
    return 9 - total % 9


def require_registration_number(number: str, *, corporate: bool) -> None:
    """Raises:
    RegistrationNumberInvalid: see there. Sole traders have numbers of another make, without our knowing a check digit.
    """
    digits = number[1:]
    formed = number.startswith("T") and len(digits) == DIGITS and digits.isascii() and digits.isdecimal()
    if not formed or (corporate and int(digits[0]) != check_digit(digits[1:])):
        detail = "T and 13 digits" if not formed else "The check digit of the corporate number is another"
        raise RegistrationNumberInvalid(
            errors=[{"field": "registration_number", "code": RegistrationNumberInvalid.code, "detail": detail}]
        )


def view(session: Session) -> dict[str, Any]:
    """The issuer (IssuerSchema).

    Raises:
        NotFound: nobody has said who it is.
    """
    found = queries.issuer_dict(session, code=SHOP)
    if found is None:
        raise NotFound("No issuer is set")
    return found


def put(session: Session, *, facts: Mapping[str, Any], version: int, now: datetime) -> dict[str, Any]:
    """Say who issues documents; `version` 0 where nobody has yet. What was issued before keeps what it says.

    Raises:
        RegistrationNumberInvalid; Stale: it is not at `version` any more. Nothing was changed.
    """
    if facts["registration_number"] is not None:
        require_registration_number(facts["registration_number"], corporate=facts["corporate"])
    given = {**facts, "code": SHOP, "version": version, "now": now}
    if session.execute(_SET if version == 0 else _CHANGE, given).one_or_none() is None:
        raise Stale
    return view(session)
