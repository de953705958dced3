"""Slots of pickups: within the hours, never more than the counter takes, and given back by whatever ends a pickup."""

from collections.abc import Callable
from datetime import date, time, timedelta
from typing import Any

from sqlalchemy.orm import Session

from retail.kernel import clock
from tests.factories import location, staff
from tests.factories.orders import Shop, pickup_body, shop, world

Api = Callable[..., Any]
TWO = "2026-07-01T05:00:00+00:00"  # 14:00 in Tokyo: when what is ordered at noon is ready
HALF_PAST = "2026-07-01T05:30:00+00:00"


def slotted(session: Session, api: Api, *, capacity: int = 2, minutes: int = 30) -> Shop:
    made = shop(session, units=50)
    boss = api(staff(session, "manager", locations=[made.store.id]))
    path = f"/locations/{made.store.code}/slot-policy"
    answer = boss.put(path, json={"minutes": minutes, "capacity": capacity}, headers={"If-Match": '"0"'})
    assert answer.status_code == 200, answer.json
    return made


def left(api: Api, made: Shop, at: str, on: str = "2026-07-01") -> int:
    slots = api(made.customer).get(f"/locations/{made.store.code}/pickup-slots?on={on}").json["items"]
    return next(int(one["left"]) for one in slots if one["starts_at"] == at)


def order(api: Api, made: Shop, key: str, at: str | None = TWO) -> Any:
    return api(made.customer).post("/orders", key=key, json=pickup_body(made) | ({} if at is None else {"slot_at": at}))


def test_slots_lie_within_the_hours(session: Session, api: Api) -> None:
    made = slotted(session, api, minutes=90)
    items = api(made.customer).get(f"/locations/{made.store.code}/pickup-slots").json["items"]
    tokyo = [time.fromisoformat(one["starts_at"][11:16]) for one in items]
    assert tokyo == [time(4), time(5, 30), time(7), time(8, 30)], "13:00 to 17:30 in Tokyo; half of one is none"
    assert {one["left"] for one in items} == {2}
    assert api(made.customer).get(f"/locations/{made.other.code}/pickup-slots").json["items"] == []


def test_a_holiday_and_the_end_of_summer_time(session: Session, api: Api) -> None:
    boss = api(staff(session, "admin"))
    place = location(session, zone="Europe/Berlin", holidays=[(date(2026, 10, 26), None, None)])
    boss.put(f"/locations/{place.code}/slot-policy", json={"minutes": 300, "capacity": 1}, headers={"If-Match": '"0"'})

    def starts(day: str) -> list[str]:
        items = boss.get(f"/locations/{place.code}/pickup-slots?on={day}").json["items"]
        return [one["starts_at"][11:16] for one in items]

    assert starts("2026-10-24") == ["08:00", "13:00"], "10:00 in summer"
    assert starts("2026-10-25") == ["09:00", "14:00"], "10:00 in winter"
    assert starts("2026-10-26") == []


def test_a_slot_takes_so_many_and_names_the_next(session: Session, api: Api) -> None:
    made = slotted(session, api)
    first = order(api, made, "one")
    assert (first.status_code, first.json["fulfillments"][0]["slot_at"]) == (201, TWO), first.json
    assert api(made.customer).get(f"/orders/{first.json['reference']}").json == first.json
    assert (order(api, made, "two").status_code, left(api, made, TWO)) == (201, 0)
    before = world(session)
    full = order(api, made, "three")
    assert (full.status_code, full.json["code"], full.json["free"][0]) == (409, "slot_full", HALF_PAST)
    assert world(session) == before
    assert order(api, made, "four", HALF_PAST).status_code == 201
    gone = api(made.customer).post(f"/orders/{first.json['reference']}/cancellation", key="off", json={})
    assert (gone.status_code, left(api, made, TWO)) == (200, 1)
    assert order(api, made, "five").status_code == 201


def test_what_is_no_slot(session: Session, api: Api) -> None:
    made = slotted(session, api)
    before = world(session)
    for at in ("2026-07-01T05:10:00Z", "2026-07-01T04:30:00Z", "2026-07-01T11:00:00Z", "2026-08-15T05:00:00Z"):
        answer = order(api, made, at, at)
        assert (answer.status_code, answer.json["code"]) == (422, "no_such_slot"), at
    other = pickup_body(made) | {"slot_at": TWO, "location": made.other.code}
    assert api(made.customer).post("/orders", key="other", json=other).status_code in (409, 422)
    till = staff(session, "associate", locations=[made.store.id])
    sale = pickup_body(made, method="cash") | {"method": "carry_out", "slot_at": TWO}
    assert api(till).post("/orders", key="till", json=sale).json["code"] == "no_such_slot"
    assert order(api, made, "zone", "2026-07-01T05:00:00").status_code == 422, "which zone?"
    assert world(session) == before


def test_another_slot_and_none(session: Session, api: Api) -> None:
    made = slotted(session, api, capacity=1)
    pickup = order(api, made, "one").json["fulfillments"][0]["id"]
    path = f"/pickups/{pickup}/slot"
    moved = api(made.customer).post(path, key="a", json={"slot_at": HALF_PAST})
    assert (moved.status_code, left(api, made, TWO), left(api, made, HALF_PAST)) == (200, 1, 0), moved.json
    second = order(api, made, "two")
    assert second.status_code == 201
    full = api(made.customer).post(path, key="b", json={"slot_at": TWO})
    assert (full.status_code, full.json["code"]) == (409, "slot_full")
    assert api(made.stranger).post(path, key="c", json={"slot_at": None}).status_code == 404
    assert api(made.web).post(path, key="d", json={"slot_at": None}).status_code == 403
    assert api(made.customer).post(path, key="e", json={"slot_at": "soon"}).status_code == 422
    free = api(made.associate).post(path, key="f", json={"slot_at": None})
    assert (free.status_code, left(api, made, HALF_PAST)) == (200, 1)
    api(made.customer).post(f"/orders/{free.json['reference']}/cancellation", key="off", json={})
    over = api(made.customer).post(path, key="g", json={"slot_at": HALF_PAST})
    assert (over.status_code, over.json["legal"]) == (409, [])


def test_who_sets_them(session: Session, api: Api) -> None:
    made = slotted(session, api)
    path, wanted = f"/locations/{made.store.code}/slot-policy", {"minutes": 15, "capacity": 3}
    boss = api(staff(session, "manager", locations=[made.store.id]))
    assert api(made.associate).put(path, json=wanted, headers={"If-Match": '"1"'}).status_code == 403
    other = api(staff(session, "manager", locations=[made.other.id]))
    assert other.put(path, json=wanted, headers={"If-Match": '"1"'}).status_code == 404
    assert boss.put(path, json=wanted | {"minutes": 4}, headers={"If-Match": '"1"'}).status_code == 422
    assert boss.put(path, json=wanted, headers={"If-Match": '"7"'}).status_code == 412
    assert boss.put("/locations/NOWHERE/slot-policy", json=wanted, headers={"If-Match": '"0"'}).status_code == 404
    assert boss.get(path).json == {"minutes": 30, "capacity": 2, "version": 1}
    assert boss.put(path, json=wanted, headers={"If-Match": '"1"'}).json["version"] == 2
    assert api(made.customer).get(f"/locations/{made.other.code}/slot-policy").json["version"] == 0
    nobody = api()
    assert nobody.get(path).status_code == 401
    assert nobody.get(f"/locations/{made.store.code}/pickup-slots").status_code == 401
    assert boss.get("/locations/NOWHERE/pickup-slots").status_code == 404
    assert boss.get("/locations/NOWHERE/slot-policy").status_code == 404


def test_no_show_gives_it_back(session: Session, api: Api) -> None:
    made = slotted(session, api, capacity=1)
    pickup = order(api, made, "one").json["fulfillments"][0]["id"]
    for step in ("picking", "ready"):
        api(made.associate).post(f"/pickups/{pickup}/{step}", key=step)
    assert left(api, made, TWO) == 0
    with clock.shifted(timedelta(days=12)):
        boss = api(staff(session, "manager", locations=[made.store.id]))
        assert boss.post(f"/pickups/{pickup}/expiry", key="x").status_code == 200
    assert left(api, made, TWO) == 1
