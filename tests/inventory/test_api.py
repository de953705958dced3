"""Stock over HTTP: each route's happy answer, and each refusal with nothing changed."""

from collections.abc import Callable
from datetime import datetime
from typing import Any
from urllib.parse import quote

import pytest
from sqlalchemy.orm import Session

from inventory import reservations
from inventory.reservations import Demand
from retail.kernel import db
from retail.kernel.ids import new_id
from tests.factories import Place, Variant, api_client, customer, location, staff, variant
from tests.inventory.books import balanced, everything, level, receive, stocked

Api = Callable[..., Any]


@pytest.fixture
def pair(session: Session) -> tuple[Variant, Place]:
    return stocked(session, 5)


def receipt(place: Place, *lines: tuple[str, Any]) -> dict[str, Any]:
    return {"location": place.code, "lines": [{"sku": sku, "quantity": quantity} for sku, quantity in lines]}


def test_availability_for_whoever_may_read_stock(session: Session, api: Api, pair: tuple[Variant, Place]) -> None:
    tea, shop = pair
    for actor in (api_client(session), customer(session), staff(session, "agent")):
        with db.counting():
            answer = api(actor).get(f"/availability?sku={tea.sku}")
        assert answer.status_code == 200, answer.json
        (item,) = answer.json["items"]
        assert (item["sku"], item["variant_id"], item["available"]) == (tea.sku, str(tea.id), 5)
        assert item["locations"][0]["location"] == {
            "id": str(shop.id),
            "code": shop.code,
            "name": "Shibuya",
            "name_ja": "渋谷店",
        }
    at = api(api_client(session)).get(f"/availability?sku={tea.sku}&location={shop.code}&location={shop.id}")
    assert [entry["available"] for entry in at.json["items"][0]["locations"]] == [5]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("", "invalid"),
        ("sku=", "invalid"),
        ("sku=NOPE", "unknown_sku"),
        ("sku=" + "x" * 65, "invalid"),
        ("&".join(f"sku=S{number}" for number in range(101)), "invalid"),
        ("sku=TEA&shelf=3", "invalid"),
    ],
)
def test_availability_refuses(session: Session, api: Api, query: str, code: str) -> None:
    answer = api(api_client(session)).get(f"/availability?{query}")
    assert (answer.status_code, answer.json["code"]) == (422, code)


def test_availability_names_unknown_locations(session: Session, api: Api, pair: tuple[Variant, Place]) -> None:
    answer = api(api_client(session)).get(f"/availability?sku={pair[0].sku}&location=NOWHERE")
    assert (answer.status_code, answer.json["code"]) == (422, "unknown_location")
    assert answer.json["errors"] == [{"field": "location", "code": "unknown_location", "detail": "NOWHERE"}]


def test_nobody_and_the_unpermitted_see_nothing(session: Session, api: Api, pair: tuple[Variant, Place]) -> None:
    tea, shop = pair
    paths = [
        f"/availability?sku={tea.sku}",
        f"/stock?location={shop.code}",
        f"/stock/{shop.code}/{tea.sku}",
        f"/stock/movements?location={shop.code}&sku={tea.sku}",
    ]
    unpermitted = api_client(session, ["catalog.read"])
    for path in paths:
        assert api().get(path).status_code == 401
        assert api(unpermitted).get(path).status_code == 403
    for path in paths[1:]:
        assert api(customer(session)).get(path).status_code == 403, "the shop's books are not for customers"


def test_levels_are_listed_page_by_page(session: Session, api: Api) -> None:
    shop = location(session)
    made = [variant(session) for _ in range(5)]
    for tea in made:
        receive(session, tea, shop, 2)
    receive(session, made[0], location(session), 9)
    caller, seen, cursor = api(staff(session, "agent")), [], ""
    for _ in range(3):
        with db.counting() as count:
            page = caller.get(f"/stock?location={shop.code}&limit=2{cursor}").json
        assert count.statements <= 3
        seen += [item["sku"] for item in page["items"]]
        cursor = f"&cursor={page['next']}"
    assert page["next"] is None
    assert sorted(seen) == sorted(tea.sku for tea in made)
    assert caller.get("/stock").status_code == 422
    assert caller.get("/stock?location=NOWHERE").status_code == 404
    assert caller.get(f"/stock?location={shop.code}&cursor=bm9wZQ").json["code"] == "cursor_invalid"


def test_a_level_has_an_etag(session: Session, api: Api, pair: tuple[Variant, Place], now: datetime) -> None:
    tea, shop = pair
    caller = api(staff(session, "agent"))
    answer = caller.get(f"/stock/{shop.code}/{tea.sku}")
    assert answer.status_code == 200
    assert answer.headers["ETag"] == f'"{answer.json["version"]}"'
    assert {name: answer.json[name] for name in ("sku", "on_hand", "allocated", "held", "available", "safety")} == {
        "sku": tea.sku,
        "on_hand": 5,
        "allocated": 0,
        "held": 0,
        "available": 5,
        "safety": 0,
    }
    assert (
        caller.get(f"/stock/{shop.id}/{tea.sku}", headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304
    )
    assert caller.get(f"/stock/{shop.code}/NOPE").status_code == 404
    assert caller.get(f"/stock/NOWHERE/{tea.sku}").status_code == 404
    assert caller.get(f"/stock/{location(session).code}/{tea.sku}").status_code == 404
    odd = variant(session, sku="茶 50%+1")
    receive(session, odd, shop, 1)
    assert caller.get(f"/stock/{shop.code}/{quote(odd.sku)}").json["sku"] == odd.sku


def test_limits_are_edited_with_if_match(session: Session, api: Api, pair: tuple[Variant, Place]) -> None:
    tea, shop = pair
    caller, path = api(staff(session, "manager", locations=[shop.id])), f"/stock/{shop.code}/{tea.sku}"
    version = caller.get(path).json["version"]
    before = everything(session)
    assert caller.patch(path, json={"safety": 2}).status_code == 428
    assert caller.patch(path, json={"safety": 2}, if_match=version + 1).status_code == 412
    assert caller.patch(path, json={"safety": -1}, if_match=version).status_code == 422
    assert caller.patch(path, json={"on_hand": 9}, if_match=version).status_code == 422
    assert everything(session) == before
    answer = caller.patch(path, json={"safety": 2}, if_match=version)
    assert (answer.status_code, answer.json["safety"], answer.json["available"]) == (200, 2, 3)
    assert answer.headers["ETag"] == f'"{version + 1}"'


def test_a_receipt_is_received_once(session: Session, api: Api, pair: tuple[Variant, Place]) -> None:
    tea, shop = pair
    cup = variant(session)
    caller = api(staff(session, "manager", locations=[shop.id]))
    body = receipt(shop, (tea.sku, 2), (cup.sku, 1), (tea.sku, 1))
    answer = caller.post("/stock/receipts", json=body, key="D-1")
    assert answer.status_code == 201, answer.json
    assert answer.json["location"]["code"] == shop.code
    assert {item["sku"]: item["on_hand"] for item in answer.json["levels"]} == {tea.sku: 8, cup.sku: 1}
    after = everything(session)
    again = caller.post("/stock/receipts", json=body, key="D-1")
    assert (again.status_code, again.json, again.headers["Idempotent-Replayed"]) == (201, answer.json, "true")
    other = caller.post("/stock/receipts", json=receipt(shop, (tea.sku, 9)), key="D-1")
    assert (other.status_code, other.json["code"]) == (422, "idempotency_key_reused")
    assert everything(session) == after
    assert balanced(session)


def test_receipts_are_refused_whole(session: Session, api: Api, pair: tuple[Variant, Place]) -> None:
    tea, shop = pair
    elsewhere = location(session)
    manager = api(staff(session, "manager", locations=[shop.id]))
    before = everything(session)
    good = receipt(shop, (tea.sku, 1))
    refusals = [
        (api(), good, "k1", 401, "unauthorized"),
        (api(staff(session, "agent")), good, "k1", 403, "forbidden"),
        (api(customer(session)), good, "k1", 403, "forbidden"),
        (manager, receipt(elsewhere, (tea.sku, 1)), "k1", 404, "unknown_location"),
        (manager, good | {"location": "NOWHERE"}, "k1", 404, "unknown_location"),
        (manager, good, None, 400, "idempotency_key_missing"),
        (manager, receipt(shop), "k1", 422, "invalid"),
        (manager, receipt(shop, (tea.sku, 0)), "k1", 422, "invalid"),
        (manager, receipt(shop, (tea.sku, 1.5)), "k1", 422, "invalid"),
        (manager, receipt(shop, (tea.sku, 1_000_001)), "k1", 422, "invalid"),
        (manager, receipt(shop, *[(tea.sku, 1)] * 501), "k1", 422, "invalid"),
        (manager, receipt(shop, (tea.sku, 1), ("NOPE", 1), ("NEITHER", 1)), "k1", 422, "unknown_sku"),
    ]
    for caller, body, key, status, code in refusals:
        answer = caller.post("/stock/receipts", json=body, key=key)
        assert (answer.status_code, answer.json["code"]) == (status, code), answer.json
    assert [(error["line"], error["sku"]) for error in answer.json["errors"]] == [(2, "NOPE"), (3, "NEITHER")]
    assert everything(session) == before


def test_more_than_a_level_can_count_is_refused(session: Session, api: Api, pair: tuple[Variant, Place]) -> None:
    tea, shop = pair
    caller = api(staff(session, "admin"))
    lines = [(tea.sku, 1_000_000)] * 500
    for number in range(4):
        assert caller.post("/stock/receipts", json=receipt(shop, *lines), key=f"big-{number}").status_code == 201
    before = everything(session)
    answer = caller.post("/stock/receipts", json=receipt(shop, *lines), key="big-5")
    assert (answer.status_code, answer.json["code"]) == (422, "too_many_units")
    assert everything(session) == before


def adjustment(tea: Variant, shop: Place, delta: int, reason: str = "count") -> dict[str, Any]:
    return {"location": shop.code, "sku": tea.sku, "delta": delta, "reason": reason}


def test_an_adjustment_happens_once(session: Session, api: Api, pair: tuple[Variant, Place]) -> None:
    tea, shop = pair
    caller = api(staff(session, "manager", locations=[shop.id]))
    answer = caller.post("/stock/adjustments", json=adjustment(tea, shop, -2, "stolen"), key="A-1")
    assert (answer.status_code, answer.json["on_hand"], answer.json["available"]) == (201, 3, 3)
    again = caller.post("/stock/adjustments", json=adjustment(tea, shop, -2, "stolen"), key="A-1")
    assert (again.json, again.headers["Idempotent-Replayed"]) == (answer.json, "true")
    assert level(session, tea, shop) == (3, 0, 0, 0)
    assert balanced(session)


def test_adjustments_are_refused_whole(session: Session, api: Api, pair: tuple[Variant, Place], now: datetime) -> None:
    tea, shop = pair
    demands = [Demand(tea.id, shop.id, 4)]
    reservations.allocate(session, owner_id=new_id(), demands=demands, actor="system", now=now)
    manager = api(staff(session, "manager", locations=[shop.id]))
    other = api(staff(session, "manager", locations=[location(session).id]))
    before = everything(session)
    refusals = [
        (api(), adjustment(tea, shop, -1), 401, "unauthorized"),
        (api(staff(session, "associate", locations=[shop.id])), adjustment(tea, shop, -1), 403, "forbidden"),
        (other, adjustment(tea, shop, -1), 404, "unknown_location"),
        (manager, adjustment(tea, shop, 0), 422, "invalid"),
        (manager, adjustment(tea, shop, -1, "because"), 422, "invalid"),
        (manager, adjustment(tea, shop, 1, "lost"), 422, "reason_invalid"),
        (manager, adjustment(tea, shop, -1) | {"sku": "NOPE"}, 422, "unknown_sku"),
        (manager, adjustment(tea, shop, -6), 409, "below_promised"),
        (manager, adjustment(tea, shop, -2, "correction"), 409, "below_promised"),
    ]
    for caller, body, status, code in refusals:
        answer = caller.post("/stock/adjustments", json=body, key="A-1")
        assert (answer.status_code, answer.json["code"]) == (status, code), answer.json
    assert {name: answer.json[name] for name in ("on_hand", "allocated", "lowest_delta")} == {
        "on_hand": 5,
        "allocated": 4,
        "lowest_delta": -1,
    }
    assert everything(session) == before


def test_movements_newest_first_page_by_page(
    session: Session, api: Api, pair: tuple[Variant, Place], now: datetime
) -> None:
    tea, shop = pair
    order_id = new_id()
    reservations.allocate(session, owner_id=order_id, demands=[Demand(tea.id, shop.id, 4)], actor="client:x", now=now)
    reservations.release(session, owner_id=order_id, cause="cancel", actor="staff:y", now=now)
    caller, path = api(staff(session, "agent")), f"/stock/movements?location={shop.code}&sku={tea.sku}&limit=2"
    first = caller.get(path).json
    assert [
        (item["cause"], item["from_bucket"], item["to_bucket"], item["quantity"], item["actor"])
        for item in first["items"]
    ] == [
        ("cancel", "allocated", "available", 4, "staff:y"),
        ("allocate", "available", "allocated", 4, "client:x"),
    ]
    assert first["items"][0]["cause_id"] == str(order_id)
    second = caller.get(f"{path}&cursor={first['next']}").json
    assert [item["cause"] for item in second["items"]] == ["receive"]
    assert second["next"] is None
    assert caller.get(f"/stock/movements?location={shop.code}&sku=NOPE").status_code == 422
    assert caller.get(f"/stock/movements?location={shop.code}").status_code == 422
