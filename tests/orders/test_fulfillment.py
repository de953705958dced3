"""How a pickup may move, and that Python and SQL agree on an order's status."""

from itertools import pairwise, product

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from orders import fulfillment
from orders.fulfillment import IllegalTransition, require_step, status_of
from orders.queries.orders import STATUS_SQL
from retail.kernel.ids import new_id
from tests.conftest import NOW
from tests.factories import channels, location

STATES = tuple(sorted({state for moves in fulfillment.TRANSITIONS.values() for state in moves}))


@pytest.mark.parametrize(
    ("method", "way"),
    [
        ("pickup", ["pending", "allocated", "picking", "ready", "collected"]),
        ("ship", ["pending", "allocated", "picking", "packed", "shipped", "delivered"]),
        ("ship_to_store", ["pending", "allocated", "picking", "in_transit", "arrived", "ready", "collected"]),
    ],
)
def test_the_way_of_a_fulfillment(method: str, way: list[str]) -> None:
    for state, to in pairwise(way):
        require_step(state, to, method=method)  # raises where the step is not one
        assert to in fulfillment.TRANSITIONS[method][state]
    assert fulfillment.TRANSITIONS[method][way[-1]] == (), "what was handed over goes nowhere"


@pytest.mark.parametrize(
    ("method", "state", "to", "legal"),
    [
        ("pickup", "allocated", "ready", ["picking", "short", "cancelled"]),
        ("pickup", "allocated", "collected", ["picking", "short", "cancelled"]),
        ("pickup", "picking", "collected", ["ready", "short", "cancelled"]),
        ("pickup", "ready", "picking", ["collected", "expired", "cancelled"]),
        ("pickup", "collected", "cancelled", []),
        ("pickup", "cancelled", "picking", []),
        ("ship", "picking", "ready", ["packed", "short", "cancelled"]),
        ("ship", "shipped", "cancelled", ["delivered"]),
        ("ship_to_store", "in_transit", "ready", ["arrived", "cancelled"]),
        ("carry_out", "collected", "cancelled", []),
    ],
)
def test_steps_that_do_not_follow(method: str, state: str, to: str, legal: list[str]) -> None:
    with pytest.raises(IllegalTransition) as refused:
        require_step(state, to, method=method)
    assert refused.value.extra == {"state": state, "legal": legal}
    assert refused.value.status == 409


def test_ready_is_not_completed() -> None:
    assert status_of(confirmed_at=NOW, cancelled_at=None, states=["ready"]) == "ready"
    assert status_of(confirmed_at=NOW, cancelled_at=None, states=["collected", "allocated"]) == "open"
    assert status_of(confirmed_at=NOW, cancelled_at=None, states=["collected", "collected"]) == "completed"
    assert status_of(confirmed_at=NOW, cancelled_at=None, states=["collected", "arrived"]) == "open"


def test_on_its_way_is_not_completed() -> None:
    assert status_of(confirmed_at=NOW, cancelled_at=None, states=["shipped"]) == "shipped"
    assert status_of(confirmed_at=NOW, cancelled_at=None, states=["shipped", "picking"]) == "open"
    assert status_of(confirmed_at=NOW, cancelled_at=None, states=["shipped", "ready"]) == "ready"
    assert status_of(confirmed_at=NOW, cancelled_at=None, states=["delivered", "expired"]) == "completed"


def test_python_and_sql_agree(session: Session) -> None:
    """Every combination of two fulfillments' states, confirmation, cancellation, kind and money."""
    channels(session)
    place = location(session)
    rows, expected = [], {}
    parts: list[tuple[str, ...]] = [(), *((one,) for one in STATES), *product(STATES, STATES)]
    for kind, confirmed, cancelled, money, states in product(
        ("live", "history"), (None, NOW), (None, NOW), ((), ((100, 0),), ((100, 100),), ((100, 100), (50, 0))), parts
    ):
        order_id = new_id()
        rows.append((order_id, kind, confirmed, cancelled, money, states))
        expected[order_id] = status_of(
            kind=kind, confirmed_at=confirmed, cancelled_at=cancelled, states=states, money=money
        )
    session.execute(
        text(
            """INSERT INTO "order" (id, reference, kind, channel_code, currency, tax_inclusive, subtotal_minor, tax_minor,
                                    total_minor, tax_lines, placed_by, placed_at, confirmed_at, cancelled_at)
               VALUES (:id, :reference, :kind, 'web', 'JPY', true, 0, 0, 0, '[]', 'system', :now, :confirmed, :cancelled)"""
        ),
        [
            {"id": i, "reference": str(i), "kind": kind, "now": NOW, "confirmed": confirmed, "cancelled": cancelled}
            for i, kind, confirmed, cancelled, _, _ in rows
        ],
    )
    session.execute(
        text(
            """INSERT INTO fulfillment (id, order_id, location_id, method, state, collected_at)
               VALUES (:id, :order_id, :location_id, 'pickup', :state, :at)"""
        ),
        [
            {
                "id": new_id(),
                "order_id": i,
                "location_id": place.id,
                "state": s,
                "at": NOW if s == "collected" else None,
            }
            for i, *_, states in rows
            for s in states
        ],
    )
    session.execute(
        text(
            """INSERT INTO payment (id, order_id, tender, state, amount_minor, authorized_minor, captured_minor,
                                    refunded_minor, currency, created_at, updated_at)
               VALUES (:id, :order_id, 'cash', 'captured', :c, :c, :c, :r, 'JPY', :now, :now)"""
        ),
        [
            {"id": new_id(), "order_id": i, "c": captured, "r": refunded, "now": NOW}
            for i, _, _, _, money, _ in rows
            for captured, refunded in money
        ],
    )
    found = session.execute(text(f'SELECT o.id, {STATUS_SQL} FROM "order" AS o')).all()
    assert len(found) == len(expected) == 2 * 2 * 2 * 4 * (1 + 13 + 13 * 13)
    assert {row[0]: row[1] for row in found} == expected
