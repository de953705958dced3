"""A part of what is promised leaves, is given back or moved: the rest stays promised, waiting units go on waiting."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import reservations, stock
from inventory.reservations import Demand, NotAllocated, NotOnHand
from retail.kernel.ids import new_id
from tests.factories import Place, Variant, location, variant
from tests.inventory.books import balanced, level, limit, moves, receive, stocked
from tests.inventory.supplies import bundle

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


Boxes = tuple[Variant, Variant, Variant, Place, Place]


@pytest.fixture
def boxes(session: Session) -> Boxes:
    """A box of two teas and a cup, the tea, the cup, and two stores with plenty of both."""
    tea, here = stocked(session, 20)
    cup, box, there = variant(session), variant(session), location(session)
    receive(session, cup, here, 20)
    receive(session, tea, there, 20)
    receive(session, cup, there, 20)
    return bundle(session, box, (tea, 2), (cup, 1)), tea, cup, here, there


def lost(session: Session, made: Variant, place: Place, quantity: int, now: datetime) -> None:
    given = {"location_id": place.id, "variant_id": made.id, "key": None, "actor": "system", "now": now}
    stock.adjust(session, delta=-quantity, reason="lost", **given)  # type: ignore[arg-type]


def give_back(session: Session, owner_id: UUID, quantities: Mapping[UUID, int], place: Place, now: datetime) -> int:
    return reservations.release(
        session,
        owner_id=owner_id,
        cause="short",
        line_ids=list(quantities),
        quantities=quantities,
        location_id=place.id,
        actor="system",
        now=now,
    )


def move(
    session: Session, owner_id: UUID, quantities: Mapping[UUID, int], here: Place, there: Place, now: datetime
) -> list[reservations.Promise]:
    return reservations.move(
        session,
        owner_id=owner_id,
        line_ids=list(quantities),
        quantities=quantities,
        from_location_id=here.id,
        to_location_id=there.id,
        actor="system",
        now=now,
    )


def test_of_a_bundle_each_component_leaves_with_its_share(session: Session, now: datetime, boxes: Boxes) -> None:
    box, tea, cup, here, _ = boxes
    owner_id, line_id = allocated(session, box, here, 5, now)
    leave(session, owner_id, {line_id: 2}, now)
    assert level(session, tea, here) == (16, 6, 0, 0)
    assert level(session, cup, here) == (18, 3, 0, 0)
    assert give_back(session, owner_id, {line_id: 1}, here, now) == 2
    assert level(session, tea, here) == (16, 4, 0, 0)
    assert level(session, cup, here) == (18, 2, 0, 0)
    leave(session, owner_id, {line_id: 2}, now)
    assert {row[0] for row in rows(session, owner_id)} == {"consumed", "released"}
    assert balanced(session)


def test_a_bundle_that_lacks_a_part_does_not_leave(
    session: Session, now: datetime, boxes: Boxes, unchanged: Unchanged
) -> None:
    box, tea, cup, here, _ = boxes
    owner_id, line_id = allocated(session, box, here, 10, now)
    lost(session, tea, here, 3, now)
    with unchanged(), pytest.raises(NotOnHand):
        leave(session, owner_id, {line_id: 9}, now)
    leave(session, owner_id, {line_id: 8}, now)
    assert (level(session, tea, here), level(session, cup, here)) == ((1, 1, 0, 0), (12, 2, 0, 0))
    with unchanged(), pytest.raises(NotAllocated):
        give_back(session, owner_id, {line_id: 3}, here, now)
    give_back(session, owner_id, {line_id: 2}, here, now)
    assert (level(session, tea, here), level(session, cup, here)) == ((1, 0, 0, 0), (12, 0, 0, 0))
    assert balanced(session)


def test_a_bundle_keeps_the_share_it_was_sold_with(session: Session, now: datetime, boxes: Boxes) -> None:
    """Afterwards a box has three teas; those sold before have two, also after some of them moved or came back."""
    box, tea, cup, here, there = boxes
    owner_id, line_id = allocated(session, box, here, 4, now)
    session.execute(
        text("UPDATE bundle_component SET quantity = 3 WHERE component_id = :tea AND bundle_id = :box"),
        {"tea": tea.id, "box": box.id},
    )
    move(session, owner_id, {line_id: 3}, here, there, now)
    lost(session, tea, there, 16, now)
    receive(session, tea, there, 1)
    move(session, owner_id, {line_id: 1}, there, here, now)
    leave(session, owner_id, {line_id: 1}, now)
    assert (level(session, tea, here), level(session, cup, here)) == ((18, 2, 0, 0), (19, 1, 0, 0))
    statement = text("SELECT DISTINCT per_unit FROM reservation WHERE owner_id = :o AND variant_id = :v")
    assert session.execute(statement, {"o": owner_id, "v": tea.id}).scalars().all() == [2]
    assert balanced(session)


def test_what_is_missing_is_given_back_first_then_what_waits(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 6, backorder_limit=4)
    owner_id, line_id = allocated(session, tea, shop, 9, now)
    lost(session, tea, shop, 2, now)
    assert rows(session, owner_id) == [("allocated", 7, 3, line_id), ("short", 2, 0, line_id)]
    give_back(session, owner_id, {line_id: 1}, shop, now)
    assert rows(session, owner_id)[1:] == [("released", 1, 0, line_id), ("short", 1, 0, line_id)]
    give_back(session, owner_id, {line_id: 3}, shop, now)
    assert rows(session, owner_id)[0] == ("allocated", 5, 1, line_id)
    assert level(session, tea, shop) == (4, 5, 0, 0)
    give_back(session, owner_id, {line_id: 2}, shop, now)
    assert rows(session, owner_id)[0] == ("allocated", 3, 0, line_id)
    assert balanced(session)


def test_what_is_given_back_goes_to_who_waits(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 5, backorder_limit=2)
    owner_id, line_id = allocated(session, tea, shop, 5, now)
    waits, _ = allocated(session, tea, shop, 2, now)
    give_back(session, owner_id, {line_id: 1}, shop, now)
    assert [row[1:3] for row in rows(session, waits)] == [(2, 1)]
    assert balanced(session)


def test_a_line_at_two_stores_is_handed_over_given_back_and_moved_at_one(
    session: Session, now: datetime, boxes: Boxes, unchanged: Unchanged
) -> None:
    _, tea, _, here, there = boxes
    owner_id, line_id = allocated(session, tea, here, 6, now)
    move(session, owner_id, {line_id: 4}, here, there, now)
    assert (level(session, tea, here), level(session, tea, there)) == ((20, 2, 0, 0), (20, 4, 0, 0))
    given = {"owner_id": owner_id, "line_ids": [line_id], "actor": "system", "now": now}
    with unchanged(), pytest.raises(NotAllocated):
        reservations.consume(session, quantities={line_id: 5}, location_id=there.id, **given)  # type: ignore[arg-type]
    reservations.consume(session, quantities={line_id: 1}, location_id=there.id, **given)  # type: ignore[arg-type]
    reservations.consume(session, location_id=here.id, **given)  # type: ignore[arg-type]
    assert (level(session, tea, here), level(session, tea, there)) == ((18, 0, 0, 0), (19, 3, 0, 0))
    with unchanged(), pytest.raises(NotAllocated):
        reservations.consume(session, location_id=here.id, **given)  # type: ignore[arg-type]
    with unchanged():
        assert reservations.release(session, cause="cancel", location_id=here.id, **given) == 0  # type: ignore[arg-type]
    assert reservations.release(session, cause="cancel", location_id=there.id, **given) == 1  # type: ignore[arg-type]
    assert balanced(session)


def test_units_that_are_missing_move_first_and_keep_their_age(session: Session, now: datetime) -> None:
    tea, here = stocked(session, 5)
    there = location(session)
    receive(session, tea, there, 5)
    owner_id, line_id = allocated(session, tea, here, 5, now)
    lost(session, tea, here, 2, now)
    later = now + timedelta(hours=1)
    move(session, owner_id, {line_id: 2}, here, there, later)
    assert (level(session, tea, here), level(session, tea, there)) == ((3, 3, 0, 0), (5, 2, 0, 0))
    statement = text("SELECT DISTINCT created_at FROM reservation WHERE owner_id = :o AND state = 'allocated'")
    assert session.execute(statement, {"o": owner_id}).scalars().all() == [now]
    assert balanced(session)


def test_parts_that_cannot_move_stay(session: Session, now: datetime, boxes: Boxes, unchanged: Unchanged) -> None:
    _, tea, _, here, there = boxes
    owner_id, line_id = allocated(session, tea, here, 6, now)
    limit(session, tea, there, safety=18)
    with unchanged(), pytest.raises(reservations.OutOfStock), session.begin_nested():
        move(session, owner_id, {line_id: 3}, here, there, now)
    with unchanged():
        with pytest.raises(NotAllocated):
            move(session, owner_id, {line_id: 7}, here, there, now)
        for quantities, line_ids, from_id in (
            ({line_id: 1}, [line_id], None),
            ({line_id: 1}, [line_id], there.id),
            ({line_id: 1}, [line_id, new_id()], here.id),
        ):
            with pytest.raises(ValueError, match="exactly the lines"):
                reservations.move(
                    session,
                    owner_id=owner_id,
                    line_ids=line_ids,
                    quantities=quantities,
                    from_location_id=from_id,
                    to_location_id=there.id,
                    actor="system",
                    now=now,
                )
