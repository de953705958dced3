"""A pickup without a date gets one when the last of its goods has come, once, and only then."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from retail.kernel import clock, outbox
from tests.factories import staff
from tests.factories.orders import Shop, pickup_body, shop
from tests.inventory.books import limit, receive

Api = Callable[..., Any]


def waiting_order(session: Session, api: Api) -> tuple[Shop, dict[str, Any]]:
    """Three units wanted, one there, no delivery announced."""
    made = shop(session, units=1)
    limit(session, made.tea, made.store, backorder_limit=9)
    body = pickup_body(made, quantity=3, contact={"name": "Hanako", "email": "hanako@example.com"})
    order = api(made.web).post("/orders", json=body, key="o-1").json
    assert order["fulfillments"][0]["ready_by"] is None
    return made, order


def ready_by(api: Api, made: Shop, order: dict[str, Any]) -> datetime | None:
    seen = api(made.associate).get(f"/pickups/{order['fulfillments'][0]['id']}").json["ready_by"]
    return None if seen is None else datetime.fromisoformat(seen)


def test_the_last_goods_give_the_pickup_its_moment(session: Session, now: datetime, api: Api) -> None:
    made, order = waiting_order(session, api)
    receive(session, made.tea, made.store, 1)
    outbox.drain()
    assert ready_by(api, made, order) is None, "one of the two is still to come"
    with clock.shifted(timedelta(hours=1)):
        receive(session, made.tea, made.store, 1)
        outbox.drain()
    expected = now + timedelta(hours=1, minutes=120)
    assert ready_by(api, made, order) == expected
    version = api(made.associate).get(f"/pickups/{order['fulfillments'][0]['id']}").json["version"]
    with clock.shifted(timedelta(hours=2)):
        receive(session, made.tea, made.store, 5)
        outbox.drain()
    assert ready_by(api, made, order) == expected, "a promise that was given stays"
    assert api(made.associate).get(f"/pickups/{order['fulfillments'][0]['id']}").json["version"] == version


def test_what_a_cancelled_order_waited_for_dates_nothing(session: Session, api: Api) -> None:
    made, order = waiting_order(session, api)
    receive(session, made.tea, made.store, 2)  # filled; the news is not delivered yet
    done = api(staff(session, role="agent")).post(
        f"/orders/{order['reference']}/cancellation", json={"reason": "no"}, key="c-1"
    )
    assert done.status_code == 200
    outbox.drain()
    assert ready_by(api, made, order) is None
