"""Finding a member at the till: what each way of being known allows, and what it shows."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from loyalty import cards, lookup
from retail import limits
from retail.kernel import clock, db
from tests import factories
from tests.factories import Actor
from tests.loyalty.ledger_facts import earn

Api = Callable[..., Any]
Unchanged = Callable[[], AbstractContextManager[None]]
CARD = "2912345678906"
PHONE, EMAIL = "+819012345678", "hanako@example.com"
SPOKEN = {"card": "29 1234 567890 6", "phone": "090-1234-5678", "email": " Hanako@Example.com "}


def member(session: Session, now: datetime, assurance: str = "attested", points: int = 120) -> Actor:
    who = factories.customer(session, card=CARD, phone=PHONE, email=EMAIL, assurance=assurance)
    if points:
        earn(session, who.id, points, now)
    return who


def in_tier(session: Session, who: Actor) -> None:
    session.execute(
        text(
            "INSERT INTO tier (code, name, name_ja, rank, threshold, updated_at) VALUES ('gold', 'Gold', '金', 1, 1, now())"
        )
    )
    session.execute(
        text("INSERT INTO member_tier (customer_id, tier_code, since) VALUES (:id, 'gold', now())"), {"id": who.id}
    )


def blocked(session: Session, who: Actor) -> None:
    session.execute(text("UPDATE points_account SET state = 'blocked' WHERE customer_id = :id"), {"id": who.id})


@pytest.fixture
def till(session: Session, api: Api) -> Any:
    return api(factories.api_client(session, ["members.work"], channel="store"))


def test_a_token_shows_everything_and_lets_her_spend(session: Session, till: Any, now: datetime) -> None:
    who = member(session, now)
    in_tier(session, who)
    with db.counting() as count:
        answer = till.post("/members/lookup", json={"token": cards.token(who.id, now=now).value})
    assert answer.status_code == 200
    assert answer.json == {
        "customer_id": str(who.id),
        "reference": who.reference,
        "name": "Hanako Yamada",
        "name_masked": False,
        "assurance": "present",
        "state": "active",
        "tier": {"code": "gold", "name": "Gold", "name_ja": "金"},
        "points": 120,
        "may_earn": True,
        "may_spend": True,
        "spend_proof": answer.json["spend_proof"],
    }
    assert answer.json["spend_proof"].startswith("S1.")
    assert count.statements == 4  # who calls, the token's use, whose it is, the member


@pytest.mark.parametrize("assurance", ["attested", "verified"])
@pytest.mark.parametrize(("kind", "spends"), [("card", True), ("phone", False), ("email", False)])
def test_what_is_proven_shows_her_standing_and_half_a_name(
    session: Session, till: Any, now: datetime, kind: str, spends: bool, assurance: str
) -> None:
    who = member(session, now, assurance)
    in_tier(session, who)
    answer = till.post("/members/lookup", json={kind: SPOKEN[kind]})
    assert answer.status_code == 200
    assert answer.json == {
        "customer_id": str(who.id),
        "reference": who.reference,
        "name": "H*** Y***",
        "name_masked": True,
        "assurance": assurance,
        "state": "active",
        "tier": {"code": "gold", "name": "Gold", "name_ja": "金"},
        "points": 120,
        "may_earn": True,
        "may_spend": spends,
        "spend_proof": answer.json["spend_proof"],
    }
    assert (answer.json["spend_proof"] is not None) == spends


@pytest.mark.parametrize("kind", ["card", "phone", "email"])
def test_what_was_merely_observed_earns_and_shows_no_balance(
    session: Session, till: Any, now: datetime, kind: str
) -> None:
    who = member(session, now, "observed")
    in_tier(session, who)
    answer = till.post("/members/lookup", json={kind: SPOKEN[kind]}).json
    assert (answer["customer_id"], answer["name"], answer["assurance"]) == (str(who.id), "H*** Y***", "observed")
    assert (answer["tier"], answer["points"]) == (None, None)
    assert (answer["may_earn"], answer["may_spend"], answer["spend_proof"]) == (True, False, None)


@pytest.mark.parametrize("kind", ["card", "phone", "email"])
def test_what_was_claimed_answers_as_if_there_were_nobody(
    session: Session, till: Any, now: datetime, kind: str, unchanged: Unchanged
) -> None:
    with unchanged(), db.counting() as unknown:
        nobody = till.post("/members/lookup", json={kind: SPOKEN[kind]})
    member(session, now, "claimed")
    with unchanged(), db.counting() as claimed:
        answer = till.post("/members/lookup", json={kind: SPOKEN[kind]})
    assert (answer.status_code, answer.json["code"]) == (404, "member_unknown")
    assert {**answer.json, "request_id": ""} == {**nobody.json, "request_id": ""}
    assert claimed.statements == unknown.statements == 3


def test_an_identity_that_is_hers_no_more_names_nobody(session: Session, till: Any, now: datetime) -> None:
    who = member(session, now)
    session.execute(text("UPDATE identity_link SET to_at = from_at WHERE customer_id = :id"), {"id": who.id})
    for kind in ("card", "phone", "email"):
        assert till.post("/members/lookup", json={kind: SPOKEN[kind]}).status_code == 404


def test_a_tombstone_answers_as_the_one_that_stays(session: Session, till: Any, now: datetime) -> None:
    gone, stays = member(session, now, points=0), factories.customer(session, name="山田 花子")
    earn(session, stays.id, 7, now)
    session.execute(text("UPDATE customer SET merged_into = :to WHERE id = :id"), {"to": stays.id, "id": gone.id})
    asked = [{"token": cards.token(gone.id, now=now).value}, *({kind: SPOKEN[kind]} for kind in ("card", "phone"))]
    found = [till.post("/members/lookup", json=body).json for body in asked]
    assert {one["customer_id"] for one in found} == {str(stays.id)}
    assert [one["name"] for one in found] == ["山田 花子", "山*** 花***", "山*** 花***"]
    assert {one["points"] for one in found} == {7}


def test_a_blocked_member_is_said_to_be_and_spends_nothing(session: Session, till: Any, now: datetime) -> None:
    who = member(session, now)
    blocked(session, who)
    for body in ({"token": cards.token(who.id, now=now).value}, {"card": CARD}, {"phone": PHONE}):
        answer = till.post("/members/lookup", json=body).json
        assert (answer["state"], answer["may_earn"], answer["may_spend"]) == ("blocked", True, False)
        assert answer["spend_proof"] is None


def test_points_are_those_that_can_be_spent_now(session: Session, till: Any, now: datetime) -> None:
    who = member(session, now, points=0)
    assert (
        till.post("/members/lookup", json={"card": CARD}).json["points"] == 0
    )  # no account yet: a member all the same
    earn(session, who.id, 5, now - timedelta(days=365))  # ran out this moment
    earn(session, who.id, 3, now)
    session.execute(
        text("UPDATE points_lot SET available_from = :at WHERE earned = 3"), {"at": now + timedelta(days=1)}
    )
    earn(session, who.id, 40, now)
    assert till.post("/members/lookup", json={"card": CARD}).json["points"] == 40


@pytest.mark.parametrize(
    ("name", "shown"),
    [("Hanako Yamada", "H*** Y***"), ("山田花子", "山***"), ("山田　花子", "山*** 花***"), ("", ""), ("  ", ""), ("が", "が***"), ("O", "O***")],
)  # fmt: skip
def test_a_masked_name_tells_first_letters_and_no_length(name: str, shown: str) -> None:
    assert lookup.masked(name) == shown


def test_a_token_is_taken_once(session: Session, till: Any, api: Api, now: datetime, unchanged: Unchanged) -> None:
    who = member(session, now)
    token = {"token": cards.token(who.id, now=now).value}
    assert till.post("/members/lookup", json=token).status_code == 200
    other = api(factories.staff(session, "associate"))
    with unchanged():
        for calling in (till, other):
            again = calling.post("/members/lookup", json=token)
            assert (again.status_code, again.json["code"]) == (409, "member_token_used")
    with clock.shifted(timedelta(seconds=limits.MEMBER_TOKEN_SECONDS)):
        later = {"token": cards.token(who.id, now=clock.now()).value}
        assert till.post("/members/lookup", json=later).status_code == 200


def test_what_is_wrong_with_a_token_is_said(session: Session, till: Any, now: datetime, unchanged: Unchanged) -> None:
    who = member(session, now)
    old = cards.token(who.id, now=now - timedelta(minutes=2)).value
    with unchanged():
        for token, code in ((old, "member_token_expired"), ("M1.ABC", "member_token_invalid")):
            answer = till.post("/members/lookup", json={"token": token})
            assert (answer.status_code, answer.json["code"]) == (422, code)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"card": CARD, "phone": PHONE},
        {"card": ""},
        {"card": 7},
        {"phone": "9" * 400},
        {"name": "Hanako"},
        {"phone": "not a number"},
        {"email": "hanako"},
        {"card": "é"},
        {"card": "2912345678909"},
    ],
)
def test_what_is_no_look_up_is_refused(
    session: Session, till: Any, now: datetime, body: Any, unchanged: Unchanged
) -> None:
    member(session, now)
    with unchanged():
        answer = till.post("/members/lookup", json=body)
    assert answer.status_code == 422
    assert answer.json["errors"]


def test_a_misread_card_is_told_from_an_unknown_one(session: Session, till: Any, now: datetime) -> None:
    misread = till.post("/members/lookup", json={"card": "2912345678909"})
    assert (misread.status_code, misread.json["code"]) == (422, "card_misread")
    unknown = till.post("/members/lookup", json={"card": CARD})
    assert (unknown.status_code, unknown.json["code"]) == (404, "member_unknown")
    other = till.post("/members/lookup", json={"card": "4901234567890"})  # no store's number: nothing is known of it
    assert (other.status_code, other.json["code"]) == (404, "member_unknown")
    # a card of that look that somebody did take over from an older system is found all the same
    who = factories.customer(session, card="2912345678909")
    assert till.post("/members/lookup", json={"card": "2912345678909"}).json["customer_id"] == str(who.id)


def test_numbers_are_guessed_so_often_only(session: Session, till: Any, api: Api, now: datetime) -> None:
    who = member(session, now)
    for place in range(limits.MEMBER_LOOKUPS):
        kind, value = (("phone", f"09000000{place:03}"), ("email", f"a{place}@example.com"), ("card", f"X{place:05}"))[
            place % 3
        ]
        assert till.post("/members/lookup", json={kind: value}).status_code == 404
    for kind in ("phone", "email", "card"):
        refused = till.post("/members/lookup", json={kind: SPOKEN[kind]})
        assert (refused.status_code, refused.json["code"]) == (429, "too_many_requests")
        assert int(refused.headers["Retry-After"]) > 0
    # a member who shows her token is served all the same, and so is another caller
    assert till.post("/members/lookup", json={"token": cards.token(who.id, now=now).value}).status_code == 200
    assert api(factories.staff(session, "associate")).post("/members/lookup", json={"card": CARD}).status_code == 200
    with clock.shifted(timedelta(seconds=limits.MEMBER_LOOKUP_SECONDS)):
        assert till.post("/members/lookup", json={"card": CARD}).status_code == 200


@pytest.mark.parametrize("role", ["associate", "manager", "agent", "supervisor", "admin"])
def test_staff_who_serve_members_may(session: Session, api: Api, now: datetime, role: str) -> None:
    member(session, now)
    assert api(factories.staff(session, role)).post("/members/lookup", json={"card": CARD}).status_code == 200


def test_nobody_else_may(session: Session, api: Api, now: datetime, unchanged: Unchanged) -> None:
    who = member(session, now)
    token = {"token": cards.token(who.id, now=now).value}
    others = (who, factories.staff(session, "analyst"), factories.api_client(session))
    with unchanged():
        assert api().post("/members/lookup", json=token).status_code == 401
        for caller in others:
            assert api(caller).post("/members/lookup", json=token).status_code == 403
