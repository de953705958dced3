"""Two orders of one member earn at once: one first purchase, caps once; a guest's order that two claims and a handover want."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from loyalty import ledger
from loyalty.earning.crediting import earn_order
from loyalty.earning.facts import Basket, Line
from orders import claims
from retail.kernel import clock, db
from retail.kernel.errors import NotFound
from retail.kernel.ids import new_id
from tests import factories
from tests.factories.orders import account, pickup_body, ready_pickup, shop
from tests.loyalty.ledger_facts import assert_clean
from tests.loyalty.rule_book import make_rule, reasons
from tests.loyalty.tier_facts import member, program
from tests.races.interleaving import Other, together

pytestmark = pytest.mark.committed


def earning(customer_id: UUID, order_id: UUID, net_minor: int = 1000, *, key: str = "") -> Callable[[Session], int]:
    """An order of one unit that is handed over."""
    moment = clock.now()
    line = Line(new_id(), "TEA", "", 1, net_minor)
    basket = Basket(order_id, "JPY", "web", None, moment, moment.date(), (line,))

    def work(inside: Session) -> int:
        return earn_order(
            inside,
            customer_id=customer_id,
            basket=basket,
            units_before={},
            units_after={line.id: 1},
            key=key or f"earn:{order_id}",
            reason="test",
            actor="system",
            now=clock.now(),
        )

    return work


def rule(**facts: Any) -> None:
    with db.transaction() as session:
        make_rule(session, **facts)


@pytest.mark.parametrize("known", [True, False], ids=["has an account", "has none yet"])
def test_of_two_handovers_at_once_one_is_the_first_purchase(session: Session, known: bool) -> None:
    who = factories.customer(session)
    if known:
        session.execute(text("INSERT INTO points_account (customer_id, opened_at) VALUES (:id, now())"), {"id": who.id})
    rule(code="welcome", points=50, first_purchase=True)
    with db.transaction() as first:
        assert earning(who.id, new_id())(first) == 60
        other = Other(earning(who.id, new_id()))
        assert other.waits()
    assert other.result() == 10
    assert account(session, who) == (70, 0, 0)
    assert_clean(session)


def test_of_many_at_once_a_cap_lets_through_what_it_says(session: Session) -> None:
    who = factories.customer(session)
    rule(code="visit", points=10, cap_per_member=25)
    rule(code="welcome", points=50, first_purchase=True)
    got = together([earning(who.id, new_id()) for _ in range(6)])
    assert sorted(got) == [10, 10, 10, 15, 20, 70]
    assert sum(points for code, _, points, _ in reasons(session, who.id) if code == "visit") == 25
    assert_clean(session)


def test_one_order_told_twice_at_once_earns_once(session: Session) -> None:
    who, order_id = factories.customer(session), new_id()
    work = earning(who.id, order_id)
    assert sorted(together([work, work])) == [0, 10]
    assert account(session, who) == (10, 0, 0)
    assert_clean(session)


def parts_of_an_order(customer_id: UUID, order_id: UUID) -> Callable[[int], Callable[[Session], int]]:
    """Ten units of 9 yen, of which so many are hers by now: too little for a point."""
    moment, line = clock.now(), Line(new_id(), "TEA", "", 10, 90)
    basket = Basket(order_id, "JPY", "web", None, moment, moment.date(), (line,))

    def part(units: int) -> Callable[[Session], int]:
        return lambda inside: earn_order(
            inside, customer_id=customer_id, basket=basket, units_before={}, units_after={line.id: units},
            key=f"earn:{units}", reason="test", actor="system", now=clock.now(),
        )  # fmt: skip

    return part


def spend(session: Session) -> list[int]:
    return list(session.execute(text("SELECT spend_minor FROM points_transaction ORDER BY seq")).scalars())


def test_of_two_parts_at_once_that_earn_nothing_the_second_counts_the_rest(session: Session) -> None:
    program(session)
    part = parts_of_an_order(member(session, clock.now()), new_id())
    with db.transaction() as first:
        assert part(4)(first) == 0
        other = Other(part(10))
        assert other.waits()
    assert other.result() == 0
    assert spend(session) == [36, 54]
    assert_clean(session)


def test_of_two_returns_at_once_of_what_earned_nothing_the_second_takes_the_rest(session: Session) -> None:
    program(session)
    order_id = new_id()
    part = parts_of_an_order(factories.customer(session).id, order_id)
    with db.transaction() as inside:
        part(10)(inside)

    def back(units: int) -> Callable[[Session], int]:
        return lambda inside: ledger.claw_back(
            inside,
            order_id=order_id,
            numerator=units,
            denominator=10,
            key=f"b:{units}",
            actor="system",
            now=clock.now(),
        )

    with db.transaction() as first:
        assert back(4)(first) == 0
        other = Other(back(10))
        assert other.waits()
    assert other.result() == 0
    assert spend(session) == [90, -36, -54]
    assert_clean(session)


def test_an_unknown_member_earns_nothing(session: Session) -> None:
    with pytest.raises(NotFound), db.transaction() as inside:
        earning(new_id(), new_id())(inside)
    assert session.execute(text("SELECT count(*) FROM points_account")).scalar_one() == 0


def test_a_guests_order_claimed_and_handed_over_at_once_earns_once(session: Session, api: Callable[..., Any]) -> None:
    made = shop(session)
    guest = {"contact": {"name": "Guest", "email": "guest@example.com"}}
    order = api(made.web).post("/orders", key="g", json=pickup_body(made, **guest)).json
    pickup = ready_pickup(api, made, order)
    owner = factories.customer(session, email="guest@example.com")

    def claim(inside: Session) -> list[str]:
        return claims.claim(inside, customer_id=owner.id, actor="system", now=clock.now())

    def collect() -> int:
        sent = {"identity": "passport", "tender": "cash"}
        status: int = api(made.associate).post(f"/pickups/{pickup}/collection", key="c", json=sent).status_code
        return status

    with ThreadPoolExecutor() as pool:  # it has transactions of its own
        collected = pool.submit(collect)
        found = together([claim, claim])
    assert sorted(map(str, found)) == sorted(["[]", f"['{order['reference']}']"])
    assert collected.result() == 200
    assert account(session, owner) == (18, 0, 0)
    assert_clean(session)
