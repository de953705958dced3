"""Hanako buys until she is gold; then what she has sent costs her no shipping, and everybody sees why."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from orders import audit
from retail.kernel import outbox
from tests.factories import Actor, customer, staff
from tests.factories.orders import Shop, give_points, pickup_body, shop
from tests.factories.shipping import HOME, sends, ship_body, warehouse

Api = Callable[..., Any]
FREE = {
    "promotion": None,
    "name": "Gold",
    "name_ja": "ゴールド",
    "kind": "free_shipping",
    "coupon": None,
    "applied": True,
    "reason": "member_tier",
    "facts": {"tier": "gold", "fee_minor": 550},
    "amount_minor": 0,
    "lines": [],
}


def yen(amount_minor: int) -> dict[str, Any]:
    return {"amount_minor": amount_minor, "currency": "JPY"}


def gold_from(session: Session, api: Api, points: int) -> None:
    """The shop has one tier, reached with so many points, that ships at no charge."""
    admin = api(staff(session, "admin"))
    program = {"basis": "points", "currency": "JPY", "window": "calendar", "grace_days": 30, "soft_landing": True}
    assert admin.put("/tier-program", json=program, if_match=0).status_code == 200
    gold = {
        "code": "gold",
        "name": "Gold",
        "name_ja": "ゴールド",
        "rank": 1,
        "threshold": points,
        "free_shipping": True,
    }
    assert admin.post("/tiers", json=gold).status_code == 201


def buys(api: Api, made: Shop, who: Actor, quantity: int) -> dict[str, Any]:
    """At the till, for cash."""
    body = pickup_body(made, method="cash", quantity=quantity) | {"method": "carry_out", "customer_id": str(who.id)}
    answer = api(made.associate).post("/orders", key=f"till-{who.id}-{quantity}", json=body)
    assert answer.status_code == 201, answer.json
    outbox.drain()
    order: dict[str, Any] = answer.json
    return order


def has_sent(api: Api, made: Shop, who: Actor, key: str, **changes: Any) -> dict[str, Any]:
    answer = api(who).post("/orders", key=key, json=ship_body(made, **changes))
    assert answer.status_code == 201, answer.json
    order: dict[str, Any] = answer.json
    return order


def kinds(order: dict[str, Any]) -> list[str]:
    return [line["kind"] for line in order["lines"]]


def test_gold_ships_at_no_charge(session: Session, api: Api) -> None:
    made = shop(session)
    warehouse(session, made, "EAST", tea=20)
    sends(session, api, amount_minor=550)
    gold_from(session, api, 50)
    yoko = customer(session, name="Yoko")
    for who in (made.customer, yoko):
        give_points(session, who, 9000)
    session.execute(text("UPDATE tier SET threshold = 9050"))  # what they begin with counts: it was earned
    outbox.drain()

    buys(api, made, made.customer, 1)
    assert api(made.customer).get("/me/tier").json["next"]["missing"] == 32
    before = has_sent(api, made, made.customer, "before", points_to_spend=2530)
    assert (kinds(before), before["total"], before["discounts"]) == (["goods", "shipping"], yen(2530), [])

    buys(api, made, made.customer, 2)
    assert api(made.customer).get("/me/tier").json["tier"]["code"] == "gold"
    body = {"lines": [{"sku": made.tea.sku, "quantity": 1}], "method": "ship", "ship_to": HOME}
    cart = api(made.customer).post("/carts", json=body).json
    assert (cart["totals"]["shipping"], cart["totals"]["total"], cart["discounts"]) == (yen(0), yen(1980), [FREE])
    order = has_sent(api, made, made.customer, "gold", points_to_spend=1980)
    assert (kinds(order), order["total"], order["discount"]) == (["goods"], yen(1980), yen(0))
    assert order["discounts"] == [FREE]
    assert api(made.customer).get(f"/orders/{order['reference']}").json == order

    hers = has_sent(api, made, yoko, "yoko", points_to_spend=2530)
    assert (kinds(hers), hers["total"], hers["discounts"]) == (["goods", "shipping"], yen(2530), [])
    assert list(audit.divergences(session)) == []


def test_an_order_that_is_changed_keeps_what_it_was_placed_with(session: Session, api: Api) -> None:
    made = shop(session)
    warehouse(session, made, "EAST", tea=20)
    sends(session, api, amount_minor=550)
    gold_from(session, api, 50)
    give_points(session, made.customer, 9000)
    outbox.drain()
    order = has_sent(api, made, made.customer, "gold", quantity=2, points_to_spend=3960)
    assert order["discounts"] == [FREE]
    session.execute(text("UPDATE tier SET free_shipping = false"))
    body = {"changes": [{"order_line_id": order["lines"][0]["id"], "quantity": 1}]}
    answer = api(made.customer).post(f"/orders/{order['reference']}/goods-changes", key="one", json=body)
    assert answer.status_code == 200, answer.json
    assert (kinds(answer.json), answer.json["total"], answer.json["discounts"]) == (["goods"], yen(1980), [FREE])
    later = has_sent(api, made, made.customer, "later", points_to_spend=2530)
    assert (kinds(later), later["discounts"]) == (["goods", "shipping"], [])
    assert list(audit.divergences(session)) == []


def test_from_the_amount_on_that_is_free_for_all_nobody_is_told_of_tiers(session: Session, api: Api) -> None:
    made = shop(session)
    warehouse(session, made, "EAST", tea=20)
    sends(session, api, amount_minor=550, free_from_minor=1980)
    gold_from(session, api, 50)
    give_points(session, made.customer, 9000)
    outbox.drain()
    order = has_sent(api, made, made.customer, "gold", points_to_spend=1980)
    assert (kinds(order), order["discounts"]) == (["goods"], [])
