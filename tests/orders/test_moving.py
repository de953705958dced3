"""A pickup goes to another store, and its allocation with it (FAILURES 7)."""

from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import reservations
from tests.factories import customer, location, staff
from tests.factories.orders import Shop, events, level, receive, shop, world
from tests.factories.shortfalls import Api, Picked, key, ordered, parts, picking, promises
from tests.inventory.books import balanced


@pytest.fixture
def made(session: Session) -> Shop:
    """The other store has five teas."""
    shop_made = shop(session, units=5)
    receive(session, shop_made.other, shop_made.tea, 5)
    return shop_made


def move(api: Api, caller: Any, picked: Picked, code: str, **headers: Any) -> Any:
    return api(caller).post(f"/pickups/{picked.pickup_id}/location", key=key(), json={"location": code})


def test_failure_7_moving_the_location_moves_the_allocation(session: Session, api: Api, made: Shop) -> None:
    picked = ordered(api, made)
    answer = move(api, made.customer, picked, made.other.code)
    assert answer.status_code == 200, answer.json
    (part,) = answer.json["fulfillments"]
    assert (part["location"]["code"], part["state"]) == (made.other.code, "allocated")
    assert part["ready_by"] is not None
    assert level(session, made.store, made.tea) == (5, 0, 0)
    assert level(session, made.other, made.tea) == (5, 3, 0)
    assert answer.json["total"] == picked.order["total"]
    assert events(session, "AllocationMoved", "PickupMoved") == ["AllocationMoved", "PickupMoved"]
    assert api(made.associate).get("/pickups").json["items"] == []
    counter = api(made.stranger)
    for step in ("picking", "ready"):
        assert counter.post(f"/pickups/{picked.pickup_id}/{step}", key=step).status_code == 200
    body = {"identity": "driving license", "tender": "cash"}
    assert counter.post(f"/pickups/{picked.pickup_id}/collection", key="collect", json=body).status_code == 200
    assert (level(session, made.store, made.tea), level(session, made.other, made.tea)) == ((5, 0, 0), (2, 0, 0))
    assert balanced(session)


def test_failure_7_without_the_allocation_both_stores_would_be_wrong(
    session: Session, api: Api, made: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The guard taken out: the pickup moves alone, and the new store hands over what it never promised."""
    monkeypatch.setattr(reservations, "move", lambda *_, **__: [])
    picked = ordered(api, made)
    assert move(api, made.customer, picked, made.other.code).status_code == 200
    assert (level(session, made.store, made.tea), level(session, made.other, made.tea)) == ((5, 3, 0), (5, 0, 0))


def test_the_old_counters_code_counts_no_more(session: Session, api: Api, made: Shop) -> None:
    picked = picking(api, made)
    counter = api(made.associate)
    assert counter.post(f"/pickups/{picked.pickup_id}/ready", key="ready").status_code == 200
    shown = api(made.customer).get(f"/me/orders/{picked.order['reference']}/pickup-code").json
    assert move(api, staff(session, "agent"), picked, made.other.code).status_code == 200
    assert parts(session, picked.id) == [("pickup", "allocated", 3, 0, 0, 0, 0)]
    body = {"code": shown["code"], "tender": "cash"}
    path = f"/pickups/{picked.pickup_id}/collection"
    assert counter.post(path, key="old", json=body).status_code == 404
    early = api(made.stranger).post(path, key="new", json=body)
    assert (early.status_code, early.json["code"]) == (409, "illegal_transition")
    assert api(made.customer).get(f"/me/orders/{picked.order['reference']}/pickup-code").status_code == 409


def test_what_is_missing_at_the_old_store_is_there_at_the_new_one(session: Session, api: Api, made: Shop) -> None:
    picked = picking(api, made)
    counter = api(made.associate)
    answer = counter.post(f"/pickups/{picked.pickup_id}/short", key=key(), json=picked.short(3))
    assert answer.json["fulfillment"]["state"] == "short"
    assert move(api, made.customer, picked, made.other.code).status_code == 200
    assert parts(session, picked.id) == [("pickup", "allocated", 3, 0, 0, 0, 0)]
    assert promises(session, picked.id) == [(made.other.code, "allocated", 3)]
    assert session.execute(text("SELECT state FROM shortfall")).scalars().all() == ["filled"]
    assert balanced(session)


def test_to_where_it_is_changes_nothing(session: Session, api: Api, made: Shop) -> None:
    picked = ordered(api, made)
    before = world(session) | {"idempotency_claim": 0}
    assert move(api, made.customer, picked, made.store.code).status_code == 200
    assert world(session) | {"idempotency_claim": 0} == before


def test_the_same_request_twice_is_once(session: Session, api: Api, made: Shop) -> None:
    picked = ordered(api, made)
    path, body = f"/pickups/{picked.pickup_id}/location", {"location": made.other.code}
    first = api(made.customer).post(path, key="one", json=body)
    again = api(made.customer).post(path, key="one", json=body)
    assert (again.json, again.headers["Idempotent-Replayed"]) == (first.json, "true")
    assert events(session, "PickupMoved") == ["PickupMoved"]


def test_what_cannot_be_there_stays(session: Session, api: Api, made: Shop) -> None:
    picked = ordered(api, made, quantity=5)
    depot = location(session, kind="warehouse", pickup_enabled=False)
    abroad = location(session, tax_region="DE")
    small = location(session)
    receive(session, small, made.tea, 4)
    before = world(session)
    for code, status, name in (
        (depot.code, 422, "no_pickup_there"),
        ("NOPE", 422, "no_pickup_there"),
        (abroad.code, 409, "tax_differs"),
        (small.code, 409, "out_of_stock"),
    ):
        answer = move(api, made.customer, picked, code)
        assert (answer.status_code, answer.json["code"]) == (status, name)
    assert api(made.customer).post(f"/pickups/{picked.pickup_id}/location", key=key(), json={}).status_code == 422
    assert world(session) == before


def test_whose_it_is_and_until_when(session: Session, api: Api, made: Shop) -> None:
    picked = picking(api, made)
    other = customer(session, email="jiro@example.com")
    before = world(session)
    assert move(api, other, picked, made.other.code).status_code == 404
    assert move(api, made.stranger, picked, made.other.code).status_code == 404
    late = move(api, made.customer, picked, made.other.code)
    assert (late.status_code, late.json["code"], late.json["legal"]) == (
        409,
        "illegal_transition",
        ["ready", "short", "cancelled"],
    )
    assert world(session) == before
    assert move(api, made.associate, picked, made.other.code).status_code == 200
