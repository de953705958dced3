"""POST /orders with carry_out: paid, handed over and earned at once, in the same transaction (FAILURES 12, 14)."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy.orm import Session

from tests.factories import Actor, api_client, staff
from tests.factories.orders import (
    CLIENT_SCOPES,
    Shop,
    account,
    entries,
    events,
    level,
    payments,
    pickup_body,
    shop,
    spends,
    world,
)

Api = Callable[..., Any]


def sale(made: Shop, *, quantity: int = 1, method: str = "cash", **changes: Any) -> dict[str, Any]:
    return pickup_body(made, quantity=quantity, method=method) | {"method": "carry_out"} | changes


def till(session: Session, made: Shop) -> Actor:
    return api_client(session, [*CLIENT_SCOPES, "till.sell"], channel="store", location_id=made.store.id)


def test_a_sale_is_settled_at_once(session: Session, api: Api) -> None:
    made = shop(session, points=300)
    body = sale(made, quantity=2, customer_id=str(made.customer.id), points_to_spend=300) | spends(
        made.customer, made.associate
    )
    answer = api(made.associate).post("/orders", key="sale-1", json=body)
    assert answer.status_code == 201, answer.json
    order = answer.json
    assert (order["status"], order["channel"]) == ("completed", "store")
    (part,) = order["fulfillments"]
    assert (part["method"], part["state"], part["collected_proof"]) == ("carry_out", "collected", "carry_out")
    assert part["collected_at"] == order["placed_at"]
    assert part["lines"][0] | {"order_line_id": ""} == {
        "order_line_id": "",
        "quantity": 2,
        "picked": 2,
        "collected": 2,
        "short": 0,
        "cancelled": 0,
    }
    assert payments(session) == [("points", "captured", 300, 300, 300), ("cash", "captured", 3660, 3660, 3660)]
    assert entries(session) == [
        ("points", "authorize", 300, "succeeded"),
        ("points", "capture", 300, "succeeded"),
        ("cash", "authorize", 3660, "succeeded"),
        ("cash", "capture", 3660, "succeeded"),
    ]
    assert level(session, made.store, made.tea) == (8, 0, 0)
    # 3600 without tax, 300 of it paid with points: 33 points
    assert account(session, made.customer) == (33, 0, 0)
    assert events(session) == ["PointsEarned", "OrderPlaced", "PointsEarned"]


def test_a_guest_buys_at_the_counter(session: Session, api: Api) -> None:
    made = shop(session)
    answer = api(till(session, made)).post("/orders", key="sale-1", json=sale(made, method="card_terminal"))
    assert answer.status_code == 201
    assert answer.json["contact"] == {"name": "", "email": None, "phone": None}
    assert payments(session) == [("card_terminal", "captured", 1980, 1980, 1980)]
    assert events(session) == ["OrderPlaced"]


def test_a_till_that_retries_sells_once(session: Session, api: Api) -> None:
    """FAILURES 14: the key is the till's own sale id."""
    made = shop(session, points=300)
    body = sale(made, customer_id=str(made.customer.id), points_to_spend=100)
    seller = till(session, made)
    body |= spends(made.customer, seller)
    first = api(seller).post("/orders", key="till-7:sale-12", json=body)
    after = world(session)
    again = api(seller).post("/orders", key="till-7:sale-12", json=body)
    assert (again.json, again.headers["Idempotent-Replayed"]) == (first.json, "true")
    assert world(session) == after
    assert account(session, made.customer) == (217, 0, 0)  # 300 - 100 + 17


@pytest.mark.parametrize("method", ["pay_at_pickup", "card"])
def test_what_a_till_does_not_take(session: Session, api: Api, method: str) -> None:
    made = shop(session)
    before = world(session)
    body = sale(made) | {"payment": {"method": method, "payment_method": "pm_card_visa"}}
    answer = api(made.associate).post("/orders", key="one", json=body)
    assert (answer.status_code, answer.json["errors"][0]["field"]) == (422, "payment.method")
    assert world(session) == before


def test_sold_out_at_the_counter(session: Session, api: Api) -> None:
    made = shop(session, units=1)
    before = world(session)
    answer = api(made.associate).post("/orders", key="one", json=sale(made, quantity=2))
    assert (answer.status_code, answer.json["code"]) == (409, "out_of_stock")
    assert world(session) == before


def test_who_may_not_sell_there(session: Session, api: Api) -> None:
    made = shop(session)
    roaming = api_client(session, [*CLIENT_SCOPES, "till.sell"])
    manager = staff(session, "manager", locations=[made.other.id])
    before = world(session)
    for caller, status in (
        (made.customer, 403),
        (made.web, 403),
        (roaming, 403),
        (made.stranger, 404),
        (manager, 404),
    ):
        answer = api(caller).post("/orders", key="one", json=sale(made))
        assert answer.status_code == status, (caller, answer.json)
    assert world(session) == before
