"""/carts: priced when looked at, edited against a version, held for a while, placed once."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from retail import limits
from retail.kernel import clock
from tests.conftest import NOW
from tests.factories import api_client, customer, price, variant
from tests.factories.orders import Shop, events, level, pickup_body, shop, world

Api = Callable[..., Any]
PAY = {"payment": {"method": "pay_at_pickup"}}


def yen(amount_minor: int) -> dict[str, Any]:
    return {"amount_minor": amount_minor, "currency": "JPY"}


def cart(api: Api, made: Shop, **changes: Any) -> dict[str, Any]:
    body = {"lines": [{"sku": made.tea.sku, "quantity": 2}], "location": made.store.code} | changes
    answer = api(made.customer).post("/carts", json=body)
    assert answer.status_code == 201, answer.json
    return dict(answer.json)


def test_a_cart_is_priced(session: Session, api: Api) -> None:
    made = shop(session)
    found = cart(
        api,
        made,
        points_to_spend=100,
        lines=[{"sku": made.tea.sku, "quantity": 2}, {"sku": made.cake.sku, "quantity": 1}],
    )
    assert found["totals"] == {
        "currency": "JPY",
        "tax_inclusive": True,
        "discount": yen(0),
        "subtotal": yen(4100),
        "tax": yen(400),
        "total": yen(4500),
        "shipping": yen(0),
        "points_value": yen(100),
        "to_pay": yen(4400),
        "tax_lines": [
            {"rate_bp": 1000, "taxable": yen(3600), "tax": yen(360)},
            {"rate_bp": 800, "taxable": yen(500), "tax": yen(40)},
        ],
    }
    assert (found["version"], found["state"], found["channel"], found["sellable"]) == (1, "open", "web", True)
    assert found["customer_id"] == str(made.customer.id)
    assert found["location"]["code"] == made.store.code
    again = api(made.customer).get(f"/carts/{found['id']}")
    assert (again.json, again.headers["ETag"]) == (found, '"1"')
    assert api(made.customer).get(f"/carts/{found['id']}", headers={"If-None-Match": '"1"'}).status_code == 304


def test_an_empty_cart_costs_nothing_yet(session: Session, api: Api) -> None:
    made = shop(session)
    answer = api(made.customer).post("/carts", json={})
    assert (answer.status_code, answer.json["lines"], answer.json["totals"]) == (201, [], None)


def test_edits_move_the_version(session: Session, api: Api) -> None:
    made = shop(session)
    path = f"/carts/{cart(api, made)['id']}"
    caller = api(made.customer)
    added = caller.post(f"{path}/lines", json={"sku": made.tea.sku, "quantity": 1}, if_match=1)
    assert (added.status_code, added.headers["ETag"]) == (201, '"2"')
    assert [(line["position"], line["sku"], line["quantity"]) for line in added.json["lines"]] == [
        (1, made.tea.sku, 2),
        (2, made.tea.sku, 1),  # the same SKU may stand on two lines
    ]
    gift = added.json["lines"][1]["id"]
    changed = caller.patch(f"{path}/lines/{gift}", json={"quantity": 4}, if_match=2)
    assert (changed.json["version"], changed.json["lines"][1]["quantity"]) == (3, 4)
    assert changed.json["totals"]["total"] == yen(6 * 1980)
    removed = caller.delete(f"{path}/lines/{gift}", if_match=3)
    assert (removed.status_code, removed.json["version"], len(removed.json["lines"])) == (200, 4, 1)
    moved = caller.patch(path, json={"location": made.other.code, "points_to_spend": 7}, if_match=4)
    assert (moved.json["location"]["code"], moved.json["points_to_spend"]) == (made.other.code, 7)
    nowhere = caller.patch(path, json={"location": None, "method": "carry_out"}, if_match=5)
    assert (nowhere.json["location"], nowhere.json["method"], nowhere.json["points_to_spend"]) == (None, "carry_out", 7)


@pytest.mark.parametrize("verb", ["patch", "add", "change", "remove"])
def test_a_stale_or_missing_version_changes_nothing(session: Session, api: Api, verb: str) -> None:
    made = shop(session)
    found = cart(api, made)
    path, line = f"/carts/{found['id']}", f"/carts/{found['id']}/lines/{found['lines'][0]['id']}"
    caller = api(made.customer)
    send: dict[str, Callable[..., Any]] = {
        "patch": lambda **h: caller.patch(path, json={"points_to_spend": 1}, **h),
        "add": lambda **h: caller.post(f"{path}/lines", json={"sku": made.tea.sku, "quantity": 1}, **h),
        "change": lambda **h: caller.patch(line, json={"quantity": 9}, **h),
        "remove": lambda **h: caller.delete(line, **h),
    }
    before = world(session)
    assert send[verb]().status_code == 428
    assert send[verb](if_match=2).status_code == 412
    assert send[verb](if_match='"x"').status_code == 412
    assert world(session) == before


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"lines": [{"sku": "NO-SUCH", "quantity": 1}]}, "not_for_sale"),
        ({"lines": [{"sku": "", "quantity": 1}]}, "invalid"),
        ({"lines": [{"sku": "A", "quantity": limits.QUANTITY_PER_LINE + 1}]}, "invalid"),
        ({"location": "NOWHERE"}, "invalid"),
        ({"method": "drone"}, "invalid"),
        ({"points_to_spend": -1}, "invalid"),
        ({"customer_id": "x"}, "invalid"),
        ({"owner": "me"}, "invalid"),
    ],
)
def test_a_cart_that_cannot_be(session: Session, api: Api, body: dict[str, Any], code: str) -> None:
    made = shop(session)
    before = world(session)
    answer = api(made.customer).post("/carts", json=body)
    assert (answer.status_code, answer.json["code"]) == (422, code)
    assert world(session) == before


def test_limits_of_carts(session: Session, api: Api) -> None:
    made = shop(session)
    full = cart(api, made, lines=[{"sku": made.tea.sku, "quantity": 1}] * limits.LINES_PER_ORDER)
    before = world(session)
    path = f"/carts/{full['id']}/lines"
    answer = api(made.customer).post(path, json={"sku": made.tea.sku, "quantity": 1}, if_match=1)
    assert (answer.status_code, answer.json["code"]) == (422, "too_many_lines")
    assert world(session) == before
    for _ in range(limits.OPEN_CARTS_PER_OWNER - 1):
        assert api(made.customer).post("/carts", json={}).status_code == 201
    before = world(session)
    answer = api(made.customer).post("/carts", json={})
    assert (answer.status_code, answer.json["code"]) == (409, "too_many_carts")
    assert world(session) == before
    assert api(made.customer).delete(f"/carts/{full['id']}", if_match=1).status_code == 204
    assert api(made.customer).post("/carts", json={}).status_code == 201


def test_a_cart_given_up_is_closed_and_holds_nothing(session: Session, api: Api) -> None:
    made = shop(session)
    found = cart(api, made)
    path = f"/carts/{found['id']}"
    assert api(made.customer).post(f"{path}/hold", key="one").status_code == 201
    for if_match, status in ((None, 428), (2, 412)):
        assert api(made.customer).delete(path, if_match=if_match).status_code == status
    assert api(made.web).delete(path, if_match=1).status_code == 404
    assert level(session, made.store, made.tea) == (10, 0, 2)
    assert api(made.customer).delete(path, if_match=1).status_code == 204
    assert level(session, made.store, made.tea) == (10, 0, 0)
    assert api(made.customer).get(path).json["state"] == "abandoned"
    before = world(session)
    answer = api(made.customer).post("/orders", key="two", json={"cart_id": found["id"]} | PAY)
    assert (answer.status_code, answer.json["code"]) == (409, "cart_changed")
    assert api(made.customer).delete(path, if_match=2).json["code"] == "cart_closed"
    assert world(session) == before


def test_anothers_cart_does_not_exist(session: Session, api: Api) -> None:
    made = shop(session)
    path = f"/carts/{cart(api, made)['id']}"
    before = world(session)
    for caller in (made.web, customer(session, name="Other"), made.associate):
        assert api(caller).get(path).status_code == 404
        assert api(caller).patch(path, json={"points_to_spend": 1}, if_match=1).status_code == 404
        answer = api(caller).post(f"{path}/lines", json={"sku": made.tea.sku, "quantity": 1}, if_match=1)
        assert answer.status_code == 404
        assert api(caller).post(f"{path}/hold", key="one").status_code == 404
        assert api(caller).delete(f"{path}/hold").status_code == 404
        body = {"cart_id": path.rpartition("/")[2], "location": made.store.code} | PAY
        assert api(caller).post("/orders", key="one", json=body).status_code == 404
    assert api().get(path).status_code == 401
    assert api(api_client(session, ["orders.place"])).get(path).status_code == 403
    assert world(session) == before


def test_a_cart_made_for_a_customer_is_hers_too(session: Session, api: Api) -> None:
    made = shop(session)
    answer = api(made.web).post("/carts", json={"customer_id": str(made.customer.id)})
    assert answer.status_code == 201
    path = f"/carts/{answer.json['id']}"
    assert api(made.customer).get(path).status_code == 200
    assert api(made.customer).patch(path, json={"location": made.store.code}, if_match=1).status_code == 200
    for body, status in (({"customer_id": str(made.store.id)}, 422), ({}, 201)):
        assert api(made.web).post("/carts", json=body).status_code == status
    other = customer(session, name="Other")
    assert api(made.customer).post("/carts", json={"customer_id": str(other.id)}).status_code == 404


def test_what_is_not_sold_any_more_is_shown_without_a_price(session: Session, api: Api) -> None:
    made = shop(session)
    found = cart(api, made, lines=[{"sku": made.tea.sku, "quantity": 1}, {"sku": made.cake.sku, "quantity": 1}])
    session.execute(text("UPDATE product SET status = 'archived' WHERE id = :id"), {"id": made.cake.product_id})
    shown = api(made.customer).get(f"/carts/{found['id']}").json
    assert (shown["sellable"], shown["totals"]["total"]) == (False, yen(1980))
    assert [(line["sellable"], line["unit_price"]) for line in shown["lines"]] == [(True, yen(1980)), (False, None)]
    before = world(session)
    answer = api(made.customer).post("/orders", key="one", json={"cart_id": found["id"]} | PAY)
    assert (answer.status_code, answer.json["errors"][0]["line"]) == (422, 2)
    assert world(session) == before


def test_the_price_is_fixed_when_placed(session: Session, api: Api) -> None:
    made = shop(session)
    found = cart(api, made)
    price(session, variant_id=made.tea.id, amount_minor=2000, days_ago=0)
    assert api(made.customer).get(f"/carts/{found['id']}").json["totals"]["total"] == yen(4000)
    order = api(made.customer).post("/orders", key="one", json={"cart_id": found["id"]} | PAY).json
    price(session, variant_id=made.tea.id, amount_minor=9999, days_ago=-1)
    with clock.shifted(timedelta(days=2)):
        assert api(made.customer).get(f"/orders/{order['id']}").json["total"] == yen(4000)


def test_a_cart_is_placed_once(session: Session, api: Api) -> None:
    made = shop(session)
    found = cart(api, made)
    path = f"/carts/{found['id']}"
    placed = api(made.customer).post("/orders", key="one", json={"cart_id": found["id"]} | PAY)
    assert placed.status_code == 201
    shown = api(made.customer).get(path).json
    assert (shown["state"], shown["order_id"], shown["version"]) == ("placed", placed.json["id"], 2)
    before = world(session)
    again = api(made.customer).post("/orders", key="two", json={"cart_id": found["id"]} | PAY)
    assert (again.status_code, again.json["code"], again.json["order_id"]) == (409, "cart_changed", placed.json["id"])
    for answer in (
        api(made.customer).patch(path, json={"points_to_spend": 1}, if_match=2),
        api(made.customer).post(f"{path}/hold", key="three"),
    ):
        assert (answer.status_code, answer.json["code"]) == (409, "cart_closed")
    assert world(session) == before


def test_a_refused_cart_stays_open(session: Session, api: Api) -> None:
    made = shop(session)
    found = cart(api, made, lines=[{"sku": made.tea.sku, "quantity": 11}])
    before = world(session)
    answer = api(made.customer).post("/orders", key="one", json={"cart_id": found["id"]} | PAY)
    assert (answer.status_code, answer.json["code"]) == (409, "out_of_stock")
    assert world(session) == before


@pytest.mark.parametrize(
    ("changes", "code"), [({"lines": []}, "cart_empty"), ({"location": None}, "location_not_valid")]
)
def test_a_cart_that_is_not_complete(session: Session, api: Api, changes: dict[str, Any], code: str) -> None:
    made = shop(session)
    found = cart(api, made, **changes)
    before = world(session)
    answer = api(made.customer).post("/orders", key="one", json={"cart_id": found["id"]} | PAY)
    assert (answer.status_code, answer.json["code"]) == (422, code)
    assert api(made.customer).post(f"/carts/{found['id']}/hold", key="one").status_code == 422
    assert world(session) == before


def test_a_hold_keeps_stock_from_others(session: Session, api: Api) -> None:
    made = shop(session, units=2)
    found = cart(api, made)
    held = api(made.customer).post(f"/carts/{found['id']}/hold", key="one")
    assert held.status_code == 201
    until = NOW + timedelta(seconds=limits.HOLD_SECONDS)
    assert held.json == {"cart_id": found["id"], "expires_at": until.isoformat()}
    assert level(session, made.store, made.tea) == (2, 0, 2)
    other = customer(session, name="Other", email="o@example.com")
    before = world(session)
    assert api(other).post("/orders", key="one", json=pickup_body(made)).status_code == 409
    assert world(session) == before
    placed = api(made.customer).post("/orders", key="two", json={"cart_id": found["id"]} | PAY)
    assert placed.status_code == 201
    assert level(session, made.store, made.tea) == (2, 2, 0)


def test_a_hold_is_given_back(session: Session, api: Api) -> None:
    made = shop(session, units=2)
    path = f"/carts/{cart(api, made)['id']}/hold"
    assert api(made.customer).post(path, key="one").status_code == 201
    assert api(made.customer).delete(path).status_code == 204
    assert level(session, made.store, made.tea) == (2, 0, 0)
    before = world(session)
    assert api(made.customer).delete(path).status_code == 204
    assert world(session) == before


def test_an_expired_hold_keeps_nothing(session: Session, api: Api) -> None:
    made = shop(session, units=2)
    found = cart(api, made)
    assert api(made.customer).post(f"/carts/{found['id']}/hold", key="one").status_code == 201
    other = customer(session, name="Other", email="o@example.com")
    with clock.shifted(timedelta(seconds=limits.HOLD_SECONDS)):
        assert api(other).post("/orders", key="one", json=pickup_body(made, quantity=2)).status_code == 201
        answer = api(made.customer).post("/orders", key="two", json={"cart_id": found["id"]} | PAY)
    assert (answer.status_code, answer.json["code"]) == (409, "out_of_stock")
    assert level(session, made.store, made.tea) == (2, 2, 0)
    assert events(session, "OrderPlaced") == ["OrderPlaced"]


def test_a_hold_of_more_than_there_is_holds_nothing(session: Session, api: Api) -> None:
    made = shop(session, units=1)
    path = f"/carts/{cart(api, made)['id']}/hold"
    before = world(session)
    answer = api(made.customer).post(path, key="one")
    assert (answer.status_code, answer.json["code"]) == (409, "out_of_stock")
    assert api(made.customer).post(path).status_code == 400
    assert world(session) == before


def test_a_line_that_is_not_there(session: Session, api: Api) -> None:
    made = shop(session)
    first, second = cart(api, made), cart(api, made)
    stolen = f"/carts/{first['id']}/lines/{second['lines'][0]['id']}"
    before = world(session)
    assert api(made.customer).patch(stolen, json={"quantity": 9}, if_match=1).status_code == 404
    assert api(made.customer).delete(stolen, if_match=1).status_code == 404
    assert api(made.customer).get("/carts/not-an-id").status_code == 404
    assert world(session) == before


def test_an_exclusive_list_adds_the_tax(session: Session, api: Api) -> None:
    made = shop(session)
    tea = variant(session, price_minor=105)
    session.execute(text("UPDATE price_list SET tax_inclusive = false"))
    found = cart(api, made, lines=[{"sku": tea.sku, "quantity": 3}])
    assert found["totals"]["subtotal"] == yen(315)
    assert found["totals"]["tax"] == yen(32)
    assert found["totals"]["total"] == yen(347)
