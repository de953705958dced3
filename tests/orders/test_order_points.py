"""GET /orders/{ref}/points: why 37 points? By line and rule, before the handover, in between, after, and given back."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from orders import earned
from retail.kernel import clock, db
from retail.kernel.errors import NotFound
from retail.kernel.ids import new_id
from tests.factories import customer, staff
from tests.factories.orders import Shop, ready_pickup, shop
from tests.loyalty.rule_book import change_rule, make_rule
from tests.orders.test_earned import collect, place, sell
from tests.orders.test_parting import units

Api = Callable[..., Any]


@pytest.fixture
def made(session: Session) -> Shop:
    return shop(session)


def points(api: Api, who: Any, order: dict[str, Any]) -> dict[str, Any]:
    answer = api(who).get(f"/orders/{order['reference']}/points")
    assert answer.status_code == 200, answer.json
    return dict(answer.json)


def test_why_37_points(session: Session, api: Api, made: Shop) -> None:
    make_rule(session, "tea", "unit", points=5, skus=[made.tea.sku], name="Tea week", name_ja="お茶の週")
    make_rule(session, "double", "multiplier", name="Double points", weekdays=[7])
    order = sell(api, session, made, quantity=1)
    order = api(made.associate).get(f"/orders/{order['reference']}").json
    with clock.shifted(timedelta(hours=1)):
        change_rule(session, "tea", 1, points=99, name="Changed")
        found = points(api, made.associate, order)
    assert (found["earned"], found["expected"], found["clawed_back"], found["waiting"]) == (23, 0, 0, [])
    [line] = found["lines"]
    assert (line["order_line_id"], line["earned"]) == (order["lines"][0]["id"], 23)
    assert [(one["rule"], one["version"], one["points"], one["basis"], one["counted"]) for one in line["reasons"]] == [
        ("base", 0, 18, "amount", 1800),
        ("tea", 1, 5, "unit", 1),
    ]
    assert [one["text"] for one in line["reasons"]] == [
        "お買い物ポイント: 1,800 JPYに対し100 JPYごとに1ポイント",
        "お茶の週: 1点につき5ポイント、1点",
    ]
    assert found["left_out"] == [{"rule": "double", "name": "Double points", "why": "weekdays"}]
    english = earned.explained(session, order_id=UUID(order["id"]), locale="en", now=clock.now())
    assert [one["text"] for one in english["lines"][0]["reasons"]] == [
        "Points on every purchase: 1 points for every 100 JPY of 1,800 JPY",
        "Tea week: 5 points for each unit, 1 of them",
    ]


def test_what_is_expected_becomes_what_was_earned(session: Session, api: Api, made: Shop) -> None:
    make_rule(session, "once", points=5)
    lines = [{"sku": made.tea.sku, "quantity": 3}, {"sku": made.cake.sku, "quantity": 1}]
    order = place(api, made, lines=lines)
    seen = []

    def look() -> None:
        found = points(api, made.customer, order)
        seen.append((found["earned"], found["expected"]))
        assert [sum(line[name] for line in found["lines"]) for name in ("earned", "expected")] == list(seen[-1])
        for line in found["lines"]:
            assert sum(one["points"] for one in line["reasons"]) == line["earned"]
            assert sum(one["expected"] for one in line["reasons"]) == line["expected"]

    look()
    pickup = ready_pickup(api, made, order)
    collect(api, made, pickup, lines=units(order, tea=1))
    look()
    shown = api(made.customer).get(f"/orders/{order['reference']}").json
    collect(api, made, next(one["id"] for one in shown["fulfillments"] if one["state"] == "ready"))
    look()
    assert seen == [(0, 64), (19, 45), (64, 0)]


def test_what_was_taken_back_is_shared_by_the_lines(session: Session, api: Api, made: Shop) -> None:
    order = place(api, made, quantity=2)
    collect(api, made, ready_pickup(api, made, order))
    supervisor = staff(session, "supervisor")
    answer = api(supervisor).post(
        f"/orders/{order['reference']}/refunds",
        key="back",
        json={"reason": "damaged", "lines": [{"order_line_id": order["lines"][0]["id"], "quantity": 1}]},
    )
    assert answer.status_code == 201, answer.json
    found = points(api, made.customer, order)
    assert (found["earned"], found["expected"], found["clawed_back"]) == (36, 0, 18)
    assert [(line["earned"], line["clawed_back"]) for line in found["lines"]] == [(36, 18)]


def test_what_waits_says_until_when(session: Session, api: Api, made: Shop) -> None:
    make_rule(session, "base", "amount", points=1, per_minor=100, pending_days=14)
    order = sell(api, session, made)
    found = points(api, made.associate, order)
    until = clock.now() + timedelta(days=14)
    assert found["waiting"] == [{"points": 18, "from_at": until.isoformat()}]


def test_the_tiers_part_has_the_tiers_name(session: Session, api: Api, made: Shop) -> None:
    session.execute(
        text(
            "INSERT INTO tier (code, name, name_ja, rank, threshold, multiplier_bp, updated_at) "
            "VALUES ('gold', 'Gold', 'ゴールド', 1, 1, 15000, now())"
        )
    )
    for statement in (
        "INSERT INTO points_account (customer_id, opened_at) VALUES (:id, :at) ON CONFLICT DO NOTHING",
        "INSERT INTO member_tier (customer_id, tier_code, since) VALUES (:id, 'gold', :at)",
    ):
        session.execute(text(statement), {"id": made.customer.id, "at": clock.now()})
    order = place(api, made)
    before = points(api, made.customer, order)
    collect(api, made, ready_pickup(api, made, order))
    after = points(api, made.customer, order)
    for found, name in ((before, "expected"), (after, "points")):
        reason = found["lines"][0]["reasons"][1]
        assert (reason["rule"], reason["name"], reason[name]) == ("tier:gold", "ゴールド", 9)
        assert reason["text"] == "ゴールド: 会員ランクによるポイント"


def test_a_guest_earns_nothing(api: Api, made: Shop) -> None:
    order = place(api, made, caller=made.web, contact={"name": "Guest", "email": "guest@example.com"})
    found = points(api, made.web, order)
    assert (found["earned"], found["expected"], found["left_out"]) == (0, 0, [])
    assert [line["reasons"] for line in found["lines"]] == [[]]


def test_who_may_see_it(session: Session, api: Api, made: Shop) -> None:
    order = place(api, made)
    path = f"/orders/{order['reference']}/points"
    assert api(customer(session)).get(path).status_code == 404
    assert api(made.web).get(path).status_code == 404
    assert api().get(path).status_code == 401
    assert api(made.associate).get("/orders/R-22222-22222/points").status_code == 404
    with pytest.raises(NotFound):
        earned.explained(session, order_id=new_id(), locale="en", now=clock.now())


def test_its_statements(session: Session, api: Api, made: Shop) -> None:
    order = place(api, made, quantity=2)
    calling = api(made.customer)
    with db.counting() as count:
        assert calling.get(f"/orders/{order['reference']}/points").status_code == 200
    assert (
        count.statements == 6
    )  # who asks, whose it is, the order, what it earned, whose account, what it is judged by
