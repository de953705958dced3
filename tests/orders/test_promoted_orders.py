"""Orders that promotions and coupons took something off: placed, called off, refunded in parts, given back, earning."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from orders import audit, value
from retail.kernel import clock, db
from tests.factories import Actor, customer, staff
from tests.factories.orders import Shop, account, pickup_body, ready_pickup, shop, world
from tests.orders.test_promotions import coupon, promote, reasons, yen

Api = Callable[..., Any]
Unchanged = Callable[[], AbstractContextManager[None]]
HOUR = timedelta(hours=1)


@pytest.fixture
def admin(session: Session) -> Actor:
    return staff(session, "admin")


@pytest.fixture
def made(session: Session) -> Shop:
    return shop(session)


def place(api: Api, made: Shop, key: str = "one", caller: Any = None, **changes: Any) -> dict[str, Any]:
    answer = api(caller or made.customer).post("/orders", key=key, json=pickup_body(made, **changes))
    assert answer.status_code == 201, answer.json
    order: dict[str, Any] = answer.json
    return order


def used(session: Session) -> list[tuple[str, int]]:
    return [tuple(row) for row in session.execute(text("SELECT code, used FROM coupon ORDER BY code")).all()]


def test_an_order_shows_what_was_taken_off(session: Session, api: Api, admin: Actor, made: Shop) -> None:
    promote(api, admin, skus=[made.tea.sku])
    promote(api, admin, code="BULK", min_quantity=50)
    lines = [{"sku": made.tea.sku, "quantity": 2}, {"sku": made.cake.sku, "quantity": 1}]
    order = place(api, made, lines=lines)
    assert (order["discount"], order["total"], order["tax"]) == (yen(396), yen(4104), yen(364))
    assert [line["discount"] for line in order["lines"]] == [yen(396), yen(0)]
    assert reasons(order) == [("TEN", "applied"), ("BULK", "below_min_quantity")]
    assert api(made.customer).get(f"/orders/{order['reference']}").json == order
    assert order["payments"][0]["amount"] == yen(4104)
    assert list(audit.divergences(session)) == []


def test_a_cart_is_placed_with_its_coupons(session: Session, api: Api, admin: Actor, made: Shop) -> None:
    promote(api, admin, needs_coupon=True)
    coupon(api, admin, total_limit=5)
    coupon(api, admin, "OTHER")
    body = {"lines": [{"sku": made.tea.sku, "quantity": 2}], "location": made.store.code, "coupon_codes": ["summer10"]}
    cart = api(made.customer).post("/carts", json=body).json
    paid = {"cart_id": cart["id"], "payment": {"method": "pay_at_pickup"}}
    order = api(made.customer).post("/orders", key="one", json=paid).json
    assert (order["total"], order["coupon_codes"], order["discounts"]) == (
        cart["totals"]["total"], ["SUMMER10"], cart["discounts"],
    )  # fmt: skip
    assert used(session) == [("OTHER", 0), ("SUMMER10", 1)]
    uses = api(admin).get("/coupons/SUMMER10/uses").json["items"]
    assert [(use["order_reference"], use["customer_id"], use["released_at"]) for use in uses] == [
        (order["reference"], str(made.customer.id), None)
    ]
    told = place(api, made, "two", coupon_codes=["other", "none"])  # what the request says goes before
    assert (told["coupon_codes"], reasons(told)) == (["OTHER"], [("OTHER", "applied"), ("NONE", "unknown_coupon")])
    assert list(audit.divergences(session)) == []
    session.execute(text("UPDATE coupon SET used = 4 WHERE code = 'OTHER'"))
    assert [(found.ledger, found.key) for found in audit.divergences(session)] == [("coupon", "OTHER")]


def test_a_coupon_is_used_as_often_as_it_may(session: Session, api: Api, admin: Actor, made: Shop) -> None:
    promote(api, admin, needs_coupon=True)
    coupon(api, admin, total_limit=3, per_customer_limit=1)
    mine = place(api, made, "one", coupon_codes=["SUMMER10"])
    again = place(api, made, "two", coupon_codes=["SUMMER10"])
    assert (reasons(mine), reasons(again)) == ([("SUMMER10", "applied")], [("SUMMER10", "used_by_customer")])
    assert (again["discount"], again["coupon_codes"]) == (yen(0), [])
    same = {"email": "HANAKO@example.com"}  # with the account's own address, logged out
    logged_out = place(api, made, "three", made.web, contact=same, coupon_codes=["SUMMER10"])
    assert reasons(logged_out) == [("SUMMER10", "used_by_customer")]
    guest = {"email": "guest@example.com", "phone": "090-1111-2222"}
    assert place(api, made, "four", made.web, contact=guest, coupon_codes=["SUMMER10"])["discount"] == yen(198)
    by_phone = {"email": "other@example.com", "phone": "+819011112222"}
    known = place(api, made, "five", made.web, contact=by_phone, coupon_codes=["SUMMER10"])
    assert reasons(known) == [("SUMMER10", "used_by_customer")]
    other = customer(session, email="third@example.com")
    assert place(api, made, "six", other, coupon_codes=["SUMMER10"])["discount"] == yen(198)
    last = customer(session, email="last@example.com")
    assert reasons(place(api, made, "seven", last, coupon_codes=["SUMMER10"])) == [("SUMMER10", "used_up")]
    assert used(session) == [("SUMMER10", 3)]


def test_a_refused_order_uses_no_coupon(
    session: Session, api: Api, admin: Actor, made: Shop, unchanged: Unchanged
) -> None:
    promote(api, admin, needs_coupon=True)
    coupon(api, admin)
    with unchanged():
        answer = api(made.customer).post(
            "/orders", key="one", json=pickup_body(made, quantity=11, coupon_codes=["SUMMER10"])
        )
        assert (answer.status_code, answer.json["code"]) == (409, "out_of_stock")
        many = api(made.customer).post("/orders", key="two", json=pickup_body(made, coupon_codes=["A"] * 11))
        assert many.status_code == 422


def test_calling_off_gives_the_coupon_back(
    session: Session, api: Api, admin: Actor, made: Shop, unchanged: Unchanged
) -> None:
    promote(api, admin, needs_coupon=True)
    coupon(api, admin, total_limit=1, per_customer_limit=1)
    order = place(api, made, coupon_codes=["SUMMER10"])
    gone = api(made.customer).post(f"/orders/{order['reference']}/cancellation", key="off", json={"reason": "mind"})
    assert gone.status_code == 200
    assert used(session) == [("SUMMER10", 0)]
    assert api(admin).get("/coupons/SUMMER10/uses").json["items"][0]["released_at"] is not None
    with unchanged():  # once
        api(made.customer).post(f"/orders/{order['reference']}/cancellation", key="off", json={"reason": "mind"})
    assert place(api, made, "two", coupon_codes=["SUMMER10"])["discount"] == yen(198)


def test_a_declined_card_gives_the_coupon_back(
    session: Session, api: Api, admin: Actor, made: Shop, cards: Any
) -> None:
    promote(api, admin, needs_coupon=True)
    coupon(api, admin)
    body = pickup_body(made, coupon_codes=["SUMMER10"])
    body["payment"] = {"method": "card", "payment_method": "pm_card_chargeDeclined"}
    answer = api(made.customer).post("/orders", key="one", json=body)
    assert answer.status_code in (402, 409), answer.json
    assert used(session) == [("SUMMER10", 0)]
    assert list(audit.divergences(session)) == []


def back(session: Session, order: dict[str, Any], line: int, units: int) -> int:
    """Give back units of a line; what went back, minor units."""
    given = value.give_back(
        session,
        order_id=UUID(order["id"]),
        lines={UUID(order["lines"][line]["id"]): units},
        reason="returned",
        actor="system",
        now=clock.now(),
    )
    return given.released_minor + given.refunded_minor


def sold(api: Api, made: Shop, lines: list[dict[str, Any]], key: str = "till") -> dict[str, Any]:
    """Sold at the till for cash."""
    body = pickup_body(made, method="cash") | {"method": "carry_out", "customer_id": str(made.customer.id)}
    answer = api(made.associate).post("/orders", key=key, json=body | {"lines": lines})
    assert answer.status_code == 201, answer.json
    order: dict[str, Any] = answer.json
    return order


@pytest.mark.parametrize("first", [0, 1])
def test_three_for_two_comes_back_as_it_was_paid(
    session: Session, api: Api, admin: Actor, made: Shop, first: int
) -> None:
    """Two teas and a cake, the cake free: the paid one or the free one comes back first."""
    promote(api, admin, kind="buy_x_get_y", buy_quantity=2, get_quantity=1, percent_bp=10_000)
    order = sold(api, made, [{"sku": made.tea.sku, "quantity": 2}, {"sku": made.cake.sku, "quantity": 1}])
    assert [line["total"] for line in order["lines"]] == [yen(3960), yen(0)]
    if first == 0:
        assert [back(session, order, 0, 1), back(session, order, 0, 1)] == [1980, 1980]
        assert session.execute(text("SELECT sum(refunded_minor) FROM payment")).scalar_one() == 3960
    else:
        assert (back(session, order, 1, 1), back(session, order, 0, 1)) == (0, 1980)
        assert session.execute(text("SELECT sum(refunded_minor) FROM payment")).scalar_one() == 1980
    assert list(audit.divergences(session)) == []


def test_parts_of_a_discounted_line_add_up(session: Session, api: Api, admin: Actor, made: Shop) -> None:
    """Three teas for two, on one line: each gives back a third of what the line was paid with, all of it in the end."""
    promote(api, admin, kind="buy_x_get_y", buy_quantity=2, get_quantity=1, percent_bp=5000)
    promote(api, admin, code="CASH", kind="amount", amount_minor=1, currency="JPY")
    order = sold(api, made, [{"sku": made.tea.sku, "quantity": 3}])
    assert order["total"] == yen(3 * 1980 - 990 - 1)
    parts = [back(session, order, 0, 1) for _ in range(3)]
    assert (parts, sum(parts)) == ([1650, 1650, 1649], 4949)
    assert list(audit.divergences(session)) == []


def test_a_line_called_off_is_worth_what_it_cost(session: Session, api: Api, admin: Actor, made: Shop) -> None:
    promote(api, admin, kind="threshold", currency="JPY", steps=[{"from_minor": 4000, "amount_minor": 500}])
    order = place(api, made, lines=[{"sku": made.tea.sku, "quantity": 2}, {"sku": made.cake.sku, "quantity": 1}])
    assert [line["total"]["amount_minor"] for line in order["lines"]] == [3520, 480]
    path = f"/orders/{order['reference']}/lines/{order['lines'][1]['id']}/cancellation"
    answer = api(made.customer).post(path, key="off", json={"reason": "mind"})
    assert answer.status_code == 200, answer.json
    payment = answer.json["payments"][0]
    assert (payment["amount"], payment["released"]) == (yen(4000), yen(480))
    assert list(audit.divergences(session)) == []


def test_points_are_earned_on_what_was_paid(session: Session, api: Api, admin: Actor, made: Shop) -> None:
    """3960 less 20 % is 3168, 2880 without tax: 28 points at the till; a pickup earns the same when it is handed over."""
    promote(api, admin, percent_bp=2000)
    order = sold(api, made, [{"sku": made.tea.sku, "quantity": 2}])
    assert (order["total"], account(session, made.customer)) == (yen(3168), (28, 0, 0))
    assert back(session, order, 0, 1) == 1584
    assert account(session, made.customer)[0] == 14
    pickup = place(api, made, quantity=2, points_to_spend=14)
    assert [(part["tender"], part["amount"]) for part in pickup["payments"]] == [
        ("points", yen(14)), ("pay_at_pickup", yen(3154)),
    ]  # fmt: skip
    pickup_id = ready_pickup(api, made, pickup)
    code = api(made.customer).get(f"/me/orders/{pickup['reference']}/pickup-code").json["code"]
    taken = {"code": code, "tender": "cash"}
    answer = api(made.associate).post(f"/pickups/{pickup_id}/collection", key="out", json=taken)
    assert answer.status_code == 200, answer.json
    assert account(session, made.customer)[0] == 28  # of 2880 the part that 14 points paid earns nothing
    assert list(audit.divergences(session)) == []


def changed(api: Api, made: Shop, order: dict[str, Any], key: str, quantity: int) -> Any:
    body = {
        "changes": [{"order_line_id": order["lines"][0]["id"], "quantity": quantity}],
        "settlement": {"at_counter": True},
    }
    return api(made.customer).post(f"/orders/{order['reference']}/goods-changes", key=key, json=body)


def test_a_changed_order_counts_the_promotions_of_its_placing(
    session: Session, api: Api, admin: Actor, made: Shop
) -> None:
    """Withdrawn since, it still counts; what began since does not."""
    promote(api, admin, kind="threshold", currency="JPY", steps=[{"from_minor": 5000, "percent_bp": 1000}])
    promote(api, admin, code="MORE", needs_coupon=True, kind="amount", amount_minor=100, currency="JPY")
    coupon(api, admin, promotion="MORE", total_limit=1, per_customer_limit=1)
    order = place(api, made, quantity=2, coupon_codes=["SUMMER10"])
    assert (reasons(order), order["total"]) == ([("SUMMER10", "applied"), ("TEN", "below_min_amount")], yen(3860))
    with clock.shifted(HOUR):
        for code in ("TEN", "MORE"):
            assert api(admin).patch(f"/promotions/{code}", json={"active": False}, if_match=1).status_code == 200
        promote(api, admin, code="NEW", percent_bp=5000)
        more = changed(api, made, order, "more", 3)
        assert more.status_code == 200, more.json
        assert reasons(more.json) == [("SUMMER10", "applied"), ("TEN", "applied")]
        assert (more.json["total"], more.json["discount"]) == (yen(5256), yen(684))  # 10 % of 5840, and 100
        session.execute(
            text("UPDATE product SET status = 'archived'")
        )  # what was sold keeps its promotions all the same
        less = changed(api, made, order, "less", 1)
        assert (less.json["total"], less.json["coupon_codes"]) == (yen(1880), ["SUMMER10"])
    assert used(session) == [("SUMMER10", 1)]
    assert list(audit.divergences(session)) == []


def test_a_divided_order_with_discounts_is_not_changed(
    session: Session, api: Api, admin: Actor, made: Shop, unchanged: Unchanged
) -> None:
    promote(api, admin)
    order = place(api, made, lines=[{"sku": made.tea.sku, "quantity": 2}, {"sku": made.cake.sku, "quantity": 2}])
    path = f"/orders/{order['reference']}/lines/{order['lines'][1]['id']}/cancellation"
    off = api(made.customer).post(path, key="off", json={"reason": "mind", "quantity": 1})
    assert off.status_code == 200, off.json
    with unchanged():
        answer = changed(api, made, order, "more", 3)
    assert (answer.status_code, answer.json["code"], answer.json["legal"]) == (409, "not_changeable", [])


@pytest.mark.committed
def test_promotions_cost_placing_no_statement(session: Session, api: Api) -> None:
    """9 without a coupon, as if there were no promotions; with one, its use is taken by two."""
    admin, made = staff(session, "admin"), shop(session, points=300)
    promote(api, admin)
    promote(api, admin, code="MORE", needs_coupon=True)
    coupon(api, admin, promotion="MORE", per_customer_limit=1)
    for codes, statements in (([], 9), (["SUMMER10"], 11)):
        body = pickup_body(made, points_to_spend=20, coupon_codes=codes)
        with db.counting() as count:
            assert api(made.customer).post("/orders", key=f"{codes}", json=body).status_code == 201
        assert count.statements == statements
    before = world(session)
    again = pickup_body(made, coupon_codes=["SUMMER10"])
    assert api(made.customer).post("/orders", key="again", json=again).json["discount"] == yen(198)
    assert world(session) != before
