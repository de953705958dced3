"""The API of points: each route's answer, its refusals, and who may see whose."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.orm import Session

from loyalty import ledger
from retail.kernel import db
from retail.kernel.ids import new_id
from tests import factories
from tests.loyalty.ledger_facts import ACTOR, customer_with, earn, lots_of, snapshot

DAY = timedelta(days=1)
Api = Callable[..., Any]


def moment(at: datetime) -> str:
    return at.isoformat()


def test_my_points(session: Session, now: datetime, api: Api) -> None:
    who, _ = customer_with(session, (200, now - 100 * DAY), (300, now - 10 * DAY))
    ledger.hold(session, customer_id=who.id, order_id=new_id(), points=50, actor=ACTOR, now=now)
    answer = api(who).get("/me/points")
    assert answer.status_code == 200
    assert answer.json == {
        "available": 450,
        "held": 50,
        "owed": 0,
        "pending": 0,
        "state": "active",
        "lots_open": 2,
        "next_expiry": {"points": 150, "at": moment(now + 265 * DAY)},
    }


def test_lots_that_run_out_together_are_one_expiry(session: Session, now: datetime, api: Api) -> None:
    who, _ = customer_with(session, (200, now), (300, now), (7, now + DAY))
    answer = api(who).get("/me/points")
    assert answer.json["next_expiry"] == {"points": 500, "at": moment(now + 365 * DAY)}
    assert (answer.json["available"], answer.json["lots_open"]) == (500, 2)


def test_a_customer_who_never_earned_has_zero(session: Session, api: Api) -> None:
    who = factories.customer(session)
    nothing = {
        "available": 0,
        "held": 0,
        "owed": 0,
        "lots_open": 0,
        "next_expiry": None,
        "pending": 0,
        "state": "active",
    }
    assert api(who).get("/me/points").json == nothing
    answer = api(who).get("/me/points/entries")
    assert (answer.status_code, answer.json) == (200, {"items": [], "next": None})


def test_my_entries_newest_first(session: Session, now: datetime, api: Api) -> None:
    who, order_id = factories.customer(session), new_id()
    earn(session, who.id, 200, now - DAY, order_id)
    [lot] = lots_of(session, who.id)
    ledger.hold(session, customer_id=who.id, order_id=order_id, points=50, actor=ACTOR, now=now)
    answer = api(who).get("/me/points/entries")
    assert answer.status_code == 200
    hold, earned = answer.json["items"]
    assert {key: hold[key] for key in hold if key != "id"} == {
        "kind": "hold",
        "order_id": str(order_id),
        "reason": "",
        "at": moment(now),
        "points": -50,
        "held": 50,
        "owed": 0,
        "entries": [
            {"account": "held", "points": 50, "lot_id": None},
            {"account": "member", "points": -50, "lot_id": str(lot)},
        ],
    }
    assert {key: earned[key] for key in earned if key != "id"} == {
        "kind": "earn",
        "order_id": str(order_id),
        "reason": "test",
        "at": moment(now - DAY),
        "points": 200,
        "held": 0,
        "owed": 0,
        "entries": [
            {"account": "issued", "points": -200, "lot_id": None},
            {"account": "member", "points": 200, "lot_id": str(lot)},
        ],
    }
    assert answer.json["next"] is None


def test_entries_are_pages_that_stay_put_while_others_are_written(session: Session, now: datetime, api: Api) -> None:
    who, _ = customer_with(session, (1, now), (2, now), (3, now), (4, now), (5, now))
    caller = api(who)
    first = caller.get("/me/points/entries?limit=2").json
    assert [item["points"] for item in first["items"]] == [5, 4]
    earn(session, who.id, 6, now)
    second = caller.get(f"/me/points/entries?limit=2&cursor={first['next']}").json
    assert [item["points"] for item in second["items"]] == [3, 2]
    third = caller.get(f"/me/points/entries?limit=2&cursor={second['next']}").json
    assert [item["points"] for item in third["items"]] == [1]
    assert third["next"] is None


def test_each_answer_costs_one_statement_beside_the_log_in(session: Session, now: datetime, api: Api) -> None:
    who, _ = customer_with(session, *[(points, now) for points in range(1, 30)])
    agent = factories.staff(session, "agent")
    for caller, path in (
        (who, "/me/points"),
        (who, "/me/points/entries"),
        (agent, f"/customers/{who.id}/points"),
        (agent, f"/customers/{who.id}/points/entries"),
    ):
        calling = api(caller)
        with db.counting() as count:
            assert calling.get(path).status_code == 200
        assert count.statements == 2, path


@pytest.mark.parametrize("role", ["associate", "manager", "agent", "supervisor", "analyst", "admin"])
def test_staff_read_a_customers_points(session: Session, now: datetime, api: Api, role: str) -> None:
    who, _ = customer_with(session, (200, now))
    calling = api(factories.staff(session, role))
    answer = calling.get(f"/customers/{who.id}/points")
    assert (answer.status_code, answer.json["available"]) == (200, 200)
    answer = calling.get(f"/customers/{who.id}/points/entries")
    assert [item["kind"] for item in answer.json["items"]] == ["earn"]


def test_a_client_reads_them_with_the_scope_and_not_without(session: Session, now: datetime, api: Api) -> None:
    who, _ = customer_with(session, (200, now))
    before = snapshot(session)
    may = factories.api_client(session, ["points.read"])
    may_not = factories.api_client(session, ["orders.read"])
    for path in (f"/customers/{who.id}/points", f"/customers/{who.id}/points/entries"):
        assert api(may).get(path).status_code == 200
        refused = api(may_not).get(path)
        assert (refused.status_code, refused.json["code"]) == (403, "forbidden")
    assert snapshot(session) == before


def test_a_customer_sees_her_own_alone(session: Session, now: datetime, api: Api) -> None:
    who, _ = customer_with(session, (200, now))
    other, _ = customer_with(session, (7, now))
    assert api(other).get("/me/points").json["available"] == 7
    assert [item["points"] for item in api(other).get("/me/points/entries").json["items"]] == [7]
    for path in (f"/customers/{who.id}/points", f"/customers/{who.id}/points/entries"):
        refused = api(other).get(path)
        assert (refused.status_code, refused.json["code"]) == (403, "forbidden")


@pytest.mark.parametrize("path", ["/me/points", "/me/points/entries"])
def test_my_points_are_a_customers(session: Session, api: Api, path: str) -> None:
    assert api().get(path).status_code == 401
    assert api("ct_made-up").get(path).status_code == 401
    assert api(factories.staff(session, "admin")).get(path).status_code == 403
    assert api(factories.api_client(session, ["me"])).get(path).status_code == 403


def test_an_unknown_customer_is_not_found(session: Session, api: Api) -> None:
    agent = api(factories.staff(session, "agent"))
    for path in (f"/customers/{new_id()}/points", f"/customers/{new_id()}/points/entries", "/customers/x/points"):
        answer = agent.get(path)
        assert (answer.status_code, answer.json["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("limit=0", "invalid"),
        ("limit=201", "invalid"),
        ("limit=many", "invalid"),
        ("color=red", "invalid"),
        ("cursor=made-up", "cursor_invalid"),
        ("cursor=WyJ4Il0", "cursor_invalid"),  # ["x"]
        ("cursor=W10", "cursor_invalid"),  # []
        ("cursor=WzFlOTlwMF0", "cursor_invalid"),
        ("cursor=Wzk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5XQ", "cursor_invalid"),  # a number no sequence reaches
    ],
)
def test_a_list_refuses_what_it_did_not_hand_out(
    session: Session, now: datetime, api: Api, query: str, code: str
) -> None:
    who, _ = customer_with(session, (200, now))
    agent = api(factories.staff(session, "agent"))
    for calling, path in ((api(who), "/me/points/entries"), (agent, f"/customers/{who.id}/points/entries")):
        answer = calling.get(f"{path}?{query}")
        assert (answer.status_code, answer.json["code"]) == (422, code)
