"""How a level is sold: what may be set, what is refused with nothing changed, and who hears of it."""

from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import reservations, rules, stock
from inventory.queries import Scope
from inventory.reservations import Demand
from retail.kernel.errors import Invalid, Stale
from retail.kernel.ids import new_id
from tests.factories import Place, Variant, variant
from tests.inventory.books import balanced, everything, receive, stocked

ACTOR = "staff:test"


def set_limits(session: Session, made: Variant, place: Place, now: datetime, version: int = 1, **changes: Any) -> None:
    stock.set_limits(
        session, location_id=place.id, variant_id=made.id, changes=changes, version=version, actor=ACTOR, now=now
    )


def limits_of(session: Session) -> tuple[Any, ...]:
    statement = "SELECT safety, safety_by_hand, backorder_limit, low_stock_threshold, shelf, version FROM stock_level"
    return tuple(session.execute(text(statement)).one())


def reasons(session: Session) -> list[str]:
    return list(
        session.execute(text("SELECT reason FROM stock_movement WHERE cause = 'limits' ORDER BY seq")).scalars()
    )


def events(session: Session, name: str) -> list[dict[str, Any]]:
    statement = text("SELECT data FROM event WHERE type = :n ORDER BY seq")
    return list(session.execute(statement, {"n": name}).scalars())


def test_each_limit_is_set_noted_and_told(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 5)
    set_limits(session, tea, shop, now, safety=2, backorder_limit=4, low_stock_threshold=1, shelf="A-12")
    assert limits_of(session) == (2, True, 4, 1, "A-12", 2)
    assert reasons(session) == [
        "safety 0 (by rule) -> 2 (by hand), backorder_limit 0 -> 4, low_stock_threshold none -> 1, shelf none -> A-12"
    ]
    (event,) = events(session, "StockLimitsChanged")
    assert event["fields"] == ["safety", "backorder_limit", "low_stock_threshold", "shelf"]
    set_limits(session, tea, shop, now, version=2, low_stock_threshold=None, shelf=None)
    assert limits_of(session) == (2, True, 4, None, None, 3)
    before = everything(session)
    set_limits(session, tea, shop, now, version=3, safety=2, shelf=None)
    assert everything(session) == before, "what is set already changes nothing"
    assert balanced(session)


def test_safety_goes_back_to_what_the_rule_says(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 5)
    rules.create(session, scope=Scope(location_id=shop.id), quantity=3, actor=ACTOR, now=now)
    assert limits_of(session)[:2] == (3, False)
    set_limits(session, tea, shop, now, version=2, safety=3)
    assert limits_of(session)[:2] == (3, True), "the same number, but by hand from now on"
    rules.create(session, scope=Scope(variant_id=tea.id), quantity=1, actor=ACTOR, now=now)
    assert limits_of(session)[:2] == (3, True), "rules leave it alone"
    set_limits(session, tea, shop, now, version=3, safety=None)
    assert limits_of(session)[:2] == (1, False)
    assert reasons(session)[-1] == "safety 3 (by hand) -> 1 (by rule)"
    assert balanced(session)


def test_without_a_rule_nothing_is_kept_back(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 5)
    set_limits(session, tea, shop, now, safety=3)
    set_limits(session, tea, shop, now, version=2, safety=None)
    assert limits_of(session)[:2] == (0, False)


def test_refusals_change_nothing(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 5, backorder_limit=4)
    demands = [Demand(tea.id, shop.id, 7)]
    reservations.allocate(session, owner_id=new_id(), demands=demands, actor=ACTOR, now=now)
    before = everything(session)
    with pytest.raises(Stale):
        set_limits(session, tea, shop, now, version=1, safety=1)
    with pytest.raises(stock.BelowPromised) as refused:
        set_limits(session, tea, shop, now, version=2, backorder_limit=1)
    assert refused.value.extra == {
        "on_hand": 5,
        "allocated": 7,
        "held": 0,
        "unavailable": 0,
        "backordered": 2,
        "backorder_limit": 1,
        "lowest_backorder_limit": 2,
    }
    with pytest.raises(stock.NoSuchLevel):
        set_limits(session, variant(session), shop, now, safety=1)
    with pytest.raises(Invalid):
        set_limits(session, tea, shop, now, version=2, on_hand=9)
    assert everything(session) == before
    set_limits(session, tea, shop, now, version=2, backorder_limit=2)


def test_a_backorder_keeps_its_limit_although_units_are_kept_back(session: Session, now: datetime) -> None:
    """4 here, 2 of them kept back: an order of 3 waits for one. The limit cannot fall to zero under it."""
    tea, shop = stocked(session, 4)
    set_limits(session, tea, shop, now, safety=2, backorder_limit=1)
    demands = [Demand(tea.id, shop.id, 3)]
    reservations.allocate(session, owner_id=new_id(), demands=demands, actor=ACTOR, now=now)
    assert session.execute(text("SELECT backordered FROM stock_level")).scalar_one() == 1
    with pytest.raises(stock.BelowPromised):
        set_limits(session, tea, shop, now, version=3, backorder_limit=0)
    set_limits(session, tea, shop, now, version=3, safety=1)
    assert session.execute(text("SELECT backordered FROM stock_level")).scalar_one() == 0, "and is filled"
    (filled,) = events(session, "AllocationFilled")
    assert filled["quantity"] == 1
    assert balanced(session)


def test_low_stock_is_told_when_limits_cross_it(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 5)
    set_limits(session, tea, shop, now, low_stock_threshold=4)
    assert events(session, "StockLow") == []
    set_limits(session, tea, shop, now, version=2, safety=1)
    set_limits(session, tea, shop, now, version=3, safety=2)
    set_limits(session, tea, shop, now, version=4, low_stock_threshold=3)
    set_limits(session, tea, shop, now, version=5, low_stock_threshold=2)
    set_limits(session, tea, shop, now, version=6, low_stock_threshold=9)
    told = [(event["left"], event["threshold"]) for event in events(session, "StockLow")]
    assert told == [(4, 4), (3, 9)], "crossed by safety, then by a higher threshold; not twice, not on the way up"


def test_a_threshold_for_what_is_low_already_is_told(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 1)
    receive(session, tea, shop, 1)
    set_limits(session, tea, shop, now, version=2, low_stock_threshold=2)
    assert [(event["left"], event["threshold"]) for event in events(session, "StockLow")] == [(2, 2)]
