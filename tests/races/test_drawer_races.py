"""One drawer, several at once, over real connections: one session, and a closing that counts every sale or refuses it."""

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from app import AUDITS
from tests.factories.orders import shop
from tests.orders.test_drawers import DRAWER, amounts, closed, opened, sale, till

pytestmark = [pytest.mark.committed, pytest.mark.races]
Api = Callable[..., Any]


def at_once(*works: Callable[[], Any]) -> list[Any]:
    barrier = threading.Barrier(len(works))

    def run(work: Callable[[], Any]) -> Any:
        barrier.wait(20)
        return work()

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(run, works))


def test_two_open_one_drawer(session: Session, api: Api) -> None:
    made = shop(session)
    seller = till(session, made)
    session.commit()

    def open_it(number: int) -> Callable[[], Any]:
        return lambda: api(seller).post(DRAWER, key=f"o{number}", json={"opening_minor": number})

    answers = at_once(*(open_it(number) for number in range(4)))
    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 3}
    assert session.execute(text("SELECT count(*) FROM drawer")).scalar_one() == 1


def test_sales_and_a_closing_at_once(session: Session, api: Api) -> None:
    """What was sold is in the count, what came too late was refused and is not sold."""
    made = shop(session, units=50)
    seller = till(session, made)
    session.commit()
    for number in range(5):
        opened(api, seller, 1000, key=f"open{number}")

        def sell(seat: int, number: int = number) -> Callable[[], Any]:
            return lambda: api(seller).post("/orders", key=f"s{number}-{seat}", json=sale(made))

        def close(number: int = number) -> Any:
            return closed(api, seller, 1000, key=f"close{number}")

        *sales, closing = at_once(sell(0), sell(1), sell(2), close)
        codes = Counter(answer.status_code for answer in sales)
        assert set(codes) <= {201, 409}
        assert {answer.json["code"] for answer in sales if answer.status_code == 409} <= {"drawer_closed"}
        assert closing.status_code == 200
        assert amounts(closing.json)["sales"] == 1980 * codes[201]
        assert amounts(closing.json)["difference"] == -1980 * codes[201]
    orders = session.execute(text('SELECT count(*) FROM "order"')).scalar_one()
    assert orders == session.execute(text("SELECT count(*) FROM drawer_entry")).scalar_one()
    assert [found for audit in AUDITS for found in audit(session)] == []


def test_two_close_one_drawer(session: Session, api: Api) -> None:
    made = shop(session)
    seller = till(session, made)
    session.commit()
    opened(api, seller)
    answers = at_once(lambda: closed(api, seller, 1, "a"), lambda: closed(api, seller, 2, "b"))
    assert Counter(answer.status_code for answer in answers) == {200: 1, 409: 1}
    kept = session.execute(text("SELECT counted_minor FROM drawer")).scalar_one()
    assert kept == next(answer.json["counted"]["amount_minor"] for answer in answers if answer.status_code == 200)
