"""Stock under contention, on real connections. Each guard is also taken out, to see that the race then goes wrong:
a test that passes without what it tests is no test."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.orm import Session

from inventory import reservations, stock
from inventory.reservations import Demand, NotAllocated, OutOfStock, settling, taking
from retail.kernel import db
from retail.kernel.hot import Hot
from retail.kernel.ids import new_id
from tests.factories import Place, Variant, location, variant
from tests.inventory.books import balanced, level, moves, receive, stocked
from tests.inventory.books import reservations as promised
from tests.races.interleaving import Other, together

pytestmark = [pytest.mark.races, pytest.mark.committed]
ACTOR = "client:test"
LOCK = "FOR UPDATE OF level"
GUARD = "free >= taken"


def allocating(
    demands: list[Demand], now: datetime, order_id: UUID | None = None, held_for: UUID | None = None
) -> Callable[[Session], UUID]:
    order_id = order_id or new_id()

    def work(session: Session) -> UUID:
        reservations.allocate(session, owner_id=order_id, demands=demands, held_for=held_for, actor=ACTOR, now=now)
        return order_id

    return work


def one(made: Variant, place: Place, quantity: int = 1) -> list[Demand]:
    return [Demand(made.id, place.id, quantity, new_id())]


def hold(now: datetime, demands: list[Demand]) -> UUID:
    cart_id = new_id()
    with db.transaction() as session:
        reservations.hold(session, owner_id=cart_id, demands=demands, hold_seconds=60, actor=ACTOR, now=now)
    return cart_id


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """`without("_ALLOCATE", "FOR UPDATE OF level", "")`: the statement with one part replaced, for this test."""

    def mutate(name: str, part: str, by: str) -> None:
        module = taking if hasattr(taking, name) else settling
        statement: Hot = getattr(module, name)
        assert part in statement.text
        monkeypatch.setattr(module, name, Hot(statement.text.replace(part, by)))

    return mutate


# --- 1. Checked in one transaction, taken in another (Vendure #3508, #4930; Odoo #204334)


def test_failure_1_the_last_unit_is_sold_once(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 1)
    results = together([allocating(one(tea, shop), now) for _ in range(12)])
    assert len([result for result in results if isinstance(result, UUID)]) == 1
    assert len([result for result in results if isinstance(result, OutOfStock)]) == 11
    assert level(session, tea, shop) == (1, 1, 0, 0)
    assert balanced(session)


def race_for_the_last_unit(now: datetime, tea: Variant, shop: Place) -> Other:
    """One has it in an open transaction; the other begins (its snapshot shows it free), waits, and goes on after."""
    with db.transaction() as first:
        allocating(one(tea, shop), now)(first)
        second = Other(allocating(one(tea, shop), now))
        assert second.waits()
    return second


def test_failure_1_who_waited_decides_by_the_newest_numbers(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 2, safety=1)
    with pytest.raises(OutOfStock) as refused:
        race_for_the_last_unit(now, tea, shop).result()
    assert refused.value.errors[0]["available"] == 0
    assert level(session, tea, shop) == (2, 1, 0, 0)
    assert balanced(session)


def test_failure_1_without_the_lock_the_check_reads_old_numbers_and_oversells(
    session: Session, now: datetime, without: Callable[..., None]
) -> None:
    tea, shop = stocked(session, 2, safety=1)
    without("_ALLOCATE", LOCK, "")
    second = race_for_the_last_unit(now, tea, shop).result()
    assert promised(session, second) == [("allocated", 1)], "the unit that was to be kept back is promised too"
    assert level(session, tea, shop) == (2, 1, 0, 0), "and the first promise is forgotten"
    assert not balanced(session)


# --- 2. Two lines of one cart (the single-connection half is in tests/inventory/test_reservations.py)


def test_failure_2_carts_with_the_same_item_twice_compete_for_whole_carts(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 5)
    results = together([allocating(one(tea, shop) + one(tea, shop), now) for _ in range(6)])
    assert len([result for result in results if isinstance(result, UUID)]) == 2
    assert level(session, tea, shop) == (5, 4, 0, 0)
    assert balanced(session)


# --- 3. SKIP LOCKED on a counter (Odoo #268942)


def test_failure_3_who_meets_a_locked_counter_waits_and_is_served(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 2)
    race_for_the_last_unit(now, tea, shop).result()
    assert level(session, tea, shop) == (2, 2, 0, 0)


def test_failure_3_with_skip_locked_stock_that_is_there_is_refused(
    session: Session, now: datetime, without: Callable[..., None]
) -> None:
    tea, shop = stocked(session, 2)
    without("_ALLOCATE", LOCK, LOCK + " SKIP LOCKED")
    with db.transaction() as first:
        allocating(one(tea, shop), now)(first)
        second = Other(allocating(one(tea, shop), now))
        assert not second.waits()
        with pytest.raises(OutOfStock):
            second.result()


def test_failure_3_first_receipts_at_once_make_one_level(session: Session, now: datetime) -> None:
    teas, shop = [variant(session) for _ in range(2)], location(session)

    def receiving(order: int) -> Callable[[Session], None]:
        lines = [(tea.id, 5) for tea in (teas if order else teas[::-1])]
        return lambda s: stock.receive(s, location_id=shop.id, lines=lines, key=None, actor=ACTOR, now=now)

    assert together([receiving(number % 2) for number in range(8)]) == [None] * 8
    assert [level(session, tea, shop) for tea in teas] == [(40, 0, 0, 0)] * 2
    assert balanced(session)


# --- 4. The lock lies outside the data and somebody comes in without it (Medusa #16569)


def test_failure_4_a_writer_without_the_guard_meets_the_check(
    session: Session, now: datetime, without: Callable[..., None]
) -> None:
    tea, shop = stocked(session, 1)
    without("_ALLOCATE", GUARD, "true")
    results = together([allocating(one(tea, shop), now) for _ in range(4)])
    assert len([result for result in results if isinstance(result, UUID)]) == 1
    refusals = [result for result in results if isinstance(result, IntegrityError)]
    assert len(refusals) == 3
    assert all("ck_stock_level_promised" in str(refusal) for refusal in refusals)
    assert level(session, tea, shop) == (1, 1, 0, 0)
    assert balanced(session)


@pytest.mark.parametrize(
    "change",
    ["allocated = 2", "held = 2", "unavailable = 2", "on_hand = -1", "held = -1", "allocated = -1", "unavailable = -1"],
)
def test_failure_4_the_row_itself_refuses_what_cannot_be(session: Session, now: datetime, change: str) -> None:
    tea, shop = stocked(session, 1)
    with pytest.raises(IntegrityError, match="ck_stock_level_"):
        session.execute(text(f"UPDATE stock_level SET {change}"))
    assert level(session, tea, shop) == (1, 0, 0, 0)


# --- Lock order


def test_carts_in_opposite_order_never_deadlock(session: Session, now: datetime) -> None:
    made = [stocked(session, 1000) for _ in range(6)]
    demands = [Demand(tea.id, shop.id, 1, new_id()) for tea, shop in made]

    def many(backwards: bool) -> Callable[[Session], None]:
        def work(session: Session) -> None:
            cart_id = new_id()
            wanted = demands[::-1] if backwards else demands
            half = wanted[: len(wanted) // 2]
            reservations.hold(session, owner_id=cart_id, demands=half, hold_seconds=60, actor=ACTOR, now=now)

        return work

    for _ in range(10):
        works = [many(number % 2 == 0) for number in range(6)]
        works += [allocating(demands[::-1] if number % 2 else demands, now) for number in range(6)]
        assert [result for result in together(works) if isinstance(result, Exception)] == []
    assert [level(session, *place) for place in made] == [(1000, 60, 30, 0)] * 6
    assert balanced(session)


def locks_of_one_who_waits_for_the_lowest(session: Session, now: datetime) -> bool:
    """Whether the second level is still free while an allocation waits for the first."""
    low, high = sorted((stocked(session, 9) for _ in range(2)), key=lambda pair: pair[0].id)
    hold_it = text("SELECT 1 FROM stock_level WHERE variant_id = :v FOR UPDATE NOWAIT")
    with db.transaction() as blocker:
        blocker.execute(hold_it, {"v": low[0].id})
        waiting = Other(allocating(one(*high) + one(*low), now))
        assert waiting.waits()
        try:
            with blocker.begin_nested():
                blocker.execute(hold_it, {"v": high[0].id})
            free = True
        except OperationalError:
            free = False
    waiting.result()
    return free


def test_levels_are_locked_lowest_key_first(session: Session, now: datetime, without: Callable[..., None]) -> None:
    assert locks_of_one_who_waits_for_the_lowest(session, now) is True
    without("_ALLOCATE", "ORDER BY level.variant_id, level.location_id", "ORDER BY level.variant_id DESC")
    assert locks_of_one_who_waits_for_the_lowest(session, now) is False


# --- Holds that expire


def test_a_hold_expires_exactly_while_another_takes_it(session: Session, now: datetime) -> None:
    """The buyer settles it and takes the unit; the sweeper, who had chosen it too, waits and settles nothing."""
    tea, shop = stocked(session, 1)
    cart_id, at = hold(now, one(tea, shop)), now + timedelta(minutes=1)
    with db.transaction() as buyer:
        order_id = allocating(one(tea, shop), at)(buyer)
        sweeper = Other(lambda s: reservations.expire_due(s, now=at, limit=10))
        assert sweeper.waits()
    assert sweeper.result() == 0
    assert (promised(session, cart_id), promised(session, order_id)) == ([("expired", 1)], [("allocated", 1)])
    assert level(session, tea, shop) == (1, 1, 0, 0)
    assert [move for move in moves(session, tea) if move[3] == "expire"] == [("held", "available", 1, "expire")]
    assert balanced(session)


def test_without_looking_again_a_hold_would_be_settled_twice(
    session: Session, now: datetime, without: Callable[..., None]
) -> None:
    tea, shop = stocked(session, 1)
    hold(now, one(tea, shop))
    at = now + timedelta(minutes=1)
    without("_EXPIRE_DUE", "FOR UPDATE OF held", "")
    with db.transaction() as buyer:
        allocating(one(tea, shop), at)(buyer)
        sweeper = Other(lambda s: reservations.expire_due(s, now=at, limit=10))
        assert sweeper.waits()
    with pytest.raises(IntegrityError, match="ck_stock_level_held"):
        sweeper.result()
    assert balanced(session), "the CHECK undid it"


def test_a_buyer_waits_for_the_sweeper_and_takes_what_it_freed(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 1)
    hold(now, one(tea, shop))
    at = now + timedelta(minutes=1)
    with db.transaction() as sweeper:
        assert reservations.expire_due(sweeper, now=at, limit=10) == 1
        buyer = Other(allocating(one(tea, shop), at))
        assert buyer.waits()
    assert isinstance(buyer.result(), UUID)
    assert level(session, tea, shop) == (1, 1, 0, 0)
    assert balanced(session)


def test_two_sweepers_settle_each_hold_once(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 40)
    for _ in range(40):
        hold(now, one(tea, shop))
    at = now + timedelta(minutes=2)
    swept = together([lambda s: reservations.expire_due(s, now=at, limit=40) for _ in range(4)])
    assert sorted(swept) == [0, 0, 0, 40]
    assert level(session, tea, shop) == (40, 0, 0, 0)
    assert balanced(session)


def test_a_carts_expired_hold_goes_to_whoever_came_first(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 1)
    cart_id, at = hold(now, one(tea, shop)), now + timedelta(minutes=1)
    with db.transaction() as stranger:
        allocating(one(tea, shop), at)(stranger)
        owner = Other(allocating(one(tea, shop), at, held_for=cart_id))
        assert owner.waits()
    with pytest.raises(OutOfStock):
        owner.result()
    assert level(session, tea, shop) == (1, 1, 0, 0)
    assert balanced(session)


def test_a_cart_placed_twice_at_once_uses_its_hold_once(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 3)
    cart_id = hold(now, one(tea, shop, 2))
    results = together([allocating(one(tea, shop, 2), now, held_for=cart_id) for _ in range(2)])
    assert sorted(type(result).__name__ for result in results) == ["OutOfStock", "UUID"]
    assert level(session, tea, shop) == (3, 2, 0, 0)
    assert balanced(session)


# --- Doing it twice


def test_handing_over_twice_at_once_takes_the_units_once(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 5)
    with db.transaction() as s:
        order_id = allocating(one(tea, shop, 2), now)(s)

    def consume(s: Session) -> None:
        reservations.consume(s, owner_id=order_id, line_ids=None, actor=ACTOR, now=now)

    with db.transaction() as first:
        consume(first)
        second = Other(consume)
        assert second.waits()
    with pytest.raises(NotAllocated):
        second.result()
    assert level(session, tea, shop) == (3, 0, 0, 0)
    assert balanced(session)


def test_cancelling_twice_and_while_handing_over(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 5)
    with db.transaction() as s:
        order_id = allocating(one(tea, shop, 2), now)(s)

    def release(s: Session) -> int:
        return reservations.release(s, owner_id=order_id, cause="cancel", actor=ACTOR, now=now)

    with db.transaction() as counter:
        reservations.consume(counter, owner_id=order_id, line_ids=None, actor=ACTOR, now=now)
        late = Other(release)
        assert late.waits()
    assert late.result() == 0
    assert level(session, tea, shop) == (3, 0, 0, 0)
    with db.transaction() as s:
        order_id = allocating(one(tea, shop, 2), now)(s)
    assert sorted(together([release for _ in range(4)])) == [0, 0, 0, 1]
    assert level(session, tea, shop) == (3, 0, 0, 0)
    assert balanced(session)


def test_a_receipt_sent_twice_at_once_is_received_once(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 1)

    def receiving(s: Session) -> None:
        stock.receive(s, location_id=shop.id, lines=[(tea.id, 5)], key="D-77", actor=ACTOR, now=now)

    results = together([receiving for _ in range(4)])
    assert len([result for result in results if result is None]) == 1
    assert {type(result) for result in results if result is not None} <= {stock.AlreadyRecorded, IntegrityError}
    assert level(session, tea, shop) == (6, 0, 0, 0)
    assert balanced(session)


# --- Others at the same level


def test_a_buyer_waits_for_the_delivery_that_is_being_booked(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 1)
    with db.transaction() as clerk:
        stock.receive(clerk, location_id=shop.id, lines=[(tea.id, 4)], key=None, actor=ACTOR, now=now)
        buyer = Other(allocating(one(tea, shop, 5), now))
        assert buyer.waits()
    assert isinstance(buyer.result(), UUID)
    assert level(session, tea, shop) == (5, 5, 0, 0)
    assert balanced(session)


def test_built_on_the_old_row_that_order_would_be_refused_by_a_check(
    session: Session, now: datetime, without: Callable[..., None]
) -> None:
    """PostgreSQL checks constraints on the row made from the old version before it looks at the newest."""
    tea, shop = stocked(session, 1)
    without(
        "_ALLOCATE", "SET on_hand = change.on_hand, allocated = change.allocated", "SET allocated = level.allocated"
    )
    with db.transaction() as clerk:
        stock.receive(clerk, location_id=shop.id, lines=[(tea.id, 4)], key=None, actor=ACTOR, now=now)
        buyer = Other(allocating(one(tea, shop, 5), now))
        assert buyer.waits()
    with pytest.raises(IntegrityError, match="ck_stock_level_"):
        buyer.result()


def test_a_handover_waits_for_the_delivery_that_brings_the_backorder(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 1, backorder_limit=5)
    with db.transaction() as s:
        order_id = allocating(one(tea, shop, 3), now)(s)
    with db.transaction() as clerk:
        stock.receive(clerk, location_id=shop.id, lines=[(tea.id, 4)], key=None, actor=ACTOR, now=now)
        counter = Other(lambda s: reservations.consume(s, owner_id=order_id, line_ids=None, actor=ACTOR, now=now))
        assert counter.waits()
    assert counter.result() is None
    assert level(session, tea, shop) == (2, 0, 0, 0)
    assert balanced(session)


def test_an_adjustment_waits_for_the_order_and_then_sees_its_promise(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 2)

    def take_two_off(s: Session) -> None:
        stock.adjust(
            s, location_id=shop.id, variant_id=tea.id, delta=-2, reason="correction", key=None, actor=ACTOR, now=now
        )

    with db.transaction() as buyer:
        allocating(one(tea, shop), now)(buyer)
        clerk = Other(take_two_off)
        assert clerk.waits()
    with pytest.raises(stock.BelowPromised):
        clerk.result()
    assert level(session, tea, shop) == (2, 1, 0, 0)
    assert balanced(session)


def test_everything_at_once_ends_balanced(session: Session, now: datetime) -> None:
    """Receipts, holds, orders, releases and sweeps on three levels; then the three accounts must agree."""
    receive(session, tea := variant(session), shop := location(session), 30)
    places = [(tea, shop), stocked(session, 30), stocked(session, 30)]
    demands = [Demand(made.id, place.id, 2, new_id()) for made, place in places]

    def visit(number: int) -> Callable[[Session], None]:
        def work(s: Session) -> None:
            cart_id, order_id = new_id(), new_id()
            wanted = demands[number % 3 :] + demands[: number % 3]
            later = now + timedelta(minutes=2 * (number % 2))
            try:
                reservations.hold(s, owner_id=cart_id, demands=wanted[:2], hold_seconds=60, actor=ACTOR, now=now)
                if number % 3:
                    reservations.allocate(
                        s, owner_id=order_id, demands=wanted[:2], held_for=cart_id, actor=ACTOR, now=later
                    )
                if number % 4 == 1:
                    reservations.release(s, owner_id=order_id, cause="cancel", actor=ACTOR, now=later)
            except OutOfStock:
                return

        return work

    for _ in range(3):
        works: list[Callable[[Session], object]] = [visit(number) for number in range(10)]
        works.append(lambda s: reservations.expire_due(s, now=now + timedelta(minutes=2), limit=5))
        errors = [result for result in together(works) if isinstance(result, Exception)]
        assert errors == []
    assert balanced(session)


def test_the_mutations_above_meet_the_real_text() -> None:
    assert len(re.findall(re.escape(LOCK), taking._ALLOCATE.text)) == 1
    assert GUARD in taking._ALLOCATE.text
