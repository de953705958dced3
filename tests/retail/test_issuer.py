"""Who issues invoices, and the check digit of the registration number."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
from sqlalchemy.orm import Session

from retail import issuer
from tests.factories import staff

Api = Callable[..., Any]
Unchanged = Callable[[], AbstractContextManager[None]]
NTA = "T7000012050002"  # the National Tax Agency's own corporate number
FACTS = {
    "name": "株式会社青葉商店",
    "name_en": "Aoba Stores",
    "address": "東京都渋谷区1-2-3",
    "registration_number": NTA,
}


@pytest.mark.parametrize("number", ["7000012050002", "7010705000725", "4011001098993"])
def test_check_digits_of_published_corporate_numbers(number: str) -> None:
    assert issuer.check_digit(number[1:]) == int(number[0])


def test_one_wrong_digit_is_found() -> None:
    """All but 0 for 9 and back, which weigh the same by 9."""
    for at in range(1, 13):
        for digit in "0123456789":
            other = NTA[1 : at + 1] + digit + NTA[at + 2 :]
            if {digit, NTA[at + 1]} in ({digit}, {"0", "9"}):
                continue
            with pytest.raises(issuer.RegistrationNumberInvalid):
                issuer.require_registration_number(f"T{other}", corporate=True)


@pytest.mark.parametrize("number", ["7000012050002", "T700001205000", "T70000120500022", "T700001205000X", "t7000012050002", "T７000012050002"])  # fmt: skip
def test_what_is_no_number(number: str) -> None:
    with pytest.raises(issuer.RegistrationNumberInvalid):
        issuer.require_registration_number(number, corporate=False)


def test_a_sole_trader_has_another_number() -> None:
    issuer.require_registration_number("T1000012050002", corporate=False)
    with pytest.raises(issuer.RegistrationNumberInvalid):
        issuer.require_registration_number("T1000012050002", corporate=True)


def test_the_issuer_is_set_and_changed(session: Session, api: Api, unchanged: Unchanged) -> None:
    admin, clerk = api(staff(session, "admin")), api(staff(session, "associate"))
    assert admin.get("/issuer").status_code == 404
    made = admin.put("/issuer", if_match=0, json=FACTS)
    assert made.status_code == 200, made.json
    assert (made.json["version"], made.json["registration_number"], made.json["corporate"]) == (1, NTA, True)
    assert clerk.get("/issuer").json == made.json
    with unchanged():
        assert admin.put("/issuer", if_match=0, json=FACTS).status_code == 412
        assert admin.put("/issuer", if_match=7, json=FACTS).status_code == 412
        assert admin.put("/issuer", json=FACTS).status_code == 428
        assert clerk.put("/issuer", if_match=1, json=FACTS).status_code == 403
        assert api(None).get("/issuer").status_code == 401
        wrong = admin.put("/issuer", if_match=1, json=FACTS | {"registration_number": "T7000012050003"})
        assert (wrong.status_code, wrong.json["code"]) == (422, "registration_number_invalid")
        assert wrong.json["errors"][0]["field"] == "registration_number"
        assert admin.put("/issuer", if_match=1, json={"name": ""}).status_code == 422
    plain = admin.put("/issuer", if_match=1, json={"name": "青葉"})
    assert (plain.json["version"], plain.json["registration_number"], plain.json["name_en"]) == (2, None, "")
