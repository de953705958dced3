"""Receipts, adjustments, limits: what they change, what they refuse, and that a refusal changes nothing."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import Session

from inventory import jobs, reservations, stock
from inventory.reservations import Demand
from retail.kernel import clock, db
from retail.kernel.errors import Stale
from retail.kernel.ids import new_id
from tests.factories import location, variant
from tests.inventory.books import balanced, everything, level, limit, moves, stocked

ACTOR = "staff:test"


def adjust(session: Session, made: Any, place: Any, delta: int, reason: str = "count", key: str | None = None) -> None:
    stock.adjust(
        session,
        location_id=place.id,
        variant_id=made.id,
        delta=delta,
        reason=reason,
        key=key,
        actor=ACTOR,
        now=clock.now(),
    )


def test_receive_adds_up_and_opens_levels_in_few_statements(session: Session, now: datetime) -> None:
    tea, cup, shop = variant(session), variant(session), location(session)
    lines = [(tea.id, 2), (cup.id, 1), (tea.id, 3)]
    with db.counting() as count:
        stock.receive(session, location_id=shop.id, lines=lines, key="D-1", actor=ACTOR, now=now)
    assert count.statements == 4, "goods in; who waits; the gate of the rules; the rules for what was opened"
    assert level(session, tea, shop) == (5, 0, 0, 0)
    assert level(session, cup, shop) == (1, 0, 0, 0)
    assert moves(session, tea) == [("outside", "available", 5, "receive")]
    with db.counting() as count:
        stock.receive(session, location_id=shop.id, lines=[(tea.id, 1)], key="D-2", actor=ACTOR, now=now)
    assert count.statements == 2, "goods in; who waits"
    assert level(session, tea, shop) == (6, 0, 0, 0)
    assert balanced(session)


def test_a_receipts_key_works_once_and_for_good(session: Session, now: datetime) -> None:
    tea, cup, shop = variant(session), variant(session), location(session)
    stock.receive(session, location_id=shop.id, lines=[(tea.id, 2)], key="D-1", actor=ACTOR, now=now)
    before = everything(session)
    for lines in ([(tea.id, 2)], [(cup.id, 1), (tea.id, 9)]):
        with pytest.raises(stock.AlreadyRecorded):
            stock.receive(session, location_id=shop.id, lines=lines, key="D-1", actor=ACTOR, now=now)
    assert everything(session) == before


def test_a_receipt_of_nothing_is_a_mistake(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 1)
    with pytest.raises(ValueError, match="at least one"):
        stock.receive(session, location_id=shop.id, lines=[(tea.id, 0)], key=None, actor=ACTOR, now=now)


def test_adjust_both_ways_says_why_and_tells_others(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 5)
    adjust(session, tea, shop, -2, "lost")
    adjust(session, tea, shop, 1, "found")
    assert level(session, tea, shop) == (4, 0, 0, 0)
    rows = session.execute(
        text(
            "SELECT from_bucket, to_bucket, quantity, reason, actor FROM stock_movement WHERE cause = 'adjust' ORDER BY seq"
        )
    ).all()
    assert [tuple(row) for row in rows] == [
        ("available", "outside", 2, "lost", ACTOR),
        ("outside", "available", 1, "found", ACTOR),
    ]
    events = session.execute(text("SELECT type, aggregate_id, data FROM event ORDER BY seq")).all()
    assert [(row.type, row.aggregate_id, row.data["delta"], row.data["reason"]) for row in events] == [
        ("StockAdjusted", tea.id, -2, "lost"),
        ("StockAdjusted", tea.id, 1, "found"),
    ]
    assert balanced(session)


def test_adjust_opens_a_level_but_takes_nothing_from_one_that_is_not_there(session: Session, now: datetime) -> None:
    tea, shop = variant(session), location(session)
    before = everything(session)
    with pytest.raises(stock.NoSuchLevel):
        adjust(session, tea, shop, -1)
    assert everything(session) == before
    adjust(session, tea, shop, 3, "found")
    assert level(session, tea, shop) == (3, 0, 0, 0)


@pytest.mark.parametrize(
    ("delta", "reason"), [(1, "lost"), (-1, "found"), (0, "count"), (1, "because"), (3, "damaged")]
)
def test_the_reason_must_fit_the_direction(session: Session, now: datetime, delta: int, reason: str) -> None:
    tea, shop = stocked(session, 5)
    before = everything(session)
    with pytest.raises(stock.WrongDirection):
        adjust(session, tea, shop, delta, reason)
    assert everything(session) == before


def test_a_correction_below_what_is_promised_is_refused_with_the_numbers(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 10)
    owner = new_id()
    reservations.allocate(session, owner_id=owner, demands=[Demand(tea.id, shop.id, 4)], actor=ACTOR, now=now)
    reservations.hold(
        session, owner_id=new_id(), demands=[Demand(tea.id, shop.id, 3)], hold_seconds=5 * 60, actor=ACTOR, now=now
    )
    before = everything(session)
    with pytest.raises(stock.BelowPromised) as refused:
        adjust(session, tea, shop, -4, "correction")
    assert refused.value.status == 409
    assert refused.value.extra == {"on_hand": 10, "allocated": 4, "held": 3, "unavailable": 0, "lowest_delta": -3}
    assert everything(session) == before
    adjust(session, tea, shop, -3, "correction")
    assert level(session, tea, shop) == (7, 4, 3, 0)
    with clock.shifted(timedelta(minutes=5)):
        adjust(session, tea, shop, -3, "correction")
    assert level(session, tea, shop) == (4, 4, 0, 0), "an expired hold is no promise"
    assert balanced(session)


def test_an_adjustment_below_zero_is_refused_whatever_the_backorder_limit(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 2, backorder_limit=9)
    before = everything(session)
    with pytest.raises(stock.BelowPromised) as refused:
        adjust(session, tea, shop, -3)
    assert refused.value.extra["lowest_delta"] == -2
    assert everything(session) == before


def test_an_adjustments_key_works_once(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 5)
    adjust(session, tea, shop, -1, key="A-1")
    before = everything(session)
    for delta in (-1, 1):
        with pytest.raises(stock.AlreadyRecorded):
            adjust(session, tea, shop, delta, key="A-1")
    assert everything(session) == before


def test_limits_need_the_version_and_room_for_what_is_promised(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 1, backorder_limit=3)
    reservations.allocate(session, owner_id=new_id(), demands=[Demand(tea.id, shop.id, 3)], actor=ACTOR, now=now)

    def set_limits(made: Any = tea, *, safety: int = 0, backorder: int, version: int) -> None:
        stock.set_limits(
            session,
            location_id=shop.id,
            variant_id=made.id,
            changes={"safety": safety, "backorder_limit": backorder},
            version=version,
            actor=ACTOR,
            now=now,
        )

    before = everything(session)
    with pytest.raises(Stale):
        set_limits(backorder=9, version=1)
    with pytest.raises(stock.BelowPromised):
        set_limits(backorder=1, version=2)
    with pytest.raises(stock.NoSuchLevel):
        set_limits(variant(session), backorder=1, version=1)
    assert everything(session) == before
    set_limits(safety=7, backorder=2, version=2)
    row = session.execute(text("SELECT safety, backorder_limit, version FROM stock_level")).one()
    assert tuple(row) == (7, 2, 3)


def test_the_sweep_job_settles_every_expired_hold_in_batches(
    session: Session, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    tea, shop = stocked(session, 9)
    for minutes in (1, 2, 3, 60):
        reservations.hold(
            session,
            owner_id=new_id(),
            demands=[Demand(tea.id, shop.id, 2)],
            hold_seconds=minutes * 60,
            actor=ACTOR,
            now=now,
        )
    monkeypatch.setattr(jobs, "SWEEP_BATCH", 2)
    with clock.shifted(timedelta(minutes=10)):
        assert jobs.sweep_expired_holds() == 3
        assert jobs.sweep_expired_holds() == 0
    assert level(session, tea, shop) == (9, 0, 2, 0)
    assert ("inventory.sweep_expired_holds", 10) in [(job.name, job.every_seconds) for job in jobs.JOBS]
    assert balanced(session)


def test_movements_are_only_ever_added(session: Session, now: datetime) -> None:
    tea, _ = stocked(session, 1)
    before = moves(session, tea)
    for change in ("UPDATE stock_movement SET quantity = 2", "DELETE FROM stock_movement"):
        with pytest.raises(DatabaseError, match="append-only"), session.begin_nested():
            session.execute(text(change))
    assert moves(session, tea) == before


def test_safety_may_exceed_what_is_there(session: Session, now: datetime) -> None:
    tea, shop = stocked(session, 1)
    limit(session, tea, shop, safety=5)
    adjust(session, tea, shop, -1)
    assert level(session, tea, shop) == (0, 0, 0, 0)
