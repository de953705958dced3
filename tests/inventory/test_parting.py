"""A part of what is allocated leaves: the rest stays promised, waiting units go on waiting."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import reservations, stock
from inventory.reservations import Demand, NotAllocated, NotOnHand
from retail.kernel.ids import new_id
from tests.factories import Place, Variant
from tests.inventory.books import balanced, level, moves, stocked

Unchanged = Callable[[], AbstractContextManager[None]]


def allocated(session: Session, made: Variant, place: Place, quantity: int, now: datetime) -> tuple[UUID, UUID]:
    """(owner, line) of a promise."""
    owner_id, line_id = new_id(), new_id()
    demands = [Demand(made.id, place.id, quantity, line_id)]
    reservations.allocate(session, owner_id=owner_id, demands=demands, actor="system", now=now)
    return owner_id, line_id


def leave(session: Session, owner_id: UUID, quantities: Mapping[UUID, int], now: datetime) -> None:
    lines = list(quantities)
    reservations.consume(
        session, owner_id=owner_id, line_ids=lines, quantities=quantities, cause="transfer", actor="system", now=now
    )


def rows(session: Session, owner_id: UUID) -> list[tuple[str, int, int, UUID | None]]:
    """(state, quantity, backordered, line) of an owner's reservations."""
    statement = text(
        "SELECT state, quantity, backordered, line_id FROM reservation WHERE owner_id = :o ORDER BY state, quantity"
    )
    return [(row[0], row[1], row[2], row[3]) for row in session.execute(statement, {"o": owner_id})]


def test_a_part_leaves_and_the_rest_stays_allocated(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 10)
    owner_id, line_id = allocated(session, tea, shop, 6, now)
    leave(session, owner_id, {line_id: 2}, now)
    assert rows(session, owner_id) == [("allocated", 4, 0, line_id), ("consumed", 2, 0, line_id)]
    assert level(session, tea, shop) == (8, 4, 0, 0)
    assert moves(session, tea)[-1] == ("allocated", "outside", 2, "transfer")
    leave(session, owner_id, {line_id: 4}, now)
    assert level(session, tea, shop) == (4, 0, 0, 0)
    assert balanced(session)


def test_units_that_wait_for_goods_stay(session: Session, now: datetime, unchanged: Unchanged) -> None:
    tea, shop = stocked(session, 5, backorder_limit=5)
    owner_id, line_id = allocated(session, tea, shop, 8, now)
    with unchanged(), pytest.raises(NotOnHand):
        leave(session, owner_id, {line_id: 6}, now)
    leave(session, owner_id, {line_id: 4}, now)
    assert rows(session, owner_id) == [("allocated", 4, 3, line_id), ("consumed", 4, 0, line_id)]
    assert level(session, tea, shop) == (1, 4, 0, 0)
    leave(session, owner_id, {line_id: 1}, now)
    assert rows(session, owner_id)[0] == ("allocated", 3, 3, line_id)
    assert balanced(session)


def test_what_turned_short_stays_short(session: Session, now: datetime, unchanged: Unchanged) -> None:
    tea, shop = stocked(session, 6)
    owner_id, line_id = allocated(session, tea, shop, 6, now)
    stock.adjust(
        session, location_id=shop.id, variant_id=tea.id, delta=-2, reason="lost", key=None, actor="system", now=now
    )
    with unchanged(), pytest.raises(NotOnHand):
        leave(session, owner_id, {line_id: 5}, now)
    leave(session, owner_id, {line_id: 3}, now)
    assert rows(session, owner_id) == [
        ("allocated", 1, 0, line_id),
        ("consumed", 3, 0, line_id),
        ("short", 2, 0, line_id),
    ]
    assert level(session, tea, shop) == (1, 1, 0, 0)
    assert balanced(session)


def test_a_part_that_is_not_promised_does_not_leave(session: Session, now: datetime, unchanged: Unchanged) -> None:
    tea, shop = stocked(session, 10)
    owner_id, line_id = allocated(session, tea, shop, 3, now)
    with unchanged():
        for quantities in ({line_id: 4}, {new_id(): 1}, {line_id: 1, new_id(): 1}):
            with pytest.raises(NotAllocated):
                leave(session, owner_id, quantities, now)
        for wrong in ({}, {line_id: 0}):
            with pytest.raises(ValueError, match="at least one unit"):
                leave(session, owner_id, wrong, now)
        with pytest.raises(ValueError, match="exactly the lines"):
            reservations.consume(
                session, owner_id=owner_id, line_ids=None, quantities={line_id: 1}, actor="system", now=now
            )
