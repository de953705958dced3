"""What is taken away, set aside and brought back: promises give way to facts, not to decisions, and whoever waits is served."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import Session

from inventory import reservations, stock
from inventory.reservations import Demand
from retail.kernel import clock, db
from retail.kernel.ids import new_id
from tests.factories import Place, Variant, location, variant
from tests.inventory.books import balanced, everything, level, limit, moves, receive, stocked
from tests.inventory.books import reservations as promised

ACTOR = "staff:test"


def here(made: Variant, place: Place) -> dict[str, Any]:
    return {"location_id": place.id, "variant_id": made.id, "key": None, "actor": ACTOR, "now": clock.now()}


def adjust(session: Session, made: Variant, place: Place, delta: int, reason: str) -> None:
    stock.adjust(session, **here(made, place), delta=delta, reason=reason)


def take_out(session: Session, place: Place, lines: list[tuple[Variant, int]], **options: Any) -> None:
    given = {"cause": "count", "cause_id": None, "reason": "count", "reality": True, "key": None} | options
    quantities = [(made.id, quantity) for made, quantity in lines]
    stock.take_out(session, location_id=place.id, lines=quantities, actor=ACTOR, now=clock.now(), **given)


def ordered(session: Session, made: Variant, place: Place, quantity: int, *, minutes: int = 0) -> UUID:
    owner = new_id()
    with clock.shifted(timedelta(minutes=minutes)):
        demands = [Demand(made.id, place.id, quantity, new_id())]
        reservations.allocate(session, owner_id=owner, demands=demands, actor=ACTOR, now=clock.now())
    return owner


def held(session: Session, made: Variant, place: Place, quantity: int) -> UUID:
    owner = new_id()
    demands = [Demand(made.id, place.id, quantity)]
    reservations.hold(session, owner_id=owner, demands=demands, hold_seconds=600, actor=ACTOR, now=clock.now())
    return owner


def events(session: Session, *types: str) -> list[dict[str, Any]]:
    rows = session.execute(text("SELECT type, data FROM event ORDER BY seq"))
    return [{"type": row.type, **row.data} for row in rows if row.type in types]


# --- Reality is short


@pytest.mark.parametrize("reason", ["count", "lost", "damaged", "stolen", "expired", "pick_failed"])
def test_what_is_gone_is_gone_and_the_youngest_promise_gives_way(session: Session, now: datetime, reason: str) -> None:
    tea, shop = stocked(session, 10)
    old, young = ordered(session, tea, shop, 4), ordered(session, tea, shop, 4, minutes=1)
    cart = held(session, tea, shop, 2)
    adjust(session, tea, shop, -5, reason)
    assert level(session, tea, shop) == (5, 5, 0, 0)
    assert promised(session, cart) == [("released", 2)], "a cart has no order yet"
    assert promised(session, old) == [("allocated", 4)]
    assert promised(session, young) == [("allocated", 1), ("short", 3)]
    (short,) = events(session, "AllocationShort")
    assert (short["owner_id"], short["quantity"], short["cause"]) == (str(young), 3, reason)
    assert [event["delta"] for event in events(session, "StockAdjusted")] == [-5]
    assert balanced(session)


def test_an_expired_hold_gives_way_before_anybody(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 5)
    order, cart = ordered(session, tea, shop, 3), held(session, tea, shop, 2)
    with clock.shifted(timedelta(minutes=11)):
        adjust(session, tea, shop, -2, "lost")
    assert level(session, tea, shop) == (3, 3, 0, 0)
    assert (promised(session, order), promised(session, cart)) == ([("allocated", 3)], [("expired", 2)])
    assert events(session, "AllocationShort") == []
    assert balanced(session)


@pytest.mark.parametrize("reason", ["correction", "sample"])
def test_a_decision_takes_nothing_that_is_promised(session: Session, now: datetime, reason: str) -> None:
    tea, shop = stocked(session, 5)
    ordered(session, tea, shop, 4)
    before = everything(session)
    with pytest.raises(stock.BelowPromised) as refused:
        adjust(session, tea, shop, -2, reason)
    assert refused.value.extra["lowest_delta"] == -1
    assert everything(session) == before
    adjust(session, tea, shop, -1, reason)
    assert level(session, tea, shop) == (4, 4, 0, 0)


@pytest.mark.parametrize("reality", [True, False])
def test_more_than_is_on_the_shelf_is_always_refused(session: Session, now: datetime, reality: bool) -> None:
    """Also when some of it is set aside: somebody has to say first what became of that."""
    tea, shop = stocked(session, 5, backorder_limit=9)
    stock.set_aside(session, **here(tea, shop), quantity=2, reason="inspection")
    ordered(session, tea, shop, 1)
    before = everything(session)
    with pytest.raises(stock.BelowPromised) as refused:
        take_out(session, shop, [(tea, 4)], reality=reality)
    expected = {"on_hand": 5, "allocated": 1, "held": 0, "unavailable": 2, "lowest_delta": -3 if reality else -2}
    assert refused.value.extra == expected
    assert everything(session) == before


def test_several_variants_leave_in_one_statement_or_none_does(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 5)
    cup, bowl = variant(session), variant(session)
    receive(session, cup, shop, 3)
    receive(session, bowl, shop, 3)
    order = ordered(session, cup, shop, 3)
    with db.counting() as count:
        take_out(session, shop, [(tea, 1), (bowl, 1), (tea, 1)], cause_id=order)
    assert count.statements == 1
    assert (level(session, tea, shop), level(session, bowl, shop)) == ((3, 0, 0, 0), (2, 0, 0, 0))
    assert moves(session, tea)[-1] == ("available", "outside", 2, "count")
    before = everything(session)
    with pytest.raises(stock.BelowPromised) as refused:
        take_out(session, shop, [(tea, 1), (cup, 4)])
    assert [(error["sku"], error["on_hand"], error["lowest_delta"]) for error in refused.value.errors] == [
        (cup.sku, 3, -3)
    ]
    with pytest.raises(stock.BelowPromised):
        take_out(session, shop, [(tea, 1), (cup, 1)], reality=False)
    with pytest.raises(stock.NoSuchLevel) as missing:
        take_out(session, shop, [(tea, 1), (lost := variant(session), 1)])
    assert [error["variant_id"] for error in missing.value.errors] == [lost.id]
    assert everything(session) == before
    take_out(session, shop, [(tea, 1), (cup, 2)])
    assert promised(session, order) == [("allocated", 1), ("short", 2)]
    assert balanced(session)


def test_taking_out_happens_once_per_key_and_never_nothing(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 5)
    take_out(session, shop, [(tea, 1)], key="C-1")
    before = everything(session)
    with pytest.raises(stock.AlreadyRecorded):
        take_out(session, shop, [(tea, 1)], key="C-1")
    with pytest.raises(ValueError, match="at least one"):
        take_out(session, shop, [(tea, 0)])
    take_out(session, shop, [])
    assert everything(session) == before


def test_with_a_backorder_limit_what_waits_anyway_is_left_alone(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 4, backorder_limit=5)
    order = ordered(session, tea, shop, 6)
    adjust(session, tea, shop, -1, "damaged")
    assert level(session, tea, shop) == (3, 5, 0, 0)
    assert sorted(promised(session, order)) == [("allocated", 5), ("short", 1)]
    assert session.execute(text("SELECT backordered FROM stock_level")).scalar_one() == 2
    assert balanced(session)


# --- What comes in goes to those who wait


def waiting(session: Session) -> tuple[Variant, Place, UUID]:
    """An order of 4 of which 3 wait."""
    tea, shop = stocked(session, 1, backorder_limit=9)
    return tea, shop, ordered(session, tea, shop, 4)


def units_waiting(session: Session) -> int:
    return int(session.execute(text("SELECT backordered FROM stock_level")).scalar_one())


def test_a_receipt_fills_a_backorder_and_one_unfit_for_sale_does_not(session: Session, now: datetime) -> None:
    tea, shop, order = waiting(session)
    lines = [(tea.id, 2)]
    stock.receive(session, location_id=shop.id, lines=lines, key=None, bucket="unavailable", actor=ACTOR, now=now)
    assert (level(session, tea, shop), units_waiting(session)) == ((3, 4, 0, 2), 3)
    assert moves(session, tea)[-1] == ("outside", "unavailable", 2, "receive")
    cause_id = new_id()
    with db.counting() as count:
        stock.receive(
            session,
            location_id=shop.id,
            lines=lines,
            key=None,
            cause="transfer",
            cause_id=cause_id,
            reason="arrived",
            actor=ACTOR,
            now=now,
        )
    assert count.statements == 4, "goods in; who waits; filling; the event"
    assert (level(session, tea, shop), units_waiting(session)) == ((5, 4, 0, 2), 1)
    assert [(event["owner_id"], event["quantity"]) for event in events(session, "AllocationFilled")] == [
        (str(order), 2)
    ]
    row = session.execute(text("SELECT cause, cause_id, reason FROM stock_movement WHERE cause = 'transfer'")).one()
    assert tuple(row) == ("transfer", cause_id, "arrived")
    assert balanced(session)


def test_found_put_back_and_restored_units_fill_too(session: Session, now: datetime) -> None:
    tea, shop, _ = waiting(session)
    adjust(session, tea, shop, 1, "found")
    assert units_waiting(session) == 2
    lines = [(tea.id, 1)]
    stock.put_back(session, location_id=shop.id, lines=lines, cause="refund", cause_id=new_id(), actor=ACTOR, now=now)
    assert units_waiting(session) == 1
    stock.receive(session, location_id=shop.id, lines=lines, key=None, bucket="unavailable", actor=ACTOR, now=now)
    stock.restore(session, **here(tea, shop), quantity=1)
    assert (level(session, tea, shop), units_waiting(session)) == ((4, 4, 0, 0), 0)
    assert balanced(session)


def test_returned_goods_may_be_unfit_for_sale(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 1)
    stock.put_back(
        session,
        location_id=shop.id,
        lines=[(tea.id, 2)],
        cause="refund",
        cause_id=new_id(),
        bucket="unavailable",
        actor=ACTOR,
        now=now,
    )
    assert level(session, tea, shop) == (3, 0, 0, 2)
    assert balanced(session)


def test_a_lost_promise_is_filled_again_before_backorders(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 2, backorder_limit=5)
    first = ordered(session, tea, shop, 2)
    second = ordered(session, tea, shop, 1, minutes=1)
    adjust(session, tea, shop, -2, "stolen")
    assert promised(session, first) == [("short", 2)]
    receive(session, tea, shop, 2)
    assert (promised(session, first), promised(session, second)) == ([("allocated", 2)], [("allocated", 1)])
    assert (level(session, tea, shop), units_waiting(session)) == ((2, 3, 0, 0), 1)
    assert balanced(session)


# --- Set aside, restore, write off


def test_damaged_units_cut_into_promises_and_inspected_ones_do_not(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 5)
    order = ordered(session, tea, shop, 4)
    before = everything(session)
    with pytest.raises(stock.BelowPromised) as refused:
        stock.set_aside(session, **here(tea, shop), quantity=2, reason="inspection")
    assert refused.value.extra["lowest_delta"] == -1
    with pytest.raises(stock.BelowPromised) as refused:
        stock.set_aside(session, **here(tea, shop), quantity=6, reason="damaged")
    assert refused.value.extra["lowest_delta"] == -5
    with pytest.raises(stock.SetAsideReasonInvalid):
        stock.set_aside(session, **here(tea, shop), quantity=1, reason="ugly")
    with pytest.raises(stock.NoSuchLevel):
        stock.set_aside(session, **here(variant(session), shop), quantity=1, reason="damaged")
    assert everything(session) == before
    stock.set_aside(session, **here(tea, shop), quantity=2, reason="damaged")
    assert level(session, tea, shop) == (5, 3, 0, 2)
    assert promised(session, order) == [("short", 1), ("allocated", 3)]
    assert moves(session, tea)[-1] == ("available", "unavailable", 2, "set_aside")
    told = [(event["quantity"], event["reason"]) for event in events(session, "StockSetAside")]
    assert told == [(2, "damaged")]
    assert balanced(session)


def test_what_is_set_aside_comes_back_or_is_thrown_away(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 5)
    stock.set_aside(session, **here(tea, shop), quantity=4, reason="inspection")
    stock.restore(session, **here(tea, shop), quantity=1)
    stock.write_off(session, **here(tea, shop), quantity=2)
    assert level(session, tea, shop) == (3, 0, 0, 1)
    assert moves(session, tea)[-3:] == [
        ("available", "unavailable", 4, "set_aside"),
        ("unavailable", "available", 1, "restore"),
        ("unavailable", "outside", 2, "write_off"),
    ]
    told = [(event["quantity"], event["reason"]) for event in events(session, "StockSetAside")]
    assert told == [(4, "inspection"), (1, "restored"), (2, "written_off")]
    before = everything(session)
    for undo in (stock.restore, stock.write_off):
        with pytest.raises(stock.NotSetAside) as refused:
            undo(session, **here(tea, shop), quantity=2)
        assert refused.value.extra == {"unavailable": 1}
        with pytest.raises(stock.NoSuchLevel):
            undo(session, **here(variant(session), shop), quantity=1)
        with pytest.raises(ValueError, match="at least one"):
            undo(session, **here(tea, shop), quantity=0)
    assert everything(session) == before
    assert balanced(session)


@pytest.mark.parametrize(
    "change",
    [
        lambda session, given: stock.set_aside(session, **given, quantity=1, reason="damaged"),
        lambda session, given: stock.restore(session, **given, quantity=1),
        lambda session, given: stock.write_off(session, **given, quantity=1),
    ],
    ids=["set_aside", "restore", "write_off"],
)
def test_each_happens_once_per_key(session: Session, now: datetime, change: Callable[..., None]) -> None:
    tea, shop = stocked(session, 5)
    stock.set_aside(session, **here(tea, shop), quantity=2, reason="inspection")
    given = here(tea, shop) | {"key": "K-1"}
    change(session, given)
    before = everything(session)
    with pytest.raises(stock.AlreadyRecorded):
        change(session, given)
    assert everything(session) == before


# --- Low stock


def low(session: Session) -> list[tuple[int, int]]:
    return [(event["left"], event["threshold"]) for event in events(session, "StockLow")]


def test_low_stock_is_told_once_per_crossing(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 10)
    session.execute(text("UPDATE stock_level SET low_stock_threshold = 4, safety = 1"))
    adjust(session, tea, shop, -4, "sample")
    assert low(session) == [], "5 left, above 4"
    stock.set_aside(session, **here(tea, shop), quantity=1, reason="inspection")
    assert low(session) == [(4, 4)]
    adjust(session, tea, shop, -1, "lost")
    stock.write_off(session, **here(tea, shop), quantity=1)
    assert low(session) == [(4, 4)], "it was told"
    receive(session, tea, shop, 5)
    adjust(session, tea, shop, -7, "stolen")
    assert low(session) == [(4, 4), (1, 4)]
    assert balanced(session)


def test_promises_that_give_way_are_no_rise(session: Session, now: datetime) -> None:
    """Taking 3 promised units away leaves as much to sell as before: nothing was crossed."""
    tea, shop = stocked(session, 5)
    session.execute(text("UPDATE stock_level SET low_stock_threshold = 2"))
    ordered(session, tea, shop, 4)
    before = low(session)
    adjust(session, tea, shop, -4, "lost")
    assert level(session, tea, shop) == (1, 1, 0, 0)
    assert low(session) == before
    assert balanced(session)


# --- Levels that are opened, bundles, numbers that are too large


def bundle(session: Session, *parts: tuple[Variant, int]) -> Variant:
    made = variant(session)
    for part, quantity in parts:
        session.execute(
            text("INSERT INTO bundle_component (bundle_id, component_id, quantity) VALUES (:b, :c, :q)"),
            {"b": made.id, "c": part.id, "q": quantity},
        )
    return made


def test_levels_are_opened_before_the_first_delivery(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 5)
    cup = variant(session)
    given: dict[str, Any] = {"location_id": shop.id, "actor": ACTOR, "now": now}
    assert stock.open_levels(session, variant_ids=[tea.id, cup.id, cup.id], **given) == 1
    assert (level(session, tea, shop), level(session, cup, shop)) == ((5, 0, 0, 0), (0, 0, 0, 0))
    assert moves(session, cup) == [("available", "available", 0, "limits")]
    before = everything(session)
    assert stock.open_levels(session, variant_ids=[tea.id, cup.id], **given) == 0
    assert everything(session) == before
    with pytest.raises(stock.BundleHasNoStock), session.begin_nested():
        stock.open_levels(session, variant_ids=[bundle(session, (tea, 1)).id], **given)
    assert everything(session) == before
    assert balanced(session)


def test_a_bundle_has_no_stock_and_comes_back_as_its_components(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 5)
    cup = variant(session)
    gift = bundle(session, (tea, 1), (cup, 2))
    before = everything(session)
    with pytest.raises(stock.BundleHasNoStock) as refused:
        stock.variants(session, skus=[tea.sku, gift.sku])
    assert [(error["line"], error["sku"]) for error in refused.value.errors] == [(2, gift.sku)]
    with pytest.raises(stock.BundleHasNoStock), session.begin_nested():
        receive(session, gift, shop, 1)
    assert everything(session) == before
    stock.put_back(
        session,
        location_id=shop.id,
        lines=[(gift.id, 2), (tea.id, 1)],
        cause="refund",
        cause_id=new_id(),
        actor=ACTOR,
        now=now,
    )
    assert (level(session, tea, shop), level(session, cup, shop)) == ((8, 0, 0, 0), (4, 0, 0, 0))
    assert level(session, gift, shop) is None
    assert balanced(session)


@pytest.mark.parametrize("lines", [[2_147_483_643], [2_147_483_647, 1]])
def test_more_than_a_level_can_count_is_refused(session: Session, now: datetime, lines: list[int]) -> None:
    tea, shop = stocked(session, 5)
    before = everything(session)
    with pytest.raises(stock.TooManyUnits), session.begin_nested():
        stock.receive(session, location_id=shop.id, lines=[(tea.id, n) for n in lines], key=None, actor=ACTOR, now=now)
    assert everything(session) == before
    stock.receive(session, location_id=shop.id, lines=[(tea.id, 2_147_483_642)], key=None, actor=ACTOR, now=now)
    assert level(session, tea, shop) == (2_147_483_647, 0, 0, 0)
    assert balanced(session)


def test_other_failures_are_not_taken_for_numbers_that_are_too_large(session: Session, now: datetime) -> None:
    tea = variant(session)
    with pytest.raises(DatabaseError, match="location_id"), session.begin_nested():
        stock.receive(session, location_id=new_id(), lines=[(tea.id, 1)], key=None, actor=ACTOR, now=now)


def test_the_first_receipt_of_a_store_with_limits_set_before(session: Session, now: datetime) -> None:
    """A pre-order: the level is opened, may be sold 5 beyond, and the first delivery fills what was ordered."""
    tea, shop = variant(session), location(session)
    stock.open_levels(session, location_id=shop.id, variant_ids=[tea.id], actor=ACTOR, now=now)
    limit(session, tea, shop, backorder_limit=5)
    order = ordered(session, tea, shop, 5)
    assert units_waiting(session) == 5
    receive(session, tea, shop, 3)
    assert (level(session, tea, shop), units_waiting(session)) == ((3, 5, 0, 0), 2)
    assert promised(session, order) == [("allocated", 5)]
    assert balanced(session)
