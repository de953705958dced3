"""Parts of one line at one store, asked for at once: handed over, given back, moved and lost, of bundles too. Together they are
never more than was promised, and each component of a bundle goes with its share."""

import random
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import queries, reservations, stock
from inventory.reservations import Demand, NotAllocated, NotOnHand
from retail.kernel import db
from retail.kernel.ids import new_id
from tests.factories import Place, Variant, location, variant
from tests.inventory.books import balanced, level, receive, stocked
from tests.inventory.supplies import bundle
from tests.races.interleaving import Other, together

pytestmark = [pytest.mark.races, pytest.mark.committed]
ACTOR = "client:test"
OWNER, LINE = new_id(), new_id()
Work = Callable[[Session], Any]


def promise(made: Variant, place: Place, quantity: int, now: datetime) -> None:
    with db.transaction() as session:
        demands = [Demand(made.id, place.id, quantity, LINE)]
        reservations.allocate(session, owner_id=OWNER, demands=demands, actor=ACTOR, now=now)


def part(units: int, place: Place, now: datetime) -> dict[str, Any]:
    return {
        "owner_id": OWNER,
        "line_ids": [LINE],
        "quantities": {LINE: units},
        "location_id": place.id,
        "actor": ACTOR,
        "now": now,
    }


def hand_over(units: int, place: Place, now: datetime) -> Work:
    return lambda s: reservations.consume(s, **part(units, place, now))


def give_back(units: int, place: Place, now: datetime) -> Work:
    return lambda s: reservations.release(s, cause="short", **part(units, place, now))


def move(units: int, here: Place, there: Place, now: datetime) -> Work:
    what = part(units, here, now)
    what["from_location_id"] = what.pop("location_id")
    return lambda s: reservations.move(s, to_location_id=there.id, **what)


def lose(units: int, made: Variant, place: Place, now: datetime) -> Work:
    where: dict[str, Any] = {"location_id": place.id, "variant_id": made.id, "key": None, "actor": ACTOR, "now": now}
    return lambda s: stock.adjust(s, delta=-units, reason="lost", **where)


def units(session: Session, state: str, made: Variant) -> int:
    statement = text(
        "SELECT coalesce(sum(quantity), 0) FROM reservation WHERE owner_id = :o AND state = :s AND variant_id = :v"
    )
    found: int = session.execute(statement, {"o": OWNER, "s": state, "v": made.id}).scalar_one()
    return found


@pytest.fixture
def box(session: Session) -> tuple[Variant, Variant, Variant, Place, Place]:
    """A box of two teas and a cup; the tea, the cup; five boxes here and five there."""
    tea, here = stocked(session, 10)
    cup, made, there = variant(session), variant(session), location(session)
    receive(session, cup, here, 5)
    receive(session, tea, there, 10)
    receive(session, cup, there, 5)
    return bundle(session, made, (tea, 2), (cup, 1)), tea, cup, here, there


def test_two_counters_hand_over_what_there_is_once(
    session: Session, now: datetime, box: tuple[Variant, Variant, Variant, Place, Place]
) -> None:
    made, tea, cup, here, _ = box
    promise(made, here, 5, now)
    with db.transaction() as first:
        hand_over(3, here, now)(first)
        second = Other(hand_over(3, here, now))
        assert second.waits()
    with pytest.raises(NotAllocated):
        second.result()
    assert (level(session, tea, here), level(session, cup, here)) == ((4, 4, 0, 0), (2, 2, 0, 0))
    assert balanced(session)


def test_two_counters_hand_over_a_part_each(
    session: Session, now: datetime, box: tuple[Variant, Variant, Variant, Place, Place]
) -> None:
    made, tea, cup, here, _ = box
    promise(made, here, 5, now)
    results = together([hand_over(1, here, now)] * 7)
    assert sorted(map(str, map(type, results))) == sorted([str(type(None))] * 5 + [str(NotAllocated)] * 2)
    assert (level(session, tea, here), level(session, cup, here)) == ((0, 0, 0, 0), (0, 0, 0, 0))
    assert balanced(session)


def test_a_part_given_back_while_it_is_handed_over(
    session: Session, now: datetime, box: tuple[Variant, Variant, Variant, Place, Place]
) -> None:
    made, tea, cup, here, _ = box
    promise(made, here, 5, now)
    with db.transaction() as first:
        hand_over(4, here, now)(first)
        second = Other(give_back(2, here, now))
        assert second.waits()
    with pytest.raises(NotAllocated):
        second.result()
    assert (level(session, tea, here), level(session, cup, here)) == ((2, 2, 0, 0), (1, 1, 0, 0))
    assert balanced(session)


def parted_while_a_component_is_lost(
    now: datetime, box: tuple[Variant, Variant, Variant, Place, Place], work: Work
) -> Any:
    """The loss splits the tea's promise; who waits for it had read the levels' keys before."""
    made, tea, _, here, _ = box
    promise(made, here, 5, now)
    with db.transaction() as clerk:
        lose(3, tea, here, now)(clerk)
        other = Other(work)
        assert other.waits()
    return other.result()


def test_a_part_handed_over_while_a_component_is_lost_is_whole_or_refused(
    session: Session, now: datetime, box: tuple[Variant, Variant, Variant, Place, Place]
) -> None:
    _, tea, cup, here, _ = box
    with pytest.raises(NotOnHand):
        parted_while_a_component_is_lost(now, box, hand_over(4, here, now))
    with db.transaction() as s:
        hand_over(3, here, now)(s)
    assert (level(session, tea, here), level(session, cup, here)) == ((1, 1, 0, 0), (2, 2, 0, 0))
    assert balanced(session)


def test_a_part_given_back_while_a_component_is_lost_takes_what_is_missing(
    session: Session, now: datetime, box: tuple[Variant, Variant, Variant, Place, Place]
) -> None:
    _, tea, cup, here, _ = box
    parted_while_a_component_is_lost(now, box, give_back(2, here, now))
    assert units(session, "short", tea) == 0
    assert (level(session, tea, here), level(session, cup, here)) == ((7, 6, 0, 0), (5, 3, 0, 0))
    assert balanced(session)


def a_second_part_while_the_first_is_handed_over(
    now: datetime, box: tuple[Variant, Variant, Variant, Place, Place]
) -> Other:
    made, _, _, here, _ = box
    promise(made, here, 5, now)
    with db.transaction() as first:
        hand_over(1, here, now)(first)
        second = Other(hand_over(2, here, now))
        assert second.waits()
    return second


def test_a_second_part_waits_and_is_handed_over(
    session: Session, now: datetime, box: tuple[Variant, Variant, Variant, Place, Place]
) -> None:
    a_second_part_while_the_first_is_handed_over(now, box).result()
    assert (units(session, "consumed", box[1]), units(session, "consumed", box[2])) == (6, 3)
    assert balanced(session)


def test_without_the_locks_of_the_levels_it_would_part_what_is_gone(
    session: Session,
    now: datetime,
    box: tuple[Variant, Variant, Variant, Place, Place],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(queries, "lock_levels", lambda *_, **__: {})
    with pytest.raises(NotAllocated):
        a_second_part_while_the_first_is_handed_over(now, box).result()
    assert units(session, "consumed", box[1]) == 2, "refused, although four boxes were there"


def test_a_part_moved_while_it_is_handed_over_leaves_one_store(
    session: Session, now: datetime, box: tuple[Variant, Variant, Variant, Place, Place]
) -> None:
    made, tea, _, here, there = box
    promise(made, here, 5, now)
    with db.transaction() as staff:
        move(3, here, there, now)(staff)
        counter = Other(hand_over(3, here, now))
        assert counter.waits()
    with pytest.raises(NotAllocated):
        counter.result()
    with db.transaction() as s:
        hand_over(3, there, now)(s)
        hand_over(2, here, now)(s)
    assert (level(session, tea, here), level(session, tea, there)) == ((6, 0, 0, 0), (4, 0, 0, 0))
    assert balanced(session)


def test_parts_moved_crosswise_never_deadlock(
    session: Session, now: datetime, box: tuple[Variant, Variant, Variant, Place, Place]
) -> None:
    made, tea, cup, here, there = box
    promise(made, here, 4, now)
    with db.transaction() as s:
        move(2, here, there, now)(s)
    for _ in range(5):
        results = together([move(1, here, there, now), move(1, there, here, now)] * 3)
        assert {type(result) for result in results} <= {list, NotAllocated}
    assert units(session, "allocated", tea) == 8
    assert units(session, "allocated", cup) == 4
    assert balanced(session)


def test_parts_at_once_in_any_order_end_well(
    session: Session, now: datetime, box: tuple[Variant, Variant, Variant, Place, Place]
) -> None:
    """Each order's boxes: what was handed over, given back and is still promised is what was promised."""
    made, tea, cup, here, there = box
    choose = random.Random(11)
    receive(session, tea, here, 30)
    receive(session, cup, here, 15)
    promise(made, here, 15, now)
    for _ in range(8):
        works: list[Work] = []
        for _ in range(6):
            place, count = choose.choice([here, there]), choose.randint(1, 2)
            works.append(
                choose.choice(
                    [
                        hand_over(count, place, now),
                        give_back(count, place, now),
                        move(count, here, there, now),
                        move(count, there, here, now),
                        lose(1, choose.choice([tea, cup]), place, now),
                    ]
                )
            )
        errors = {type(result) for result in together(works) if isinstance(result, Exception)}
        assert errors <= {NotAllocated, NotOnHand, reservations.OutOfStock, stock.BelowPromised}
        assert balanced(session)
    for variant_id, share in ((tea, 2), (cup, 1)):
        counts = {state: units(session, state, variant_id) for state in ("allocated", "short", "consumed")}
        assert all(count % share == 0 for count in (sum(counts.values()), counts["consumed"]))
    boxes = [sum(units(session, state, one) for state in ("allocated", "short", "consumed")) for one in (tea, cup)]
    assert boxes[0] == 2 * boxes[1]
