"""Cycle counts under contention: two entries for one line, an entry and a sale, two approvals, on real connections."""

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import counts, reservations, stock
from inventory.counts import Entry
from inventory.reservations import Demand
from retail.kernel import auth, db
from retail.kernel.auth import Principal
from retail.kernel.ids import new_id
from tests.factories import Place, Variant, location, variant
from tests.inventory.books import balanced, level, moves, receive, stocked
from tests.races.interleaving import Other, together

pytestmark = [pytest.mark.races, pytest.mark.committed]
HANA, KEN, BOSS, OTHER = (Principal(auth.STAFF, new_id(), frozenset({"stock.work"})) for _ in range(4))


def begun(session: Session, tea: Variant, place: Place, now: datetime, *figures: int) -> str:
    """A count of one tea, into which Hana has entered `figures`."""
    with db.transaction() as opening:
        count = counts.begin(opening, location_id=place.id, variant_ids=[tea.id], actor="system", now=now)
    for figure in figures:
        with db.transaction() as entering:
            counts.enter(entering, count=count, entries=[Entry(tea.id, figure)], caller=HANA, now=now)
    return count


def entering(count: str, tea: Variant, counted: int, caller: Principal, now: datetime) -> Callable[[Session], None]:
    return lambda s: counts.enter(s, count=count, entries=[Entry(tea.id, counted)], caller=caller, now=now)


def approving(count: str, caller: Principal, now: datetime) -> Callable[[Session], None]:
    return lambda s: counts.decide(s, count=count, approve=True, caller=caller, now=now)


def selling(tea: Variant, place: Place, quantity: int, now: datetime) -> Callable[[Session], UUID]:
    def work(session: Session) -> UUID:
        order = new_id()
        demands = [Demand(tea.id, place.id, quantity, new_id())]
        reservations.allocate(session, owner_id=order, demands=demands, actor="system", now=now)
        reservations.consume(session, owner_id=order, line_ids=None, actor="system", now=now)
        return order

    return work


def line(session: Session) -> Any:
    statement = text(
        "SELECT state, counted, expected, counted_by, recounted, recount_expected, recounted_by, difference FROM stock_count_line"
    )
    return tuple(session.execute(statement).one())


def test_of_two_entries_at_once_the_second_is_the_recount(session: Session, now: datetime) -> None:
    tea, place = stocked(session, 10)
    count = begun(session, tea, place, now)
    with db.transaction() as first:
        entering(count, tea, 8, HANA, now)(first)
        second = Other(entering(count, tea, 9, KEN, now))
        assert second.waits()
    second.result()
    assert line(session) == ("applied", 8, 10, HANA.actor, 9, 10, KEN.actor, -1)
    assert level(session, tea, place) == (9, 0, 0, 0)
    assert balanced(session)


def test_of_two_entries_that_find_everything_one_is_told_that_it_is_settled(session: Session, now: datetime) -> None:
    tea, place = stocked(session, 10)
    count = begun(session, tea, place, now)
    results = together([entering(count, tea, 10, who, now) for who in (HANA, KEN)])
    (refused,) = [result for result in results if result is not None]
    assert isinstance(refused, counts.CountClosed), "its only line was settled, so the count is over"
    assert line(session)[:3] == ("applied", 10, 10)


def test_many_recounts_at_once_book_one_difference(session: Session, now: datetime) -> None:
    tea, place = stocked(session, 10)
    count = begun(session, tea, place, now, 8)
    results = together([entering(count, tea, 8, KEN, now) for _ in range(8)])
    assert len([result for result in results if result is None]) == 1
    assert len([result for result in results if isinstance(result, counts.CountClosed)]) == 7
    assert level(session, tea, place) == (8, 0, 0, 0)
    assert len(moves(session, tea)) == 2
    assert balanced(session)


def test_an_entry_waits_for_a_sale_and_reads_what_it_left(session: Session, now: datetime) -> None:
    tea, place = stocked(session, 10)
    count = begun(session, tea, place, now, 7)
    with db.transaction() as seller:
        selling(tea, place, 3, now)(seller)
        counter = Other(entering(count, tea, 7, KEN, now))
        assert counter.waits()
    counter.result()
    assert line(session)[4:] == (7, 7, KEN.actor, 0), "three were sold: nothing is missing"
    assert level(session, tea, place) == (7, 0, 0, 0)
    assert balanced(session)


def test_a_sale_waits_for_an_entry_and_is_not_undone_by_it(session: Session, now: datetime) -> None:
    tea, place = stocked(session, 10)
    count = begun(session, tea, place, now, 8)
    with db.transaction() as counter:
        entering(count, tea, 8, KEN, now)(counter)
        seller = Other(selling(tea, place, 3, now))
        assert seller.waits()
    seller.result()
    assert level(session, tea, place) == (5, 0, 0, 0)
    assert balanced(session)


def test_without_the_levels_lock_a_sale_would_be_taken_for_a_loss(
    session: Session, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    from inventory.queries import counts as queries

    tea, place = stocked(session, 10)
    count = begun(session, tea, place, now, 7)
    unlocked = text(queries._LOCK_ON_HAND.text.replace("FOR UPDATE", ""))
    monkeypatch.setattr(queries, "_LOCK_ON_HAND", unlocked)
    with db.transaction() as seller:
        selling(tea, place, 3, now)(seller)
        counter = Other(entering(count, tea, 7, KEN, now))
        assert counter.waits(), "only where it books"
    counter.result()
    assert line(session)[4:] == (7, 10, KEN.actor, -3), "what was sold is missing as well"
    assert level(session, tea, place) == (4, 0, 0, 0), "while seven are on the shelf"


def test_a_difference_is_approved_once(session: Session, now: datetime) -> None:
    tea, place = stocked(session, 20)
    count = begun(session, tea, place, now, 10, 10)
    with db.transaction() as first:
        approving(count, BOSS, now)(first)
        second = Other(approving(count, OTHER, now))
        assert second.waits()
    with pytest.raises(counts.CountClosed):
        second.result()
    assert level(session, tea, place) == (10, 0, 0, 0)
    assert len(moves(session, tea)) == 2
    assert balanced(session)


def test_approval_and_sending_back_exclude_each_other(session: Session, now: datetime) -> None:
    tea, place = stocked(session, 20)
    count = begun(session, tea, place, now, 10, 10)
    with db.transaction() as first:
        counts.decide(first, count=count, approve=False, caller=BOSS, now=now)
        second = Other(approving(count, OTHER, now))
        assert second.waits()
    with pytest.raises(counts.NotWaiting):
        second.result()
    assert level(session, tea, place) == (20, 0, 0, 0)
    assert line(session)[0] == "recount"


def test_a_cancelled_count_is_not_entered_into(session: Session, now: datetime) -> None:
    tea, place = stocked(session, 10)
    count = begun(session, tea, place, now, 8)
    with db.transaction() as first:
        counts.cancel(first, count=count, caller=BOSS, now=now)
        second = Other(entering(count, tea, 8, KEN, now))
        assert second.waits()
    with pytest.raises(counts.CountClosed):
        second.result()
    assert level(session, tea, place) == (10, 0, 0, 0)
    assert balanced(session)


def test_two_counts_of_the_same_goods_book_what_each_found(session: Session, now: datetime) -> None:
    """Two counts of one shelf run at once: the second recount compares with what the first has booked."""
    tea, place = stocked(session, 10)
    one, two = (begun(session, tea, place, now, 8) for _ in range(2))
    with db.transaction() as first:
        entering(one, tea, 8, KEN, now)(first)
        second = Other(entering(two, tea, 8, KEN, now))
        assert second.waits()
    second.result()
    assert level(session, tea, place) == (8, 0, 0, 0)
    assert balanced(session)


@pytest.mark.parametrize("new_is_lower", [True, False])
@pytest.mark.parametrize("count_first", [True, False])
def test_goods_found_that_were_never_here_are_locked_in_order(
    session: Session, now: datetime, new_is_lower: bool, count_first: bool
) -> None:
    """A recount adds units of tea and of something new here, while both come in: each makes the new level, and none waits
    for the other crosswise. The tea's level is locked by a third at first, so that both are in the middle."""
    made = [variant(session) for _ in range(2)]
    new, tea = made if new_is_lower else made[::-1]
    place = location(session)
    receive(session, tea, place, 5)
    entries = [Entry(tea.id, 6), Entry(new.id, 1)]
    variants = [tea.id, new.id]
    with db.transaction() as opening:
        count = counts.begin(opening, location_id=place.id, variant_ids=variants, actor="system", now=now)
    with db.transaction() as first:
        counts.enter(first, count=count, entries=entries, caller=HANA, now=now)

    def recounting(session: Session) -> None:
        counts.enter(session, count=count, entries=entries, caller=KEN, now=now)

    def receiving(session: Session) -> None:
        lines = [(one, 2) for one in variants]
        stock.receive(session, location_id=place.id, lines=lines, key=None, actor="system", now=now)

    works = [recounting, receiving] if count_first else [receiving, recounting]
    with db.transaction() as blocker:
        blocker.execute(text("SELECT 1 FROM stock_level WHERE variant_id = :v FOR UPDATE"), {"v": tea.id})
        others = []
        for work in works:
            others.append(Other(work))
            assert others[-1].waits()
    for other in others:
        other.result()
    found = [level(session, one, place) for one in (tea, new)]
    assert found == [(8, 0, 0, 0), (3, 0, 0, 0)] if count_first else [(6, 0, 0, 0), (1, 0, 0, 0)]
    assert balanced(session)
