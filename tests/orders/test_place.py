"""POST /orders for pickup: everything is taken, or nothing (FAILURES 1, 2, 5)."""

import json
from collections.abc import Callable
from typing import Any

import marshmallow as ma
import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from orders import queries
from orders.schemas.orders import OrderSchema
from retail import limits
from retail.kernel import db
from retail.kernel.web.api import dump
from tests.factories import api_client, customer, location, staff, variant, variants
from tests.factories.orders import (
    Shop,
    account,
    entries,
    events,
    level,
    payments,
    pickup_body,
    receive,
    shop,
    spends,
    world,
)

Api = Callable[..., Any]


def yen(amount_minor: int) -> dict[str, Any]:
    return {"amount_minor": amount_minor, "currency": "JPY"}


def test_pay_at_pickup_with_points(session: Session, api: Api) -> None:
    made = shop(session, points=300)
    body = pickup_body(made, points_to_spend=200) | {
        "lines": [{"sku": made.tea.sku, "quantity": 2}, {"sku": made.cake.sku, "quantity": 1}]
    }
    answer = api(made.customer).post("/orders", key="one", json=body)
    assert answer.status_code == 201, answer.json
    assert answer.headers["ETag"] == '"1"'
    order = answer.json
    assert (order["status"], order["total"], order["tax"]) == ("open", yen(4500), yen(400))
    assert order["tax_lines"] == [
        {"rate_bp": 1000, "taxable": yen(3600), "tax": yen(360)},
        {"rate_bp": 800, "taxable": yen(500), "tax": yen(40)},
    ]
    assert order["contact"] == {"name": "Hanako Yamada", "email": "hanako@example.com", "phone": "+819012345678"}
    assert [(line["sku"], line["quantity"], line["total"]) for line in order["lines"]] == [
        (made.tea.sku, 2, yen(3960)),
        (made.cake.sku, 1, yen(540)),
    ]
    assert order["fulfillments"][0]["ready_by"] == "2026-07-01T05:00:00+00:00"
    assert payments(session) == [("points", "authorized", 200, 200, 0), ("pay_at_pickup", "pending", 4300, 0, 0)]
    assert entries(session) == [("points", "authorize", 200, "succeeded")]
    assert level(session, made.store, made.tea) == (10, 2, 0)
    assert level(session, made.store, made.cake) == (10, 1, 0)
    assert account(session, made.customer) == (100, 200, 0)
    assert events(session, "OrderPlaced") == ["OrderPlaced"]


def test_the_answer_is_what_reading_says(session: Session, api: Api) -> None:
    made = shop(session, points=300)
    placed = api(made.customer).post("/orders", key="one", json=pickup_body(made, points_to_spend=200)).json
    assert api(made.customer).get(f"/orders/{placed['reference']}").json == placed
    till = staff(session, "associate", locations=[made.store.id])
    body = pickup_body(made, method="cash") | {"method": "carry_out", "customer_id": str(made.customer.id)}
    sold = api(till).post("/orders", key="two", json=body | {"points_to_spend": 50} | spends(made.customer, till)).json
    assert api(till).get(f"/orders/{sold['id']}").json == sold


def test_the_fast_schema_says_what_marshmallow_would(session: Session, api: Api) -> None:
    class Slow(OrderSchema):
        dump = ma.Schema.dump

    made = shop(session, points=300)
    placed = api(made.customer).post("/orders", key="one", json=pickup_body(made, points_to_spend=200)).json
    order = queries.order_dict(session, reference=placed["reference"])
    assert order is not None
    assert json.loads(dump(OrderSchema(), order)) == json.loads(dump(Slow(), order)) == placed
    assert json.loads(dump(OrderSchema(many=True), [order])) == [placed]


@pytest.mark.committed
def test_the_statements_of_placing(session: Session, api: Api) -> None:
    """The budget of the hot path is 12, with authentication and idempotency."""
    made = shop(session, points=300)
    body = pickup_body(made, points_to_spend=200)
    with db.counting() as count:
        assert api(made.customer).post("/orders", key="one", json=body).status_code == 201
    assert count.statements == 9  # authenticate, claim, place, customer, offers, allocate, hold, write, answer
    cart = api(made.customer).post(
        "/carts", json={"lines": body["lines"], "location": made.store.code, "points_to_spend": 50}
    )
    with db.counting() as count:
        by_cart = {"cart_id": cart.json["id"], "payment": {"method": "pay_at_pickup"}}
        assert api(made.customer).post("/orders", key="two", json=by_cart).status_code == 201
    assert count.statements == 10  # the cart's own one more


def test_points_pay_everything(session: Session, api: Api) -> None:
    made = shop(session, points=5000)
    body = pickup_body(made, points_to_spend=5000)
    del body["payment"]
    answer = api(made.customer).post("/orders", key="one", json=body)
    assert answer.status_code == 201
    assert payments(session) == [("points", "authorized", 1980, 1980, 0)]  # at most what it costs
    assert account(session, made.customer) == (3020, 1980, 0)


def test_free_goods_need_no_payment(session: Session, api: Api) -> None:
    made = shop(session)
    gift = variant(session, price_minor=0)
    receive(session, made.store, gift, 1)
    body = {"lines": [{"sku": gift.sku, "quantity": 1}], "location": made.store.code}
    assert api(made.customer).post("/orders", key="one", json=body).status_code == 201
    assert payments(session) == []


def test_a_guest_is_told_at_her_address(session: Session, api: Api) -> None:
    made = shop(session)
    contact = {"name": "Guest", "email": "Guest@Example.COM", "phone": "090-1234-5678"}
    answer = api(made.web).post("/orders", key="one", json=pickup_body(made, contact=contact))
    assert answer.status_code == 201
    assert answer.json["customer_id"] is None
    assert answer.json["contact"]["phone"] == "+819012345678"
    assert answer.json["contact"]["email"].lower() == "guest@example.com"


def test_a_client_buys_for_a_customer(session: Session, api: Api) -> None:
    made = shop(session)
    body = pickup_body(made, customer_id=str(made.customer.id))
    answer = api(made.web).post("/orders", key="one", json=body)
    assert answer.status_code == 201
    assert answer.json["customer_id"] == str(made.customer.id)
    assert api(made.customer).get("/me/orders").json["items"] == [answer.json]


def test_two_lines_of_one_sku_share_its_stock(session: Session, api: Api) -> None:
    """FAILURES 2: 6 + 5 of 10."""
    made = shop(session)
    lines = [{"sku": made.tea.sku, "quantity": 6}, {"sku": made.tea.sku, "quantity": 5}]
    before = world(session)
    answer = api(made.customer).post("/orders", key="one", json=pickup_body(made) | {"lines": lines})
    assert (answer.status_code, answer.json["code"]) == (409, "out_of_stock")
    assert [(e["line"], e["sku"], e["requested"], e["available"]) for e in answer.json["errors"]] == [
        (1, made.tea.sku, 6, 10),
        (2, made.tea.sku, 5, 10),
    ]
    assert world(session) == before
    lines[1]["quantity"] = 4
    assert api(made.customer).post("/orders", key="one", json=pickup_body(made) | {"lines": lines}).status_code == 201
    assert level(session, made.store, made.tea) == (10, 10, 0)


def test_every_shortage_at_once_and_where_else(session: Session, api: Api) -> None:
    made = shop(session, units=1)
    receive(session, made.other, made.tea, 7)
    lines = [{"sku": made.tea.sku, "quantity": 2}, {"sku": made.cake.sku, "quantity": 3}]
    before = world(session)
    answer = api(made.customer).post("/orders", key="one", json=pickup_body(made) | {"lines": lines})
    assert answer.status_code == 409
    first, second = answer.json["errors"]
    assert (first["sku"], first["available"], second["sku"], second["available"]) == (
        made.tea.sku,
        1,
        made.cake.sku,
        1,
    )
    assert [(there["location"]["code"], there["available"]) for there in first["elsewhere"]] == [(made.other.code, 7)]
    assert second["elsewhere"] == []
    assert world(session) == before


def test_not_enough_points_takes_nothing(session: Session, api: Api) -> None:
    """FAILURES 5: the stock that was already allocated in this transaction is free again."""
    made = shop(session, points=100)
    before = world(session)
    answer = api(made.customer).post("/orders", key="one", json=pickup_body(made, points_to_spend=101))
    assert (answer.status_code, answer.json["code"]) == (409, "insufficient_points")
    assert world(session) == before


def test_whatever_fails_last_takes_everything_back(session: Session, api: Api) -> None:
    """FAILURES 5: there is no order without its stock, points, payment and event."""
    made = shop(session, points=100)
    before = world(session)
    body = pickup_body(made, points_to_spend=50)
    session.execute(text("ALTER TABLE event ADD CONSTRAINT broken CHECK (type <> 'OrderPlaced')"))
    assert api(made.customer).post("/orders", key="one", json=body).status_code == 409
    assert world(session) == before
    session.execute(text("ALTER TABLE event DROP CONSTRAINT broken"))
    assert api(made.customer).post("/orders", key="one", json=body).status_code == 201  # the key was not used up


Change = Callable[[Shop], dict[str, Any]]
REFUSALS: dict[str, tuple[Change, int, str, str]] = {
    "no key of the store": (lambda m: {"location": "NOWHERE"}, 422, "location_not_valid", "location"),
    "no lines": (lambda m: {"lines": []}, 422, "invalid", "lines"),
    "too many lines": (
        lambda m: {"lines": [{"sku": m.tea.sku, "quantity": 1}] * (limits.LINES_PER_ORDER + 1)},
        422,
        "invalid",
        "lines",
    ),
    "cart and lines": (lambda m: {"cart_id": str(m.store.id)}, 422, "invalid", "lines"),
    "zero units": (lambda m: {"lines": [{"sku": m.tea.sku, "quantity": 0}]}, 422, "invalid", "lines.0.quantity"),
    "too many units": (
        lambda m: {"lines": [{"sku": m.tea.sku, "quantity": 10_000}]},
        422,
        "invalid",
        "lines.0.quantity",
    ),
    "half a unit": (lambda m: {"lines": [{"sku": m.tea.sku, "quantity": 1.5}]}, 422, "invalid", "lines.0.quantity"),
    "a word for a number": (lambda m: {"points_to_spend": "all"}, 422, "invalid", "points_to_spend"),
    "negative points": (lambda m: {"points_to_spend": -1}, 422, "invalid", "points_to_spend"),
    "an unknown field": (lambda m: {"price": 1}, 422, "invalid", "price"),
    "no payment": (lambda m: {"payment": None}, 422, "invalid", "payment"),
    "cash for a pickup": (lambda m: {"payment": {"method": "cash"}}, 422, "invalid", "payment.method"),
    "a card without a card": (
        lambda m: {"payment": {"method": "card"}},
        422,
        "invalid",
        "payment.payment_method",
    ),
    "cards switched off": (
        lambda m: {"payment": {"method": "card", "payment_method": "pm_card_visa"}},
        422,
        "cards_not_accepted",
        "",
    ),
    "a name of two lines": (lambda m: {"contact": {"name": "A\nB"}}, 422, "invalid", "contact.name"),
    "an address that is none": (lambda m: {"contact": {"email": "nobody"}}, 422, "", ""),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_invalid(session: Session, api: Api, case: str) -> None:
    made = shop(session, points=100)
    change, status, code, field = REFUSALS[case]
    before = world(session)
    answer = api(made.customer).post("/orders", key="one", json=pickup_body(made) | change(made))
    assert answer.status_code == status, answer.json
    assert not code or answer.json["code"] == code
    assert not field or field in [error["field"] for error in answer.json["errors"]]
    assert world(session) == before


def test_what_is_not_for_sale_is_named_by_line(session: Session, api: Api) -> None:
    made = shop(session)
    gone = variant(session, status="archived")
    unpriced = variant(session, price_minor=None)
    wished = [made.tea.sku, "NO-SUCH-SKU", gone.sku, unpriced.sku]
    body = pickup_body(made) | {"lines": [{"sku": sku, "quantity": 1} for sku in wished]}
    before = world(session)
    answer = api(made.customer).post("/orders", key="one", json=body)
    assert (answer.status_code, answer.json["code"]) == (422, "not_for_sale")
    assert [(error["line"], error["sku"]) for error in answer.json["errors"]] == [
        (2, "NO-SUCH-SKU"),
        (3, gone.sku),
        (4, unpriced.sku),
    ]
    assert world(session) == before


def test_a_warehouse_hands_nothing_over(session: Session, api: Api) -> None:
    made = shop(session)
    warehouse = location(session, kind="warehouse", pickup_enabled=False)
    before = world(session)
    answer = api(made.customer).post("/orders", key="one", json=pickup_body(made, location=warehouse.code))
    assert (answer.status_code, answer.json["errors"][0]["code"]) == (422, "no_pickup")
    assert world(session) == before


def test_a_guest_without_an_address_or_with_points(session: Session, api: Api) -> None:
    made = shop(session)
    before = world(session)
    answer = api(made.web).post("/orders", key="one", json=pickup_body(made))
    assert (answer.status_code, answer.json["errors"][0]["field"]) == (422, "contact")
    body = pickup_body(made, contact={"email": "g@example.com"}, points_to_spend=1)
    answer = api(made.web).post("/orders", key="two", json=body)
    assert (answer.status_code, answer.json["errors"][0]["field"]) == (422, "points_to_spend")
    assert world(session) == before


def test_who_may_not(session: Session, api: Api) -> None:
    made = shop(session)
    other = customer(session, name="Other")
    reader = api_client(session, ["orders.read"])
    before = world(session)
    body = pickup_body(made)
    assert api().post("/orders", key="one", json=body).status_code == 401
    assert api("ct_unknown").post("/orders", key="one", json=body).status_code == 401
    assert api(reader).post("/orders", key="one", json=body).status_code == 403
    answer = api(made.customer).post("/orders", key="one", json=body | {"customer_id": str(other.id)})
    assert answer.status_code == 404
    answer = api(made.web).post("/orders", key="one", json=body | {"customer_id": str(made.store.id)})
    assert (answer.status_code, answer.json["code"]) == (422, "customer_unknown")
    assert world(session) == before


def test_the_key_is_asked_for_and_replayed(session: Session, api: Api) -> None:
    """FAILURES 18, one after the other (the race is in tests/races)."""
    made = shop(session, points=100)
    before = world(session)
    body = pickup_body(made, points_to_spend=10)
    answer = api(made.customer).post("/orders", json=body)
    assert (answer.status_code, answer.json["code"]) == (400, "idempotency_key_missing")
    assert world(session) == before
    first = api(made.customer).post("/orders", key="one", json=body)
    after = world(session)
    again = api(made.customer).post("/orders", key="one", json=body)
    assert (again.status_code, again.json, again.headers["Idempotent-Replayed"]) == (201, first.json, "true")
    assert again.headers["ETag"] == '"1"'
    other = api(made.customer).post("/orders", key="one", json=body | {"points_to_spend": 11})
    assert (other.status_code, other.json["code"]) == (422, "idempotency_key_reused")
    assert world(session) == after
    hers = api(made.web).post("/orders", key="one", json=body | {"customer_id": str(made.customer.id)})
    assert hers.status_code == 201  # a key is its caller's own


def test_a_merged_customer_is_who_she_was_merged_into(session: Session, api: Api) -> None:
    made = shop(session)
    old = customer(session, name="Old", email="old@example.com")
    session.execute(
        text("UPDATE customer SET merged_into = :to WHERE id = :id"), {"to": made.customer.id, "id": old.id}
    )
    answer = api(made.web).post("/orders", key="one", json=pickup_body(made, customer_id=str(old.id)))
    assert answer.status_code == 201
    assert answer.json["customer_id"] == str(made.customer.id)


def test_the_largest_order(session: Session, api: Api) -> None:
    made = shop(session)
    teas = variants(session, limits.LINES_PER_ORDER, price_minor=333)
    for tea in teas:
        receive(session, made.store, tea, 9999)
    body = pickup_body(made) | {"lines": [{"sku": tea.sku, "quantity": 9999} for tea in teas]}
    answer = api(made.customer).post("/orders", key="one", json=body)
    assert answer.status_code == 201
    assert answer.json["total"] == yen(333 * 9999 * 100)
    assert sum(line["total"]["amount_minor"] for line in answer.json["lines"]) == 333 * 9999 * 100
