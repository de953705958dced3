"""Log-in: by password for staff, by a one-time code for customers; every refusal reads the same."""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from retail import limits, queries, sessions
from retail.kernel import clock, ids
from retail.kernel.auth import token_hash
from tests import factories
from tests.factories import Actor

Api = Callable[..., Any]
Unchanged = Callable[[], AbstractContextManager[None]]

PASSWORD = "correct horse battery"
EMAIL = "hanako@example.com"


@pytest.fixture
def shop_client(session: Session) -> Actor:
    return factories.api_client(session, ["auth.customers"], channel="app")


def newest_code(session: Session) -> str:
    """What the message will say."""
    code_id: UUID = session.execute(text("SELECT id FROM one_time_code ORDER BY id DESC LIMIT 1")).scalar_one()
    return sessions.login_code(code_id)


def wrong(code: str) -> str:
    """Another code with a right check digit."""
    body = ("3" if code[0] == "2" else "2") + code[1:-1]
    return body + ids.check_character(body)


# --- staff


def test_staff_log_in_and_out(api: Api, session: Session, unchanged: Unchanged) -> None:
    place = factories.location(session)
    factories.staff(session, "associate", login="taro", password=PASSWORD, locations=[place.id])
    response = api().post("/auth/staff-tokens", json={"login": " TARO ", "password": PASSWORD})
    assert response.status_code == 201
    token = response.json["token"]
    assert token.startswith("st_")
    assert response.json["expires_at"] == (clock.now() + timedelta(hours=12)).isoformat()
    assert response.json["staff"]["locations"] == [str(place.id)]
    assert "pickups.work" in response.json["staff"]["permissions"]
    assert api(token).get("/products").status_code == 200
    with clock.shifted(timedelta(hours=12)):
        assert api(token).get("/products").status_code == 401
    assert api(token).delete("/auth/token").status_code == 204
    assert api(token).get("/products").status_code == 401
    with unchanged():
        assert api(token).delete("/auth/token").status_code == 401
        assert api().delete("/auth/token").status_code == 401


def test_every_failed_log_in_reads_the_same(api: Api, session: Session, unchanged: Unchanged) -> None:
    factories.staff(session, "agent", login="taro", password=PASSWORD)
    factories.staff(session, "agent", login="noword")
    factories.staff(session, "agent", login="gone", password=PASSWORD)
    session.execute(text("UPDATE staff SET active = false WHERE login = 'gone'"))
    answers = []
    with unchanged():
        for login, password in (("taro", "wrong"), ("nobody", PASSWORD), ("gone", PASSWORD), ("noword", "none")):
            response = api().post("/auth/staff-tokens", json={"login": login, "password": password})
            answers.append((response.status_code, response.json | {"request_id": ""}))
    assert answers == [answers[0]] * 4
    assert (answers[0][0], answers[0][1]["code"]) == (401, "login_failed")


def test_staff_log_ins_are_limited_per_login(api: Api, session: Session) -> None:
    factories.staff(session, "agent", login="taro", password=PASSWORD)
    factories.staff(session, "agent", login="jiro", password=PASSWORD)

    def attempt(login: str, password: str = "wrong") -> int:
        response = api().post("/auth/staff-tokens", json={"login": login, "password": password})
        return int(response.status_code)

    assert [attempt("taro") for _ in range(limits.LOGINS_PER_NAME)] == [401] * limits.LOGINS_PER_NAME
    blocked = api().post("/auth/staff-tokens", json={"login": "Taro", "password": PASSWORD})
    assert (blocked.status_code, blocked.json["code"]) == (429, "too_many_requests")
    assert 0 < int(blocked.headers["Retry-After"]) <= limits.LOGIN_WINDOW_SECONDS
    assert attempt("jiro", PASSWORD) == 201
    with clock.shifted(timedelta(seconds=limits.LOGIN_WINDOW_SECONDS)):
        assert attempt("taro", PASSWORD) == 201


def test_staff_log_ins_are_limited_per_address(api: Api, session: Session) -> None:
    factories.staff(session, "agent", login="taro", password=PASSWORD)
    for number in range(limits.LOGINS_PER_ADDRESS):
        with pytest.raises(sessions.LoginFailed):
            sessions.log_in_staff(login=f"nobody-{number}", password="x", address="127.0.0.1", now=clock.now())
    blocked = api().post("/auth/staff-tokens", json={"login": "taro", "password": PASSWORD})
    assert blocked.status_code == 429
    assert sessions.log_in_staff(login="taro", password=PASSWORD, address="192.0.2.1", now=clock.now()).token


@pytest.mark.parametrize(
    "body", [{}, {"login": "a"}, {"login": "", "password": "x"}, {"login": "a", "password": "x" * 201}]
)
def test_invalid_staff_log_ins(api: Api, unchanged: Unchanged, body: dict[str, str]) -> None:
    with unchanged():
        assert api().post("/auth/staff-tokens", json=body).status_code == 422


# --- customers


def log_in(api: Api, session: Session, client: Actor, email: str = EMAIL) -> Any:
    assert api(client).post("/auth/codes", json={"email": email}).status_code == 202
    response = api(client).post("/auth/tokens", json={"email": email, "code": newest_code(session)})
    assert response.status_code == 201
    return response.json


def test_a_new_customer_logs_in_by_code(api: Api, session: Session, shop_client: Actor) -> None:
    asked = api(shop_client).post("/auth/codes", json={"email": " HANAKO@example.com", "locale": "en"})
    assert (asked.status_code, asked.json) == (202, {"expires_in_seconds": 600})
    event = session.execute(text("SELECT data FROM event WHERE type = 'LoginCodeRequested'")).scalar_one()
    assert (event["customer_id"], event["address"], event["locale"]) == (None, EMAIL, "en")
    code = newest_code(session)
    stored = str(session.execute(text("SELECT o::text FROM one_time_code AS o")).all()) + str(event)
    assert code not in stored
    typed = f" {code[:3].lower()}-{code[3:]} "
    response = api(shop_client).post("/auth/tokens", json={"email": EMAIL, "code": typed, "locale": "en"})
    assert response.status_code == 201
    tokens = response.json
    me = api(tokens["access_token"]).get("/me").json
    assert (me["id"], me["locale"]) == (tokens["customer_id"], "en")
    assert [(item["kind"], item["value"], item["assurance"]) for item in me["identities"]] == [
        ("email", EMAIL, "attested")
    ]
    now = clock.now()
    assert tokens["access_expires_at"] == (now + timedelta(minutes=15)).isoformat()
    assert tokens["refresh_expires_at"] == (now + timedelta(days=30)).isoformat()
    principal = queries.principal_by_token(session, token_hash=token_hash(tokens["access_token"]), now=now)
    assert principal is not None
    assert principal.channel == "app"
    assert api(tokens["refresh_token"]).get("/me").status_code == 401  # it buys tokens and opens nothing


def test_known_and_unknown_addresses_get_the_same_answer(api: Api, session: Session, shop_client: Actor) -> None:
    known = factories.customer(session, email=EMAIL)
    answers = [api(shop_client).post("/auth/codes", json={"email": email}) for email in (EMAIL, "nobody@example.com")]
    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[0].data == answers[1].data
    parties = session.execute(text("SELECT party_id FROM event WHERE type = 'LoginCodeRequested' ORDER BY seq"))
    assert list(parties.scalars()) == [known.id, None]
    assert log_in(api, session, shop_client)["customer_id"] == str(known.id)


def test_a_code_works_once(api: Api, session: Session, shop_client: Actor, unchanged: Unchanged) -> None:
    api(shop_client).post("/auth/codes", json={"email": EMAIL})
    body = {"email": EMAIL, "code": newest_code(session)}
    assert api(shop_client).post("/auth/tokens", json=body).status_code == 201
    with unchanged():
        again = api(shop_client).post("/auth/tokens", json=body)
    assert (again.status_code, again.json["code"]) == (401, "login_failed")


def test_five_wrong_codes_void_it(api: Api, session: Session, shop_client: Actor) -> None:
    api(shop_client).post("/auth/codes", json={"email": EMAIL})
    code = newest_code(session)
    typo = api(shop_client).post(
        "/auth/tokens", json={"email": EMAIL, "code": code[:-1] + ("2" if code[-1] != "2" else "3")}
    )
    assert (typo.status_code, typo.json["code"]) == (422, "invalid")
    assert session.execute(text("SELECT attempts FROM one_time_code")).scalar_one() == 0  # a typing error is free
    for _ in range(limits.CODE_ATTEMPTS):
        assert api(shop_client).post("/auth/tokens", json={"email": EMAIL, "code": wrong(code)}).status_code == 401
    assert session.execute(text("SELECT attempts FROM one_time_code")).scalar_one() == limits.CODE_ATTEMPTS
    right = api(shop_client).post("/auth/tokens", json={"email": EMAIL, "code": code})
    assert (right.status_code, right.json["code"]) == (401, "login_failed")
    assert session.execute(text("SELECT count(*) FROM customer")).scalar_one() == 0


def test_codes_expire_and_belong_to_their_address(api: Api, session: Session, shop_client: Actor) -> None:
    api(shop_client).post("/auth/codes", json={"email": EMAIL})
    code = newest_code(session)
    assert api(shop_client).post("/auth/tokens", json={"email": "other@example.com", "code": code}).status_code == 401
    with clock.shifted(timedelta(minutes=10)):
        assert api(shop_client).post("/auth/tokens", json={"email": EMAIL, "code": code}).status_code == 401
    api(shop_client).post("/auth/codes", json={"email": EMAIL})
    assert api(shop_client).post("/auth/tokens", json={"email": EMAIL, "code": code}).status_code == 401  # replaced
    assert api(shop_client).post("/auth/tokens", json={"email": EMAIL, "code": newest_code(session)}).status_code == 201


@pytest.mark.committed
def test_one_code_entered_twice_at_once_opens_one_session(api: Api, session: Session) -> None:
    client = factories.api_client(session, ["auth.customers"])
    api(client).post("/auth/codes", json={"email": EMAIL})
    body = {"email": EMAIL, "code": newest_code(session)}
    barrier = threading.Barrier(4)
    answers: list[int] = []

    def enter() -> None:
        barrier.wait(30)
        answers.append(api(client).post("/auth/tokens", json=body).status_code)

    threads = [threading.Thread(target=enter) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(answers) == [201, 401, 401, 401]
    assert session.execute(text("SELECT count(*) FROM customer")).scalar_one() == 1
    assert session.execute(text("SELECT count(*) FROM token WHERE kind = 'access'")).scalar_one() == 1


def test_codes_are_limited_per_address(api: Api, session: Session, shop_client: Actor, unchanged: Unchanged) -> None:
    for _ in range(limits.CODES_PER_ADDRESS_OF_CUSTOMER):
        assert api(shop_client).post("/auth/codes", json={"email": EMAIL}).status_code == 202
    with unchanged():
        blocked = api(shop_client).post("/auth/codes", json={"email": "Hanako@Example.com"})
    assert (blocked.status_code, blocked.json["code"]) == (429, "too_many_requests")
    assert api(shop_client).post("/auth/codes", json={"email": "other@example.com"}).status_code == 202


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "invalid"),
        ({"email": "broken"}, "identity_invalid"),
        ({"email": EMAIL, "phone": "09012345678"}, "invalid"),
        ({"phone": "09012345678"}, "no_code_by_phone"),
        ({"email": EMAIL, "locale": "fr"}, "invalid"),
    ],
)
def test_invalid_requests_for_codes(
    api: Api, shop_client: Actor, unchanged: Unchanged, body: dict[str, str], code: str
) -> None:
    with unchanged():
        asked = api(shop_client).post("/auth/codes", json=body)
        entered = api(shop_client).post("/auth/tokens", json=body | {"code": "222222"})
    assert (asked.status_code, asked.json["code"]) == (422, code)
    assert (entered.status_code, entered.json["code"]) == (422, code)


def test_refresh_tokens_rotate(api: Api, session: Session, shop_client: Actor) -> None:
    first = log_in(api, session, shop_client)
    with clock.shifted(timedelta(minutes=15)):
        assert api(first["access_token"]).get("/me").status_code == 401
        response = api(shop_client).post("/auth/tokens/refresh", json={"refresh_token": first["refresh_token"]})
        assert response.status_code == 201
        second = response.json
        assert second["customer_id"] == first["customer_id"]
        assert (
            len({first["access_token"], first["refresh_token"], second["access_token"], second["refresh_token"]}) == 4
        )
        assert api(second["access_token"]).get("/me").status_code == 200


def test_a_refresh_token_used_twice_ends_the_family_and_only_it(api: Api, session: Session, shop_client: Actor) -> None:
    first, elsewhere = log_in(api, session, shop_client), log_in(api, session, shop_client)
    refresh = {"refresh_token": first["refresh_token"]}
    second = api(shop_client).post("/auth/tokens/refresh", json=refresh).json
    stolen = api(shop_client).post("/auth/tokens/refresh", json=refresh)
    assert (stolen.status_code, stolen.json["code"]) == (401, "login_failed")
    for token in (first["access_token"], second["access_token"]):
        assert api(token).get("/me").status_code == 401
    again = api(shop_client).post("/auth/tokens/refresh", json={"refresh_token": second["refresh_token"]})
    assert again.status_code == 401
    assert api(elsewhere["access_token"]).get("/me").status_code == 200


def test_refresh_tokens_of_others_expired_or_made_up(
    api: Api, session: Session, shop_client: Actor, unchanged: Unchanged
) -> None:
    tokens = log_in(api, session, shop_client)
    other = factories.api_client(session, ["auth.customers"])
    refresh = {"refresh_token": tokens["refresh_token"]}
    with unchanged():
        statuses = [
            api(other).post("/auth/tokens/refresh", json=refresh).status_code,
            api(shop_client).post("/auth/tokens/refresh", json={"refresh_token": "cr_none"}).status_code,
            api(shop_client).post("/auth/tokens/refresh", json={"refresh_token": tokens["access_token"]}).status_code,
            api(shop_client).post("/auth/tokens/refresh", json={}).status_code,
        ]
        with clock.shifted(timedelta(days=30)):
            statuses.append(api(shop_client).post("/auth/tokens/refresh", json=refresh).status_code)
    assert statuses == [401, 401, 401, 422, 401]
    assert api(shop_client).post("/auth/tokens/refresh", json=refresh).status_code == 201


def test_a_customer_logs_out_with_all_her_tokens(api: Api, session: Session, shop_client: Actor) -> None:
    tokens = log_in(api, session, shop_client)
    assert api(tokens["access_token"]).delete("/auth/token").status_code == 204
    assert api(tokens["access_token"]).get("/me").status_code == 401
    again = api(shop_client).post("/auth/tokens/refresh", json={"refresh_token": tokens["refresh_token"]})
    assert again.status_code == 401


def test_an_api_key_is_not_logged_out(api: Api, shop_client: Actor, unchanged: Unchanged) -> None:
    with unchanged():
        assert api(shop_client).delete("/auth/token").status_code == 401


def test_who_may_not(api: Api, session: Session, unchanged: Unchanged) -> None:
    callers = [
        factories.api_client(session, ["catalog.read"]),
        factories.customer(session),
        factories.staff(session, "agent"),
    ]
    with unchanged():
        for path, body in (
            ("/auth/codes", {"email": EMAIL}),
            ("/auth/tokens", {"email": EMAIL, "code": "222222"}),
            ("/auth/tokens/refresh", {"refresh_token": "x"}),
        ):
            assert [api(caller).post(path, json=body).status_code for caller in callers] == [403, 403, 403]
            assert api().post(path, json=body).status_code == 401


def test_old_tokens_codes_and_attempts_are_tidied(api: Api, session: Session, shop_client: Actor) -> None:
    log_in(api, session, shop_client)
    api(shop_client).post("/auth/codes", json={"email": EMAIL})
    later = clock.now() + timedelta(days=limits.REFRESH_TOKEN_DAYS + limits.TOKENS_KEPT_DAYS, seconds=1)
    assert sessions.forget_old(session, now=clock.now()) == 0
    sessions.forget_old(session, now=later)
    left = session.execute(text("SELECT kind FROM token")).scalars().all()
    assert left == ["api_key"]
    assert session.execute(text("SELECT count(*) FROM one_time_code")).scalar_one() == 0
    assert session.execute(text("SELECT count(*) FROM rate_limit")).scalar_one() == 0
