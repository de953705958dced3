"""What points cost: earning and burning add at most three statements to placing an order."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy.orm import Session

from retail.kernel import db
from tests.factories.orders import Shop, account, pickup_body, shop, spends

pytestmark = pytest.mark.committed
Api = Callable[..., Any]
BUDGET = 3
HER_RECORD = 1  # read for whoever buys as somebody, with points or without


def statements(api: Api, caller: Any, key: str, body: dict[str, Any]) -> int:
    with db.counting() as count:
        answer = api(caller).post("/orders", key=key, json=body)
    assert answer.status_code == 201, answer.json
    return count.statements


def over_the_counter(made: Shop, **changes: Any) -> dict[str, Any]:
    return pickup_body(made, method="cash") | {"method": "carry_out"} | changes


def test_points_add_one_statement_to_an_order_for_pickup(session: Session, api: Api) -> None:
    made = shop(session, points=500)
    without = statements(api, made.customer, "one", pickup_body(made))
    with_points = statements(api, made.customer, "two", pickup_body(made, points_to_spend=200))
    assert with_points - without == 1 <= BUDGET
    assert account(session, made.customer) == (300, 200, 0)


def test_burning_and_earning_add_three_statements_to_a_sale_over_the_counter(session: Session, api: Api) -> None:
    made = shop(session, points=500)
    guest = statements(api, made.associate, "warm", over_the_counter(made))
    guest = statements(api, made.associate, "one", over_the_counter(made))
    member = over_the_counter(made, customer_id=str(made.customer.id))
    earning = statements(api, made.associate, "two", member)
    both = statements(
        api, made.associate, "three", member | {"points_to_spend": 200} | spends(made.customer, made.associate)
    )
    assert (earning - guest, both - earning) == (HER_RECORD + 2, 1)  # lock and judge, book; spend
    assert both - guest - HER_RECORD <= BUDGET
    assert account(session, made.customer) == (500 + 18 - 200 + 16, 0, 0)
