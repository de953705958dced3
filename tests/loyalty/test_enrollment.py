"""Enrolling at the till: what is made, what stands in the way, and that a refusal leaves nothing behind."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from retail import customers, limits
from retail.kernel import clock, ean13
from tests import factories
from tests.factories import Actor

Api = Callable[..., Any]
Unchanged = Callable[[], AbstractContextManager[None]]
CARD = "2912345678906"
NEW = {
    "name": "Hanako Yamada",
    "phone": "090-1234-5678",
    "email": "Hanako@Example.com",
    "birthday": {"month": 2, "day": 29},
}


@pytest.fixture
def store(session: Session) -> factories.Place:
    return factories.location(session)


@pytest.fixture
def till(session: Session, api: Api, store: factories.Place) -> Any:
    return api(factories.api_client(session, ["members.work"], channel="store", location_id=store.id))


def links(session: Session, customer_id: Any) -> list[tuple[str, str, str]]:
    """Kind, value and assurance of what names her now."""
    statement = text(
        "SELECT i.kind, i.value, k.assurance FROM identity_link AS k JOIN identity AS i ON i.id = k.identity_id "
        "WHERE k.customer_id = :id AND k.to_at IS NULL ORDER BY i.kind"
    )
    return [tuple(row) for row in session.execute(statement, {"id": customer_id})]


def enrolled(session: Session) -> list[tuple[str, Any]]:
    """Channel and place of every MemberEnrolled."""
    found = session.execute(text("SELECT data FROM event WHERE type = 'MemberEnrolled' ORDER BY seq")).scalars()
    return [(data["channel"], data["location_id"]) for data in found]


def test_a_member_is_made_with_all_that_names_her(
    session: Session, till: Any, store: factories.Place, now: datetime
) -> None:
    answer = till.post("/members", json=NEW, key="one")
    assert answer.status_code == 201, answer.json
    number = answer.json["card_number"]
    assert number.startswith("29")
    assert ean13.is_valid(number)
    customer_id = answer.json["customer_id"]
    assert answer.json == {
        "customer_id": customer_id,
        "reference": answer.json["reference"],
        "name": "Hanako Yamada",
        "card_number": number,
        "symbology": "ean13",
        "birthday": {"month": 2, "day": 29},
        "enrolled_at": now.isoformat(),
    }
    assert links(session, customer_id) == [
        ("card", number, "attested"),
        ("email", "hanako@example.com", "observed"),
        ("phone", "+819012345678", "observed"),
    ]
    account = session.execute(
        text("SELECT available, state, birth_month, birth_day FROM points_account WHERE customer_id = :id"),
        {"id": customer_id},
    ).one()
    assert tuple(account) == (0, "active", 2, 29)
    assert enrolled(session) == [("till", str(store.id))]
    again = till.post("/members", json=NEW, key="one")
    assert (again.json, again.headers["Idempotent-Replayed"]) == (answer.json, "true")
    assert len(enrolled(session)) == 1
    # she is found by what was observed, and by her card
    assert till.post("/members/lookup", json={"phone": "09012345678"}).json["may_spend"] is False
    assert till.post("/members/lookup", json={"card": number}).json["may_spend"] is True


def test_a_printed_card_is_hers_and_no_other_is_issued(session: Session, till: Any) -> None:
    answer = till.post("/members", json={"card": "29 1234 567890 6"}, key="one")
    assert (answer.json["card_number"], answer.json["name"], answer.json["birthday"]) == (CARD, "", None)
    assert links(session, answer.json["customer_id"]) == [("card", CARD, "attested")]


def test_with_a_card_that_no_scanner_reads_she_gets_one_that_is_read(session: Session, till: Any) -> None:
    answer = till.post("/members", json={"card": "gold-0042"}, key="one")
    found = links(session, answer.json["customer_id"])
    assert ("card", "GOLD0042", "attested") in found
    assert ("card", answer.json["card_number"], "attested") in found
    assert ean13.is_valid(answer.json["card_number"])


@pytest.mark.parametrize("kind", ["card", "phone", "email"])
@pytest.mark.parametrize("assurance", ["observed", "attested", "verified"])
def test_who_is_known_is_not_enrolled_again_and_not_said(
    session: Session, till: Any, kind: str, assurance: str, unchanged: Unchanged
) -> None:
    known = {"card": CARD, "phone": "+819012345678", "email": "hanako@example.com"}
    who = factories.customer(session, name="Secret Person", assurance=assurance, **{kind: known[kind]})
    with unchanged():
        answer = till.post("/members", json=NEW | {"card": CARD}, key="one")
    assert (answer.status_code, answer.json["code"]) == (409, "member_known")
    assert [error["field"] for error in answer.json["errors"]] == [kind]
    assert "look the member up" in answer.json["detail"]
    for secret in (who.name, who.reference, str(who.id)):
        assert secret not in answer.text
    assert till.post("/members/lookup", json={kind: known[kind]}).json["customer_id"] == str(who.id)


def test_everything_that_is_taken_is_named(session: Session, till: Any, unchanged: Unchanged) -> None:
    factories.customer(session, phone="+819012345678")
    factories.customer(session, email="hanako@example.com", assurance="observed")
    with unchanged():
        answer = till.post("/members", json=NEW, key="one")
    assert [error["field"] for error in answer.json["errors"]] == ["email", "phone"]


@pytest.mark.parametrize("kind", ["card", "phone", "email"])
def test_a_mere_claim_does_not_stand_in_her_way(session: Session, till: Any, kind: str) -> None:
    claimed = {"card": CARD, "phone": "+819012345678", "email": "hanako@example.com"}[kind]
    claimer = factories.customer(session, assurance="claimed", **{kind: claimed})
    answer = till.post("/members", json=NEW | {"card": CARD}, key="one")
    assert answer.status_code == 201
    assert links(session, claimer.id) == []
    assert claimed in [value for _, value, _ in links(session, answer.json["customer_id"])]
    lost = session.execute(text("SELECT party_id, data FROM event WHERE type = 'IdentityUnlinked'")).all()
    assert [(row.party_id, row.data["because"]) for row in lost] == [(claimer.id, "observed")]


def test_a_claim_stays_when_the_enrollment_is_refused(session: Session, till: Any, unchanged: Unchanged) -> None:
    factories.customer(session, card=CARD, assurance="claimed")
    factories.customer(session, phone="+819012345678")
    with unchanged():
        assert till.post("/members", json=NEW | {"card": CARD}, key="one").status_code == 409


def test_only_a_claim_is_dropped(session: Session, now: datetime, unchanged: Unchanged) -> None:
    who = factories.customer(session)
    seen = factories.identity(session, customer_id=who.id, kind="phone", value="+819012345678", assurance="observed")
    with unchanged():
        customers.drop_claim(session, identity_id=seen, actor="system", now=now)


@pytest.mark.parametrize(
    ("body", "code", "fields"),
    [
        ({"name": "Hanako"}, "identity_required", ["card", "email", "phone"]),
        ({"phone": "call me", "email": "hanako", "card": "é"}, "enrollment_invalid", ["card", "email", "phone"]),
        ({"card": "2912345678907", "email": "x"}, "enrollment_invalid", ["card", "email"]),
        (NEW | {"birthday": {"month": 13, "day": 0}}, "birthday_invalid", ["birthday.month", "birthday.day"]),
        (NEW | {"birthday": {"month": 2, "day": 30}}, "birthday_invalid", ["birthday.day"]),
        (NEW | {"birthday": {"month": 0, "day": 31}}, "birthday_invalid", ["birthday.month"]),
    ],
)
def test_what_is_wrong_is_named_whole(till: Any, body: Any, code: str, fields: list[str], unchanged: Unchanged) -> None:
    with unchanged():
        answer = till.post("/members", json=body, key="one")
    assert (answer.status_code, answer.json["code"]) == (422, code)
    assert sorted(error["field"] for error in answer.json["errors"]) == sorted(fields)


@pytest.mark.parametrize(
    "body", [{"phone": ""}, {"phone": 7}, NEW | {"birthday": {"month": "2", "day": 1}}, NEW | {"birthday": {"month": 2}}, NEW | {"locale": "fr"}, NEW | {"points": 5}]
)  # fmt: skip
def test_what_is_no_enrollment_is_refused(till: Any, body: Any, unchanged: Unchanged) -> None:
    with unchanged():
        assert till.post("/members", json=body, key="one").status_code == 422
        assert till.post("/members", json=NEW).status_code == 400  # no key


def test_where_and_by_whom(session: Session, api: Api, store: factories.Place, unchanged: Unchanged) -> None:
    other = factories.location(session, code="other")
    here = factories.staff(session, "associate", locations=[store.id])
    both = factories.staff(session, "manager", locations=[store.id, other.id])
    agent = factories.staff(session, "agent")
    web = factories.api_client(session, ["members.work"], channel="web")
    phone = factories.api_client(session, ["members.work"], channel="phone")
    asked = [
        (here, None),
        (both, None),
        (both, "other"),
        (agent, None),
        (agent, store.code),
        (web, None),
        (phone, None),
    ]
    for place, (caller, location) in enumerate(asked):
        body = {"phone": f"0901234567{place}", "location": location}
        assert api(caller).post("/members", json=body, key=f"k{place}").status_code == 201
    assert enrolled(session) == [
        ("till", str(store.id)),
        ("till", None),
        ("till", str(other.id)),
        ("agent", None),
        ("agent", str(store.id)),
        ("web", None),
        ("agent", None),
    ]
    with unchanged():
        for caller, location in ((here, "other"), (agent, "nowhere")):
            answer = api(caller).post("/members", json=NEW | {"location": location}, key="x")
            assert (answer.status_code, answer.json["code"]) == (404, "not_found")


def test_enrolling_tells_no_more_about_who_is_known_than_looking_up(
    session: Session, till: Any, unchanged: Unchanged
) -> None:
    for _ in range(limits.MEMBER_LOOKUPS):
        assert till.post("/members", json={"name": "x"}, key="one").status_code == 422
    with unchanged():
        refused = till.post("/members", json=NEW, key="two")
        assert (refused.status_code, refused.json["code"]) == (429, "too_many_requests")
        assert till.post("/members/lookup", json={"phone": "09012345678"}).status_code == 429
    with clock.shifted(timedelta(seconds=limits.MEMBER_LOOKUP_SECONDS)):
        assert till.post("/members", json=NEW, key="two").status_code == 201


def test_who_may_not(session: Session, api: Api, unchanged: Unchanged) -> None:
    others = [factories.customer(session), factories.staff(session, "analyst"), factories.api_client(session)]
    with unchanged():
        assert api().post("/members", json=NEW, key="one").status_code == 401
        for caller in others:
            assert api(caller).post("/members", json=NEW, key="one").status_code == 403


# --- birthdays


@pytest.fixture
def agent(session: Session) -> Actor:
    return factories.staff(session, "agent")


def test_a_birthday_is_stated_once(session: Session, api: Api, agent: Actor, unchanged: Unchanged) -> None:
    who = factories.customer(session)
    mine = api(who)
    assert mine.get("/me/birthday").json == {"birthday": None}
    stated = {"birthday": {"month": 2, "day": 29}}
    answer = mine.put("/me/birthday", json=stated["birthday"])
    assert (answer.status_code, answer.json) == (200, stated)
    with unchanged():
        assert mine.get("/me/birthday").json == stated
        assert api(agent).get(f"/customers/{who.reference}/birthday").json == stated
        other = mine.put("/me/birthday", json={"month": 3, "day": 1})
        assert (other.status_code, other.json["code"]) == (409, "birthday_set")
    assert mine.put("/me/birthday", json=stated["birthday"]).json == stated


def test_staff_correct_it(session: Session, api: Api, agent: Actor, unchanged: Unchanged) -> None:
    who = factories.customer(session)
    for day in ({"month": 12, "day": 31}, {"month": 1, "day": 1}):
        answer = api(agent).put(f"/customers/{who.id}/birthday", json=day)
        assert (answer.status_code, answer.json) == (200, {"birthday": day})
    associate = factories.staff(session, "associate")
    with unchanged():
        assert api(who).put("/me/birthday", json={"month": 12, "day": 31}).status_code == 409
        for caller in (who, associate):
            assert api(caller).put(f"/customers/{who.id}/birthday", json=day).status_code == 403
            assert api(caller).get(f"/customers/{who.id}/birthday").status_code == 403
        assert api(agent).put("/customers/C-NOBODY/birthday", json=day).status_code == 404
        assert api(agent).get("/customers/C-NOBODY/birthday").status_code == 404


@pytest.mark.parametrize(
    ("month", "day", "fields"),
    [(2, 30, ["day"]), (4, 31, ["day"]), (0, 1, ["month"]), (13, 1, ["month"]), (13, 32, ["month", "day"]), (1, 0, ["day"]), (-1, -1, ["month", "day"])],
)  # fmt: skip
def test_days_that_no_year_has(
    session: Session, api: Api, agent: Actor, month: int, day: int, fields: list[str], unchanged: Unchanged
) -> None:
    who = factories.customer(session)
    with unchanged():
        for calling, path in ((api(who), "/me/birthday"), (api(agent), f"/customers/{who.id}/birthday")):
            answer = calling.put(path, json={"month": month, "day": day})
            assert (answer.status_code, answer.json["code"]) == (422, "birthday_invalid")
            assert [error["field"] for error in answer.json["errors"]] == fields


def test_my_birthday_is_mine(session: Session, api: Api, agent: Actor, unchanged: Unchanged) -> None:
    with unchanged():
        for call in (
            lambda caller: caller.get("/me/birthday"),
            lambda caller: caller.put("/me/birthday", json={"month": 1, "day": 1}),
        ):
            assert call(api()).status_code == 401
            assert call(api(agent)).status_code == 403


def test_a_merged_record_has_the_birthday_of_the_one_that_stays(session: Session, api: Api) -> None:
    stays, gone = factories.customer(session), factories.customer(session)
    session.execute(text("UPDATE customer SET merged_into = :to WHERE id = :id"), {"to": stays.id, "id": gone.id})
    assert api(gone).put("/me/birthday", json={"month": 5, "day": 5}).status_code == 200
    assert api(stays).get("/me/birthday").json == {"birthday": {"month": 5, "day": 5}}
