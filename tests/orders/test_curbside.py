"""She is before the store: once per visit, changed as she moves, refused while nothing is ready."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any

from sqlalchemy.orm import Session

from orders import curbside, queries
from retail import limits
from retail.kernel import clock
from retail.kernel.ids import new_id
from tests.conftest import NOW
from tests.factories import customer
from tests.factories.orders import Shop, events, pickup_body, ready_pickup, shop

Api = Callable[..., Any]
Unchanged = Callable[[], AbstractContextManager[None]]


def arrive(api: Api, caller: Any, pickup: str, **said: str) -> Any:
    return api(caller).post(f"/pickups/{pickup}/arrival", key=str(new_id()), json=said)


def placed(api: Api, made: Shop) -> dict[str, Any]:
    order: dict[str, Any] = api(made.customer).post("/orders", key=str(new_id()), json=pickup_body(made)).json
    return order


def test_once_per_visit_and_changed(session: Session, api: Api, unchanged: Unchanged) -> None:
    made = shop(session)
    pickup = ready_pickup(api, made, placed(api, made))
    here = arrive(api, made.customer, pickup, place="P3", vehicle="white Yaris")
    assert here.status_code == 200, here.json
    assert (here.json["place"], here.json["vehicle"]) == ("P3", "white Yaris")
    with clock.shifted(timedelta(minutes=7)):
        moved = arrive(api, made.customer, pickup, place="P9", vehicle="white Yaris")
        assert moved.json["arrived_at"] == here.json["arrived_at"], "since when does not change"
        assert moved.json["place"] == "P9"
    assert len(events(session, "PickupArrived")) == 2
    version = api(made.associate).get(f"/pickups/{pickup}").json["version"]
    assert arrive(api, made.customer, pickup, place="P9", vehicle="white Yaris").status_code == 200
    seen = api(made.associate).get(f"/pickups/{pickup}").json
    assert (seen["version"], seen["arrival"]["place"]) == (version, "P9"), "the same again is nothing"
    assert len(events(session, "PickupArrived")) == 2
    found = queries.list_pickups(session, limit=5, after=None)[0]
    assert curbside.minutes_waiting(found, NOW + timedelta(minutes=9)) == 9
    assert curbside.minutes_waiting(found, NOW + timedelta(hours=limits.VISIT_HOURS, minutes=1)) is None
    with clock.shifted(timedelta(hours=limits.VISIT_HOURS, minutes=1)):
        assert arrive(api, made.customer, pickup).json["arrived_at"] > here.json["arrived_at"], "another visit"
        assert [one["id"] for one in api(made.associate).get("/pickups?here=true").json["items"]] == [pickup]
    with clock.shifted(timedelta(hours=2 * limits.VISIT_HOURS, minutes=2)):
        assert api(made.associate).get("/pickups?here=true").json["items"] == [], "she has gone"
    assert api(made.stranger).get("/pickups?here=true").json["items"] == []
    body = {"identity": "driving license", "tender": "cash"}
    done = api(made.associate).post(f"/pickups/{pickup}/collection", key="c", json=body)
    assert done.json["arrival"] is None
    with unchanged():
        late = arrive(api, made.customer, pickup)
        assert (late.status_code, late.json["legal"]) == (409, [])


def test_refused(session: Session, api: Api, unchanged: Unchanged) -> None:
    made = shop(session)
    pickup, jiro = placed(api, made)["fulfillments"][0]["id"], customer(session, name="Jiro")
    with unchanged():
        early = arrive(api, made.customer, pickup, place="P3")
        assert (early.status_code, early.json["code"]) == (409, "illegal_transition")
        assert (early.json["state"], early.json["legal"]) == ("allocated", ["picking", "short", "cancelled"])
        assert arrive(api, jiro, pickup).status_code == 404
        assert arrive(api, made.stranger, pickup).status_code == 404
        assert arrive(api, made.web, pickup).status_code == 403
        assert arrive(api, made.customer, str(new_id())).status_code == 404
        assert arrive(api, made.customer, pickup, place="x" * 101).status_code == 422
