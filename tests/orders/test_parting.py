"""A part of a pickup goes its own way: ready before the rest, or taken while the rest waits on."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

import inventory.audit
import loyalty.audit
from orders import audit
from tests.factories import staff
from tests.factories.orders import Shop, account, events, level, pickup_body, shop, world

Api = Callable[..., Any]


@pytest.fixture
def picking(session: Session, api: Api) -> tuple[Shop, dict[str, Any], str]:
    """Three teas and a cake of a pickup that is being picked."""
    made = shop(session)
    lines = [{"sku": made.tea.sku, "quantity": 3}, {"sku": made.cake.sku, "quantity": 1}]
    order = api(made.customer).post("/orders", key="o", json=pickup_body(made) | {"lines": lines}).json
    pickup = str(order["fulfillments"][0]["id"])
    assert api(made.associate).post(f"/pickups/{pickup}/picking", key="p").status_code == 200
    return made, order, pickup


def units(order: dict[str, Any], tea: int = 0, cake: int = 0) -> list[dict[str, Any]]:
    found = zip((line["id"] for line in order["lines"]), (tea, cake), strict=True)
    return [{"order_line_id": line, "quantity": quantity} for line, quantity in found if quantity]


def parts(api: Api, made: Shop, order: dict[str, Any]) -> list[tuple[str, str, list[int]]]:
    """(id, state, units that are or were to be handed over) of each pickup."""
    shown = api(made.customer).get(f"/orders/{order['reference']}").json
    return [
        (one["id"], one["state"], [line["quantity"] - line["cancelled"] for line in one["lines"]])
        for one in shown["fulfillments"]
    ]


def clean(session: Session) -> bool:
    audits = (audit.divergences, inventory.audit.divergences, loyalty.audit.divergences)
    return [found for one in audits for found in one(session)] == []


def test_what_is_picked_is_ready_before_the_rest(
    session: Session, api: Api, picking: tuple[Shop, dict[str, Any], str]
) -> None:
    made, order, pickup = picking
    counter = api(made.associate)
    ready = counter.post(f"/pickups/{pickup}/ready", key="r", json={"lines": units(order, tea=2)})
    assert (ready.status_code, ready.json["state"]) == (200, "ready"), ready.json
    (first, state, _), (second, other, rest) = parts(api, made, order)
    assert (first, state, other, rest) == (pickup, "ready", "picking", [1, 1])
    assert events(session, "PickupReady", "PickupCodeIssued") == ["PickupReady"], "one message: of what is ready"
    taken = counter.post(f"/pickups/{pickup}/collection", key="c", json={"identity": "passport", "tender": "cash"})
    assert taken.status_code == 200, taken.json
    assert level(session, made.store, made.tea) == (8, 1, 0)
    for step in ("ready", "collection"):
        body = {"identity": "passport"} if step == "collection" else None
        done = counter.post(f"/pickups/{second}/{step}", key=step, json=body)
        assert done.status_code == 200, done.json
    assert api(made.customer).get(f"/orders/{order['reference']}").json["status"] == "completed"
    assert (level(session, made.store, made.tea), level(session, made.store, made.cake)) == ((7, 0, 0), (9, 0, 0))
    assert account(session, made.customer) == (59, 0, 0), "as much as the whole at once: 5,400 and 500 without tax"
    assert clean(session)


def test_the_customer_takes_some_and_leaves_the_rest(
    session: Session, api: Api, picking: tuple[Shop, dict[str, Any], str]
) -> None:
    made, order, pickup = picking
    counter = api(made.associate)
    counter.post(f"/pickups/{pickup}/ready", key="r")
    code = api(made.customer).get(f"/me/orders/{order['reference']}/pickup-code").json["code"]
    body = {"code": code, "tender": "cash", "lines": units(order, cake=1)}
    taken = counter.post(f"/pickups/{pickup}/collection", key="c", json=body)
    assert (taken.status_code, taken.json["state"]) == (200, "collected"), taken.json
    (_, state, went), (rest, other, left) = parts(api, made, order)
    assert (state, went, other, left) == ("collected", [0, 1], "ready", [3])
    assert (level(session, made.store, made.tea), level(session, made.store, made.cake)) == ((10, 3, 0), (9, 0, 0))
    assert counter.post(f"/pickups/{rest}/collection", key="old", json={"code": code}).json["code"] != "ok"
    fresh = api(made.customer).get(f"/me/orders/{order['reference']}/pickup-code").json
    assert (fresh["fulfillment_id"], fresh["code"] != code) == (rest, True)
    again = counter.post(f"/pickups/{rest}/collection", key="d", json={"code": fresh["code"]})
    assert again.status_code == 200, again.json
    assert level(session, made.store, made.tea) == (7, 0, 0)
    assert clean(session)


def test_all_of_it_is_no_parting(session: Session, api: Api, picking: tuple[Shop, dict[str, Any], str]) -> None:
    made, order, pickup = picking
    ready = api(made.associate).post(f"/pickups/{pickup}/ready", key="r", json={"lines": units(order, tea=3, cake=1)})
    assert (ready.status_code, len(parts(api, made, order))) == (200, 1)


def test_what_is_not_there_is_refused(session: Session, api: Api, picking: tuple[Shop, dict[str, Any], str]) -> None:
    made, order, pickup = picking
    counter = api(made.associate)
    before = world(session)
    for lines in (units(order, tea=4), [{"order_line_id": order["id"], "quantity": 1}]):
        refused = counter.post(f"/pickups/{pickup}/ready", key="r", json={"lines": lines})
        assert (refused.status_code, refused.json["code"]) == (422, "not_of_pickup")
    for lines in ([], [{"order_line_id": order["lines"][0]["id"], "quantity": 0}], "all"):
        assert counter.post(f"/pickups/{pickup}/ready", key="r", json={"lines": lines}).status_code == 422
    early = counter.post(
        f"/pickups/{pickup}/collection", key="c", json={"identity": "passport", "lines": units(order, tea=1)}
    )
    assert early.status_code == 409
    assert world(session) == before
    counter.post(f"/pickups/{pickup}/ready", key="ready")
    before = world(session)
    body = {"identity": "passport", "tender": "cash", "lines": units(order, tea=9)}
    assert counter.post(f"/pickups/{pickup}/collection", key="many", json=body).status_code == 422
    unpaid = {"identity": "passport", "lines": units(order, tea=1)}
    assert counter.post(f"/pickups/{pickup}/collection", key="unpaid", json=unpaid).status_code == 422
    assert world(session) == before
    wrong = {"code": "222222", "tender": "cash", "lines": units(order, tea=1)}
    assert counter.post(f"/pickups/{pickup}/collection", key="wrong", json=wrong).status_code == 422
    assert session.execute(text("SELECT count(*) FROM fulfillment")).scalar_one() == 1


def test_the_rest_can_be_called_off(session: Session, api: Api, picking: tuple[Shop, dict[str, Any], str]) -> None:
    made, order, pickup = picking
    counter = api(made.associate)
    counter.post(f"/pickups/{pickup}/ready", key="r", json={"lines": units(order, tea=1)})
    off = api(made.customer).post(f"/orders/{order['reference']}/cancellation", key="off", json={})
    assert off.status_code == 409, "the customer herself may only until it is picked"
    agent = api(staff(session, "agent"))
    gone = agent.post(f"/orders/{order['reference']}/cancellation", key="off", json={"reason": "changed her mind"})
    assert (gone.status_code, gone.json["status"]) == (200, "cancelled"), gone.json
    assert (level(session, made.store, made.tea), level(session, made.store, made.cake)) == ((10, 0, 0), (10, 0, 0))
    assert clean(session)
