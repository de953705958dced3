"""Evaluating a member against a model of it in plain Python: random purchases, returns and days, in every kind of program."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from loyalty import tiers
from retail.kernel.ids import new_id
from tests.loyalty.ledger_facts import ACTOR
from tests.loyalty.tier_facts import changes, member, program, spent, standing

TIERS = {"silver": 100, "gold": 300, "platinum": 500}
RANKS = [None, *TIERS]
DAY = timedelta(days=1)
TICK = timedelta(microseconds=1)
BEGIN = datetime(
    2027, 11, 20, 14, 59, 59, 999_999, tzinfo=UTC
)  # the last moment of a day in Tokyo; 2028 has a leap day

PROGRAMS = st.fixed_dictionaries(
    {
        "window": st.sampled_from(["rolling", "calendar"]),
        "window_days": st.sampled_from([1, 30, 90, 365, 366]),
        "grace_days": st.sampled_from([0, 1, 30]),
        "soft_landing": st.booleans(),
        "zone": st.sampled_from(["Asia/Tokyo", "UTC", "America/New_York"]),
        "basis": st.sampled_from(["spend", "points"]),
    }
)
# (what: small is worth no point; which of four orders, how much, days that pass before it, ticks that pass or come back)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["buy", "small", "return", "small return", "wait", "late"]),
        st.integers(0, 3),
        st.integers(1, 400),
        st.sampled_from([0, 1, 29, 30, 31, 60, 180, 365]),
        st.sampled_from([timedelta(0), TICK, -TICK, timedelta(hours=9)]),
    ),
    min_size=1,
    max_size=14,
)


@dataclass
class Model:
    """One member as she must be."""

    facts: dict[str, Any]
    rows: list[tuple[int, bool, datetime, int]]  # order, came back, when, how much
    tier: str | None = None
    below_since: datetime | None = None

    def counts(self, at: datetime, now: datetime) -> bool:
        """Whether the window of `now` has not lost it yet; what a clock ahead of ours has booked is in it."""
        if self.facts["window"] == "rolling":
            return now - at < self.facts["window_days"] * DAY
        zone = ZoneInfo(self.facts["zone"])
        return now.astimezone(zone).year - at.astimezone(zone).year <= 1

    def figure(self, now: datetime) -> int:
        orders: dict[int, int] = defaultdict(int)
        for order, back, at, amount in self.rows:
            if self.counts(at, now):
                orders[order] += -amount if back else amount
        return sum(max(0, amount) for amount in orders.values())

    def reached(self, now: datetime) -> str | None:
        return RANKS[sum(self.figure(now) >= threshold for threshold in TIERS.values())]

    def evaluate(self, now: datetime) -> None:
        here, there = RANKS.index(self.tier), RANKS.index(self.reached(now))
        if there >= here:
            self.tier, self.below_since = RANKS[there], None
            return
        self.below_since = self.below_since or now
        if now - self.below_since < self.facts["grace_days"] * DAY:
            return
        soft = self.facts["soft_landing"] and self.facts["grace_days"] > 0
        lands = here - 1 if soft else there
        self.tier, self.below_since = RANKS[lands], now if lands > there else None


def check(session: Session, who: UUID, model: Model, now: datetime) -> None:
    """The stored tier is the model's, and `due_at` is the very moment at which time changes something."""
    before = len(changes(session, who))
    was = model.tier
    model.evaluate(now)
    assert tiers.evaluate(session, customer_ids=[who], now=now, actor=ACTOR) == (was != model.tier)
    assert tiers.evaluate(session, customer_ids=[who], now=now, actor=ACTOR) == 0
    assert len(changes(session, who)) == before + (was != model.tier)
    found = standing(session, who)
    assert (found[0], found[2]) == (model.tier, model.below_since) if found else model.tier is None
    if was != model.tier:
        rises = RANKS.index(was) < RANKS.index(model.tier)
        expected = (was, model.tier, "qualified" if rises else "lapsed", model.figure(now))
        assert changes(session, who)[-1] == expected
    if found is None:
        return
    due = found[3]
    assert due > now
    if model.below_since is not None:
        assert due == model.below_since + model.facts["grace_days"] * DAY
    else:
        assert model.tier is not None
        assert model.figure(due - TICK) >= TIERS[model.tier] > model.figure(due)


@pytest.mark.usefixtures("session")
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(facts=PROGRAMS, steps=STEPS)
@example(  # bought by a clock that is a tick ahead of the one that asks
    facts={
        "window": "rolling",
        "window_days": 1,
        "grace_days": 0,
        "soft_landing": False,
        "zone": "UTC",
        "basis": "spend",
    },
    steps=[("buy", 0, 100, 0, timedelta(0)), ("buy", 0, 100, 0, -TICK)],
)
@example(  # a return leaves with its year, while what was bought of the same order after it stays
    facts={
        "window": "calendar",
        "window_days": 1,
        "grace_days": 0,
        "soft_landing": False,
        "zone": "Asia/Tokyo",
        "basis": "spend",
    },
    steps=[
        ("buy", 0, 10, 180, timedelta(0)),
        ("return", 0, 1, 1, timedelta(0)),
        ("buy", 0, 100, 365, timedelta(0)),
    ],
)
def test_evaluating_agrees_with_the_model(database: sa.Connection, facts: dict[str, Any], steps: list[Any]) -> None:
    savepoint = database.begin_nested()
    with Session(database, join_transaction_mode="create_savepoint") as session:
        program(session, tiers=TIERS, **facts)
        who, now, model = member(session, BEGIN), BEGIN, Model(facts, [])
        orders = [new_id() for _ in range(4)]
        for what, order, amount, days, ticks in steps:
            now += days * DAY + ticks
            at = now - 40 * DAY if what == "late" else now
            bought = sum(-sold if back else sold for number, back, when, sold in model.rows if number == order)
            back, small = "return" in what, "small" in what
            if back:
                amount = min(amount, bought)
            if what != "wait" and amount > 0:
                spent(session, who, -amount if back else amount, at, orders[order], points=0 if small else amount)
                if not small or facts["basis"] == "spend":
                    model.rows.append((order, back, at, amount))
            check(session, who, model, now)
        # and what the job does from then on, each time at the moment that was announced
        while (found := standing(session, who)) is not None:
            check(session, who, model, found[3])
    savepoint.rollback()
