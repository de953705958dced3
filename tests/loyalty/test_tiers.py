"""Evaluating members: windows to their edges, grace, soft landing, returns, late earnings; and who asks for it."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from loyalty import jobs, ledger, queries, tiers
from loyalty.queries import tiers as tier_queries
from retail.kernel import clock, db, outbox
from retail.kernel.ids import new_id
from tests import factories
from tests.loyalty.ledger_facts import ACTOR, earn
from tests.loyalty.tier_facts import changes, member, program, snapshot, spent, standing

DAY = timedelta(days=1)
TICK = timedelta(microseconds=1)


def evaluate(session: Session, who: UUID, at: datetime, **more: Any) -> int:
    return tiers.evaluate(session, customer_ids=[who], now=at, actor=ACTOR, **more)


def tier(session: Session, who: UUID) -> str | None:
    found = standing(session, who)
    return None if found is None else found[0]


def tokyo(year: int, month: int, day: int, hour: int = 0) -> datetime:
    return datetime(year, month, day, hour, tzinfo=UTC) - timedelta(hours=9)


def test_a_shop_without_a_program_has_no_tiers(session: Session, now: datetime) -> None:
    who = member(session, now)
    spent(session, who, 10**9, now)
    before = snapshot(session)
    with db.counting() as count:
        assert evaluate(session, who, now) == 0
    assert count.statements == 1
    assert snapshot(session) == before
    assert queries.benefits_of(session, customer_id=who, now=now) == queries.Benefits()


def test_she_rises_at_once_to_the_best_that_she_reached(session: Session, now: datetime) -> None:
    program(session)
    who = member(session, now)
    spent(session, who, 999, now - DAY)
    assert (evaluate(session, who, now), standing(session, who)) == (0, None)
    spent(session, who, 4001, now)
    with db.counting() as count:
        assert evaluate(session, who, now) == 1
    assert count.statements == 4
    assert standing(session, who) == ("gold", now, None, now + 364 * DAY)  # without the 999 it is not gold any more
    assert changes(session, who) == [(None, "gold", "qualified", 5000)]
    row = session.execute(text("SELECT detail, actor, at FROM tier_change")).one()
    assert (row.actor, row.at) == (ACTOR, now)
    assert row.detail == {
        "basis": "spend",
        "window": "rolling",
        "counts_after": (now - 365 * DAY).isoformat(),
        "thresholds": {"silver": 1000, "gold": 5000, "platinum": 20_000},
    }
    told = session.execute(text("SELECT party_id, actor, data FROM event WHERE type = 'TierChanged'")).one()
    assert (told.party_id, told.actor) == (who, ACTOR)
    assert told.data == {"customer_id": str(who), "from_code": None, "to_code": "gold", "reason": "qualified"}


def test_asking_again_changes_nothing(session: Session, now: datetime) -> None:
    program(session)
    who = member(session, now)
    spent(session, who, 5000, now)
    evaluate(session, who, now)
    before = snapshot(session)
    with db.counting() as count:
        assert evaluate(session, who, now) == 0
        assert evaluate(session, who, now + DAY) == 0
    assert count.statements == 6
    assert snapshot(session) == before


def test_rolling_to_the_edge(session: Session, now: datetime) -> None:
    program(session, window_days=365, grace_days=0)
    who = member(session, now)
    spent(session, who, 5000, now)
    evaluate(session, who, now)
    leaves = now + 365 * DAY
    assert evaluate(session, who, leaves - TICK) == 0
    assert evaluate(session, who, leaves) == 1
    assert changes(session, who)[-1] == ("gold", None, "lapsed", 0)
    assert standing(session, who) is None


@pytest.mark.parametrize(
    ("earned_at", "leaves"),
    [
        (tokyo(2026, 1, 1), tokyo(2028, 1, 1)),
        (tokyo(2026, 1, 1) - TICK, tokyo(2027, 1, 1)),
        (tokyo(2026, 12, 31, 23), tokyo(2028, 1, 1)),
        (tokyo(2028, 2, 29, 12), tokyo(2030, 1, 1)),
    ],
)
def test_calendar_years_of_the_shops_zone(session: Session, earned_at: datetime, leaves: datetime) -> None:
    program(session, window="calendar", grace_days=0)
    who = member(session, earned_at)
    spent(session, who, 5000, earned_at)
    evaluate(session, who, earned_at)
    assert standing(session, who) == ("gold", earned_at, None, leaves)
    assert evaluate(session, who, leaves - TICK) == 0
    assert evaluate(session, who, leaves) == 1
    assert standing(session, who) is None


def test_the_new_year_is_that_of_the_programs_zone(session: Session) -> None:
    program(session, window="calendar", grace_days=0, zone="America/New_York")
    at = datetime(2027, 1, 1, 4, 59, tzinfo=UTC)  # still 2026 in New York
    who = member(session, at)
    spent(session, who, 5000, at)
    evaluate(session, who, at)
    assert standing(session, who) == ("gold", at, None, datetime(2028, 1, 1, 5, tzinfo=UTC))


def test_a_leap_day_is_a_day_of_a_rolling_window(session: Session) -> None:
    program(session, window_days=366, grace_days=0)
    at = tokyo(2028, 2, 29)
    who = member(session, at)
    spent(session, who, 5000, at)
    evaluate(session, who, at)
    assert standing(session, who) == ("gold", at, None, tokyo(2029, 3, 1))


def test_below_the_threshold_she_has_her_grace_then_falls_softly(session: Session, now: datetime) -> None:
    program(session, grace_days=30)
    who = member(session, now)
    spent(session, who, 20_000, now)
    evaluate(session, who, now)
    below = now + 365 * DAY
    assert evaluate(session, who, below) == 0
    assert standing(session, who) == ("platinum", now, below, below + 30 * DAY)
    assert evaluate(session, who, below + 30 * DAY - TICK) == 0
    fell = below + 30 * DAY
    assert evaluate(session, who, fell) == 1
    assert evaluate(session, who, fell) == 0
    assert standing(session, who) == ("gold", fell, fell, fell + 30 * DAY)
    assert evaluate(session, who, fell + 30 * DAY) == 1
    assert evaluate(session, who, fell + 60 * DAY) == 1
    assert standing(session, who) is None
    steps = [("platinum", "gold"), ("gold", "silver"), ("silver", None)]
    assert changes(session, who)[1:] == [(here, there, "lapsed", 0) for here, there in steps]


def test_without_a_soft_landing_she_falls_to_what_she_has_reached(session: Session, now: datetime) -> None:
    program(session, grace_days=10, soft_landing=False)
    who = member(session, now)
    spent(session, who, 20_000, now)
    spent(session, who, 1000, now + 100 * DAY)
    evaluate(session, who, now + 100 * DAY)
    evaluate(session, who, now + 365 * DAY)
    assert evaluate(session, who, now + 375 * DAY) == 1
    assert standing(session, who) == ("silver", now + 375 * DAY, None, now + 465 * DAY)


def test_a_soft_landing_on_what_she_has_reached_needs_no_grace(session: Session, now: datetime) -> None:
    program(session, grace_days=10)
    who = member(session, now)
    spent(session, who, 5000, now)
    spent(session, who, 1000, now + 100 * DAY)
    evaluate(session, who, now + 100 * DAY)
    evaluate(session, who, now + 365 * DAY)
    assert evaluate(session, who, now + 375 * DAY) == 1
    assert standing(session, who) == ("silver", now + 375 * DAY, None, now + 465 * DAY)


def test_buying_within_the_grace_keeps_the_tier(session: Session, now: datetime) -> None:
    program(session, grace_days=30)
    who = member(session, now)
    spent(session, who, 5000, now)
    evaluate(session, who, now)
    evaluate(session, who, now + 365 * DAY)
    spent(session, who, 5000, now + 380 * DAY)
    assert evaluate(session, who, now + 380 * DAY) == 0
    assert standing(session, who) == ("gold", now, None, now + 745 * DAY)
    assert len(changes(session, who)) == 1


def test_a_return_begins_the_grace(session: Session, now: datetime) -> None:
    program(session, grace_days=30)
    who = member(session, now)
    order = spent(session, who, 5000, now)
    evaluate(session, who, now)
    back = now + 3 * DAY
    spent(session, who, -1, back, order)
    assert evaluate(session, who, back) == 0
    assert standing(session, who) == ("gold", now, back, back + 30 * DAY)


def test_what_came_back_weighs_no_longer_than_its_purchase(session: Session, now: datetime) -> None:
    """A return stays in the window after its purchase has left: it takes nothing off other purchases then."""
    program(session, grace_days=0)
    who = member(session, now)
    order = spent(session, who, 9000, now)
    spent(session, who, -8000, now + 40 * DAY, order)
    spent(session, who, 5000, now + 50 * DAY)
    evaluate(session, who, now + 50 * DAY)
    assert standing(session, who) == ("gold", now + 50 * DAY, None, now + 415 * DAY)
    assert evaluate(session, who, now + 370 * DAY) == 0  # the purchase is out, its return is not
    assert tier(session, who) == "gold"


def test_an_order_handed_over_in_parts_counts_for_what_is_in_the_window_less_all_that_came_back(
    session: Session, now: datetime
) -> None:
    program(session, grace_days=0, tiers={"silver": 1000})
    who = member(session, now)
    order = spent(session, who, 1000, now)
    spent(session, who, 1000, now + 10 * DAY, order)
    spent(session, who, -1000, now + 20 * DAY, order)
    evaluate(session, who, now + 20 * DAY)
    assert standing(session, who) == ("silver", now + 20 * DAY, None, now + 365 * DAY)
    assert evaluate(session, who, now + 365 * DAY - TICK) == 0
    assert evaluate(session, who, now + 365 * DAY) == 1


def test_a_late_earning_counts_in_its_moment(session: Session, now: datetime) -> None:
    program(session, grace_days=30)
    who = member(session, now)
    spent(session, who, 1000, now)
    evaluate(session, who, now)
    spent(session, who, 4000, now - 200 * DAY)  # a till was offline for long
    assert evaluate(session, who, now) == 1
    assert standing(session, who) == ("gold", now, None, now + 165 * DAY)
    spent(session, who, 90_000, now - 365 * DAY)
    assert evaluate(session, who, now) == 0


def test_what_a_clock_ahead_of_ours_has_booked_counts_at_once(session: Session, now: datetime) -> None:
    program(session, grace_days=0)
    who = member(session, now)
    spent(session, who, 5000, now + TICK)
    assert evaluate(session, who, now + TICK) == 1  # the process that booked it
    held = standing(session, who)
    assert evaluate(session, who, now) == 0  # another one, a moment behind: she does not fall and rise again
    assert standing(session, who) == held == ("gold", now + TICK, None, now + TICK + 365 * DAY)


def test_points_as_the_basis(session: Session, now: datetime) -> None:
    program(session, basis="points", tiers={"silver": 50})
    who = member(session, now)
    order = spent(session, who, 0, now, points=49)
    assert evaluate(session, who, now) == 0
    spent(session, who, 0, now, points=1)
    assert evaluate(session, who, now) == 1
    assert changes(session, who) == [(None, "silver", "qualified", 50)]
    spent(session, who, -1, now + DAY, order, points=10)
    evaluate(session, who, now + DAY)
    assert standing(session, who) == ("silver", now, now + DAY, now + 31 * DAY)


def test_a_tier_that_was_switched_off_is_kept_for_the_grace(session: Session, now: datetime) -> None:
    program(session, grace_days=30)
    who = member(session, now)
    spent(session, who, 20_000, now)
    evaluate(session, who, now)
    session.execute(text("UPDATE tier SET active = false WHERE code = 'platinum'"))
    assert evaluate(session, who, now) == 0
    assert standing(session, who) == ("platinum", now, now, now + 30 * DAY)
    assert evaluate(session, who, now + 30 * DAY) == 1
    assert standing(session, who) == ("gold", now + 30 * DAY, None, now + 365 * DAY)
    assert changes(session, who)[-1] == ("platinum", "gold", "program", 20_000)


def test_many_at_once_cost_what_one_costs(session: Session, now: datetime) -> None:
    program(session)
    everybody = [member(session, now) for _ in range(12)]
    for position, who in enumerate(everybody):
        spent(session, who, position * 1000, now)
    with db.counting() as count:
        assert tiers.evaluate(session, customer_ids=everybody, now=now, actor=ACTOR) == 11
    assert count.statements == 4
    assert [tier(session, who) for who in everybody] == [None, *["silver"] * 4, *["gold"] * 7]


def test_nobody_and_somebody_without_an_account(session: Session, now: datetime) -> None:
    program(session)
    before = snapshot(session)
    stranger = factories.customer(session).id
    assert tiers.evaluate(session, customer_ids=[], now=now, actor=ACTOR) == 0
    assert tiers.evaluate(session, customer_ids=[new_id(), stranger], now=now, actor=ACTOR) == 0
    assert snapshot(session) == before


def test_an_earning_is_followed_by_an_evaluation(session: Session, now: datetime) -> None:
    program(session, basis="points", tiers={"silver": 50})
    who = member(session, now)
    order = new_id()
    earn(session, who, 60, now, order)
    outbox.drain()
    assert tier(session, who) == "silver"
    actor = session.execute(text("SELECT actor FROM tier_change")).scalar_one()
    assert actor == outbox.SYSTEM


def test_spend_that_the_ledger_wrote_down(session: Session, now: datetime) -> None:
    """An order earns; half of it comes back; each time she is evaluated by what the ledger announced."""
    program(session, grace_days=30)
    who, order = factories.customer(session).id, new_id()
    booking: dict[str, Any] = {"order_id": order, "actor": ACTOR, "now": now}
    ledger.earn(session, customer_id=who, points=50, key="earn", reason="test", spend_minor=5001, **booking)
    outbox.drain()
    assert standing(session, who) == ("gold", now, None, now + 365 * DAY)
    ledger.claw_back(session, numerator=1, denominator=2, key="back", **booking)
    outbox.drain()
    assert standing(session, who) == ("gold", now, now, now + 30 * DAY)
    assert tiers.view(session, customer_id=who, now=now)["figure"] in (2500, 2501)


def test_a_fast_clock_elsewhere_hides_no_earning(session: Session, now: datetime) -> None:
    program(session, basis="points", tiers={"silver": 50})
    who = member(session, now)
    earn(session, who, 60, now + timedelta(seconds=2))
    session.execute(text("UPDATE delivery SET next_at = :now"), {"now": now})
    assert outbox.drain() == 2
    assert tier(session, who) == "silver"


def test_the_job_asks_for_those_alone_who_are_due(session: Session, now: datetime) -> None:
    program(session, grace_days=30)
    due, later = member(session, now), member(session, now)
    spent(session, due, 5000, now)
    spent(session, later, 5000, now + DAY)
    tiers.evaluate(session, customer_ids=[due, later], now=now + DAY, actor=ACTOR)
    with clock.shifted(364 * DAY):
        assert jobs.review_tiers() == 0
    with clock.shifted(365 * DAY):
        assert tier_queries.due(session, now=clock.now(), limit=9) == [due]
        assert jobs.review_tiers() == 1
        assert jobs.review_tiers() == 0
    assert standing(session, due) == ("gold", now + DAY, now + 365 * DAY, now + 395 * DAY)
    with clock.shifted(395 * DAY):
        assert jobs.review_tiers() == 2
    assert (tier(session, due), tier(session, later)) == ("silver", "gold")


def test_after_a_change_of_the_program_everybody_is_evaluated(
    session: Session, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(session)
    everybody = [member(session, now) for _ in range(5)]
    for who in everybody:
        spent(session, who, 3000, now)
    tiers.evaluate(session, customer_ids=everybody[:3], now=now, actor=ACTOR)
    session.execute(text("UPDATE tier SET threshold = 3000 WHERE code = 'gold'"))
    session.execute(text("UPDATE tier_program SET walk_after = :nil"), {"nil": UUID(int=0)})
    monkeypatch.setattr(jobs, "BATCH_MEMBERS", 2)
    assert jobs.review_tiers() == 5
    assert {tier(session, who) for who in everybody} == {"gold"}
    assert changes(session, everybody[0])[-1] == ("silver", "gold", "program", 3000)
    assert tier_queries.walk_after(session) is None
    before = snapshot(session)
    assert jobs.review_tiers() == 0
    assert snapshot(session) == before


def test_a_change_during_the_walk_begins_it_anew(session: Session, now: datetime) -> None:
    program(session, walk_after=UUID(int=0))
    who = member(session, now)
    assert tiers.walk(session, now=now, limit=1) == 1
    assert tier_queries.walk_after(session) == who
    session.execute(text("UPDATE tier_program SET walk_after = :nil"), {"nil": UUID(int=0)})
    assert tiers.walk(session, now=now, limit=1) == 1
    assert tiers.walk(session, now=now, limit=1) == 0


def test_which_tier_she_was_in_at_a_moment(session: Session, now: datetime) -> None:
    program(session, grace_days=0)
    who = member(session, now)
    assert queries.tier_at(session, customer_id=who, at=now) is None
    spent(session, who, 5000, now)
    evaluate(session, who, now)
    spent(session, who, 15_000, now + DAY)
    evaluate(session, who, now + DAY)
    evaluate(session, who, now + 365 * DAY)
    evaluate(session, who, now + 366 * DAY)
    moments = {
        now - TICK: None,
        now: "gold",
        now + DAY - TICK: "gold",
        now + DAY: "platinum",
        now + 365 * DAY - TICK: "platinum",
        now + 365 * DAY: "gold",
        now + 366 * DAY: None,
        now + 999 * DAY: None,
    }
    assert {at: queries.tier_at(session, customer_id=who, at=at) for at in moments} == moments
    sql = queries.TIER_AT.format(customer="o.id", at="o.at")
    given = {"id": who, "at": now + DAY}
    joined = session.execute(
        text(f"SELECT {sql} FROM (SELECT CAST(:id AS uuid) AS id, CAST(:at AS timestamptz) AS at) AS o"), given
    )
    assert joined.scalar_one() == "platinum"


def test_what_a_tier_gives(session: Session, now: datetime) -> None:
    program(session)
    session.execute(
        text("UPDATE tier SET multiplier_bp = 15000, free_shipping = true, name_ja = '金' WHERE code = 'gold'")
    )
    who = member(session, now)
    spent(session, who, 5000, now)
    evaluate(session, who, now)
    gold = queries.Benefits("gold", 15_000, True, "Gold", "金")
    with db.counting() as count:
        assert queries.benefits_of(session, customer_id=who, now=now) == gold
    assert count.statements == 1
    assert queries.benefits_of(session, customer_id=who, now=now - TICK) == queries.Benefits()
    other = member(session, now)
    session.execute(text("UPDATE customer SET merged_into = :to WHERE id = :id"), {"to": who, "id": other})
    assert queries.benefits_of(session, customer_id=other, now=now) == gold


def test_holds_and_the_ledger_are_left_alone(session: Session, now: datetime) -> None:
    program(session, basis="points", tiers={"silver": 10})
    who = factories.customer(session).id
    earn(session, who, 60, now)
    ledger.hold(session, customer_id=who, order_id=new_id(), points=10, actor=ACTOR, now=now)
    before = session.execute(text("SELECT * FROM points_account")).all()
    evaluate(session, who, now)
    assert tier(session, who) == "silver"
    assert session.execute(text("SELECT * FROM points_account")).all() == before
