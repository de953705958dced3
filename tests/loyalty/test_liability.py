"""The liability report: outstanding points by the month they run out in, equal to the ledger or said not to be."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import text
from sqlalchemy.orm import Session

import app
from loyalty import earning, ledger, liability
from loyalty.days import PeriodInvalid
from retail.kernel import db
from retail.kernel.ids import new_id
from tests import factories
from tests.loyalty.ledger_facts import ACTOR, customer_with, earn, snapshot
from tests.loyalty.test_statements import History

DAY = timedelta(days=1)
Api = Callable[..., Any]


def report(session: Session, now: datetime, at: Any = None) -> dict[str, Any]:
    return liability.report(session, at=at, now=now)


def one_month(month: str, **parts: int) -> dict[str, Any]:
    figures = {"spendable": 0, "pending": 0, "held": 0, "expired": 0} | parts
    return {"month": month, **figures, "points": sum(parts.values())}


def test_every_point_stands_in_the_month_it_runs_out_in(session: Session, now: datetime) -> None:
    # midnight of July 1st in Tokyo: it can be spent to the last moment of June
    midnight = datetime(2026, 6, 30, 15, tzinfo=UTC)
    at = midnight - 100 * DAY
    who, _ = customer_with(session, (100, midnight - 365 * DAY), (40, midnight - 364 * DAY), (7, at - 365 * DAY))
    order_id = new_id()
    ledger.hold(session, customer_id=who.id, order_id=order_id, points=30, actor=ACTOR, now=at)
    earn(session, who.id, 500, at, new_id())
    session.execute(text("UPDATE points_lot SET available_from = :at WHERE earned = 500"), {"at": at + DAY})
    bought = new_id()
    other, _ = customer_with(session)
    earn(session, other.id, 20, at, bought)
    spent = new_id()
    ledger.hold(session, customer_id=other.id, order_id=spent, points=20, actor=ACTOR, now=at)
    ledger.burn(session, order_id=spent, actor=ACTOR, now=at)
    ledger.claw_back(session, order_id=bought, numerator=1, denominator=1, key="back", actor=ACTOR, now=at)
    with db.counting() as count:
        found = report(session, at)
    assert count.statements == 1
    assert found["months"] == [
        one_month("2026-03", expired=7),
        one_month("2026-06", spendable=70, held=30),
        one_month("2026-07", spendable=40),
        one_month("2027-03", pending=500),
    ]
    assert found["outstanding"] == {"spendable": 110, "pending": 500, "held": 30, "expired": 7, "points": 647}
    assert found["owed"] == 20
    assert found["ledger"] == {
        "issued": 647,
        "goodwill": 0,
        "owed": 20,
        "burned": 20,
        "expired": 0,
        "outstanding": 647,
    }
    assert {"currency": "JPY", "amount_minor": 647} in found["values"]
    assert [value["currency"] for value in found["values"]] == sorted(earning.POINT_VALUE_MINOR)
    assert (found["agrees"], found["differences"]) == (True, [])
    assert ledger.expire_due(session, now=at, limit=10).customers == 1
    booked = report(session, at)
    assert (booked["outstanding"]["points"], booked["ledger"]["expired"], booked["agrees"]) == (640, 7, True)


def test_an_empty_shop_owes_nothing(session: Session, now: datetime) -> None:
    found = report(session, now)
    assert (found["months"], found["outstanding"]["points"], found["owed"], found["agrees"]) == ([], 0, 0, True)


@pytest.mark.parametrize("seed", range(6))
def test_the_report_of_a_past_moment_is_what_it_was_then(session: Session, now: datetime, seed: int) -> None:
    history = History(session, seed, now - 3000 * DAY)
    history.earn(history.people[0])
    history.hold(history.people[0])
    kept = [report(session, history.now)]
    assert kept[0]["outstanding"]["held"] > 0
    for _ in range(30):
        history.step()
        kept.append(report(session, history.now))
    end = max(now, history.now) + DAY
    assert all(found["agrees"] for found in kept)
    for found in kept:
        assert report(session, end, found["at"]) == found


def test_books_that_differ_are_named(session: Session, now: datetime, api: Api) -> None:
    who, (lot,) = customer_with(session, (200, now))
    session.execute(text("UPDATE points_lot SET remaining = 150 WHERE id = :id"), {"id": lot})
    session.execute(text("UPDATE points_account SET owed = 3 WHERE customer_id = :id"), {"id": who.id})
    answer = api(factories.staff(session, "analyst")).get("/points/liability")
    assert (answer.status_code, answer.json["agrees"]) == (200, False)
    assert answer.json["differences"] == [
        {"figure": "outstanding", "reported": 150, "ledger": 200},
        {"figure": "lots", "reported": 150, "ledger": 200},
        {"figure": "owed", "reported": 3, "ledger": 0},
    ]
    assert report(session, now + DAY, now)["differences"] == answer.json["differences"]  # of the past likewise


def test_who_may_see_it(session: Session, now: datetime, api: Api) -> None:
    customer_with(session, (200, now))
    for role, status in (
        ("analyst", 200),
        ("supervisor", 200),
        ("admin", 200),
        ("agent", 403),
        ("manager", 403),
        ("associate", 403),
    ):
        answer = api(factories.staff(session, role)).get("/points/liability")
        assert answer.status_code == status, role
    assert api().get("/points/liability").status_code == 401
    found = api(factories.api_client(session, ["points.report"])).get("/points/liability").json
    assert (found["outstanding"]["points"], found["agrees"]) == (200, True)


def test_a_moment_that_has_not_come_is_refused(session: Session, now: datetime, api: Api) -> None:
    customer_with(session, (200, now))
    before = snapshot(session)
    calling = api(factories.staff(session, "analyst"))
    for query, code in (
        ("at=2900-01-01", "period_invalid"),
        ("at=tomorrow", "invalid"),
        ("color=red", "invalid"),
    ):
        answer = calling.get(f"/points/liability?{query}")
        assert (answer.status_code, answer.json["code"]) == (422, code)
    with pytest.raises(PeriodInvalid):
        report(session, now, now + timedelta(seconds=1))
    assert snapshot(session) == before


def test_the_command_shows_it_and_fails_when_the_books_differ(session: Session, now: datetime) -> None:
    customer_with(session, (1234, now))
    shown = CliRunner().invoke(app.main, ["points", "liability"])
    assert shown.exit_code == 0, shown.output
    assert "1,234" in shown.output
    assert "The report equals the ledger." in shown.output
    before = CliRunner().invoke(app.main, ["points", "liability", "--at", (now - 2 * DAY).strftime("%Y-%m-%d")])
    assert before.exit_code == 0, before.output
    assert "1,234" not in before.output
    session.execute(text("UPDATE points_lot SET remaining = 1000"))
    wrong = CliRunner().invoke(app.main, ["points", "liability"])
    assert wrong.exit_code == 1
    assert "Wrong: lots is 1,000, the ledger says 1,234." in wrong.output
