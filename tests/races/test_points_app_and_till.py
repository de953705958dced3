"""The same points wanted by the app, the counter and an offline till at once, over real connections: exactly one has them."""

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from app import AUDITS
from tests.factories.orders import Shop, account, pickup_body, shop, spends
from tests.orders.test_till_upload import PATH, sale, till

pytestmark = [pytest.mark.committed, pytest.mark.races]
Api = Callable[..., Any]
HANDS = 16
POINTS = 1000


def let_go(calls: list[Callable[[], Any]]) -> list[Any]:
    """All at once, each with a connection of its own."""
    barrier = threading.Barrier(len(calls))

    def run(call: Callable[[], Any]) -> Any:
        barrier.wait(20)
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


def in_app(api: Api, made: Shop, number: int) -> Callable[[], Any]:
    body = pickup_body(made, points_to_spend=POINTS)
    return lambda: api(made.customer).post("/orders", key=f"app-{number}", json=body)


def at_counter(api: Api, made: Shop, number: int) -> Callable[[], Any]:
    body = pickup_body(made, method="cash", points_to_spend=POINTS)
    body |= {"method": "carry_out", "customer_id": str(made.customer.id)} | spends(made.customer, made.associate)
    return lambda: api(made.associate).post("/orders", key=f"till-{number}", json=body)


def offline(api: Api, seller: Any, made: Shop, number: int) -> Callable[[], Any]:
    tenders = [{"method": "points", "amount_minor": POINTS}, {"method": "cash", "amount_minor": 980}]
    one = sale(made, number, tenders=tenders, customer_id=str(made.customer.id))
    return lambda: api(seller).post(PATH, key=f"upload-{number}", json={"sales": [one]})


def burned_or_held(session: Session) -> list[tuple[str, int]]:
    return [tuple(row) for row in session.execute(text("SELECT state, points FROM points_hold ORDER BY id"))]


def clean(session: Session) -> bool:
    return [found for audit in AUDITS for found in audit(session)] == []


def test_failure_15_the_same_points_in_the_app_and_at_the_till_pay_once(session: Session, api: Api) -> None:
    made = shop(session, units=50, points=POINTS)
    calls = [(in_app if number % 2 else at_counter)(api, made, number) for number in range(HANDS)]
    answers = let_go(calls)
    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: HANDS - 1}
    refused = [answer.json for answer in answers if answer.status_code == 409]
    assert {(one["code"], one["requested"]) for one in refused} == {("insufficient_points", POINTS)}
    # a sale over the counter earns (1800 - 1000) / 100 at once, before the later ones look
    (won,) = [answer.json for answer in answers if answer.status_code == 201]
    sold = won["status"] == "completed"
    assert {one["available"] for one in refused} <= ({0, 8} if sold else {0})
    assert account(session, made.customer) == ((8, 0, 0) if sold else (0, POINTS, 0))
    assert burned_or_held(session) == [("burned" if sold else "open", POINTS)]
    assert session.execute(text('SELECT count(*) FROM "order"')).scalar_one() == 1
    assert clean(session)


def test_an_offline_sale_beside_the_app_and_the_counter_spends_what_is_left(session: Session, api: Api) -> None:
    """Its goods are gone: it is recorded whatever happens, and says what its points were short of."""
    made = shop(session, units=50, points=POINTS)
    seller = till(session, made)
    calls = [offline(api, seller, made, 0)]
    calls += [(in_app if number % 2 else at_counter)(api, made, number) for number in range(1, HANDS)]
    told, *answers = let_go(calls)
    assert told.status_code == 200
    (recorded,) = told.json["sales"]
    assert recorded["outcome"] == "recorded"
    won = [answer.json for answer in answers if answer.status_code == 201]
    assert Counter(answer.status_code for answer in answers) == Counter({201: len(won), 409: HANDS - 1 - len(won)})
    assert {answer.json["code"] for answer in answers if answer.status_code == 409} <= {"insufficient_points"}
    short = {flag["code"]: flag for flag in recorded["flags"]}
    if won:  # it came too late, but for the 8 points that the sale over the counter has just earned
        assert len(won) == 1
        left = short["points_short"]["burned"]
        assert short["points_short"]["points"] == POINTS
        assert left in ((0, 8) if won[0]["status"] == "completed" else (0,))
    else:
        assert "points_short" not in short
        left = POINTS
    taken = sum(points for state, points in burned_or_held(session) if state == "burned")
    held = sum(points for state, points in burned_or_held(session) if state == "open")
    assert taken + held == left + (POINTS if won else 0)
    assert account(session, made.customer)[1:] == (held, 0)
    assert clean(session)


def test_offline_sales_told_at_once_spend_together_what_there_is(session: Session, api: Api) -> None:
    made = shop(session, units=50, points=2 * POINTS + 300)
    seller = till(session, made)
    answers = let_go([offline(api, seller, made, number) for number in range(HANDS)])
    told = [one for answer in answers for one in answer.json["sales"]]
    assert {one["outcome"] for one in told} == {"recorded"}
    short = [flag["burned"] for one in told for flag in one["flags"] if flag["code"] == "points_short"]
    assert len(short) == HANDS - 2
    earned = session.execute(text("SELECT sum(earned) FROM points_lot WHERE source = 'order'")).scalar_one()
    available, held, owed = account(session, made.customer)
    assert held == owed == 0
    assert sum(short) + 2 * POINTS + available == 2 * POINTS + 300 + earned
    assert clean(session)
