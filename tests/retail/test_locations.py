"""Stores and warehouses over HTTP."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import date, time
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from retail.kernel import db
from tests import factories
from tests.factories import Actor

Api = Callable[..., Any]
Unchanged = Callable[[], AbstractContextManager[None]]

NEW = {"code": "UENO", "kind": "store", "name": "Ueno", "name_ja": "上野店", "zone": "Asia/Tokyo", "tax_region": "JP"}


@pytest.fixture
def admin(session: Session) -> Actor:
    factories.taxes(session)
    return factories.staff(session, "admin")


def test_a_location_is_opened_with_hours(api: Api, admin: Actor) -> None:
    hours = [{"weekday": 0, "opens": "10:00:00", "closes": "20:00:00"}]
    made = api(admin).post("/locations", json=NEW | {"hours": hours, "pickup_enabled": True})
    assert (made.status_code, made.headers["ETag"]) == (201, '"1"')
    shown = made.json
    assert {name: shown[name] for name in NEW} == NEW
    assert (shown["hours"], shown["holidays"], shown["pickup_lead_minutes"]) == (hours, [], 120)
    assert api(admin).get("/locations/UENO").json == shown
    assert api(admin).get(f"/locations/{shown['id']}").json == shown


def test_hours_and_holidays_are_replaced_whole(api: Api, session: Session, admin: Actor) -> None:
    place = factories.location(session, code="S1", holidays=[(date(2026, 8, 1), None, None)])
    body = {
        "hours": [
            {"weekday": 6, "opens": "13:00:00", "closes": "17:30:00"},
            {"weekday": 6, "opens": "10:00:00", "closes": "13:00:00"},
        ],
        "holidays": [
            {"on_day": "2027-01-01", "name": "元日"},
            {"on_day": "2026-12-31", "opens": "10:00:00", "closes": "15:00:00"},
        ],
        "pickup_lead_minutes": 45,
    }
    changed = api(admin).patch("/locations/S1", json=body, if_match=1)
    assert (changed.status_code, changed.json["version"], changed.json["pickup_lead_minutes"]) == (200, 2, 45)
    assert changed.json["hours"] == body["hours"][::-1]
    assert changed.json["holidays"] == [
        {"on_day": "2026-12-31", "opens": "10:00:00", "closes": "15:00:00", "name": ""},
        {"on_day": "2027-01-01", "opens": None, "closes": None, "name": "元日"},
    ]
    kept = api(admin).patch("/locations/S1", json={"name": "New name"}, if_match=2).json
    assert (kept["hours"], kept["holidays"]) == (changed.json["hours"], changed.json["holidays"])
    events = session.execute(text("SELECT data FROM event ORDER BY seq")).scalars().all()
    assert [event["fields"] for event in events] == [["holidays", "hours", "pickup_lead_minutes"], ["name"]]
    assert events[0]["location_id"] == str(place.id)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"zone": "Tokyo"}, "zone"),
        ({"tax_region": "DE"}, "tax_region"),
        ({"pickup_lead_minutes": -1}, "pickup_lead_minutes"),
        ({"pickup_keep_days": 61}, "pickup_keep_days"),
        ({"capture_at": "never"}, "capture_at"),
        ({"code": "OTHER"}, "code"),  # a code is for good
        ({"hours": [{"weekday": 7, "opens": "10:00", "closes": "11:00"}]}, "hours.0.weekday"),
        ({"hours": [{"weekday": 0, "opens": "11:00", "closes": "11:00"}]}, "hours.0.closes"),
        ({"hours": [{"weekday": 0, "opens": "10:00Z", "closes": "11:00Z"}]}, "hours.0"),
        (
            {"hours": [{"weekday": 0, "opens": "10:00", "closes": "12:00"}, {"weekday": 0, "opens": "11:00", "closes": "13:00"}]},
            "hours.1",
        ),
        ({"holidays": [{"on_day": "2026-02-30"}]}, "holidays.0.on_day"),
        ({"holidays": [{"on_day": "2026-01-01", "opens": "10:00"}]}, "holidays.0"),
        ({"holidays": [{"on_day": "2026-01-01"}, {"on_day": "2026-01-01"}]}, "holidays.1"),
        ({}, ""),
    ],
)  # fmt: skip
def test_facts_that_cannot_be(
    api: Api, session: Session, admin: Actor, unchanged: Unchanged, change: dict[str, Any], field: str
) -> None:
    factories.location(session, code="S1")
    with unchanged():
        response = api(admin).patch("/locations/S1", json=change, if_match=1)
    assert response.status_code == 422
    assert [error["field"] for error in response.json["errors"]] == [field]


def test_conflicts(api: Api, session: Session, admin: Actor, unchanged: Unchanged) -> None:
    factories.location(session, code="UENO")
    with unchanged():
        taken = api(admin).post("/locations", json=NEW)
        stale = api(admin).patch("/locations/UENO", json={"name": "X"}, if_match=7)
        bare = api(admin).patch("/locations/UENO", json={"name": "X"})
        missing = api(admin).patch("/locations/NONE", json={"name": "X"}, if_match=1)
    assert (taken.status_code, taken.json["code"]) == (409, "location_code_taken")
    assert [stale.status_code, bare.status_code, missing.status_code] == [412, 428, 404]
    assert api(admin).get("/locations/NONE").status_code == 404


def test_lists(api: Api, session: Session, admin: Actor) -> None:
    factories.location(session, code="B", hours=[(0, time(9), time(10))])
    factories.location(session, code="A", kind="warehouse", pickup_enabled=False)
    factories.location(session, code="C", pickup_enabled=False)

    def codes(query: str = "") -> list[str]:
        return [item["code"] for item in api(admin).get(f"/locations{query}").json["items"]]

    assert codes() == ["A", "B", "C"]
    assert codes("?kind=store") == ["B", "C"]
    assert codes("?pickup=true") == ["B"]
    assert codes("?kind=store&pickup=false") == ["C"]
    first = api(admin).get("/locations?limit=2").json
    assert codes(f"?limit=2&cursor={first['next']}") == ["C"]
    with db.counting() as count:
        codes()
    assert count.statements == 2
    assert api(admin).get("/locations?kind=tent").status_code == 422


def test_who_may_not(api: Api, session: Session, unchanged: Unchanged) -> None:
    place = factories.location(session, code="S1")
    manager = factories.staff(session, "manager", locations=[place.id])
    customer = factories.customer(session)
    with unchanged():
        for caller in (api(manager), api(customer)):
            assert caller.post("/locations", json=NEW).status_code == 403
            assert caller.patch("/locations/S1", json={"name": "X"}, if_match=1).status_code == 403
        assert api().patch("/locations/S1", json={"name": "X"}, if_match=1).status_code == 401
    assert api(manager).get("/locations/S1").status_code == 200
    assert api(factories.api_client(session, ["stock.read"])).get("/locations").status_code == 403
    assert api().get("/locations").status_code == 401
