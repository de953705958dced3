"""Reminders: once for each day on which points run out, ahead of it, whoever else reminds at the same time."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from loyalty import jobs, ledger, reminders
from retail import limits
from retail.kernel import clock, db, outbox
from retail.kernel.ids import new_id
from support import letters
from tests import factories
from tests.loyalty.ledger_facts import ACTOR, assert_clean, customer_with, snapshot
from tests.races.interleaving import together

DAY = timedelta(days=1)
SOON = 365 - limits.REMIND_EXPIRY_DAYS


def told(session: Session) -> list[tuple[UUID, int, str]]:
    """(customer, points, day) of the events."""
    rows = session.execute(
        text("SELECT party_id, aggregate_id, actor, data FROM event WHERE type = 'PointsExpiring' ORDER BY seq")
    ).all()
    for row in rows:
        assert row.data["customer_id"] == str(row.party_id) == str(row.aggregate_id)
        assert row.actor == "system"
    return sorted((row.party_id, row.data["points"], row.data["expires_on"]) for row in rows)


def remind(session: Session, now: datetime, limit: int = 100) -> int:
    """A whole run."""
    count, reached = 0, None
    while True:
        batch = reminders.remind_due(session, now=now, limit=limit, after=reached)
        count, reached = count + batch.told, batch.reached
        if reached is None:
            return count


def test_one_event_for_each_day_on_which_points_run_out(session: Session, now: datetime) -> None:
    # noon in Tokyo; the second lot runs out on the same day, the fourth not soon
    anna, _ = customer_with(
        session,
        (10, now - 360 * DAY),
        (20, now - 360 * DAY + timedelta(hours=5)),
        (40, now - 350 * DAY),
        (80, now - SOON * DAY + timedelta(seconds=1)),
    )
    berta, _ = customer_with(session, (5, now - 360 * DAY))
    customer_with(session, (7, now - 365 * DAY))  # has run out already
    assert remind(session, now) == 3
    five, fifteen = (now + 5 * DAY).date().isoformat(), (now + 15 * DAY).date().isoformat()
    assert told(session) == sorted([(anna.id, 30, five), (anna.id, 40, fifteen), (berta.id, 5, five)])
    before = snapshot(session)
    assert remind(session, now) == 0
    assert snapshot(session) == before
    assert remind(session, now + timedelta(seconds=1)) == 1  # the fourth
    assert_clean(session)


def test_a_run_in_batches_tells_each_day_once_and_whole(session: Session, now: datetime) -> None:
    people = [
        customer_with(session, *[(points, now - 360 * DAY + timedelta(minutes=minute)) for minute in range(3)])[0]
        for points in range(1, 6)
    ]
    with db.counting() as count:
        assert remind(session, now, limit=2) == 5
    assert count.statements == 9  # 15 lots, two at a time, and the look that finds no more
    day = (now + 5 * DAY).date().isoformat()
    assert told(session) == sorted((who.id, 3 * points, day) for points, who in enumerate(people, 1))


def test_the_day_is_the_shops_and_midnight_belongs_to_the_day_before(session: Session) -> None:
    midnight = datetime(2026, 6, 30, 15, tzinfo=UTC)  # of July 1st in Tokyo
    now = midnight - 10 * DAY
    tick = timedelta(microseconds=1)
    who, _ = customer_with(session, *[(n, midnight - 365 * DAY + offset) for n, offset in ((1, tick * 0), (2, tick))])
    assert remind(session, now) == 2
    assert told(session) == [(who.id, 1, "2026-06-30"), (who.id, 2, "2026-07-01")]


def test_what_is_spent_or_blocked_is_not_told(session: Session, now: datetime) -> None:
    spent, _ = customer_with(session, (10, now - 360 * DAY))
    ledger.hold(session, customer_id=spent.id, order_id=new_id(), points=10, actor=ACTOR, now=now)
    blocked, _ = customer_with(session, (10, now - 360 * DAY))
    block = text("UPDATE points_account SET state = :state WHERE customer_id = :id")
    session.execute(block, {"state": "blocked", "id": blocked.id})
    before = snapshot(session)
    assert remind(session, now) == 0
    assert snapshot(session) == before
    session.execute(block, {"state": "active", "id": blocked.id})
    assert remind(session, now) == 1


@pytest.mark.committed
@pytest.mark.races
def test_two_workers_tell_once(session: Session, now: datetime) -> None:
    people = [customer_with(session, (points, now - 360 * DAY))[0] for points in range(1, 30)]
    answers = together([lambda inside: reminders.remind_due(inside, now=now, limit=100).told for _ in range(4)])
    assert sorted(answers) == [0, 0, 0, 29]
    assert [one[:2] for one in told(session)] == sorted((who.id, points) for points, who in enumerate(people, 1))


def test_the_job_speaks_by_day_and_its_letter_says_what_still_runs_out(
    session: Session, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    who = factories.customer(session, name="Hanako", email="hanako@example.com")
    for points in (30, 12):
        ledger.earn(
            session, customer_id=who.id, order_id=new_id(), points=points, key=f"k{points}", reason="test", actor=ACTOR,
            now=now - 360 * DAY,
        )  # fmt: skip
    session.commit()
    with clock.shifted(timedelta(hours=9)):  # nine in the evening in Tokyo
        assert jobs.remind() == 0
    assert jobs.remind() == 1
    assert jobs.remind() == 0
    outbox.drain()
    [row] = session.execute(text("SELECT * FROM message WHERE template = 'points_expiring'")).all()
    assert (row.address, row.customer_id) == ("hanako@example.com", who.id)
    letter = compose(session, row, "en")
    assert letter is not None
    assert letter.facts == (("Points that run out", "42"), ("Last day", "Mon, 6 Jul 2026"))
    assert letter.greeting == "Dear Hanako,"
    japanese = compose(session, row, "ja")
    assert japanese is not None
    assert ("有効期限", "2026年7月6日(月)") in japanese.facts
    ledger.hold(session, customer_id=who.id, order_id=new_id(), points=30, actor=ACTOR, now=now)
    session.commit()
    shorter = compose(session, row, "en")
    assert shorter is not None
    assert shorter.facts[0] == ("Points that run out", "12")
    ledger.hold(session, customer_id=who.id, order_id=new_id(), points=12, actor=ACTOR, now=now)
    session.commit()
    assert compose(session, row, "en") is None


def compose(session: Session, row: Any, locale: str) -> letters.Letter | None:
    return letters.compose(session, template=row.template, locale=locale, params=row.params)
