"""Statements: what a member had at any moment, and how it came to what it was at another."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from loyalty import ledger, queries, statements
from loyalty.days import PeriodInvalid
from retail import limits
from retail.kernel import db
from retail.kernel.errors import NotFound
from retail.kernel.ids import new_id
from tests import factories
from tests.loyalty.ledger_facts import ACTOR, assert_clean, customer_with, earn, lots_of, snapshot

DAY = timedelta(days=1)
Api = Callable[..., Any]


def tell(session: Session, customer_id: UUID, now: datetime, **asked: Any) -> dict[str, Any]:
    given: dict[str, Any] = {"since": None, "until": None, "after": None, "limit": 200} | asked
    return statements.statement(session, customer_id=customer_id, now=now, **given)


def hold(session: Session, customer_id: UUID, points: int, at: datetime) -> UUID:
    order_id = new_id()
    ledger.hold(session, customer_id=customer_id, order_id=order_id, points=points, actor=ACTOR, now=at)
    return order_id


def test_a_period_opens_moves_and_closes(session: Session, now: datetime) -> None:
    who, (old, new) = customer_with(session, (200, now - 20 * DAY), (300, now - 2 * DAY))
    order_id = hold(session, who.id, 250, now - DAY)
    ledger.burn(session, order_id=order_id, actor=ACTOR, now=now - DAY / 2)
    found = tell(session, who.id, now, since=now - 10 * DAY)
    assert found["opening"] == {"points": 200, "available": 200, "pending": 0, "expired": 0, "held": 0, "owed": 0}
    assert found["closing"] == {"points": 250, "available": 250, "pending": 0, "expired": 0, "held": 0, "owed": 0}
    assert found["movements"] == {"transactions": 3, "points": 50, "held": 0, "owed": 0}
    assert found["agrees"]
    assert [(item["kind"], item["points"], item["held"], item["balance"]) for item in found["items"]] == [
        ("earn", 300, 0, {"points": 500, "held": 0, "owed": 0}),
        ("hold", -250, 250, {"points": 250, "held": 250, "owed": 0}),
        ("burn", 0, -250, {"points": 250, "held": 0, "owed": 0}),
    ]
    assert [(lot["id"], lot["points"], lot["state"]) for lot in found["lots"]] == [(str(new), 250, "available")]
    assert found["more_lots"] == {"lots": 0, "points": 0}
    then = tell(session, who.id, now, since=now - 15 * DAY, until=now - 1.5 * DAY)
    assert [(lot["id"], lot["points"]) for lot in then["lots"]] == [(str(old), 200), (str(new), 300)]
    assert then["closing"]["available"] == 500


def test_a_lot_counts_between_its_dates_to_the_moment(session: Session, now: datetime) -> None:
    begin = now - 400 * DAY
    who, (lot,) = customer_with(session, (100, begin))
    ends = begin + 365 * DAY
    session.execute(text("UPDATE points_lot SET available_from = :at"), {"at": begin + 3 * DAY})
    tick = timedelta(microseconds=1)
    for at, state in (
        (begin, "pending"),
        (begin + 3 * DAY - tick, "pending"),
        (begin + 3 * DAY, "available"),
        (ends - tick, "available"),
        (ends, "expired"),
        (now, "expired"),
    ):
        found = tell(session, who.id, now, since=begin - DAY, until=at)
        assert [one["state"] for one in found["lots"]] == [state]
        assert {part: found["closing"][part] for part in ("available", "pending", "expired")} == {
            "available": 0,
            "pending": 0,
            "expired": 0,
        } | {state: 100}
        # the same moment, as the one before a period that begins just after it
        if at < now:
            assert tell(session, who.id, now, since=at + tick)["opening"] == found["closing"]
    ledger.expire_due(session, now=now, limit=10)
    assert tell(session, who.id, now)["lots"] == []
    assert tell(session, who.id, now, since=begin, until=now - tick)["closing"]["expired"] == 100
    assert lots_of(session, who.id) == [lot]


def test_days_are_the_shops(session: Session, now: datetime) -> None:
    # 15:00 UTC is midnight in Tokyo
    midnight = datetime(2026, 3, 1, 15, tzinfo=UTC)
    assert midnight < now
    who, _ = customer_with(session, (1, midnight - timedelta(microseconds=1)), (2, midnight), (4, midnight + DAY))
    first, second = midnight.date(), midnight.date() + DAY
    of_first = tell(session, who.id, now, since=first, until=first)
    of_second = tell(session, who.id, now, since=second, until=second)
    assert [item["points"] for item in of_first["items"]] == [1]
    assert [item["points"] for item in of_second["items"]] == [2]
    assert (of_second["from"], of_second["to"]) == (midnight, midnight + DAY - timedelta(microseconds=1))
    assert of_second["zone"] == "Asia/Tokyo"


def test_rows_booked_late_stand_where_their_moment_is(session: Session, now: datetime) -> None:
    who, _ = customer_with(session, (100, now - DAY), (7, now - 5 * DAY))
    found = tell(session, who.id, now, since=now - 10 * DAY)
    assert [(item["points"], item["balance"]["points"]) for item in found["items"]] == [(7, 7), (100, 107)]
    assert tell(session, who.id, now, since=now - 10 * DAY, until=now - 2 * DAY)["closing"]["points"] == 7


def test_one_who_never_had_points_has_a_statement_and_nobody_has_none(session: Session, now: datetime) -> None:
    who = factories.customer(session)
    found = tell(session, who.id, now)
    assert (found["closing"]["points"], found["items"], found["lots"], found["agrees"]) == (0, [], [], True)
    with pytest.raises(NotFound):
        tell(session, new_id(), now)


def test_more_lots_than_are_listed_are_counted(
    session: Session, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "LOTS_PER_STATEMENT", 2)
    who, _ = customer_with(session, (1, now), (2, now - DAY), (4, now - 2 * DAY), (8, now - 3 * DAY))
    found = tell(session, who.id, now)
    assert [lot["points"] for lot in found["lots"]] == [8, 4]
    assert found["more_lots"] == {"lots": 2, "points": 3}


@dataclass(frozen=True)
class Seen:
    """What the live balances were at a step."""

    at: datetime
    points: dict[str, Any]
    cached: tuple[int, int, int]
    lots: dict[str, int]


class History:
    """Two members who do anything, one moment after the other."""

    def __init__(self, session: Session, seed: int, begin: datetime) -> None:
        self.session, self.dice, self.now = session, Random(seed), begin
        self.people = [factories.customer(session).id for _ in range(2)]
        self.orders: list[UUID] = []
        self.seen: dict[UUID, list[Seen]] = {who: [] for who in self.people}

    def step(self) -> None:
        self.now += timedelta(seconds=self.dice.choice([1, 60, 86_400, 40 * 86_400, 200 * 86_400]))
        act = self.dice.choice(
            [
                self.earn,
                self.earn,
                self.hold,
                self.burn,
                self.release,
                self.refund,
                self.claw,
                self.expire,
                self.give,
                self.pass_on,
            ]
        )
        act(self.dice.choice(self.people))
        for who in self.people:
            self.seen[who].append(self.look(who))

    def look(self, who: UUID) -> Seen:
        rows = self.session.execute(
            text("SELECT id, remaining FROM points_lot WHERE customer_id = :id AND remaining > 0"), {"id": who}
        ).all()
        cached = self.session.execute(
            text("SELECT available, held, owed FROM points_account WHERE customer_id = :id"), {"id": who}
        ).one_or_none()
        points = queries.points_of(self.session, customer_id=who, now=self.now)
        return Seen(self.now, points, tuple(cached or (0, 0, 0)), {str(row.id): row.remaining for row in rows})

    def earn(self, who: UUID) -> None:
        self.orders.append(new_id())
        earn(self.session, who, self.dice.randint(1, 300), self.now, self.orders[-1])

    def hold(self, who: UUID) -> None:
        available = queries.points_of(self.session, customer_id=who, now=self.now)["available"]
        if available:
            self.orders.append(hold(self.session, who, self.dice.randint(1, available), self.now))

    def burn(self, _: UUID) -> None:
        for order_id in self.orders[-3:]:
            ledger.burn(self.session, order_id=order_id, actor=ACTOR, now=self.now)

    def release(self, _: UUID) -> None:
        for order_id in self.orders[-2:]:
            ledger.release(self.session, order_id=order_id, actor=ACTOR, now=self.now)

    def refund(self, _: UUID) -> None:
        for order_id in self.orders:
            points, key = self.dice.randint(0, 50), f"r:{new_id()}"
            ledger.refund(self.session, order_id=order_id, points=points, key=key, actor=ACTOR, now=self.now)

    def claw(self, _: UUID) -> None:
        if self.orders:
            order_id, share = self.dice.choice(self.orders), self.dice.randint(1, 4)
            ledger.claw_back(
                self.session,
                order_id=order_id,
                numerator=share,
                denominator=4,
                key=f"c:{new_id()}",
                actor=ACTOR,
                now=self.now,
            )

    def give(self, who: UUID) -> None:
        gift = new_id()
        ledger.give(
            self.session,
            customer_id=who,
            points=self.dice.randint(1, 50),
            gift_id=gift,
            key=f"test:{gift}",
            reason="test",
            actor=ACTOR,
            now=self.now,
        )

    def pass_on(self, who: UUID) -> None:
        available = queries.points_of(self.session, customer_id=who, now=self.now)["available"]
        if available:
            transfer_id = new_id()
            ledger.transfer(
                self.session,
                transfer_id=transfer_id,
                from_id=who,
                to_id=next(one for one in self.people if one != who),
                points=self.dice.randint(1, available),
                key=f"transfer:{transfer_id}",
                actor=ACTOR,
                now=self.now,
            )

    def expire(self, _: UUID) -> None:
        ledger.expire_due(self.session, now=self.now, limit=1)


@pytest.mark.parametrize("seed", range(20))
def test_a_statement_as_of_any_step_is_what_the_balances_were_then(session: Session, now: datetime, seed: int) -> None:
    history = History(session, seed, now - 3000 * DAY)
    for _ in range(40):
        history.step()
    dice = Random(seed)
    end = max(now, history.now)
    for who, steps in history.seen.items():
        for seen in steps:
            since = dice.choice(steps).at
            found = tell(session, who, end, since=min(since, seen.at), until=seen.at)
            closing = found["closing"]
            assert (closing["points"], closing["held"], closing["owed"]) == seen.cached
            assert closing["available"] == seen.points["available"]
            assert closing["points"] == closing["available"] + closing["pending"] + closing["expired"]
            assert {lot["id"]: lot["points"] for lot in found["lots"]} == seen.lots
            assert found["agrees"]
            if found["items"]:
                last = found["items"][-1]["balance"]
                assert (last["points"], last["held"], last["owed"]) == seen.cached
    assert_clean(session)


def test_a_merge_is_a_movement_of_both_and_changes_nothing_that_was(session: Session, now: datetime) -> None:
    gone, _ = customer_with(session, (60, now - 9 * DAY))
    stays, _ = customer_with(session, (40, now - 9 * DAY))
    order_id = hold(session, gone.id, 20, now - 8 * DAY)
    earlier = {who: tell(session, who, now, since=now - 20 * DAY, until=now - 6 * DAY) for who in (gone.id, stays.id)}
    merge_id, tombstone = new_id(), text("UPDATE customer SET merged_into = :stays WHERE id = :gone")
    session.execute(tombstone, {"stays": stays.id, "gone": gone.id})
    ledger.merge(session, gone_id=gone.id, stays_id=stays.id, merge_id=merge_id, actor=ACTOR, now=now - 5 * DAY)
    ledger.release(session, order_id=order_id, actor=ACTOR, now=now - 4 * DAY)  # held by the one, back to the other
    for who, before in earlier.items():
        assert tell(session, who, now, since=now - 20 * DAY, until=now - 6 * DAY) == before
    hers = tell(session, gone.id, now, since=now - 6 * DAY)
    assert [(one["kind"], one["points"], one["held"]) for one in hers["items"]] == [
        ("merge", -40, 0),
        ("release", 0, -20),
    ]
    assert (hers["opening"]["points"], hers["closing"]["points"], hers["closing"]["held"]) == (40, 0, 0)
    theirs = tell(session, stays.id, now, since=now - 6 * DAY)
    assert [(one["kind"], one["points"], one["held"]) for one in theirs["items"]] == [
        ("merge", 40, 0),
        ("release", 20, 0),
    ]
    assert (theirs["opening"]["points"], theirs["closing"]["points"], len(theirs["lots"])) == (40, 100, 2)
    assert hers["agrees"]
    assert theirs["agrees"]
    session.execute(tombstone, {"stays": None, "gone": gone.id})
    ledger.unmerge(
        session,
        gone_id=gone.id,
        stays_id=stays.id,
        also=(),
        merge_id=merge_id,
        merged_at=now - 5 * DAY,
        actor=ACTOR,
        now=now - 3 * DAY,
    )
    again = tell(session, gone.id, now, since=now - 6 * DAY)
    assert ([one["kind"] for one in again["items"]][-1], again["closing"]["points"]) == ("unmerge", 60)
    assert tell(session, stays.id, now, since=now - 6 * DAY, until=now - 3.5 * DAY) == theirs | {"to": now - 3.5 * DAY}
    assert_clean(session)


# --- the routes


def test_my_statement_and_a_customers_in_pages_that_agree(session: Session, now: datetime, api: Api) -> None:
    who, _ = customer_with(session, *[(points, now - points * timedelta(minutes=1)) for points in range(1, 8)])
    since = (now - DAY).strftime("%Y-%m-%dT%H:%M:%SZ")
    agent = api(factories.staff(session, "agent"))
    for calling, path in ((api(who), "/me/points/statement"), (agent, f"/customers/{who.id}/points/statement")):
        with db.counting() as count:
            first = calling.get(f"{path}?from={since}&limit=3").json
        assert count.statements == 2  # the log-in, and one
        earn(session, who.id, 1000, now + timedelta(seconds=1))  # the period of the pages stays what it was
        second = calling.get(f"{path}?from={since}&limit=3&cursor={first['next']}").json
        third = calling.get(f"{path}?from={since}&limit=3&cursor={second['next']}").json
        pages = [first, second, third]
        assert [item["points"] for page in pages for item in page["items"]] == [7, 6, 5, 4, 3, 2, 1]
        assert [page["closing"]["points"] for page in pages] == [28] * 3
        assert third["items"][-1]["balance"] == {"points": 28, "held": 0, "owed": 0}
        assert all(page["agrees"] for page in pages)
        assert (third["next"], len(first["lots"]), first["lots"][0]["state"]) == (None, 7, "available")
        assert first["opening"]["points"] == 0


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("from=yesterday", "invalid"),
        ("to=2026-13-01", "invalid"),
        ("to=2026-01-01T00:00:00", "invalid"),  # no offset
        ("from=0001-01-01", "invalid"),
        ("to=9999-12-31", "invalid"),
        ("limit=0", "invalid"),
        ("color=red", "invalid"),
        ("to=2900-01-01", "period_invalid"),
        ("from=2900-01-01", "period_invalid"),
        ("to=2900-01-01T00:00:00Z", "period_invalid"),
        ("from=2026-02-01&to=2026-01-31", "period_invalid"),
        ("cursor=made-up", "cursor_invalid"),
        ("cursor=WyIyMDI2LTAxLTAxVDAwOjAwOjAwIiwxLCIyMDI2LTAxLTAxVDAwOjAwOjAwIl0", "cursor_invalid"),  # no offset
        ("cursor=WzEsMSwxXQ", "cursor_invalid"),
    ],
)
def test_a_period_that_cannot_be_told_is_refused(
    session: Session, now: datetime, api: Api, query: str, code: str
) -> None:
    who, _ = customer_with(session, (200, now))
    before = snapshot(session)
    agent = api(factories.staff(session, "agent"))
    for calling, path in ((api(who), "/me/points/statement"), (agent, f"/customers/{who.id}/points/statement")):
        answer = calling.get(f"{path}?{query}")
        assert (answer.status_code, answer.json["code"]) == (422, code)
    assert snapshot(session) == before


def test_which_field_of_the_period_is_wrong_is_said(session: Session, now: datetime) -> None:
    who, _ = customer_with(session, (200, now))
    for asked, wrong in (
        ({"until": now + timedelta(seconds=1)}, {"field": "to", "code": "future"}),
        ({"since": now + timedelta(seconds=1)}, {"field": "from", "code": "future"}),
        ({"since": now, "until": now - DAY}, {"field": "from", "code": "after_to"}),
    ):
        with pytest.raises(PeriodInvalid) as refused:
            tell(session, who.id, now, **asked)
        assert refused.value.errors == [wrong]
    assert tell(session, who.id, now, since=now, until=now)["movements"]["points"] == 200


def test_a_statement_is_hers_alone(session: Session, now: datetime, api: Api) -> None:
    who, _ = customer_with(session, (200, now))
    other, _ = customer_with(session, (7, now))
    path = f"/customers/{who.id}/points/statement"
    assert api(other).get("/me/points/statement").json["closing"]["points"] == 7
    assert api(other).get(path).status_code == 403
    assert api(factories.api_client(session, ["orders.read"])).get(path).status_code == 403
    assert api().get("/me/points/statement").status_code == 401
    assert api(factories.staff(session, "admin")).get("/me/points/statement").status_code == 403
    agent = api(factories.staff(session, "agent"))
    assert agent.get(f"/customers/{new_id()}/points/statement").status_code == 404
