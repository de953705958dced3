"""What a rule would have given on the orders that earned: the same engine, on the baskets that were kept; nothing is written."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy.orm import Session

from loyalty import preview
from loyalty.earning.crediting import earn_order
from loyalty.earning.facts import Basket, Line
from retail.kernel import db
from retail.kernel.ids import new_id
from tests import factories
from tests.factories import Actor
from tests.loyalty.rule_book import change_rule, make_rule
from tests.loyalty.test_rules import DOUBLE, EXTRA

Api = Callable[..., Any]
Unchanged = Callable[[], AbstractContextManager[None]]
HOUR = timedelta(hours=1)


@pytest.fixture
def admin(session: Session) -> Actor:
    return factories.staff(session, "admin")


def bought(session: Session, who: UUID, net_minor: int, at: datetime, *, quantity: int = 1, units: int = 1) -> UUID:
    """An order of which `units` were handed over."""
    line = Line(new_id(), "TEA", "Teas", quantity, net_minor)
    basket = Basket(new_id(), "JPY", "web", None, at, at.date(), (line,))
    earn_order(
        session, customer_id=who, basket=basket, units_before={}, units_after={line.id: units},
        key=f"earn:{basket.order_id}", reason="test", actor="system", now=at,
    )  # fmt: skip
    return basket.order_id


def tried(api: Api, admin: Actor, rule: dict[str, Any] | None = None, **body: Any) -> dict[str, Any]:
    answer = api(admin).post("/earning-rules/preview", json={"rule": rule} | body)
    assert answer.status_code == 200, answer.json
    return dict(answer.json)


def test_a_draft_beside_what_was_earned(
    session: Session, api: Api, admin: Actor, now: datetime, unchanged: Unchanged
) -> None:
    who = factories.customer(session).id
    first, second = bought(session, who, 1000, now - 2 * HOUR), bought(session, who, 2550, now - HOUR)
    with unchanged():
        found = tried(api, admin, DOUBLE)
    assert [(one["order_id"], one["earned"], one["would_earn"], one["difference"], one["by_rule"]) for one in found["orders"]] == [
        (str(second), 25, 50, 25, 25),
        (str(first), 10, 20, 10, 10),
    ]  # fmt: skip
    del found["orders"]
    assert found == {"count": 2, "changed": 2, "earned": 35, "would_earn": 70, "difference": 35, "by_rule": 35}
    latest = tried(api, admin, DOUBLE, last=1)
    assert [one["order_id"] for one in latest["orders"]] == [str(second)]


def test_the_rules_as_they_are_and_a_draft_in_the_place_of_its_like(
    session: Session, api: Api, admin: Actor, now: datetime
) -> None:
    who = factories.customer(session).id
    make_rule(session, "extra", "amount", points=5, now=now - 3 * HOUR)
    bought(session, who, 3000, now - 2 * HOUR)
    assert tried(api, admin)["difference"] == 0
    change_rule(session, "extra", 1, points=7, now=now - HOUR)
    as_they_are = tried(api, admin)
    assert (as_they_are["earned"], as_they_are["would_earn"], as_they_are["by_rule"]) == (45, 51, 0)
    instead = tried(api, admin, EXTRA | {"points": 1})
    assert (instead["would_earn"], instead["by_rule"]) == (33, 3)
    off = tried(api, admin, EXTRA | {"active": False})
    assert (off["would_earn"], off["by_rule"]) == (30, 0)


def test_only_what_was_handed_over_is_compared(session: Session, api: Api, admin: Actor, now: datetime) -> None:
    bought(session, factories.customer(session).id, 3000, now - HOUR, quantity=3, units=1)
    found = tried(api, admin, DOUBLE)
    assert (found["earned"], found["would_earn"]) == (10, 20)


def test_first_purchases_are_those_of_their_time_and_caps_count_within_their_days(
    session: Session, api: Api, admin: Actor, now: datetime
) -> None:
    who = factories.customer(session).id
    for hours in (72, 48, 24):
        bought(session, who, 1000, now - hours * HOUR)
    bought(session, factories.customer(session).id, 1000, now - HOUR)
    once = {"code": "once", "name": "Once", "basis": "order", "points": 10}
    found = tried(api, admin, once | {"first_purchase": True})
    assert [(one["by_rule"], one["left_out"]) for one in found["orders"]] == [
        (10, None),
        (0, "first_purchase"),
        (0, "first_purchase"),
        (10, None),
    ]
    capped = tried(api, admin, once | {"cap_per_member": 15})
    assert [one["by_rule"] for one in capped["orders"]] == [10, 0, 5, 10]
    a_day = tried(api, admin, once | {"cap_per_member": 15, "cap_days": 1})
    assert [one["by_rule"] for one in a_day["orders"]] == [10, 10, 10, 10]


def test_nothing_was_bought_yet(api: Api, admin: Actor) -> None:
    assert tried(api, admin, DOUBLE) == {
        "count": 0, "changed": 0, "earned": 0, "would_earn": 0, "difference": 0, "by_rule": 0, "orders": [],
    }  # fmt: skip


def test_what_cannot_be_tried(session: Session, api: Api, admin: Actor, unchanged: Unchanged) -> None:
    seller = factories.staff(session, "associate")
    with unchanged():
        assert api(seller).post("/earning-rules/preview", json={}).status_code == 403
        for body in (
            {"last": 0},
            {"last": 501},
            {"last": 1.5},
            {"rule": {"code": "x"}},
            {"rule": EXTRA | {"points": 0.5}},
        ):
            assert api(admin).post("/earning-rules/preview", json=body).status_code == 422
        unknown = api(admin).post("/earning-rules/preview", json={"rule": EXTRA | {"skus": ["NO-SUCH"]}})
    assert (unknown.status_code, unknown.json["code"]) == (422, "earning_rule_invalid")
    assert [(error["field"], error["code"]) for error in unknown.json["errors"]] == [("skus", "unknown")]


def test_its_statements_do_not_grow_with_the_orders(session: Session, now: datetime) -> None:
    counts = []
    for _ in range(2):
        for _ in range(3):
            bought(session, factories.customer(session).id, 1000, now - HOUR)
        with db.counting() as count:
            preview.preview(session, draft=None, last=500, now=now)
        counts.append(count.statements)
    assert counts == [2, 2]
