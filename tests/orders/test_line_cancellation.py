"""A line, or some of its units, called off: stock is free, money is not taken or goes back, the rest goes on."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

import inventory.audit
from orders import audit
from retail.kernel.ids import new_id
from tests.factories import customer, staff
from tests.factories.orders import Shop, account, level, pickup_body, shop

Api = Callable[..., Any]
Unchanged = Callable[[], AbstractContextManager[None]]


def place(api: Api, made: Shop, **more: Any) -> dict[str, Any]:
    lines = [{"sku": made.tea.sku, "quantity": 3}, {"sku": made.cake.sku, "quantity": 1}]
    answer = api(made.customer).post("/orders", key="place", json=pickup_body(made) | {"lines": lines} | more)
    assert answer.status_code == 201, answer.json
    order: dict[str, Any] = answer.json
    return order


def off(api: Api, caller: Any, order: dict[str, Any], at: int = 0, key: str = "off", **body: Any) -> Any:
    path = f"/orders/{order['reference']}/lines/{order['lines'][at]['id']}/cancellation"
    return api(caller).post(path, key=key, json=body)


def clean(session: Session) -> bool:
    return [*audit.divergences(session), *inventory.audit.divergences(session)] == []


def test_some_units_then_the_line_then_the_order(session: Session, api: Api) -> None:
    made = shop(session, points=500)
    order = place(api, made, points_to_spend=500)
    answer = off(api, made.customer, order, quantity=2)
    assert answer.status_code == 200, answer.json
    assert [one["cancelled_quantity"] for one in answer.json["lines"]] == [2, 0]
    assert level(session, made.store, made.tea) == (10, 1, 0)
    assert off(api, made.customer, order, quantity=2).headers["Idempotent-Replayed"] == "true"
    whole = off(api, made.customer, order, key="rest").json
    assert (whole["status"], whole["lines"][0]["cancelled_quantity"]) == ("open", 3)
    (due,) = session.execute(
        text("SELECT amount_minor - released_minor FROM payment WHERE tender = 'pay_at_pickup'")
    ).one()
    assert due == 3 * 1980 + 540 - 500 - 3 * 1980, "the cake, less the points"
    assert clean(session)
    last = off(api, made.customer, order, at=1, key="last").json
    assert last["status"] == "cancelled"
    assert account(session, made.customer) == (500, 0, 0)
    assert level(session, made.store, made.cake) == (10, 0, 0)
    assert clean(session)


def test_what_is_left_is_picked_and_collected(session: Session, api: Api) -> None:
    made = shop(session)
    order = place(api, made)
    counter, part = api(made.associate), order["fulfillments"][0]["id"]
    counter.post(f"/pickups/{part}/picking", key="p")
    counter.post(f"/pickups/{part}/ready", key="r")
    manager = staff(session, "manager", locations=[made.store.id])
    ready = off(api, manager, order, at=1, reason="broken")
    assert ready.status_code == 200, ready.json
    assert ready.json["fulfillments"][0]["lines"][1]["cancelled"] == 1
    proof = {"identity": "driving license", "tender": "cash"}
    done = counter.post(f"/pickups/{part}/collection", key="c", json=proof)
    assert done.status_code == 200, done.json
    shown = api(made.customer).get(f"/orders/{order['reference']}").json
    assert (shown["status"], shown["payments"][0]["captured"]["amount_minor"]) == ("completed", 3 * 1980)
    assert level(session, made.store, made.tea) == (7, 0, 0)
    assert level(session, made.store, made.cake) == (10, 0, 0)
    assert clean(session)


def test_what_cannot_be_called_off(session: Session, api: Api, unchanged: Unchanged) -> None:
    made = shop(session)
    order, taro = place(api, made), customer(session, name="Taro")
    manager = staff(session, "manager", locations=[made.store.id])
    foreign = staff(session, "manager", locations=[made.other.id])
    with unchanged():
        many = off(api, made.customer, order, quantity=4)
        assert (many.status_code, many.json["code"], many.json["cancellable"]) == (409, "too_late_to_cancel", 3)
        assert off(api, made.customer, order, quantity=0).status_code == 422
        assert off(api, taro, order).status_code == 404
        assert off(api, foreign, order).status_code == 404
        assert off(api, made.associate, order).status_code == 403
        nothing = {"reference": order["reference"], "lines": [{"id": str(new_id())}]}
        assert off(api, made.customer, nothing).status_code == 404
    part = order["fulfillments"][0]["id"]
    api(made.associate).post(f"/pickups/{part}/picking", key="p")
    with unchanged():
        assert off(api, made.customer, order).json["code"] == "too_late_to_cancel"
    api(made.associate).post(f"/pickups/{part}/ready", key="r")
    proof = {"identity": "driving license", "tender": "cash"}
    api(made.associate).post(f"/pickups/{part}/collection", key="c", json=proof)
    with unchanged():
        assert off(api, manager, order).status_code == 404, "nothing of it is under way"


def missing_one(session: Session, api: Api) -> tuple[Shop, dict[str, Any]]:
    """An order that is being picked: three teas, of which one is missing, and a cake."""
    made = shop(session)
    order = place(api, made)
    path = f"/pickups/{order['fulfillments'][0]['id']}"
    lack = {"lines": [{"order_line_id": order["lines"][0]["id"], "quantity": 1}]}
    assert api(made.associate).post(f"{path}/picking", key="p").status_code == 200
    assert api(made.associate).post(f"{path}/short", key="s", json=lack).status_code == 200
    return made, order


def promised(session: Session, order: dict[str, Any]) -> list[tuple[str, int]]:
    statement = text(
        "SELECT state, sum(quantity)::int FROM reservation WHERE owner_id = :id AND line_id = :line "
        "AND state IN ('allocated', 'short') GROUP BY 1 ORDER BY 1"
    )
    given = {"id": order["id"], "line": order["lines"][0]["id"]}
    return [tuple(row) for row in session.execute(statement, given)]


def test_what_is_missing_is_called_off_first_and_the_rest_is_to_be_had(session: Session, api: Api) -> None:
    """Found by a walk of the machine: stock gave the missing unit up, and the order went on missing it for ever."""
    made, order = missing_one(session, api)
    boss = staff(session, "manager", locations=[made.store.id])
    assert off(api, boss, order, quantity=1).status_code == 200
    assert promised(session, order) == [("allocated", 2)]
    assert session.execute(text("SELECT state FROM shortfall")).scalars().all() == ["filled"]
    path = f"/pickups/{order['fulfillments'][0]['id']}"
    assert api(made.associate).post(f"{path}/ready", key="r").status_code == 200
    paid = {"identity": "passport", "tender": "cash"}
    done = api(made.associate).post(f"{path}/collection", key="c", json=paid)
    assert [line["collected"] for line in done.json["lines"]] == [2, 1]
    assert session.execute(text("SELECT captured_minor FROM payment")).scalar_one() == 2 * 1980 + 540
    assert clean(session)


def test_all_of_a_line_is_also_what_is_missing_of_it(session: Session, api: Api) -> None:
    made, order = missing_one(session, api)
    boss = staff(session, "manager", locations=[made.store.id])
    answer = off(api, boss, order)
    assert (answer.status_code, answer.json["lines"][0]["cancelled_quantity"]) == (200, 3), answer.json
    assert promised(session, order) == []
    assert session.execute(text("SELECT state FROM shortfall")).scalars().all() == ["refunded"]
    assert clean(session)
