"""Goods at the counter: kept longer by the customer once, by staff as they see fit; reminded of once, and only while they wait."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from orders import waiting
from retail import limits
from retail.kernel import clock, outbox
from retail.kernel.ids import new_id
from tests.factories import customer, staff
from tests.factories.orders import Shop, pickup_body, ready_pickup, shop

Api = Callable[..., Any]
Unchanged = Callable[[], AbstractContextManager[None]]


def ready(api: Api, made: Shop) -> tuple[dict[str, Any], str]:
    order = api(made.customer).post("/orders", key="place", json=pickup_body(made)).json
    return order, ready_pickup(api, made, order)


def until(api: Api, made: Shop, order: dict[str, Any]) -> datetime:
    shown = api(made.customer).get(f"/orders/{order['reference']}").json
    return datetime.fromisoformat(shown["fulfillments"][0]["collect_by"])


def extend(api: Api, caller: Any, pickup: str, key: str = "", **body: Any) -> Any:
    return api(caller).post(f"/pickups/{pickup}/extension", key=key or str(new_id()), json=body)


def letters(session: Session) -> list[str]:
    with clock.shifted(timedelta(days=60)):
        outbox.drain()
    return list(session.execute(text("SELECT template FROM message ORDER BY created_at, id")).scalars())


def test_kept_longer_once_by_the_customer_and_more_by_staff(session: Session, api: Api) -> None:
    made = shop(session)
    order, pickup = ready(api, made)
    before = until(api, made, order)
    answer = extend(api, made.customer, pickup, key="once")
    assert answer.status_code == 200, answer.json
    after = until(api, made, order)
    assert after.date() == (before + timedelta(days=limits.EXTENSION_DAYS)).date()
    assert extend(api, made.customer, pickup, key="once").headers["Idempotent-Replayed"] == "true"
    assert extend(api, made.associate, pickup, days=30).status_code == 200
    assert until(api, made, order).date() == (after + timedelta(days=30)).date()
    assert extend(api, staff(session, "agent"), pickup, days=1).status_code == 200
    assert letters(session).count("pickup_extended") == 3


def test_who_may_not(session: Session, api: Api, unchanged: Unchanged) -> None:
    made = shop(session)
    order = api(made.customer).post("/orders", key="place", json=pickup_body(made)).json
    pickup, taro = order["fulfillments"][0]["id"], customer(session, name="Taro")
    with unchanged():
        early = extend(api, made.customer, pickup)
        assert (early.status_code, early.json["code"]) == (409, "illegal_transition")
        assert extend(api, taro, pickup).status_code == 404
        assert extend(api, made.stranger, pickup).status_code == 404
        assert extend(api, made.customer, str(new_id())).status_code == 404
        assert extend(api, made.customer, pickup, days=limits.EXTENSION_DAYS_MOST + 1).status_code == 422
        assert extend(api, made.customer, pickup, days=0).status_code == 422
    ready_pickup(api, made, order)
    with unchanged():
        long = extend(api, made.customer, pickup, days=limits.EXTENSION_DAYS + 1)
        assert (long.status_code, long.json["code"]) == (409, "no_more_extensions")
    extend(api, made.customer, pickup)
    with unchanged():
        assert extend(api, made.customer, pickup).json["used"] == 1


def test_reminded_once_while_it_waits(session: Session, api: Api) -> None:
    made = shop(session)
    order, pickup = ready(api, made)
    collect_by = until(api, made, order)
    early = collect_by - timedelta(hours=limits.REMIND_HOURS_BEFORE, minutes=1)
    assert waiting.remind_due(session, now=early, limit=10) == 0
    soon = collect_by - timedelta(hours=1)
    assert [waiting.remind_due(session, now=soon, limit=10) for _ in range(2)] == [1, 0]
    assert letters(session).count("pickup_reminder") == 1
    extend(api, made.customer, pickup)
    later = until(api, made, order) - timedelta(hours=1)
    assert waiting.remind_due(session, now=later, limit=10) == 1, "a new moment, a new reminder"
    proof = {"identity": "driving license", "tender": "cash"}
    api(made.associate).post(f"/pickups/{pickup}/collection", key="c", json=proof)
    assert waiting.remind_due(session, now=later, limit=10) == 0
