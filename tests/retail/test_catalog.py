"""Products, variants, prices, tax rates over HTTP."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from retail.kernel import clock, db
from tests import factories
from tests.factories import Actor

Api = Callable[..., Any]
Unchanged = Callable[[], AbstractContextManager[None]]


@pytest.fixture
def reader(session: Session) -> Actor:
    return factories.api_client(session, ["catalog.read"])


@pytest.fixture
def editor(session: Session) -> Actor:
    factories.taxes(session)
    return factories.staff(session, "admin")


NEW = {
    "code": "SENCHA",
    "title": "Sencha",
    "title_ja": "煎茶",
    "category": "tea",
    "tax_class": "reduced",
    "variants": [
        {"sku": "SENCHA-100", "title": "Sencha 100 g", "options": {"weight": "100 g"}},
        {"sku": "SENCHA-200", "title": "Sencha 200 g", "title_ja": "煎茶 200 g"},
    ],
}


def test_a_product_is_made_read_changed_and_archived(api: Api, session: Session, editor: Actor, reader: Actor) -> None:
    made = api(editor).post("/products", json=NEW)
    assert (made.status_code, made.headers["ETag"]) == (201, '"1"')
    product = made.json
    assert [variant["sku"] for variant in product["variants"]] == ["SENCHA-100", "SENCHA-200"]
    assert product["variants"][0]["options"] == {"weight": "100 g"}
    assert {name: product[name] for name in ("code", "title", "title_ja", "category", "tax_class", "status")} == {
        "code": "SENCHA", "title": "Sencha", "title_ja": "煎茶", "category": "tea", "tax_class": "reduced", "status": "active",
    }  # fmt: skip
    read = api(reader).get("/products/SENCHA")
    assert read.json == product
    assert api(reader).get(f"/products/{product['id']}").json == product
    changed = api(editor).patch("/products/SENCHA", json={"title": "Fine sencha", "status": "archived"}, if_match=1)
    assert (changed.status_code, changed.json["title"], changed.json["version"]) == (200, "Fine sencha", 2)
    assert changed.headers["ETag"] == '"2"'
    events = session.execute(text("SELECT type, actor, data->'fields' FROM event ORDER BY seq")).all()
    assert [tuple(row) for row in events] == [
        ("ProductChanged", editor.actor, ["created"]),
        ("ProductChanged", editor.actor, ["status", "title"]),
    ]


@pytest.mark.parametrize(
    ("change", "status", "code", "field"),
    [
        ({"tax_class": "none"}, 422, "catalog_invalid", "tax_class"),
        ({"code": "bad code"}, 422, "invalid", "code"),
        ({"title": "   "}, 422, "invalid", "title"),
        ({"title": "x" * 201}, 422, "invalid", "title"),
        ({"title": "two\nlines"}, 422, "invalid", "title"),
        ({"variants": []}, 422, "invalid", "variants"),
        ({"variants": [{"sku": "A", "title": "a"}, {"sku": "A", "title": "b"}]}, 422, "catalog_invalid", "sku"),
        ({"variants": [{"sku": "", "title": "a"}]}, 422, "invalid", "variants.0.sku"),
        ({"price": 5}, 422, "invalid", "price"),
    ],
)
def test_invalid_products_are_refused(
    api: Api, editor: Actor, unchanged: Unchanged, change: dict[str, Any], status: int, code: str, field: str
) -> None:
    with unchanged():
        response = api(editor).post("/products", json=NEW | change)
    assert (response.status_code, response.json["code"]) == (status, code)
    assert [error["field"] for error in response.json["errors"]] == [field]


def test_codes_and_skus_are_taken_once(api: Api, session: Session, editor: Actor, unchanged: Unchanged) -> None:
    factories.variant(session, sku="SENCHA-200")
    with unchanged():
        sku = api(editor).post("/products", json=NEW)
    assert (sku.status_code, sku.json["code"]) == (409, "sku_taken")
    assert sku.json["errors"] == [{"field": "sku", "code": "taken", "detail": "SENCHA-200"}]
    fresh = [{"sku": "OTHER-1", "title": "Other"}]
    assert api(editor).post("/products", json=NEW | {"variants": fresh}).status_code == 201
    with unchanged():
        code = api(editor).post("/products", json=NEW | {"variants": [{"sku": "OTHER-2", "title": "Other"}]})
    assert (code.status_code, code.json["code"]) == (409, "product_code_taken")


def test_stale_and_missing_products(api: Api, session: Session, editor: Actor, unchanged: Unchanged) -> None:
    api(editor).post("/products", json=NEW)
    with unchanged():
        stale = api(editor).patch("/products/SENCHA", json={"title": "X"}, if_match=2)
        missing = api(editor).patch("/products/NONE", json={"title": "X"}, if_match=1)
        none = api(editor).patch("/products/SENCHA", json={"title": "X"})
        empty = api(editor).patch("/products/SENCHA", json={}, if_match=1)
        variants = api(editor).post("/products/SENCHA/variants", json={"variants": [{"sku": "Z", "title": "z"}]}, if_match=9)  # fmt: skip
    statuses = [response.status_code for response in (stale, missing, none, empty, variants)]
    assert statuses == [412, 404, 428, 422, 412]
    assert api(editor).get("/products/NONE").status_code == 404


def test_variants_are_added(api: Api, session: Session, editor: Actor, unchanged: Unchanged) -> None:
    api(editor).post("/products", json=NEW)
    more = [{"sku": "SENCHA-500", "title": "Sencha 500 g"}]
    made = api(editor).post("/products/SENCHA/variants", json={"variants": more}, if_match=1)
    assert (made.status_code, made.json["version"]) == (201, 2)
    assert [variant["sku"] for variant in made.json["variants"]] == ["SENCHA-100", "SENCHA-200", "SENCHA-500"]
    with unchanged():
        again = api(editor).post("/products/SENCHA/variants", json={"variants": more}, if_match=2)
    assert (again.status_code, again.json["code"]) == (409, "sku_taken")
    many = [{"sku": f"S-{number}", "title": "s"} for number in range(198)]
    with unchanged():
        over = api(editor).post("/products/SENCHA/variants", json={"variants": many}, if_match=2)
    assert (over.status_code, over.json["code"]) == (422, "catalog_invalid")


def test_lists_are_searched_and_paged_in_one_statement_each(api: Api, session: Session, reader: Actor) -> None:
    for number in range(5):
        factories.variant(session, sku=f"TEA-{number}", title=f"Tea {number}")
    factories.variant(session, sku="CUP-1", title="Cup 100% glass", title_ja="湯呑み")
    factories.variant(session, sku="OLD-1", title="Old", status="archived")
    caller = api(reader)

    def skus(query: str) -> list[str]:
        return [item["variants"][0]["sku"] for item in caller.get(f"/products?{query}").json["items"]]

    assert skus("q=湯") == ["CUP-1"]
    assert skus("q=cup-1") == ["CUP-1"]
    assert skus("q=100%25") == ["CUP-1"]  # a per cent sign is a per cent sign
    assert skus("q=T_A") == []
    assert skus("status=archived") == ["OLD-1"]
    first = caller.get("/products?limit=4").json
    second = caller.get(f"/products?limit=4&cursor={first['next']}").json
    found = [item["variants"][0]["sku"] for item in (*first["items"], *second["items"])]
    assert found == ["CUP-1", "TEA-0", "TEA-1", "TEA-2", "TEA-3", "TEA-4"]
    assert second["next"] is None
    with db.counting() as count:
        caller.get("/products?limit=4")
    assert count.statements == 2  # who asks, and the list
    assert caller.get("/products?cursor=nonsense").status_code == 422
    assert caller.get("/products?limit=201").status_code == 422
    assert caller.get("/products?status=gone").status_code == 422


def test_a_variant_shows_its_present_prices(api: Api, session: Session, reader: Actor, now: datetime) -> None:
    tea = factories.variant(session, sku="TEA-1", price_minor=1000)
    factories.price(session, variant_id=tea.id, amount_minor=1200, days_ago=-3)
    shown = api(reader).get("/variants/TEA-1").json
    assert (shown["id"], shown["product_id"], shown["tax_class"]) == (str(tea.id), str(tea.product_id), "standard")
    assert shown["prices"] == [
        {
            "price_list": "JPY",
            "price": {"amount_minor": 1000, "currency": "JPY"},
            "tax_inclusive": True,
            "valid_from": (now - timedelta(days=1)).isoformat(),
            "valid_to": None,
        }
    ]
    with clock.shifted(timedelta(days=3)):
        later = api(reader).get("/variants/TEA-1").json
    assert [price["price"]["amount_minor"] for price in later["prices"]] == [1200]
    missing = api(reader).get("/variants/NONE-1")
    assert (missing.status_code, missing.json["code"]) == (404, "not_found")


def test_prices_are_set_and_read(api: Api, session: Session, editor: Actor, reader: Actor, now: datetime) -> None:
    factories.variant(session, sku="TEA-1", price_minor=1000)
    factories.variant(session, sku="TEA-2", price_minor=None)
    later = (now + timedelta(days=2)).isoformat()
    body = {
        "prices": [
            {"sku": "TEA-1", "price": {"amount_minor": 1100, "currency": "JPY"}, "valid_from": later},
            {"sku": "TEA-2", "price": {"amount_minor": 500, "currency": "JPY"}},
        ]
    }
    set_ = api(editor).post("/price-lists/JPY/prices", json=body)
    assert (set_.status_code, set_.json) == (201, {"count": 2})
    body["prices"][0]["price"]["amount_minor"] = 1150  # a planned price may change its mind
    assert api(editor).post("/price-lists/JPY/prices", json={"prices": body["prices"][:1]}).status_code == 201

    def prices() -> list[tuple[str, int]]:
        items = api(reader).get("/price-lists/JPY/prices").json["items"]
        return [(item["sku"], item["price"]["amount_minor"]) for item in items]

    assert prices() == [("TEA-1", 1000), ("TEA-2", 500)]
    with clock.shifted(timedelta(days=2)):
        assert prices() == [("TEA-1", 1150), ("TEA-2", 500)]
    page = api(reader).get("/price-lists/JPY/prices?limit=1").json
    rest = api(reader).get(f"/price-lists/JPY/prices?limit=1&cursor={page['next']}").json
    assert [item["sku"] for item in (*page["items"], *rest["items"])] == ["TEA-1", "TEA-2"]
    assert session.execute(text("SELECT data->'skus' FROM event WHERE type = 'PricesSet' ORDER BY seq LIMIT 1")).scalar_one() == ["TEA-1", "TEA-2"]  # fmt: skip


def test_wrong_prices_are_named_all_at_once(
    api: Api, session: Session, editor: Actor, unchanged: Unchanged, now: datetime
) -> None:
    factories.variant(session, sku="TEA-1")
    yen = {"amount_minor": 5, "currency": "JPY"}
    lines = [
        {"sku": "NONE", "price": yen},
        {"sku": "TEA-1", "price": {"amount_minor": 5, "currency": "GBP"}},
        {"sku": "TEA-1", "price": yen, "valid_from": (now - timedelta(seconds=1)).isoformat()},
        {"sku": "TEA-1", "price": yen},
        {"sku": "TEA-1", "price": yen},
    ]
    with unchanged():
        response = api(editor).post("/price-lists/JPY/prices", json={"prices": lines})
        negative = api(editor).post("/price-lists/JPY/prices", json={"prices": [{"sku": "TEA-1", "price": {"amount_minor": -1, "currency": "JPY"}}]})  # fmt: skip
        naive = api(editor).post("/price-lists/JPY/prices", json={"prices": [{"sku": "TEA-1", "price": yen, "valid_from": "2030-01-01T00:00:00"}]})  # fmt: skip
        missing = api(editor).post("/price-lists/EUR/prices", json={"prices": [lines[3]]})
    assert response.status_code == 422
    assert [(error["line"], error["code"]) for error in response.json["errors"]] == [
        (1, "unknown"), (2, "currency"), (3, "past"), (5, "repeated"),
    ]  # fmt: skip
    assert [negative.status_code, naive.status_code, missing.status_code] == [422, 422, 404]


def test_price_lists_and_tax_rates_are_listed(api: Api, session: Session, reader: Actor) -> None:
    factories.taxes(session)
    lists = api(reader).get("/price-lists").json["items"]
    assert [(item["code"], item["currency"], item["tax_inclusive"], item["channels"]) for item in lists] == [
        ("JPY", "JPY", True, ["app", "phone", "store", "web"])
    ]
    assert api(reader).get("/price-lists/EUR/prices").status_code == 404
    first = api(reader).get("/tax-rates?region=JP&limit=2").json
    rest = api(reader).get(f"/tax-rates?region=JP&limit=2&cursor={first['next']}").json
    rates = [(rate["tax_class"], rate["rate_bp"], rate["valid_from"]) for rate in (*first["items"], *rest["items"])]
    assert rates == [("exempt", 0, "2019-10-01"), ("reduced", 800, "2019-10-01"), ("standard", 1000, "2019-10-01")]
    assert api(reader).get("/tax-rates?region=DE").json == {"items": [], "next": None}


def test_who_may_not(api: Api, session: Session, reader: Actor, unchanged: Unchanged) -> None:
    factories.variant(session, sku="TEA-1")
    stranger = factories.api_client(session, ["stock.read"])
    manager = factories.staff(session, "manager", locations=[factories.location(session).id])
    writes = [
        ("POST", "/products", NEW),
        ("PATCH", "/products/P-TEA-1", {"title": "X"}),
        ("POST", "/products/P-TEA-1/variants", {"variants": NEW["variants"]}),
        ("POST", "/price-lists/JPY/prices", {"prices": [{"sku": "TEA-1", "price": {"amount_minor": 1, "currency": "JPY"}}]}),
    ]  # fmt: skip
    reads = [
        "/products",
        "/products/P-TEA-1",
        "/variants/TEA-1",
        "/price-lists",
        "/price-lists/JPY/prices",
        "/tax-rates",
    ]
    with unchanged():
        for method, path, body in writes:
            assert api(reader).request(method, path, json=body, if_match=1).status_code == 403
            assert api(manager).request(method, path, json=body, if_match=1).status_code == 403
            assert api().request(method, path, json=body, if_match=1).status_code == 401
    for path in reads:
        assert api(stranger).get(path).status_code == 403
        assert api().get(path).status_code == 401
        assert api(factories.customer(session)).get(path).status_code == 200
