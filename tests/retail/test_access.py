"""Staff, API clients and keys over HTTP: nobody hands out more than she holds."""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from retail import limits, queries, staff
from retail.kernel import clock, db
from retail.kernel.auth import token_hash
from retail.kernel.ids import new_id
from retail.roles import GRANTABLE, ROLES
from tests import factories
from tests.factories import Actor

Api = Callable[..., Any]
Unchanged = Callable[[], AbstractContextManager[None]]

PASSWORD = "correct horse battery"


@pytest.fixture
def admin(session: Session) -> Actor:
    return factories.staff(session, "admin")


def new_staff(**change: Any) -> dict[str, Any]:
    return {"login": "taro", "name": "Taro", "password": PASSWORD, "role": "agent"} | change


def test_staff_are_added_changed_and_listed(api: Api, session: Session, admin: Actor) -> None:
    place = factories.location(session, code="S1")
    made = api(admin).post("/staff", json=new_staff(login="Taro.S", role="associate", locations=["S1", str(place.id)]))
    assert (made.status_code, made.headers["ETag"]) == (201, '"1"')
    person = made.json
    assert (person["login"], person["role"], person["active"], person["locale"]) == ("taro.s", "associate", True, "ja")
    assert [place["code"] for place in person["locations"]] == ["S1"]
    assert "password" not in made.text
    assert PASSWORD not in session.execute(text("SELECT password_hash FROM staff WHERE login = 'taro.s'")).scalar_one()
    assert api(admin).get(f"/staff/{person['id']}").json == person
    changed = api(admin).patch(f"/staff/{person['id']}", json={"role": "agent", "locations": []}, if_match=1)
    assert (changed.status_code, changed.json["role"], changed.json["locations"]) == (200, "agent", [])
    logins = [item["login"] for item in api(admin).get("/staff?role=agent").json["items"]]
    assert logins == ["taro.s"]
    assert len(api(admin).get("/staff").json["items"]) == 2
    first = api(admin).get("/staff?limit=1").json
    rest = api(admin).get(f"/staff?limit=1&cursor={first['next']}").json
    assert [item["login"] for item in (*first["items"], *rest["items"])] == sorted([admin.login, "taro.s"])
    assert PASSWORD not in str(session.execute(text("SELECT data FROM event")).all())


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({"password": "short"}, "invalid", "password"),
        ({"password": "x" * 201}, "invalid", "password"),
        ({"role": "king"}, "invalid", "role"),
        ({"login": "with space"}, "invalid", "login"),
        ({"role": "associate"}, "staff_invalid", "locations"),
        ({"locations": ["NOWHERE"]}, "location_unknown", "locations"),
    ],
)
def test_invalid_staff(
    api: Api, admin: Actor, unchanged: Unchanged, change: dict[str, Any], code: str, field: str
) -> None:
    with unchanged():
        response = api(admin).post("/staff", json=new_staff(**change))
    assert (response.status_code, response.json["code"]) == (422, code)
    assert [error["field"] for error in response.json["errors"]] == [field]


def test_staff_conflicts(api: Api, session: Session, admin: Actor, unchanged: Unchanged) -> None:
    other = factories.staff(session, "agent", login="taro")
    with unchanged():
        taken = api(admin).post("/staff", json=new_staff(login="TARO"))
        stale = api(admin).patch(f"/staff/{other.id}", json={"name": "X"}, if_match=2)
        bare = api(admin).patch(f"/staff/{other.id}", json={"name": "X"})
        missing = api(admin).patch(f"/staff/{new_id()}", json={"name": "X"}, if_match=1)
        bound = api(admin).patch(f"/staff/{other.id}", json={"role": "manager"}, if_match=1)
    assert (taken.status_code, taken.json["code"]) == (409, "login_taken")
    assert [response.status_code for response in (stale, bare, missing, bound)] == [412, 428, 404, 422]
    assert api(admin).get(f"/staff/{new_id()}").status_code == 404


def test_switching_off_ends_every_session_at_once(api: Api, session: Session, admin: Actor) -> None:
    agent = factories.staff(session, "agent")
    assert api(agent).get("/customers").status_code == 200
    off = api(admin).patch(f"/staff/{agent.id}", json={"active": False}, if_match=1)
    assert (off.status_code, off.json["active"]) == (200, False)
    assert api(agent).get("/customers").status_code == 401
    api(admin).patch(f"/staff/{agent.id}", json={"active": True}, if_match=2)
    assert api(agent).get("/customers").status_code == 401  # the old session stays ended


def test_a_new_password_ends_every_session(api: Api, session: Session, admin: Actor) -> None:
    agent = factories.staff(session, "agent")
    changed = api(admin).patch(f"/staff/{agent.id}", json={"password": PASSWORD}, if_match=1)
    assert changed.status_code == 200
    assert api(agent).get("/customers").status_code == 401
    assert api().post("/auth/staff-tokens", json={"login": agent.login, "password": PASSWORD}).status_code == 201


def test_the_last_admin_stays(api: Api, session: Session, admin: Actor, unchanged: Unchanged) -> None:
    for change in ({"active": False}, {"role": "agent"}):
        with unchanged():
            refused = api(admin).patch(f"/staff/{admin.id}", json=change, if_match=1)
        assert (refused.status_code, refused.json["code"]) == (409, "last_admin")
    factories.staff(session, "admin")
    assert api(admin).patch(f"/staff/{admin.id}", json={"active": False}, if_match=1).status_code == 200


@pytest.mark.committed
def test_two_admins_cannot_switch_each_other_off(session: Session) -> None:
    admins = [factories.staff(session, "admin") for _ in range(2)]
    barrier = threading.Barrier(2)
    outcomes: list[str] = []

    def switch_off(other: Actor) -> None:
        barrier.wait(30)
        try:
            with db.transaction() as inner:
                staff.update(
                    inner,
                    caller=staff.OPERATOR,
                    staff_id=other.id,
                    version=1,
                    changes={"active": False},
                    now=clock.now(),
                )
            outcomes.append("off")
        except staff.LastAdmin:
            outcomes.append("kept")

    threads = [threading.Thread(target=switch_off, args=(other,)) for other in admins]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(outcomes) == ["kept", "off"]
    assert session.execute(text("SELECT count(*) FROM staff WHERE active")).scalar_one() == 1


def test_nobody_hands_out_more_than_she_holds(api: Api, session: Session, unchanged: Unchanged) -> None:
    clerk = factories.api_client(session, ["staff.manage", "clients.manage", "catalog.read", *sorted(ROLES["analyst"])])
    chief = factories.staff(session, "admin")
    factories.staff(session, "admin")
    with unchanged():
        role = api(clerk).post("/staff", json=new_staff(role="admin"))
        raised = api(clerk).patch(f"/staff/{chief.id}", json={"password": PASSWORD}, if_match=1)
        scopes = api(clerk).post("/clients", json={"name": "x", "channel": "web", "scopes": ["orders.refund"]})
    assert [response.status_code for response in (role, raised, scopes)] == [403, 403, 403]
    assert api(clerk).post("/staff", json=new_staff(role="analyst")).status_code == 201
    strong = factories.api_client(session, ["orders.refund"])
    with unchanged():
        assert api(clerk).post(f"/clients/{strong.id}/keys", json={}).status_code == 403


def test_a_client_is_made_and_its_key_works_once_shown(api: Api, session: Session, admin: Actor) -> None:
    factories.location(session, code="S1")
    factories.channels(session)
    body = {
        "name": "Till 1",
        "channel": "store",
        "location": "S1",
        "scopes": ["till.sell", "catalog.read", "till.sell"],
    }
    made = api(admin).post("/clients", json=body)
    assert made.status_code == 201
    client = made.json
    assert (client["scopes"], client["location"]["code"], client["keys"]) == (["catalog.read", "till.sell"], "S1", [])
    issued = api(admin).post(f"/clients/{client['id']}/keys", json={})
    assert issued.status_code == 201
    key = issued.json["key"]
    assert (key[:3], issued.json["hint"]) == ("rk_", key[-4:])
    assert api(key).get("/products").status_code == 200
    assert api(key).get("/customers").status_code == 403
    shown = api(admin).get(f"/clients/{client['id']}")
    assert [(item["id"], item["hint"]) for item in shown.json["keys"]] == [(issued.json["id"], key[-4:])]
    stored = str(session.execute(text("SELECT token::text FROM token")).all())
    assert key not in shown.text + stored
    assert token_hash(key) in stored


def test_keys_rotate_with_an_overlap_and_are_revoked(
    api: Api, session: Session, admin: Actor, unchanged: Unchanged
) -> None:
    client = factories.api_client(session, ["catalog.read"])
    rotated = api(admin).post(f"/clients/{client.id}/keys", json={"overlap_hours": 24}).json
    assert api(client).get("/products").status_code == 200
    with clock.shifted(timedelta(hours=24)):
        assert api(client).get("/products").status_code == 401
        assert api(rotated["key"]).get("/products").status_code == 200
    path = f"/clients/{client.id}/keys/{rotated['id']}"
    other = factories.api_client(session)
    with unchanged():
        assert api(admin).delete(f"/clients/{other.id}/keys/{rotated['id']}").status_code == 404
    assert api(admin).delete(path).status_code == 204
    assert api(rotated["key"]).get("/products").status_code == 401
    with unchanged():
        assert api(admin).delete(path).status_code == 404


def test_a_client_has_few_keys(api: Api, session: Session, admin: Actor, unchanged: Unchanged) -> None:
    client = factories.api_client(session, ["catalog.read"])
    for _ in range(limits.KEYS_PER_CLIENT - 1):
        assert api(admin).post(f"/clients/{client.id}/keys", json={}).status_code == 201
    with unchanged():
        full = api(admin).post(f"/clients/{client.id}/keys", json={})
    assert (full.status_code, full.json["code"]) == (409, "too_many_keys")


def test_a_client_is_changed_and_switched_off_with_its_customers(
    api: Api, session: Session, admin: Actor, unchanged: Unchanged
) -> None:
    client = factories.api_client(session, ["catalog.read"], name="shop")
    factories.api_client(session, name="other")
    hanako = factories.customer(session)
    session.execute(
        text("UPDATE token SET client_id = :client WHERE customer_id = :customer"),
        {"client": client.id, "customer": hanako.id},
    )
    with unchanged():
        taken = api(admin).patch(f"/clients/{client.id}", json={"name": "other"}, if_match=1)
        stale = api(admin).patch(f"/clients/{client.id}", json={"name": "new"}, if_match=2)
        wrong = api(admin).patch(f"/clients/{client.id}", json={"scopes": ["everything"]}, if_match=1)
        mine = api(admin).patch(f"/clients/{client.id}", json={"scopes": ["me"]}, if_match=1)
        missing = api(admin).patch(f"/clients/{new_id()}", json={"name": "x"}, if_match=1)
    statuses = [response.status_code for response in (taken, stale, wrong, mine, missing)]
    assert statuses == [409, 412, 422, 422, 404]
    narrowed = api(admin).patch(f"/clients/{client.id}", json={"scopes": ["stores.read"]}, if_match=1)
    assert narrowed.json["scopes"] == ["stores.read"]
    assert api(client).get("/products").status_code == 403
    assert api(hanako).get("/me").status_code == 200
    off = api(admin).patch(f"/clients/{client.id}", json={"active": False}, if_match=2)
    assert (off.status_code, off.json["active"], off.json["keys"]) == (200, False, [])
    assert api(client).get("/locations").status_code == 401
    assert api(hanako).get("/me").status_code == 401
    with unchanged():
        refused = api(admin).post(f"/clients/{client.id}/keys", json={})
    assert (refused.status_code, refused.json["code"]) == (409, "client_off")


def test_clients_are_listed(api: Api, session: Session, admin: Actor, unchanged: Unchanged) -> None:
    for name in ("c", "a", "b"):
        factories.api_client(session, name=name)
    first = api(admin).get("/clients?limit=2").json
    rest = api(admin).get(f"/clients?limit=2&cursor={first['next']}").json
    assert [item["name"] for item in (*first["items"], *rest["items"])] == ["a", "b", "c"]
    with db.counting() as count:
        api(admin).get("/clients")
    assert count.statements == 2
    with unchanged():
        taken = api(admin).post("/clients", json={"name": "a", "channel": "web", "scopes": ["catalog.read"]})
        channel = api(admin).post("/clients", json={"name": "d", "channel": "fax", "scopes": ["catalog.read"]})
        place = api(admin).post("/clients", json={"name": "d", "channel": "web", "location": "X", "scopes": ["catalog.read"]})  # fmt: skip
        none = api(admin).post("/clients", json={"name": "d", "channel": "web", "scopes": []})
        hours = api(admin).post(f"/clients/{new_id()}/keys", json={"overlap_hours": 1000})
        gone = api(admin).post(f"/clients/{new_id()}/keys", json={})
    assert [(taken.status_code, taken.json["code"]), (channel.status_code, channel.json["code"])] == [
        (409, "client_name_taken"), (422, "client_invalid"),
    ]  # fmt: skip
    assert [response.status_code for response in (place, none, hours, gone)] == [422, 422, 422, 404]
    assert api(admin).get(f"/clients/{new_id()}").status_code == 404


def test_who_may_not(api: Api, session: Session, unchanged: Unchanged) -> None:
    person = factories.staff(session, "agent")
    client = factories.api_client(session, sorted(GRANTABLE - {"staff.manage", "clients.manage"}))
    calls = [
        ("GET", "/staff", None),
        ("GET", f"/staff/{person.id}", None),
        ("POST", "/staff", new_staff()),
        ("PATCH", f"/staff/{person.id}", {"name": "X"}),
        ("GET", "/clients", None),
        ("GET", f"/clients/{client.id}", None),
        ("POST", "/clients", {"name": "x", "channel": "web", "scopes": ["catalog.read"]}),
        ("PATCH", f"/clients/{client.id}", {"name": "X"}),
        ("POST", f"/clients/{client.id}/keys", {}),
        ("DELETE", f"/clients/{client.id}/keys/x", None),
    ]
    with unchanged():
        for method, path, body in calls:
            for caller in (api(person), api(client), api(client)):
                assert caller.request(method, path, json=body, if_match=1).status_code == 403, path
            assert api().request(method, path, json=body, if_match=1).status_code == 401


def test_principals_of_roles_that_are_bound(session: Session) -> None:
    here = factories.location(session)
    for role in ROLES:
        person = factories.staff(session, role, locations=[here.id])
        principal = queries.principal_by_token(session, token_hash=token_hash(person.token), now=clock.now())
        assert principal is not None
        assert principal.permissions == ROLES[role]
        assert (principal.locations is not None) == (role in ("associate", "manager"))
