"""A member's card: its number, its pictures, and a token that is another one every half minute and counts once."""

import base64
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import segno
from sqlalchemy import text
from sqlalchemy.orm import Session

from loyalty import cards, jobs
from loyalty.queries import members as queries
from retail import limits
from retail.kernel import clock, db, ean13
from retail.kernel.ids import new_id
from tests import factories
from tests.retail.kernel.test_ean13 import scanned

Api = Callable[..., Any]
Unchanged = Callable[[], AbstractContextManager[None]]
STEP = timedelta(seconds=limits.MEMBER_TOKEN_SECONDS)


def step_of(now: datetime) -> datetime:
    """When the present step began."""
    seconds = int(now.timestamp())
    return datetime.fromtimestamp(seconds - seconds % limits.MEMBER_TOKEN_SECONDS, tz=UTC)


def uses(session: Session) -> int:
    return int(session.execute(text("SELECT count(*) FROM member_token_use")).scalar_one())


def test_a_card_is_issued_when_it_is_asked_for_first_and_stays(session: Session, api: Api, now: datetime) -> None:
    who = factories.customer(session)
    calling = api(who)
    first = calling.get("/me/card")
    assert first.status_code == 200, first.json
    number = first.json["number"]
    assert number.startswith("29")
    assert ean13.is_valid(number)
    assert first.json == {
        "number": number,
        "symbology": "ean13",
        "token": {
            "value": cards.token(who.id, now=now).value,
            "renew_at": (step_of(now) + STEP).isoformat(),
            "expires_at": (step_of(now) + 2 * STEP).isoformat(),
        },
        "barcode_svg": "/api/v1/me/card/barcode.svg",
        "qr_svg": "/api/v1/me/card/qr.svg",
    }
    with db.counting() as count:
        assert calling.get("/me/card").json == first.json
    assert count.statements == 3  # who calls, whose card, its number
    linked = session.execute(
        text(
            "SELECT i.value, k.assurance, k.actor FROM identity_link AS k JOIN identity AS i ON i.id = k.identity_id "
            "WHERE k.customer_id = :id AND i.kind = 'card'"
        ),
        {"id": who.id},
    ).all()
    assert [tuple(row) for row in linked] == [(number, "attested", "system")]
    assert api(factories.customer(session)).get("/me/card").json["number"] != number


def test_the_pictures_hold_the_number_and_the_token(session: Session, api: Api, now: datetime) -> None:
    calling = api(factories.customer(session))
    bars = calling.get("/me/card/barcode.svg")  # the first asking: issued here
    assert (bars.status_code, bars.content_type) == (200, "image/svg+xml")
    assert bars.headers["Cache-Control"] == "no-store"
    assert bars.headers["Content-Security-Policy"] == "default-src 'none'"
    shown = calling.get("/me/card").json
    assert scanned(bars.text) == shown["number"]
    code = calling.get("/me/card/qr.svg")
    assert (code.status_code, code.content_type) == (200, "image/svg+xml")
    made = segno.make(shown["token"]["value"], error="m", micro=False)
    assert made.mode == "alphanumeric"  # the small way of writing it
    assert made.version == 3
    assert made.svg_inline(scale=6).partition(">")[2] in code.text


def test_a_card_she_was_handed_is_her_card(session: Session, api: Api) -> None:
    handed = "2012345678903"
    assert ean13.is_valid(handed)
    who = factories.customer(session, card=handed)
    assert api(who).get("/me/card").json["number"] == handed


@pytest.mark.parametrize(
    ("value", "assurance"),
    [
        ("MEMBER0042", "attested"),  # of another make: no till could read the bars
        ("2012345678901", "attested"),  # a wrong check digit: as well
        ("4901234567894", "attested"),  # the number of goods somewhere
        ("2012345678903", "claimed"),  # typed by her
        ("2012345678903", "observed"),
    ],
)
def test_a_card_that_is_none_of_ours_or_not_surely_hers_is_not_shown(
    session: Session, api: Api, value: str, assurance: str
) -> None:
    who = factories.customer(session, card=value, assurance=assurance)
    number = api(who).get("/me/card").json["number"]
    assert number != value
    assert number.startswith("29")


def test_a_merged_record_shows_the_card_of_the_one_that_stays(session: Session, api: Api, now: datetime) -> None:
    stays, gone = factories.customer(session), factories.customer(session)
    old = api(gone).get("/me/card").json["number"]
    session.execute(text("UPDATE customer SET merged_into = :to WHERE id = :id"), {"to": stays.id, "id": gone.id})
    for who in (stays, gone):
        shown = api(who).get("/me/card").json
        assert shown["number"] == old  # she has none of her own: that card is in her purse
        assert shown["token"]["value"] == cards.token(stays.id, now=now).value
    own = "2012345678903"
    factories.identity(session, customer_id=stays.id, kind="card", value=own)
    assert api(gone).get("/me/card").json["number"] == own


def test_a_number_that_was_ever_a_card_or_is_on_goods_is_not_issued(
    session: Session, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = iter([1, 2, 3])
    monkeypatch.setattr(cards, "randbelow", lambda _: next(drawn))
    ours = [f"29000000000{n}" for n in (1, 2, 3)]
    first, second, third = (body + ean13.check_digit(body) for body in ours)
    other = factories.customer(session, card=first)
    session.execute(text("UPDATE identity_link SET to_at = from_at WHERE customer_id = :id"), {"id": other.id})
    tea = factories.variant(session)
    session.execute(
        text("INSERT INTO barcode (gtin, variant_id, created_at) VALUES (:gtin, :id, now())"),
        {"gtin": f"0{second}", "id": tea.id},
    )
    assert api(factories.customer(session)).get("/me/card").json["number"] == third


def test_who_has_too_many_numbers_is_told(session: Session, api: Api, unchanged: Unchanged) -> None:
    who = factories.customer(session)
    for place in range(limits.IDENTITIES_PER_CUSTOMER):
        factories.identity(session, customer_id=who.id, kind="external", value=f"X{place}")
    with unchanged():
        for path in ("/me/card", "/me/card/barcode.svg"):
            answer = api(who).get(path)
            assert (answer.status_code, answer.json["code"]) == (422, "too_many_identities")


@pytest.mark.parametrize("path", ["/me/card", "/me/card/barcode.svg", "/me/card/qr.svg"])
def test_a_card_is_a_customers(session: Session, api: Api, unchanged: Unchanged, path: str) -> None:
    others = (factories.staff(session, "admin"), factories.api_client(session, ["me"]))
    with unchanged():
        assert api().get(path).status_code == 401
        for caller in others:
            assert api(caller).get(path).status_code == 403


def test_the_picture_is_documented_as_one(api: Api) -> None:
    document = api().get("/api/openapi.json").json
    answered = document["paths"]["/api/v1/me/card/qr.svg"]["get"]["responses"]["200"]
    assert list(answered["content"]) == ["image/svg+xml"]


# --- the token


def test_a_token_tells_whose_it_is_once(session: Session, now: datetime, unchanged: Unchanged) -> None:
    who = factories.customer(session)
    token = cards.token(who.id, now=now).value
    assert cards.use_token(session, token=token, now=now) == who.id
    with unchanged():
        for again in (token, token.lower(), f" {token} "):
            with pytest.raises(cards.TokenUsed):
                cards.use_token(session, token=again, now=now)
    assert uses(session) == 1


def test_texts_that_are_read_alike_count_once_together(session: Session, now: datetime) -> None:
    """The last character of base32 holds two bits that nothing is made of."""
    token = cards.token(factories.customer(session).id, now=now).value
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
    place = alphabet.index(token[-1])
    twins = [token[:-1] + alphabet[place // 4 * 4 + spare] for spare in range(4)]
    cards.use_token(session, token=twins[0], now=now)
    for twin in twins[1:]:
        with pytest.raises(cards.TokenUsed):
            cards.use_token(session, token=twin, now=now)
    assert uses(session) == 1


def test_it_counts_until_the_step_after_has_passed(session: Session, now: datetime, unchanged: Unchanged) -> None:
    who, begins = factories.customer(session), step_of(now)
    token = cards.token(who.id, now=begins)
    last = cards.token(who.id, now=begins + STEP - timedelta(microseconds=1))
    assert token == last
    assert (token.renew_at, token.expires_at) == (begins + STEP, begins + 2 * STEP)
    with unchanged(), pytest.raises(cards.TokenExpired):
        cards.use_token(session, token=token.value, now=token.expires_at)
    assert cards.use_token(session, token=token.value, now=token.expires_at - timedelta(microseconds=1)) == who.id
    assert cards.token(who.id, now=token.renew_at).value != token.value


def test_nobodys_id_and_no_kinship_can_be_read_in_it(session: Session, now: datetime) -> None:
    who = factories.customer(session)
    values = [cards.token(who.id, now=now + place * STEP).value for place in range(20)]
    raw = [base64.b32decode(value.removeprefix("M1.") + "======") for value in values]
    assert {len(value) for value in values} == {61}
    assert not any(who.id.bytes in one for one in raw)
    # what is told apart of two tokens of one member beyond the step: about as many bits as of two members
    assert len({one[4:] for one in raw}) == 20
    assert len({one[20:] for one in raw}) == 20


def forged(token: str, place: int, by: int) -> str:
    raw = bytearray(base64.b32decode(token.removeprefix("M1.") + "======"))
    raw[place] ^= by
    return "M1." + base64.b32encode(bytes(raw)).decode().rstrip("=")


@pytest.mark.parametrize("place", [0, 3, 4, 19, 20, 35])
def test_a_changed_token_is_none(session: Session, now: datetime, place: int, unchanged: Unchanged) -> None:
    token = cards.token(factories.customer(session).id, now=now).value
    assert forged(token, place, 0) == token
    with unchanged(), pytest.raises(cards.TokenInvalid):
        cards.use_token(session, token=forged(token, place, 1), now=now)


@pytest.mark.parametrize("token", ["", "M1.", "M1.AAAA", "M1." + "A" * 57, "M1." + "A" * 59, "M1." + "1" * 58, "M1." + "あ" * 58, "M2." + "A" * 58, "A" * 61])  # fmt: skip
def test_anything_else_is_no_token(session: Session, now: datetime, token: str, unchanged: Unchanged) -> None:
    with unchanged(), pytest.raises(cards.TokenInvalid):
        cards.use_token(session, token=token, now=now)


def test_another_shops_key_makes_other_tokens(
    session: Session, now: datetime, configured: Callable[..., Any], unchanged: Unchanged
) -> None:
    who = factories.customer(session)
    with configured(secret_key="another secret of the tests, 32 characters or more"):
        token = cards.token(who.id, now=now).value
    with unchanged(), pytest.raises(cards.TokenInvalid):
        cards.use_token(session, token=token, now=now)


def test_uses_are_forgotten_long_after_the_token_has_run_out(session: Session, now: datetime) -> None:
    who = factories.customer(session)
    token = cards.token(who.id, now=now).value
    cards.use_token(session, token=token, now=now)
    with clock.shifted(timedelta(hours=1)):
        assert jobs.forget_tokens() == 0
    assert uses(session) == 1
    with clock.shifted(timedelta(hours=1, seconds=1)):
        assert jobs.forget_tokens() == 1
        with pytest.raises(cards.TokenExpired):
            cards.use_token(session, token=token, now=clock.now())
    assert uses(session) == 0


def test_a_member_nobody_has_is_not_found(session: Session, now: datetime) -> None:
    with pytest.raises(queries.NotFound):
        queries.member(session, customer_id=new_id(), now=now)
