"""A pick that found too little: its own promise is short, the books follow, and what nobody found is sold to nobody."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import queries, reservations, stock
from inventory.reservations import Demand, NotAllocated
from retail.kernel import db
from retail.kernel.ids import new_id
from tests.factories import Place, Variant, variant
from tests.inventory.books import balanced, level, moves, receive, stocked
from tests.inventory.supplies import bundle
from tests.races.interleaving import Other

Unchanged = Callable[[], AbstractContextManager[None]]


def ordered(session: Session, made: Variant, place: Place, quantity: int, now: datetime) -> tuple[UUID, UUID]:
    owner, line = new_id(), new_id()
    demands = [Demand(made.id, place.id, quantity, line)]
    reservations.allocate(session, owner_id=owner, demands=demands, actor="system", now=now)
    return owner, line


def fail(
    session: Session,
    order: tuple[UUID, UUID],
    made: Variant,
    place: Place,
    units: int,
    now: datetime,
    reason: str = "pick_failed",
) -> None:
    lacking = {(order[1], made.id): units}
    stock.pick_failed(
        session, owner_id=order[0], location_id=place.id, lacking=lacking, reason=reason, actor="staff:ken", now=now
    )


def rows(session: Session, order: tuple[UUID, UUID]) -> list[tuple[str, int]]:
    statement = text("SELECT state, quantity FROM reservation WHERE owner_id = :o ORDER BY state")
    return [(row[0], row[1]) for row in session.execute(statement, {"o": order[0]})]


def told(session: Session) -> list[str]:
    statement = text("SELECT type FROM event ORDER BY seq")
    return list(session.execute(statement).scalars())


def test_the_promise_that_was_picked_is_short_and_the_youngest_is_not(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 5)
    mine = ordered(session, tea, shop, 3, now)
    younger = ordered(session, tea, shop, 2, now)
    fail(session, mine, tea, shop, 1, now)
    assert rows(session, mine) == [("allocated", 2), ("short", 1)]
    assert rows(session, younger) == [("allocated", 2)]
    assert level(session, tea, shop) == (4, 4, 0, 0)
    assert moves(session, tea)[-2:] == [
        ("allocated", "available", 1, "short"),
        ("available", "outside", 1, "adjust"),
    ]
    assert queries.missing(session, owner_id=mine[0]) == {(mine[1], shop.id): 1}
    assert told(session)[-2:] == ["AllocationShort", "StockAdjusted"]
    assert balanced(session)


def test_what_the_books_still_call_free_is_set_aside_until_somebody_counts(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 9)
    mine = ordered(session, tea, shop, 3, now)
    fail(session, mine, tea, shop, 1, now)
    assert level(session, tea, shop) == (8, 2, 0, 6)
    assert rows(session, mine) == [("allocated", 2), ("short", 1)], "not filled with what nobody found"
    stock.restore(session, location_id=shop.id, variant_id=tea.id, quantity=6, key=None, actor="staff:ken", now=now)
    assert sorted(rows(session, mine)) == [("allocated", 1), ("allocated", 2)], "somebody found them"
    assert balanced(session)


def test_what_broke_while_it_was_picked_is_replaced_by_what_is_free(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 4)
    mine = ordered(session, tea, shop, 3, now)
    fail(session, mine, tea, shop, 1, now, reason="damaged")
    assert level(session, tea, shop) == (4, 3, 0, 1)
    assert queries.missing(session, owner_id=mine[0]) == {}
    fail(session, mine, tea, shop, 1, now, reason="damaged")
    assert level(session, tea, shop) == (4, 2, 0, 2)
    assert queries.missing(session, owner_id=mine[0]) == {(mine[1], shop.id): 1}
    assert balanced(session)


def test_a_bundle_lacks_what_its_scarcest_component_lacks(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 10)
    cup, box = variant(session), variant(session)
    receive(session, cup, shop, 5)
    bundle(session, box, (tea, 2), (cup, 1))
    mine = ordered(session, box, shop, 5, now)
    fail(session, mine, tea, shop, 3, now)
    assert queries.missing(session, owner_id=mine[0]) == {(mine[1], shop.id): 2}
    fail(session, mine, cup, shop, 3, now)
    assert queries.missing(session, owner_id=mine[0]) == {(mine[1], shop.id): 3}
    assert balanced(session)


def test_more_than_is_promised_here_changes_nothing(session: Session, now: datetime, unchanged: Unchanged) -> None:
    tea, shop = stocked(session, 5, backorder_limit=5)
    mine = ordered(session, tea, shop, 7, now)
    with unchanged():
        for order, units in ((mine, 6), ((mine[0], new_id()), 1), ((new_id(), mine[1]), 1)):
            with pytest.raises(NotAllocated):
                fail(session, order, tea, shop, units, now)
    fail(session, mine, tea, shop, 5, now)
    with unchanged(), pytest.raises(NotAllocated):
        fail(session, mine, tea, shop, 1, now)
    assert balanced(session)


@pytest.mark.races
@pytest.mark.committed
def test_two_pickers_of_one_line_cannot_miss_more_than_there_was(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 3)
    with db.transaction() as s:
        mine = ordered(s, tea, shop, 3, now)
    with db.transaction() as first:
        fail(first, mine, tea, shop, 2, now)
        second = Other(lambda s: fail(s, mine, tea, shop, 2, now))
        assert second.waits()
    with pytest.raises(NotAllocated):
        second.result()
    assert level(session, tea, shop) == (1, 1, 0, 0)
    assert balanced(session)
