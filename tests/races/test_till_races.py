"""Two uploads of one sale at once, over real connections: exactly one records it, the other answers with its order."""

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from app import AUDITS
from tests.factories.orders import account, level, shop
from tests.orders.test_till_upload import PATH, sale, till

pytestmark = [pytest.mark.committed, pytest.mark.races]
Api = Callable[..., Any]


def test_failure_14_one_sale_told_by_many_at_once_is_recorded_once(session: Session, api: Api) -> None:
    """In batches of their own, in other orders, with points: nothing is doubled, nobody deadlocks."""
    made = shop(session, units=50, points=1000)
    seller = till(session, made)
    tenders = [{"method": "points", "amount_minor": 100}, {"method": "cash", "amount_minor": 1880}]
    sales = [sale(made, number, tenders=tenders, customer_id=str(made.customer.id)) for number in range(5)]
    barrier = threading.Barrier(6)

    def tell(number: int) -> Any:
        batch = sales if number % 2 else sales[::-1]
        barrier.wait(20)
        return api(seller).post(PATH, key=f"k{number}", json={"sales": batch})

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(tell, range(6)))
    assert {answer.status_code for answer in answers} == {200}
    told = [one for answer in answers for one in answer.json["sales"]]
    assert Counter(one["outcome"] for one in told) == {"recorded": 5, "repeated": 25}
    assert len({(one["sale_id"], one["order_reference"]) for one in told}) == 5
    assert session.execute(text('SELECT count(*) FROM "order"')).scalar_one() == 5
    assert level(session, made.store, made.tea) == (45, 0, 0)
    assert account(session, made.customer) == (585, 0, 0)  # 1000 - 5 x 100 + 5 x 17
    assert [found for audit in AUDITS for found in audit(session)] == []
