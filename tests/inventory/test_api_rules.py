"""Rules and supply policies over HTTP."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import jobs, rules
from retail.kernel import db
from retail.kernel.ids import new_id
from tests.factories import Place, Variant, customer, location, staff, variant
from tests.inventory.books import everything, receive, stocked

Api = Callable[..., Any]
Unchanged = Callable[[], AbstractContextManager[None]]


@pytest.fixture
def pair(session: Session) -> tuple[Variant, Place]:
    return stocked(session, 5)


def bundle_of(session: Session, part: Variant) -> Variant:
    made = variant(session)
    values = {"b": made.id, "c": part.id}
    session.execute(text("INSERT INTO bundle_component (bundle_id, component_id, quantity) VALUES (:b, :c, 2)"), values)
    return made


def test_a_rule_is_made_changed_and_retired(session: Session, api: Api, pair: tuple[Variant, Place]) -> None:
    tea, shop = pair
    caller = api(staff(session, "admin"))
    made = caller.post("/stock-rules", json={"location": shop.code, "quantity": 2})
    assert made.status_code == 201, made.json
    path = f"/stock-rules/{made.json['id']}"
    shown = {name: made.json[name] for name in ("category", "sku", "variant_id", "channel", "quantity", "specificity")}
    assert shown == {
        "category": None,
        "sku": None,
        "variant_id": None,
        "channel": None,
        "quantity": 2,
        "specificity": 1,
    }
    assert (made.json["location"]["code"], made.json["applied"], made.json["version"]) == (shop.code, True, 1)
    assert caller.get(f"/stock/{shop.code}/{tea.sku}").json["safety"] == 2
    changed = caller.patch(path, json={"quantity": 4}, if_match=1)
    assert (changed.status_code, changed.json["quantity"], changed.headers["ETag"]) == (200, 4, '"2"')
    assert caller.get(f"/stock/{shop.code}/{tea.sku}").json["available"] == 1
    read = caller.get(path)
    assert (read.json, read.headers["ETag"]) == (changed.json, '"2"')
    assert caller.get(path, headers={"If-None-Match": '"2"'}).status_code == 304
    retired = caller.delete(path, if_match=2)
    assert (retired.status_code, retired.json["retired_at"] is not None, retired.json["applied"]) == (200, True, True)
    assert caller.get(f"/stock/{shop.code}/{tea.sku}").json["safety"] == 0
    assert caller.get("/stock-rules").json["items"] == []
    assert [item["id"] for item in caller.get("/stock-rules?retired=1").json["items"]] == [made.json["id"]]
    assert caller.delete(path, if_match=3).json["code"] == "rule_retired"


def test_a_large_rule_says_that_it_is_not_applied_yet(
    session: Session, api: Api, pair: tuple[Variant, Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    tea, shop = pair
    receive(session, variant(session), shop, 1)
    caller = api(staff(session, "admin"))
    monkeypatch.setattr(rules, "AT_ONCE", 1)
    made = caller.post("/stock-rules", json={"quantity": 2})
    assert (made.json["applied"], made.json["applied_at"]) == (False, None)
    assert caller.get(f"/stock/{shop.code}/{tea.sku}").json["safety"] == 0
    assert jobs.apply_stock_rules() == 1
    assert caller.get(f"/stock-rules/{made.json['id']}").json["applied"] is True
    assert caller.get(f"/stock/{shop.code}/{tea.sku}").json["safety"] == 2


def test_rules_are_listed_page_by_page_and_filtered(session: Session, api: Api, pair: tuple[Variant, Place]) -> None:
    tea, shop = pair
    caller = api(staff(session, "admin"))
    bodies: list[dict[str, Any]] = [
        {},
        {"location": shop.code},
        {"category": "tea"},
        {"sku": tea.sku},
        {"sku": tea.sku, "channel": "web"},
    ]
    ids = [caller.post("/stock-rules", json=body | {"quantity": 1}).json["id"] for body in bodies]
    seen: list[str] = []
    cursor = ""
    while True:
        with db.counting() as count:
            page = api(staff(session, "agent")).get(f"/stock-rules?limit=2{cursor}").json
        seen += [item["id"] for item in page["items"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert (seen, count.statements < 20) == (ids, True)

    def found(query: str) -> list[int]:
        return [ids.index(item["id"]) for item in caller.get(f"/stock-rules?{query}").json["items"]]

    assert (found(f"location={shop.code}"), found("category=tea"), found(f"sku={tea.sku}"), found("channel=web")) == (
        [1],
        [2],
        [3, 4],
        [4],
    )
    assert found(f"sku={tea.sku}&channel=app") == []
    assert caller.get("/stock-rules?location=NOWHERE").status_code == 404
    for wrong in ("limit=0", "cursor=made-up", "retired=maybe", "color=red"):
        assert caller.get(f"/stock-rules?{wrong}").status_code == 422, wrong


def test_rules_are_refused_whole(session: Session, api: Api, pair: tuple[Variant, Place], unchanged: Unchanged) -> None:
    tea, shop = pair
    admin, manager = api(staff(session, "admin")), api(staff(session, "manager", locations=[shop.id]))
    there = admin.post("/stock-rules", json={"category": "tea", "quantity": 1}).json
    refusals = [
        (api(), {"quantity": 1}, 401, "unauthorized"),
        (api(staff(session, "associate", locations=[shop.id])), {"quantity": 1}, 403, "forbidden"),
        (manager, {"quantity": 1}, 403, "forbidden"),
        (manager, {"quantity": 1, "sku": tea.sku}, 403, "forbidden"),
        (manager, {"quantity": 1, "location": location(session).code}, 404, "unknown_location"),
        (admin, {}, 422, "invalid"),
        (admin, {"quantity": -1}, 422, "invalid"),
        (admin, {"quantity": 1_000_001}, 422, "invalid"),
        (admin, {"quantity": 1, "category": ""}, 422, "invalid"),
        (admin, {"quantity": 1, "category": "tea", "sku": tea.sku}, 422, "invalid"),
        (admin, {"quantity": 1, "sku": "NOPE"}, 422, "unknown_sku"),
        (admin, {"quantity": 1, "sku": bundle_of(session, tea).sku}, 422, "bundle_has_no_stock"),
        (admin, {"quantity": 1, "channel": "pigeon"}, 422, "scope_invalid"),
        (admin, {"quantity": 1, "location": "NOWHERE"}, 404, "unknown_location"),
        (admin, {"quantity": 5, "category": "tea"}, 409, "rule_exists"),
    ]
    answer: Any = None
    with unchanged():
        for caller, body, status, code in refusals:
            answer = caller.post("/stock-rules", json=body)
            assert (answer.status_code, answer.json["code"]) == (status, code), (body, answer.json)
        assert answer.json["rule_id"] == there["id"]


def test_edits_of_rules_are_refused_whole(
    session: Session, api: Api, pair: tuple[Variant, Place], unchanged: Unchanged
) -> None:
    _, shop = pair
    admin, manager = api(staff(session, "admin")), api(staff(session, "manager", locations=[shop.id]))
    other = api(staff(session, "manager", locations=[location(session).id]))
    own = admin.post("/stock-rules", json={"location": shop.code, "quantity": 1}).json["id"]
    wide = admin.post("/stock-rules", json={"quantity": 1}).json["id"]
    refusals = [
        (api(), own, 1, 401, "unauthorized"),
        (api(staff(session, "associate", locations=[shop.id])), own, 1, 403, "forbidden"),
        (manager, wide, 1, 403, "forbidden"),
        (other, own, 1, 403, "forbidden"),
        (manager, own, None, 428, "precondition_required"),
        (manager, own, 2, 412, "stale"),
        (manager, str(new_id()), 1, 404, "not_found"),
    ]
    with unchanged():
        for caller, rule_id, version, status, code in refusals:
            for method, body in (("PATCH", {"quantity": 9}), ("DELETE", None)):
                answer = caller.request(method, f"/stock-rules/{rule_id}", json=body, if_match=version)
                assert (answer.status_code, answer.json["code"]) == (status, code), (method, answer.json)
        for wrong in ({}, {"quantity": None}, {"quantity": -1}, {"category": "tea"}):
            assert manager.patch(f"/stock-rules/{own}", json=wrong, if_match=1).status_code == 422
    assert manager.patch(f"/stock-rules/{own}", json={"quantity": 3}, if_match=1).status_code == 200
    assert manager.delete(f"/stock-rules/{own}", if_match=2).status_code == 200


def test_rules_are_not_for_customers(session: Session, api: Api, pair: tuple[Variant, Place]) -> None:
    tea, shop = pair
    made = api(staff(session, "admin")).post("/stock-rules", json={"quantity": 1}).json
    caller = api(customer(session))
    for path in (
        "/stock-rules",
        f"/stock-rules/{made['id']}",
        f"/supply-policies/{tea.sku}",
        f"/stock/{shop.code}/{tea.sku}/rules",
    ):
        assert caller.get(path).status_code == 403, path
    assert api(staff(session, "agent")).get(f"/stock-rules/{new_id()}").status_code == 404


def test_which_rule_says_so(session: Session, api: Api, pair: tuple[Variant, Place]) -> None:
    tea, shop = pair
    admin = api(staff(session, "admin"))
    wide = admin.post("/stock-rules", json={"quantity": 1}).json
    narrow = admin.post("/stock-rules", json={"quantity": 2, "sku": tea.sku}).json
    buffer = admin.post("/stock-rules", json={"quantity": 3, "channel": "web"}).json
    caller, path = api(staff(session, "agent")), f"/stock/{shop.code}/{tea.sku}/rules"
    said = caller.get(path).json
    assert said == {"safety": 2, "by_hand": False, "safety_rule": narrow, "buffer": 0, "buffer_rule": None}
    said = caller.get(f"{path}?channel=web").json
    assert (said["buffer"], said["buffer_rule"]) == (3, buffer)
    admin.delete(f"/stock-rules/{narrow['id']}", if_match=1)
    assert caller.get(path).json["safety_rule"] == wide
    assert caller.get(f"/stock/NOWHERE/{tea.sku}/rules").status_code == 404
    assert caller.get(f"/stock/{shop.code}/NOPE/rules").status_code == 422
    assert caller.get(f"{path}?channel=").status_code == 422


# --- Supply policies


def test_a_supply_policy_is_put(session: Session, api: Api) -> None:
    tea = variant(session, sku="T 1/2")
    caller, path = api(staff(session, "admin")), "/supply-policies/T%201/2"
    first = caller.get(path)
    assert (first.status_code, first.headers["ETag"]) == (200, '"0"')
    nothing = {"sku": tea.sku, "variant_id": str(tea.id), "releases_at": None, "lead_days": None, "version": 0}
    assert first.json == nothing | {"updated_at": None}
    body = {"releases_at": "2026-08-01T10:00:00+09:00", "lead_days": 14}
    put = caller.put(path, json=body, if_match=0)
    assert (put.status_code, put.headers["ETag"]) == (200, '"1"'), put.json
    assert (put.json["releases_at"], put.json["lead_days"]) == ("2026-08-01T01:00:00+00:00", 14)
    before = everything(session)
    assert caller.put(path, json=body, if_match=1).headers["ETag"] == '"1"'
    assert everything(session) == before
    cleared = caller.put(path, json={"releases_at": None, "lead_days": None}, if_match=1)
    assert (cleared.json["releases_at"], cleared.json["lead_days"], cleared.json["version"]) == (None, None, 2)


def test_supply_policies_are_refused_whole(
    session: Session, api: Api, pair: tuple[Variant, Place], unchanged: Unchanged
) -> None:
    tea, shop = pair
    admin, path = api(staff(session, "admin")), f"/supply-policies/{tea.sku}"
    good = {"releases_at": None, "lead_days": 14}
    assert admin.put(path, json=good, if_match=0).status_code == 200
    refusals = [
        (api(), good, 1, 401, "unauthorized"),
        (api(staff(session, "associate", locations=[shop.id])), good, 1, 403, "forbidden"),
        (api(staff(session, "manager", locations=[shop.id])), good, 1, 403, "forbidden"),
        (admin, good, None, 428, "precondition_required"),
        (admin, good, 0, 412, "stale"),
        (admin, good, 2, 412, "stale"),
        (admin, {"lead_days": 1}, 1, 422, "invalid"),
        (admin, good | {"lead_days": 731}, 1, 422, "invalid"),
        (admin, good | {"lead_days": -1}, 1, 422, "invalid"),
        (admin, good | {"releases_at": "tomorrow"}, 1, 422, "invalid"),
        (admin, good | {"releases_at": "2026-08-01T10:00:00"}, 1, 422, "invalid"),
    ]
    with unchanged():
        for caller, body, version, status, code in refusals:
            answer = caller.put(path, json=body, if_match=version)
            assert (answer.status_code, answer.json["code"]) == (status, code), (body, answer.json)
    gift = bundle_of(session, tea)
    with unchanged():
        for sku, code in (("NOPE", "unknown_sku"), (gift.sku, "bundle_has_no_stock")):
            assert admin.get(f"/supply-policies/{sku}").json["code"] == code
            assert admin.put(f"/supply-policies/{sku}", json=good, if_match=0).json["code"] == code
