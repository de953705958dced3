"""A guest's order that several want at once: one has it, earns once, and the others are told."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from orders import claims, queries, receipt_codes
from orders.claims import OrderTaken
from retail.kernel import clock, config, db, ids
from retail.kernel.auth import CUSTOMER, STAFF, Principal
from tests import factories
from tests.factories import Actor
from tests.factories.orders import Shop, events, pickup_body, shop
from tests.loyalty.ledger_facts import assert_clean
from tests.races.interleaving import Other, together

pytestmark = pytest.mark.committed
Work = Callable[[Session], Any]


def sold(api: Callable[..., Any], made: Shop, **changes: Any) -> dict[str, Any]:
    body = pickup_body(made, method="cash", **changes) | {"method": "carry_out"}
    answer = api(made.associate).post("/orders", key="sale", json=body)
    assert answer.status_code == 201, answer.json
    return dict(answer.json)


def by_receipt(who: Actor, order: dict[str, Any]) -> Work:
    """She types the code."""
    code = ids.derive_code(config.current().secret_key, receipt_codes.PURPOSE, str(order["id"]), length=12)
    caller = Principal(CUSTOMER, who.id, frozenset({"me"}))

    def work(inside: Session) -> list[str]:
        return claims.by_receipt(inside, reference=order["reference"], typed=code, caller=caller, now=clock.now())

    return work


def by_staff(agent: Actor, who: Actor, order: dict[str, Any]) -> Work:
    """An agent gives it to her."""
    caller = Principal(STAFF, agent.id, frozenset({"orders.read", "orders.change"}))

    def work(inside: Session) -> UUID:
        given = {"order": order["reference"], "customer": str(who.id), "note": "asked her"}
        return claims.by_staff(inside, **given, caller=caller, now=clock.now())

    return work


def by_address(who: Actor) -> Work:
    """She has proved the address."""

    def work(inside: Session) -> list[str]:
        return claims.claim(inside, customer_id=who.id, actor=who.actor, now=clock.now())

    return work


def points(session: Session) -> dict[UUID, int]:
    return {row.customer_id: row.available for row in session.execute(text("SELECT customer_id, available FROM points_account")).all()}  # fmt: skip


def belongs(session: Session, order: dict[str, Any]) -> UUID:
    """Whose it is now; whoever that is has its points, and nobody else has any."""
    found: UUID = session.execute(text('SELECT customer_id FROM "order"')).scalar_one()
    assert points(session) == {found: 18}
    assert events(session, "OrderClaimed") == ["OrderClaimed"]
    with db.reading() as inside:
        shown = queries.order_dict(inside, order_id=UUID(order["id"]))
    assert shown is not None
    assert (shown["customer_id"], shown["version"]) == (found, order["version"] + 1)
    assert_clean(session)
    return found


@pytest.mark.parametrize("second", ["another customer", "an agent"])
def test_whoever_comes_second_waits_and_is_told(session: Session, api: Callable[..., Any], second: str) -> None:
    order = sold(api, shop(session))
    first, other = factories.customer(session), factories.customer(session)
    late = (
        by_staff(factories.staff(session, "agent"), other, order) if second == "an agent" else by_receipt(other, order)
    )
    with db.transaction() as inside:
        assert by_receipt(first, order)(inside) == [order["reference"]]
        waiting = Other(late)
        assert waiting.waits()
    with pytest.raises(OrderTaken):
        waiting.result()
    assert belongs(session, order) == first.id


def test_the_same_customer_twice_at_once_has_it_once(session: Session, api: Callable[..., Any]) -> None:
    order = sold(api, shop(session))
    who = factories.customer(session)
    found = together([by_receipt(who, order)] * 4)
    assert sorted(found) == [[], [], [], [order["reference"]]]
    assert belongs(session, order) == who.id


def test_many_with_one_code(session: Session, api: Callable[..., Any]) -> None:
    order = sold(api, shop(session))
    people = [factories.customer(session) for _ in range(4)]
    found = together([by_receipt(who, order) for who in people])
    winners = [who.id for who, one in zip(people, found, strict=True) if one == [order["reference"]]]
    assert winners == [belongs(session, order)]
    assert sum(isinstance(one, OrderTaken) for one in found) == 3


def test_by_her_address_and_by_staff_for_somebody_else(session: Session, api: Callable[..., Any]) -> None:
    order = sold(api, shop(session), contact={"email": "guest@example.com"})
    hers = factories.customer(session, email="guest@example.com")
    other, agent = factories.customer(session), factories.staff(session, "agent")
    with db.transaction() as inside:
        by_staff(agent, other, order)(inside)
        waiting = Other(by_address(hers))
        assert waiting.waits()
    assert waiting.result() == []
    assert belongs(session, order) == other.id
