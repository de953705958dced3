"""What stores do with stock, over HTTP: limits, set aside, restore, write off, open levels, lists with filters."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import reservations
from inventory.reservations import Demand
from retail.kernel import db
from retail.kernel.ids import new_id
from tests.factories import Place, Variant, api_client, customer, location, staff, variant
from tests.inventory.books import balanced, everything, level, limit, receive, stocked

Api = Callable[..., Any]
Unchanged = Callable[[], AbstractContextManager[None]]


@pytest.fixture
def pair(session: Session) -> tuple[Variant, Place]:
    return stocked(session, 5)


def barcode(session: Session, made: Variant, gtin: str = "04901234567894") -> str:
    session.execute(
        text("INSERT INTO barcode (gtin, variant_id, created_at) VALUES (:g, :v, now())"), {"g": gtin, "v": made.id}
    )
    return gtin.lstrip("0")


def promise(session: Session, made: Variant, place: Place, quantity: int, now: datetime) -> None:
    demands = [Demand(made.id, place.id, quantity, new_id())]
    reservations.allocate(session, owner_id=new_id(), demands=demands, actor="system", now=now)


def work(tea: Variant, shop: Place, quantity: int, **more: Any) -> dict[str, Any]:
    return {"location": shop.code, "sku": tea.sku, "quantity": quantity} | more


def bundle_of(session: Session, part: Variant) -> Variant:
    made = variant(session)
    values = {"b": made.id, "c": part.id}
    session.execute(text("INSERT INTO bundle_component (bundle_id, component_id, quantity) VALUES (:b, :c, 2)"), values)
    return made


# --- Limits


def test_limits_are_set_and_given_back_to_the_rules(session: Session, api: Api, pair: tuple[Variant, Place]) -> None:
    tea, shop = pair
    caller, path = api(staff(session, "manager", locations=[shop.id])), f"/stock/{shop.code}/{tea.sku}"
    wanted = {"safety": 2, "backorder_limit": 3, "low_stock_threshold": 1, "shelf": " A-12 "}
    answer = caller.patch(path, json=wanted, if_match=1)
    assert answer.status_code == 200, answer.json
    assert {name: answer.json[name] for name in (*wanted, "safety_by_hand", "backordered", "available")} == wanted | {
        "shelf": "A-12",
        "safety_by_hand": True,
        "backordered": 0,
        "available": 3,
    }
    assert answer.headers["ETag"] == '"2"'
    again = caller.patch(path, json=wanted, if_match=2)
    assert (again.status_code, again.headers["ETag"]) == (200, '"2"'), "what is set already changes nothing"
    back = caller.patch(path, json={"safety": None, "low_stock_threshold": None, "shelf": None}, if_match=2)
    assert (back.json["safety"], back.json["safety_by_hand"], back.json["available"]) == (0, False, 5)
    assert (back.json["low_stock_threshold"], back.json["shelf"], back.json["backorder_limit"]) == (None, None, 3)
    moved = caller.get(f"/stock/movements?location={shop.code}&sku={tea.sku}&limit=1").json["items"][0]
    assert (moved["cause"], moved["quantity"]) == ("limits", 0)
    assert moved["reason"] == "safety 2 (by hand) -> 0 (by rule), low_stock_threshold 1 -> none, shelf A-12 -> none"
    assert balanced(session)


def test_limits_are_refused_whole(
    session: Session, api: Api, pair: tuple[Variant, Place], now: datetime, unchanged: Unchanged
) -> None:
    tea, shop = pair
    limit(session, tea, shop, backorder_limit=4)
    promise(session, tea, shop, 7, now)
    manager = api(staff(session, "manager", locations=[shop.id]))
    elsewhere = api(staff(session, "manager", locations=[location(session).id]))
    refusals = [
        (api(), {"safety": 1}, 2, 401, "unauthorized"),
        (api(staff(session, "associate", locations=[shop.id])), {"safety": 1}, 2, 403, "forbidden"),
        (elsewhere, {"safety": 1}, 2, 404, "unknown_location"),
        (manager, {"safety": 1}, None, 428, "precondition_required"),
        (manager, {"safety": 1}, 1, 412, "stale"),
        (manager, {}, 2, 422, "invalid"),
        (manager, {"safety": -1}, 2, 422, "invalid"),
        (manager, {"safety": 1.5}, 2, 422, "invalid"),
        (manager, {"backorder_limit": None}, 2, 422, "invalid"),
        (manager, {"backorder_limit": 1_000_001}, 2, 422, "invalid"),
        (manager, {"shelf": "x" * 51}, 2, 422, "invalid"),
        (manager, {"shelf": "a\nb"}, 2, 422, "invalid"),
        (manager, {"version": 9}, 2, 422, "invalid"),
        (manager, {"backorder_limit": 1}, 2, 409, "below_promised"),
    ]
    answer: Any = None
    with unchanged():
        for caller, body, version, status, code in refusals:
            answer = caller.patch(f"/stock/{shop.code}/{tea.sku}", json=body, if_match=version)
            assert (answer.status_code, answer.json["code"]) == (status, code), (body, answer.json)
        assert answer.json["lowest_backorder_limit"] == 2
        assert manager.patch(f"/stock/{shop.code}/NOPE", json={"safety": 1}, if_match=1).status_code == 404


# --- Lists


def test_levels_are_filtered(session: Session, api: Api) -> None:
    shop = location(session)
    oolong, sencha, cup = (
        variant(session, title="Oolong", title_ja="烏龍茶", sku="T-1"),
        variant(session, title="Sencha 100%", title_ja="煎茶", sku="T-2"),
        variant(session, title="Cup", title_ja="湯呑", sku="C-1"),
    )
    for made in (oolong, sencha, cup):
        receive(session, made, shop, 5)
    set_to = text("UPDATE stock_level SET shelf = :s, low_stock_threshold = :t, safety = 1 WHERE variant_id = :v")
    session.execute(set_to, {"s": "A-1", "t": 4, "v": oolong.id})
    session.execute(set_to, {"s": "A-1", "t": 3, "v": sencha.id})
    caller, path = api(staff(session, "analyst")), f"/stock?location={shop.code}"

    def skus(query: str) -> list[str]:
        with db.counting() as count:
            found = caller.get(path + query)
        assert (found.status_code, count.statements <= 3) == (200, True)
        return sorted(item["sku"] for item in found.json["items"])

    assert skus("") == ["C-1", "T-1", "T-2"]
    assert skus("&shelf=A-1") == ["T-1", "T-2"]
    assert skus("&shelf=A") == []
    assert skus("&low=1") == ["T-1"], "4 left of it, its threshold is 4"
    assert skus("&low=0") == ["C-1", "T-1", "T-2"]
    assert (skus("&q=t-"), skus("&q=茶"), skus("&q=100%25"), skus("&q=%25")) == (
        ["T-1", "T-2"],
        ["T-1", "T-2"],
        ["T-2"],
        ["T-2"],
    )
    assert skus("&shelf=A-1&q=oolong&low=1") == ["T-1"]
    for wrong in ("&low=maybe", "&shelf=", "&q=", "&color=red", "&limit=0"):
        assert caller.get(path + wrong).status_code == 422, wrong


# --- Opening levels


def test_levels_are_opened_so_that_limits_can_be_set(session: Session, api: Api, pair: tuple[Variant, Place]) -> None:
    tea, shop = pair
    cup = variant(session)
    caller = api(staff(session, "manager", locations=[shop.id]))
    body = {"location": shop.code, "skus": [tea.sku, cup.sku]}
    answer = caller.post("/stock/levels", json=body)
    assert answer.status_code == 201, answer.json
    assert {item["sku"]: item["on_hand"] for item in answer.json["levels"]} == {tea.sku: 5, cup.sku: 0}
    patched = caller.patch(f"/stock/{shop.code}/{cup.sku}", json={"backorder_limit": 5}, if_match=1)
    assert (patched.status_code, patched.json["backorder_limit"]) == (200, 5)
    before = everything(session)
    assert caller.post("/stock/levels", json=body).status_code == 201
    assert everything(session) == before, "twice is once"


def test_opening_levels_is_refused_whole(
    session: Session, api: Api, pair: tuple[Variant, Place], unchanged: Unchanged
) -> None:
    tea, shop = pair
    cup, gift = variant(session), bundle_of(session, tea)
    manager = api(staff(session, "manager", locations=[shop.id]))
    good = {"location": shop.code, "skus": [cup.sku]}
    refusals = [
        (api(), good, 401, "unauthorized"),
        (api(staff(session, "associate", locations=[shop.id])), good, 403, "forbidden"),
        (manager, good | {"location": location(session).code}, 404, "unknown_location"),
        (manager, good | {"skus": []}, 422, "invalid"),
        (manager, good | {"skus": [cup.sku] * 501}, 422, "invalid"),
        (manager, good | {"skus": [cup.sku, "NOPE"]}, 422, "unknown_sku"),
        (manager, good | {"skus": [cup.sku, gift.sku]}, 422, "bundle_has_no_stock"),
    ]
    answer: Any = None
    with unchanged():
        for caller, body, status, code in refusals:
            answer = caller.post("/stock/levels", json=body)
            assert (answer.status_code, answer.json["code"]) == (status, code), answer.json
    assert answer.json["errors"] == [{"line": 2, "sku": gift.sku, "code": "bundle_has_no_stock", "detail": gift.sku}]


# --- Receipts, by those who work in the store


def test_an_associate_receives_by_barcode_also_what_came_in_broken(
    session: Session, api: Api, pair: tuple[Variant, Place]
) -> None:
    tea, shop = pair
    scanned = barcode(session, tea)
    caller = api(staff(session, "associate", locations=[shop.id]))
    lines = [{"barcode": scanned, "quantity": 2}, {"sku": tea.sku, "quantity": 1}]
    answer = caller.post("/stock/receipts", json={"location": shop.code, "lines": lines}, key="D-1")
    assert answer.status_code == 201, answer.json
    assert [(item["sku"], item["on_hand"]) for item in answer.json["levels"]] == [(tea.sku, 8)]
    broken = {"location": shop.code, "lines": lines[:1], "bucket": "unavailable"}
    answer = caller.post("/stock/receipts", json=broken, key="D-2")
    assert [(item["on_hand"], item["unavailable"], item["available"]) for item in answer.json["levels"]] == [(10, 2, 8)]
    before = everything(session)
    wrong: list[tuple[dict[str, Any], int, str]] = [
        ({"lines": [{"barcode": "4901234567895", "quantity": 1}]}, 422, "unknown_goods"),
        ({"lines": [{"barcode": "4006381333931", "quantity": 1}]}, 422, "unknown_goods"),
        ({"lines": [{"barcode": scanned, "sku": tea.sku, "quantity": 1}]}, 422, "invalid"),
        ({"lines": [{"quantity": 1}]}, 422, "invalid"),
        ({"lines": lines, "bucket": "held"}, 422, "invalid"),
        ({"lines": [{"sku": bundle_of(session, tea).sku, "quantity": 1}]}, 422, "bundle_has_no_stock"),
    ]
    for body, status, code in wrong:
        answer = caller.post("/stock/receipts", json={"location": shop.code} | body, key="D-3")
        assert (answer.status_code, answer.json["code"]) == (status, code), answer.json
    assert everything(session) == before
    assert balanced(session)


def test_a_count_below_what_is_promised_is_recorded_over_http(
    session: Session, api: Api, pair: tuple[Variant, Place], now: datetime
) -> None:
    tea, shop = pair
    promise(session, tea, shop, 4, now)
    caller = api(staff(session, "manager", locations=[shop.id]))
    body = {"location": shop.code, "sku": tea.sku, "delta": -3, "reason": "count"}
    answer = caller.post("/stock/adjustments", json=body, key="A-1")
    assert (answer.status_code, answer.json["on_hand"], answer.json["allocated"]) == (201, 2, 2)
    states = session.execute(text("SELECT state, quantity FROM reservation ORDER BY state")).all()
    assert [tuple(row) for row in states] == [("allocated", 2), ("short", 2)]
    again = caller.post("/stock/adjustments", json=body, key="A-1")
    assert (again.json, again.headers["Idempotent-Replayed"]) == (answer.json, "true")
    assert level(session, tea, shop) == (2, 2, 0, 0)
    assert balanced(session)


# --- Set aside, restore, write off


def test_set_aside_restore_and_write_off(session: Session, api: Api, pair: tuple[Variant, Place]) -> None:
    tea, shop = pair
    associate = api(staff(session, "associate", locations=[shop.id]))
    manager = api(staff(session, "manager", locations=[shop.id]))
    body = work(tea, shop, 4, reason="inspection")
    aside = associate.post("/stock/set-asides", json=body, key="S-1")
    assert aside.status_code == 201, aside.json
    assert (aside.json["on_hand"], aside.json["unavailable"], aside.json["available"]) == (5, 4, 1)
    again = associate.post("/stock/set-asides", json=body, key="S-1")
    assert (again.json, again.headers["Idempotent-Replayed"]) == (aside.json, "true")
    scanned = {"location": shop.code, "barcode": barcode(session, tea), "quantity": 1}
    restored = associate.post("/stock/restorations", json=scanned, key="R-1")
    assert (restored.status_code, restored.json["unavailable"], restored.json["available"]) == (201, 3, 2)
    gone = manager.post("/stock/write-offs", json=work(tea, shop, 2), key="W-1")
    assert (gone.status_code, gone.json["on_hand"], gone.json["unavailable"], gone.json["available"]) == (201, 3, 1, 2)
    for path, sent, key in (
        ("restorations", scanned, "R-1"),
        ("write-offs", work(tea, shop, 2), "W-1"),
    ):
        assert manager.post(f"/stock/{path}", json=sent, key=key + "x").status_code in (201, 409)
    assert balanced(session)


@pytest.mark.parametrize("path", ["set-asides", "restorations", "write-offs"])
def test_each_is_refused_whole(
    session: Session, api: Api, pair: tuple[Variant, Place], now: datetime, unchanged: Unchanged, path: str
) -> None:
    tea, shop = pair
    promise(session, tea, shop, 4, now)
    more = {"reason": "inspection"} if path == "set-asides" else {}
    manager = api(staff(session, "manager", locations=[shop.id]))
    elsewhere = api(staff(session, "manager", locations=[location(session).id]))
    lesser = staff(session, "associate", locations=[shop.id]) if path == "write-offs" else staff(session, "agent")
    good = work(tea, shop, 1, **more)
    refusals = [
        (api(), good, "k", 401, "unauthorized"),
        (api(lesser), good, "k", 403, "forbidden"),
        (api(customer(session)), good, "k", 403, "forbidden"),
        (api(api_client(session, ["stock.read"])), good, "k", 403, "forbidden"),
        (elsewhere, good, "k", 404, "unknown_location"),
        (manager, good, None, 400, "idempotency_key_missing"),
        (manager, good | {"quantity": 0}, "k", 422, "invalid"),
        (manager, good | {"quantity": 1_000_001}, "k", 422, "invalid"),
        (manager, good | {"quantity": "1"}, "k", 422, "invalid"),
        (manager, good | {"sku": "NOPE"}, "k", 422, "unknown_sku"),
        (manager, good | {"sku": bundle_of(session, tea).sku}, "k", 422, "bundle_has_no_stock"),
        (manager, good | {"reason": "ugly"}, "k", 422, "invalid"),
        (manager, good | {"sku": variant(session).sku}, "k", 404, "not_found"),
        (manager, good | {"quantity": 2}, "k", 409, "below_promised" if more else "not_set_aside"),
    ]
    answer: Any = None
    with unchanged():
        for caller, body, key, status, code in refusals:
            answer = caller.post(f"/stock/{path}", json=body, key=key)
            assert (answer.status_code, answer.json["code"]) == (status, code), (body, answer.json)
    wanted = {"lowest_delta": -1} if more else {"unavailable": 0}
    assert {name: answer.json[name] for name in wanted} == wanted
