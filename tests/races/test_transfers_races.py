"""Deliveries and transfers under contention, on real connections. Guards are also taken out, to see that the race goes wrong."""

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from inventory import inbound, reservations, stock, transfers
from inventory.documents import Arrived, IllegalTransition
from inventory.queries import transfers as transfer_queries
from inventory.reservations import Demand, OutOfStock
from inventory.transfers import MoreThanOutstanding, NothingToShip, Wanted
from retail.kernel import db
from retail.kernel.errors import Stale
from retail.kernel.ids import new_id
from tests.factories import Place, Variant, location, variant, variants
from tests.inventory.books import balanced, level, receive
from tests.inventory.books import reservations as promised
from tests.inventory.papers import (
    MANAGER,
    announced,
    drafted,
    inbound_lines,
    on_its_way,
    ready,
    state,
    transfer_id,
    transfer_lines,
)
from tests.races.interleaving import Other, together

pytestmark = [pytest.mark.races, pytest.mark.committed]
Work = Callable[[Session], Any]
Road = tuple[Variant, Place, Place]


@pytest.fixture
def road(session: Session) -> Road:
    """Ten units at one of two stores."""
    tea, origin, destination = variant(session), location(session), location(session)
    receive(session, tea, origin, 10)
    return tea, origin, destination


def committed(work: Work) -> Any:
    with db.transaction() as session:
        return work(session)


def readying(reference: str, now: datetime) -> Work:
    return lambda s: transfers.make_ready(s, transfer=reference, caller=MANAGER, now=now)


def shipping(reference: str, now: datetime, shipped: list[Wanted] | None = None) -> Work:
    return lambda s: transfers.ship(s, transfer=reference, shipped=shipped, caller=MANAGER, now=now)


def receiving(reference: str, now: datetime, *arrived: Arrived, final: bool = False, key: str | None = None) -> Work:
    return lambda s: transfers.receive(
        s, transfer=reference, arrived=arrived, final=final, key=key, caller=MANAGER, now=now
    )


def cancelling(reference: str, now: datetime, choice: str | None = None) -> Work:
    return lambda s: transfers.cancel(s, transfer=reference, choice=choice, caller=MANAGER, now=now)


def delivering(
    reference: str, now: datetime, *arrived: Arrived, final: bool | None = False, key: str | None = None
) -> Work:
    return lambda s: inbound.receive(
        s, shipment=reference, arrived=arrived, final=final, key=key, caller=MANAGER, now=now
    )


def one_after_the_other(first: Work, second: Work) -> Any:
    """The second begins while the first is open, has to wait for it, and goes on after; its value, or its error is raised."""
    with db.transaction() as session:
        first(session)
        other = Other(second)
        assert other.waits()
    return other.result()


@pytest.fixture
def unlocked(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """The row of the transfer is read without its lock from now on."""

    def mutate() -> None:
        statement = str(transfer_queries._LOCK)
        assert "FOR UPDATE" in statement
        monkeypatch.setattr(transfer_queries, "_LOCK", text(statement.replace("FOR UPDATE", "")))

    return mutate


# --- Twice


def test_shipped_twice_at_once_it_leaves_once(session: Session, road: Road, now: datetime) -> None:
    tea, origin, destination = road
    reference = ready(session, origin, destination, {tea: 4})
    with pytest.raises(IllegalTransition) as refused:
        one_after_the_other(shipping(reference, now), shipping(reference, now))
    assert refused.value.extra["state"] == "in_transit"
    assert transfer_lines(session, reference) == [(4, 4, 0, 0, 0, 0, 4)]
    assert level(session, tea, origin) == (6, 0, 0, 0)
    assert balanced(session)


def test_without_the_lock_the_second_shipment_finds_nothing_allocated(
    session: Session, road: Road, now: datetime, unlocked: Callable[[], None]
) -> None:
    """The second guard: units that have left are not allocated any more."""
    tea, origin, destination = road
    reference = ready(session, origin, destination, {tea: 4})
    unlocked()
    with pytest.raises(NothingToShip):
        one_after_the_other(shipping(reference, now), shipping(reference, now))
    assert level(session, tea, origin) == (6, 0, 0, 0)
    assert balanced(session)


def test_made_ready_twice_at_once_it_is_allocated_once(session: Session, road: Road, now: datetime) -> None:
    tea, origin, destination = road
    reference = drafted(session, origin, destination, {tea: 4})
    results = together([readying(reference, now) for _ in range(4)])
    assert sorted(type(result).__name__ for result in results) == ["IllegalTransition"] * 3 + ["NoneType"]
    assert level(session, tea, origin) == (10, 4, 0, 0)
    assert promised(session, transfer_id(session, reference)) == [("allocated", 4)]
    assert balanced(session)


def test_without_the_lock_it_would_be_allocated_twice(
    session: Session, road: Road, now: datetime, unlocked: Callable[[], None]
) -> None:
    tea, origin, destination = road
    reference = drafted(session, origin, destination, {tea: 4})
    unlocked()
    one_after_the_other(readying(reference, now), readying(reference, now))
    assert level(session, tea, origin) == (10, 8, 0, 0)


def test_received_twice_at_once_no_more_comes_in_than_left(session: Session, road: Road, now: datetime) -> None:
    tea, origin, destination = road
    reference = on_its_way(session, origin, destination, {tea: 5})
    with pytest.raises(MoreThanOutstanding) as refused:
        one_after_the_other(
            receiving(reference, now, Arrived(tea.id, 3)), receiving(reference, now, Arrived(tea.id, 3))
        )
    assert refused.value.errors[0]["outstanding"] == 2
    assert transfer_lines(session, reference) == [(5, 5, 3, 0, 0, 0, 2)]
    assert level(session, tea, destination) == (3, 0, 0, 0)
    assert balanced(session)


def test_without_the_lock_the_line_itself_refuses_what_never_left(
    session: Session, road: Road, now: datetime, unlocked: Callable[[], None]
) -> None:
    tea, origin, destination = road
    reference = on_its_way(session, origin, destination, {tea: 5})
    unlocked()
    with pytest.raises(IntegrityError, match="ck_transfer_line_conserved"):
        one_after_the_other(
            receiving(reference, now, Arrived(tea.id, 3)), receiving(reference, now, Arrived(tea.id, 3))
        )
    assert level(session, tea, destination) == (3, 0, 0, 0)
    assert balanced(session)


def test_many_scanners_receive_one_transfer(session: Session, road: Road, now: datetime) -> None:
    tea, origin, destination = road
    reference = on_its_way(session, origin, destination, {tea: 10})
    results = together([receiving(reference, now, Arrived(tea.id, 2, number % 2)) for number in range(7)])
    assert len([result for result in results if result is None]) == 5
    assert {type(result) for result in results if result is not None} == {IllegalTransition}
    assert state(session, reference) == "received"
    (line,) = transfer_lines(session, reference)
    assert (line[2], line[6]) == (10, 0)
    assert level(session, tea, destination) == (10, 0, 0, line[3])
    assert balanced(session)


def test_one_box_scanned_twice_at_once_is_received_once(session: Session, road: Road, now: datetime) -> None:
    tea, origin, destination = road
    reference = on_its_way(session, origin, destination, {tea: 10})
    results = together([receiving(reference, now, Arrived(tea.id, 2, 1), key="box-1") for _ in range(4)])
    assert sorted(type(result).__name__ for result in results) == ["AlreadyRecorded"] * 3 + ["NoneType"]
    assert level(session, tea, destination) == (2, 0, 0, 1)
    assert balanced(session)


# --- Against each other


@pytest.mark.parametrize("choice", ["return", "shrink"])
def test_cancelled_while_the_last_box_is_received(session: Session, road: Road, now: datetime, choice: str) -> None:
    tea, origin, destination = road
    reference = on_its_way(session, origin, destination, {tea: 5})
    with pytest.raises(IllegalTransition) as refused:
        one_after_the_other(receiving(reference, now, Arrived(tea.id, 5)), cancelling(reference, now, choice))
    assert refused.value.extra["state"] == "received"
    assert (level(session, tea, origin), level(session, tea, destination)) == ((5, 0, 0, 0), (5, 0, 0, 0))
    assert balanced(session)


def test_cancelled_while_a_part_is_received_only_the_rest_comes_back(
    session: Session, road: Road, now: datetime
) -> None:
    tea, origin, destination = road
    reference = on_its_way(session, origin, destination, {tea: 5})
    one_after_the_other(receiving(reference, now, Arrived(tea.id, 2)), cancelling(reference, now, "return"))
    assert transfer_lines(session, reference) == [(5, 5, 2, 0, 3, 0, 0)]
    assert (level(session, tea, origin), level(session, tea, destination)) == ((8, 0, 0, 0), (2, 0, 0, 0))
    assert balanced(session)


def test_received_while_it_is_cancelled(session: Session, road: Road, now: datetime) -> None:
    tea, origin, destination = road
    reference = on_its_way(session, origin, destination, {tea: 5})
    with pytest.raises(IllegalTransition) as refused:
        one_after_the_other(cancelling(reference, now, "return"), receiving(reference, now, Arrived(tea.id, 5)))
    assert refused.value.extra == {"state": "cancelled", "legal": []}
    assert (level(session, tea, origin), level(session, tea, destination)) == ((10, 0, 0, 0), None)
    assert balanced(session)


def test_cancelled_while_it_is_shipped_needs_a_choice(session: Session, road: Road, now: datetime) -> None:
    tea, origin, destination = road
    reference = ready(session, origin, destination, {tea: 4})
    with pytest.raises(transfers.ChoiceNeeded):
        one_after_the_other(shipping(reference, now), cancelling(reference, now))
    assert state(session, reference) == "in_transit"
    other = ready(session, origin, destination, {tea: 4})
    with pytest.raises(IllegalTransition):
        one_after_the_other(cancelling(other, now), shipping(other, now))
    assert level(session, tea, origin) == (6, 0, 0, 0)
    assert balanced(session)


def test_a_draft_is_not_changed_under_whoever_makes_it_ready(session: Session, road: Road, now: datetime) -> None:
    tea, origin, destination = road
    reference = drafted(session, origin, destination, {tea: 4})

    def editing(s: Session) -> None:
        lines = [Wanted(tea.id, 9)]
        transfers.edit(s, transfer=reference, version=1, lines=lines, caller=MANAGER, now=now)

    with pytest.raises(Stale):
        one_after_the_other(readying(reference, now), editing)
    assert transfer_lines(session, reference) == [(4, 0, 0, 0, 0, 0, 0)]
    assert level(session, tea, origin) == (10, 4, 0, 0)


def buying(tea: Variant, place: Place, quantity: int, now: datetime) -> Work:
    order_id = new_id()

    def work(s: Session) -> UUID:
        demands = [Demand(tea.id, place.id, quantity, new_id())]
        reservations.allocate(s, owner_id=order_id, demands=demands, actor="client:test", now=now)
        return order_id

    return work


def test_a_transfer_and_orders_never_take_the_same_units(session: Session, road: Road, now: datetime) -> None:
    tea, origin, destination = road
    references = [drafted(session, origin, destination, {tea: 3}) for _ in range(3)]
    works = [work for reference in references for work in (readying(reference, now), buying(tea, origin, 3, now))]
    results = together(works)
    refused = [result for result in results if isinstance(result, Exception)]
    assert [type(result) for result in refused] == [OutOfStock] * 3
    assert level(session, tea, origin) == (10, 9, 0, 0)
    got = [reference for reference in references if state(session, reference) == "ready"]
    assert [promised(session, transfer_id(session, reference)) for reference in got] == [[("allocated", 3)]] * len(got)
    assert balanced(session)


@pytest.mark.parametrize("transfer_first", [True, False])
def test_whoever_was_first_has_the_units(session: Session, road: Road, now: datetime, transfer_first: bool) -> None:
    tea, origin, destination = road
    reference = drafted(session, origin, destination, {tea: 6})
    works = [readying(reference, now), buying(tea, origin, 6, now)]
    with pytest.raises(OutOfStock) as refused:
        one_after_the_other(*(works if transfer_first else works[::-1]))
    assert refused.value.errors[0]["available"] == 4
    assert state(session, reference) == ("ready" if transfer_first else "draft")
    assert level(session, tea, origin) == (10, 6, 0, 0)
    assert balanced(session)


def losing(tea: Variant, place: Place, quantity: int, now: datetime) -> Work:
    return lambda s: stock.adjust(
        s,
        location_id=place.id,
        variant_id=tea.id,
        delta=-quantity,
        reason="lost",
        key=None,
        actor="staff:test",
        now=now,
    )


def test_what_is_found_missing_while_it_is_shipped_does_not_leave(session: Session, road: Road, now: datetime) -> None:
    tea, origin, destination = road
    reference = ready(session, origin, destination, {tea: 6})
    (shortfall,) = one_after_the_other(losing(tea, origin, 7, now), shipping(reference, now))
    assert (shortfall.asked, shortfall.shipped) == (6, 3)
    assert transfer_lines(session, reference) == [(6, 3, 0, 0, 0, 0, 3)]
    assert level(session, tea, origin) == (0, 0, 0, 0)
    assert balanced(session)


def test_what_has_left_cannot_be_found_missing(session: Session, road: Road, now: datetime) -> None:
    tea, origin, destination = road
    reference = ready(session, origin, destination, {tea: 6})
    one_after_the_other(shipping(reference, now), losing(tea, origin, 4, now))
    assert transfer_lines(session, reference) == [(6, 6, 0, 0, 0, 0, 6)]
    assert level(session, tea, origin) == (0, 0, 0, 0)
    assert balanced(session)


# --- Deliveries


def test_two_boxes_of_one_delivery_are_both_counted(session: Session, road: Road, now: datetime) -> None:
    tea, origin, _ = road
    reference = announced(session, origin, {tea: 5})
    results = together([delivering(reference, now, Arrived(tea.id, 3, 1)) for _ in range(4)])
    assert results == [None] * 4
    assert inbound_lines(session, reference) == [(5, 12, 4, 0)], "too much of it is taken in"
    assert level(session, tea, origin) == (22, 0, 0, 4)
    assert balanced(session)


def test_a_box_comes_while_the_delivery_is_closed(session: Session, road: Road, now: datetime) -> None:
    tea, origin, _ = road
    reference = announced(session, origin, {tea: 5})
    with pytest.raises(IllegalTransition) as refused:
        one_after_the_other(
            delivering(reference, now, Arrived(tea.id, 3), final=True), delivering(reference, now, Arrived(tea.id, 2))
        )
    assert refused.value.extra["state"] == "received"
    assert inbound_lines(session, reference) == [(5, 3, 0, 0)]
    assert level(session, tea, origin) == (13, 0, 0, 0)
    assert balanced(session)


def test_one_box_of_a_delivery_scanned_twice_at_once(session: Session, road: Road, now: datetime) -> None:
    tea, origin, _ = road
    reference = announced(session, origin, {tea: 5})
    results = together([delivering(reference, now, Arrived(tea.id, 2, 1), key="box-1") for _ in range(4)])
    assert sorted(type(result).__name__ for result in results) == ["AlreadyRecorded"] * 3 + ["NoneType"]
    assert inbound_lines(session, reference) == [(5, 2, 1, 3)]
    assert level(session, tea, origin) == (12, 0, 0, 1)
    assert balanced(session)


def test_deliveries_with_damage_crosswise_never_deadlock(session: Session, now: datetime) -> None:
    """What is whole in one is broken in the other, and none of it was ever there: four statements open the same levels."""
    shop = location(session)
    for _ in range(5):
        made = variants(session, 4)
        whole = [Arrived(one.id, 2, 2 * (place % 2)) for place, one in enumerate(made)]
        broken = [Arrived(one.id, 2, 2 * (1 - place % 2)) for place, one in enumerate(made)][::-1]
        works = []
        for number in range(6):
            reference = announced(session, shop, {made[0]: 1})
            works.append(delivering(reference, now, *(broken if number % 2 else whole)))
        assert together(works) == [None] * 6
        assert [level(session, one, shop) for one in made] == [(12, 0, 0, 6)] * 4
    assert balanced(session)


def test_transfers_in_both_directions_never_deadlock(session: Session, now: datetime) -> None:
    here, there, made = location(session), location(session), variants(session, 4)
    for place in (here, there):
        lines = [(one.id, 200) for one in made]
        committed(
            lambda s, p=place, g=lines: stock.receive(s, location_id=p.id, lines=g, key=None, actor="system", now=now)
        )
    works: list[Work] = []
    for number in range(4):
        goods = made[::-1] if number % 2 else made
        ends = (here, there) if number < 2 else (there, here)
        works.append(
            receiving(
                on_its_way(session, *ends, dict.fromkeys(goods, 3)), now, *(Arrived(one.id, 3, 1) for one in goods)
            )
        )
        works.append(shipping(ready(session, *ends, dict.fromkeys(goods, 3)), now))
        works.append(cancelling(on_its_way(session, *ends, dict.fromkeys(goods, 3)), now, "return"))
    assert [result for result in together(works) if isinstance(result, Exception)] == []
    assert [level(session, one, here) for one in made] == [level(session, one, there) for one in made]
    assert balanced(session)
