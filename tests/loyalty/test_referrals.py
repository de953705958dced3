"""Members who bring members: codes, the first order that decides, both rewards, and everything that is refused."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from loyalty import ledger, referrals
from retail import limits
from retail.kernel import clock, db, outbox
from retail.kernel.ids import check_character, new_id
from tests import factories
from tests.factories import Actor
from tests.loyalty.ledger_facts import ACTOR, assert_clean, balances, remaining

Api = Callable[..., Any]
Unchanged = Callable[[], AbstractContextManager[None]]
DAY = timedelta(days=1)
LONG_AGO = timedelta(days=3000)


def rule(session: Session, now: datetime, **facts: Any) -> None:
    """A referral rule in force: 300 for who is brought, 500 for who brings, spendable at once."""
    row = {
        "code": "friends",
        "version": 1,
        "points": 300,
        "referrer_points": 500,
        "pending_days": 0,
        "from_at": now - LONG_AGO,
    }
    row |= {"name": "Friends", "basis": "referral", "actor": "system"} | facts
    columns = ", ".join(row)
    values = ", ".join(f":{name}" for name in row)
    session.execute(text(f"INSERT INTO earning_rule ({columns}) VALUES ({values})"), row)


def buy(
    session: Session, who: Actor, now: datetime, *, points: int = 10, spend: int = 1000, order_id: UUID | None = None
) -> UUID:
    """An order of hers earns, and everybody has heard of it."""
    order_id = order_id or new_id()
    ledger.earn(
        session, customer_id=who.id, order_id=order_id, points=points, key=f"order:{new_id()}", reason="order", actor=ACTOR,
        now=now, spend_minor=spend,
    )  # fmt: skip
    outbox.drain()
    return order_id


def record(session: Session, who: Actor, order_id: UUID, placed_at: datetime, **basket: Any) -> None:
    """What the order looked like."""
    session.execute(
        text(
            "INSERT INTO earning_record (order_id, customer_id, currency, basket, points, placed_at, at) "
            "VALUES (:order_id, :id, :currency, CAST(:basket AS jsonb), 10, :placed_at, :placed_at)"
        ),
        {
            "order_id": order_id,
            "id": who.id,
            "currency": basket.pop("currency", "JPY"),
            "basket": json.dumps({"channel": "web", "location_id": None, "day": placed_at.date().isoformat()} | basket),
            "placed_at": placed_at,
        },
    )


def send_back(session: Session, order_id: UUID, now: datetime, share: tuple[int, int] = (1, 1)) -> None:
    ledger.claw_back(
        session,
        order_id=order_id,
        numerator=share[0],
        denominator=share[1],
        key=f"back:{new_id()}",
        actor=ACTOR,
        now=now,
    )
    outbox.drain()


def states(session: Session) -> list[tuple[str, str]]:
    rows = session.execute(text("SELECT state, reason FROM referral ORDER BY at, id"))
    return [(row.state, row.reason) for row in rows]


def decided(session: Session) -> list[tuple[str, str]]:
    found = session.execute(text("SELECT data FROM event WHERE type = 'ReferralDecided' ORDER BY seq")).scalars()
    return [(data["state"], data["reason"]) for data in found]


def points(session: Session, *members: Actor) -> list[int]:
    return [balances(session, who.id)[0] for who in members]


@pytest.fixture
def referrer(session: Session) -> Actor:
    return factories.customer(session, name="Referrer")


@pytest.fixture
def friend(session: Session) -> Actor:
    return factories.customer(session, name="Friend")


@pytest.fixture
def code(api: Api, referrer: Actor) -> str:
    return str(api(referrer).get("/me/referral").json["code"])


@pytest.fixture
def brought(session: Session, friend: Actor, code: str, now: datetime) -> UUID:
    return referrals.use_code(session, customer_id=friend.id, code=code, actor=ACTOR, now=now)


# --- codes


def test_a_code_is_made_when_it_is_asked_for_first_and_stays(session: Session, api: Api, referrer: Actor) -> None:
    shown = api(referrer).get("/me/referral")
    assert shown.status_code == 200
    code = shown.json["code"]
    assert shown.json == {
        "code": code,
        "brought": 0,
        "pending": 0,
        "rewarded": 0,
        "rewarded_lately": 0,
        "rewarded_at_most": limits.REFERRALS_PER_MONTH,
        "reward": None,
        "mine": None,
    }
    assert len(code) == 8
    assert api(referrer).get("/me/referral").json["code"] == code
    assert api(factories.customer(session)).get("/me/referral").json["code"] != code


def test_what_is_promised_is_shown(session: Session, api: Api, referrer: Actor, now: datetime) -> None:
    rule(session, now, pending_days=14, min_amount_minor=3000, currency="JPY")
    assert api(referrer).get("/me/referral").json["reward"] == {
        "points": 300,
        "referrer_points": 500,
        "min_amount_minor": 3000,
        "currency": "JPY",
        "pending_days": 14,
    }


def test_a_friend_says_who_brought_her(
    session: Session, api: Api, referrer: Actor, friend: Actor, code: str, now: datetime
) -> None:
    spelled = f" {code[:4].lower()}-{code[4:]} "
    answer = api(friend).post("/me/referral", json={"code": spelled}, key="one")
    assert answer.status_code == 201, answer.json
    assert answer.json["mine"] == {"state": "pending", "reason": "", "at": now.isoformat()}
    again = api(friend).post("/me/referral", json={"code": spelled}, key="one")
    assert (again.json, again.headers["Idempotent-Replayed"]) == (answer.json, "true")
    shown = api(referrer).get("/me/referral").json
    assert (shown["brought"], shown["pending"], shown["rewarded"]) == (1, 1, 0)
    told = session.execute(text("SELECT party_id, actor, data FROM event WHERE type = 'ReferralMade'")).one()
    assert (told.party_id, told.actor, told.data["referrer_id"]) == (friend.id, friend.actor, str(referrer.id))


def test_a_code_counts_once_whoever_gave_it(
    session: Session, api: Api, friend: Actor, code: str, brought: UUID, unchanged: Unchanged
) -> None:
    third = factories.customer(session)
    other = api(third).get("/me/referral").json["code"]
    with unchanged():
        for used in (code, other):
            answer = api(friend).post("/me/referral", json={"code": used}, key=used)
            assert (answer.status_code, answer.json["code"]) == (409, "referral_made")


def test_nobody_brings_herself(session: Session, api: Api, referrer: Actor, code: str, unchanged: Unchanged) -> None:
    alias = factories.customer(session)
    session.execute(text("UPDATE customer SET merged_into = :to WHERE id = :id"), {"to": referrer.id, "id": alias.id})
    with unchanged():
        for who in (referrer, alias):
            answer = api(who).post("/me/referral", json={"code": code}, key="one")
            assert (answer.status_code, answer.json["code"]) == (409, "referral_own_code")


def test_it_is_too_late_once_an_order_has_earned(
    session: Session, api: Api, friend: Actor, code: str, now: datetime, unchanged: Unchanged
) -> None:
    ledger.earn(
        session, customer_id=friend.id, order_id=None, points=5, key="gift", reason="welcome", actor=ACTOR, now=now
    )
    old = factories.customer(session)
    buy(session, old, now)
    session.execute(text("UPDATE customer SET merged_into = :to WHERE id = :id"), {"to": friend.id, "id": old.id})
    with unchanged():
        answer = api(friend).post("/me/referral", json={"code": code}, key="one")
        assert (answer.status_code, answer.json["code"]) == (409, "referral_too_late")
    session.execute(text("UPDATE customer SET merged_into = NULL"))
    assert api(friend).post("/me/referral", json={"code": code}, key="one").status_code == 201  # a gift is no purchase


def test_circles_are_refused_however_long(session: Session, api: Api, now: datetime, unchanged: Unchanged) -> None:
    people = [factories.customer(session) for _ in range(4)]
    codes = [api(who).get("/me/referral").json["code"] for who in people]
    for place in range(3):  # each brings the next
        assert api(people[place + 1]).post("/me/referral", json={"code": codes[place]}, key="one").status_code == 201
    with unchanged():
        for code in codes[1:]:
            answer = api(people[0]).post("/me/referral", json={"code": code}, key=code)
            assert (answer.status_code, answer.json["code"]) == (409, "referral_circle")


def test_a_circle_through_a_merged_record_is_one(
    session: Session, api: Api, referrer: Actor, friend: Actor, brought: UUID, unchanged: Unchanged
) -> None:
    stays = factories.customer(session)
    session.execute(text("UPDATE customer SET merged_into = :to WHERE id = :id"), {"to": stays.id, "id": friend.id})
    code = api(stays).get("/me/referral").json["code"]
    with unchanged():
        answer = api(referrer).post("/me/referral", json={"code": code}, key="one")
    assert (answer.status_code, answer.json["code"]) == (409, "referral_circle")


def test_codes_that_are_none(session: Session, api: Api, friend: Actor, code: str, unchanged: Unchanged) -> None:
    mistyped = code[:-1] + next(one for one in "23456789" if one != code[-1])
    body = "2222222"
    unknown = body + check_character(body)
    with unchanged():
        for used, status, name in (
            (mistyped, 422, "referral_code_mistyped"),
            ("HELLO", 422, "referral_code_mistyped"),
            ("あいうえおかきく", 422, "referral_code_mistyped"),
            (unknown, 404, "referral_code_unknown"),
        ):
            answer = api(friend).post("/me/referral", json={"code": used}, key=used.encode().hex())
            assert (answer.status_code, answer.json["code"]) == (status, name)
        assert api(friend).post("/me/referral", json={"code": ""}, key="x").status_code == 422
        assert api(friend).post("/me/referral", json={"code": code}).status_code == 400


def test_a_referral_is_a_customers(session: Session, api: Api, code: str, unchanged: Unchanged) -> None:
    admin = factories.staff(session, "admin")
    with unchanged():
        assert api().get("/me/referral").status_code == 401
        assert api(admin).get("/me/referral").status_code == 403
        assert api(admin).post("/me/referral", json={"code": code}, key="one").status_code == 403
        with pytest.raises(referrals.NotFound):
            referrals.use_code(session, customer_id=new_id(), code=code, actor=ACTOR, now=clock.now())


# --- at the till


def test_a_friend_is_enrolled_with_the_code(
    session: Session, api: Api, referrer: Actor, code: str, unchanged: Unchanged
) -> None:
    till = api(factories.api_client(session, ["members.work"], channel="store"))
    with unchanged():
        for used, status in (("HELLO", 422), ("2222222" + check_character("2222222"), 404)):
            body = {"phone": "09012345678", "referral_code": used}
            assert till.post("/members", json=body, key=used).status_code == status
    answer = till.post("/members", json={"phone": "09012345678", "referral_code": code}, key="one")
    assert answer.status_code == 201
    made = session.execute(text("SELECT referrer_id, referred_id FROM referral")).one()
    assert (made.referrer_id, str(made.referred_id)) == (referrer.id, answer.json["customer_id"])


# --- the first order


def test_both_are_rewarded_after_her_first_order_once(
    session: Session, api: Api, referrer: Actor, friend: Actor, brought: UUID, now: datetime
) -> None:
    rule(session, now, lot_days=90)
    order_id = buy(session, friend, now)
    assert states(session) == [("rewarded", "")]
    assert decided(session) == [("rewarded", "")]
    assert points(session, referrer, friend) == [500, 310]
    lots = session.execute(
        text(
            "SELECT customer_id, earned, source_id, available_from, expires_at FROM points_lot WHERE source = 'referral'"
        )
    )
    assert {tuple(lot) for lot in lots} == {
        (referrer.id, 500, brought, now, now + 90 * DAY),
        (friend.id, 300, brought, now, now + 90 * DAY),
    }
    reasons = session.execute(
        text(
            "SELECT t.key, r.rule_code, r.rule_version, r.points, r.basis, r.order_line_id FROM points_reason AS r "
            "JOIN points_transaction AS t ON t.id = r.transaction_id ORDER BY t.key"
        )
    )
    assert [tuple(row) for row in reasons] == [
        (f"referral:{brought}:referred", "friends", 1, 300, 1000, None),
        (f"referral:{brought}:referrer", "friends", 1, 500, 1000, None),
    ]
    # the next part of that order, another order, and a second delivery of the news change nothing
    buy(session, friend, now, order_id=order_id)
    buy(session, friend, now)
    assert referrals.reward(session, customer_id=friend.id, order_id=order_id, now=now) is None
    assert points(session, referrer, friend) == [500, 330]
    assert decided(session) == [("rewarded", "")]
    shown = api(referrer).get("/me/referral").json
    assert (shown["brought"], shown["pending"], shown["rewarded"], shown["rewarded_lately"]) == (1, 0, 1, 1)
    assert api(friend).get("/me/referral").json["mine"]["state"] == "rewarded"
    assert_clean(session)


def test_who_was_brought_by_nobody_costs_three_questions(session: Session, friend: Actor, now: datetime) -> None:
    order_id = buy(session, friend, now)
    with db.counting() as count:
        assert referrals.reward(session, customer_id=friend.id, order_id=order_id, now=now) is None
        assert referrals.take_back(session, customer_id=friend.id, order_id=order_id, now=now) is None
    assert count.statements == 6


def test_the_referrers_own_orders_decide_nothing(
    session: Session, referrer: Actor, friend: Actor, brought: UUID, now: datetime
) -> None:
    rule(session, now)
    buy(session, referrer, now)
    ledger.earn(session, customer_id=friend.id, order_id=None, points=5, key="gift", reason="x", actor=ACTOR, now=now)
    outbox.drain()
    assert states(session) == [("pending", "")]
    assert points(session, referrer, friend) == [10, 5]


def test_one_side_alone_can_be_rewarded(
    session: Session, referrer: Actor, friend: Actor, brought: UUID, now: datetime
) -> None:
    rule(session, now, points=0)
    buy(session, friend, now)
    assert states(session) == [("rewarded", "")]
    assert points(session, referrer, friend) == [500, 10]
    assert_clean(session)


def test_a_blocked_referrer_earns_as_anybody(
    session: Session, referrer: Actor, friend: Actor, brought: UUID, now: datetime
) -> None:
    rule(session, now)
    session.execute(text("UPDATE points_account SET state = 'blocked' WHERE customer_id = :id"), {"id": referrer.id})
    buy(session, friend, now)
    assert points(session, referrer, friend) == [500, 310]


def test_without_a_rule_it_is_refused_and_said_why(
    session: Session, referrer: Actor, friend: Actor, brought: UUID, now: datetime
) -> None:
    rule(session, now, code="over", to_at=now - DAY)
    rule(session, now, code="off", active=False)
    rule(session, now, code="later", from_at=now + DAY)
    rule(session, now, code="day", to_on=(now - DAY).date())
    rule(session, now, code="elsewhere", channels=["app"])
    buy(session, friend, now)
    assert states(session) == [("refused", "no_rule")]
    assert decided(session) == [("refused", "no_rule")]
    assert points(session, referrer, friend) == [0, 10]
    rule(session, now)
    buy(session, friend, now)
    assert points(session, referrer, friend) == [0, 20]  # decided is decided


def test_the_rule_of_the_day_of_placing_counts(
    session: Session, referrer: Actor, friend: Actor, brought: UUID, now: datetime
) -> None:
    rule(session, now, code="old", points=1, referrer_points=2, to_at=now - DAY)
    rule(session, now, code="new", points=3, referrer_points=4, from_at=now - DAY)
    order_id = new_id()
    record(session, friend, order_id, now - 2 * DAY)
    buy(session, friend, now, order_id=order_id)
    assert points(session, referrer, friend) == [2, 11]


def test_a_rule_of_a_channel_a_place_or_a_weekday(
    session: Session, referrer: Actor, friend: Actor, brought: UUID, now: datetime
) -> None:
    here, there = factories.location(session), factories.location(session, code="there")
    today = now.isoweekday()
    rule(session, now, code="a", priority=1, channels=["store"], points=1)
    rule(session, now, code="b", priority=2, locations=[there.id], points=2)
    rule(session, now, code="c", priority=3, weekdays=[today % 7 + 1], points=4)
    rule(session, now, code="d", priority=4, channels=["web"], locations=[here.id], weekdays=[today], points=8)
    rule(session, now, code="e", priority=5, points=16)
    order_id = new_id()
    record(session, friend, order_id, now, location_id=str(here.id))
    buy(session, friend, now, order_id=order_id)
    assert points(session, friend) == [18]


def test_an_order_that_is_too_small_leaves_it_to_the_next(
    session: Session, referrer: Actor, friend: Actor, brought: UUID, now: datetime
) -> None:
    rule(session, now, min_amount_minor=3000, currency="JPY")
    small, large, pounds = new_id(), new_id(), new_id()
    record(session, friend, small, now)
    buy(session, friend, now, spend=2999, order_id=small)
    record(session, friend, pounds, now, currency="GBP")
    buy(session, friend, now, spend=9999, order_id=pounds)
    buy(session, friend, now, spend=9999)  # of which nothing is known but the points
    assert states(session) == [("pending", "")]
    assert points(session, referrer) == [0]
    record(session, friend, large, now)
    buy(session, friend, now, spend=1000, order_id=large)
    assert states(session) == [("pending", "")]
    buy(session, friend, now, spend=2000, order_id=large)  # its second part
    assert states(session) == [("rewarded", "")]
    assert points(session, referrer, friend) == [500, 350]


@pytest.mark.parametrize(
    ("kind", "value"), [("phone", "+819012345678"), ("email", "a@example.com"), ("card", "2912345678906")]
)
def test_two_records_of_one_person_are_not_rewarded(
    session: Session, referrer: Actor, friend: Actor, brought: UUID, now: datetime, kind: str, value: str
) -> None:
    """The number was the referrer's once; now it is the friend's."""
    rule(session, now)
    identity_id = factories.identity(session, customer_id=referrer.id, kind=kind, value=value, assurance="observed")
    session.execute(text("UPDATE identity_link SET to_at = from_at WHERE identity_id = :id"), {"id": identity_id})
    link = "INSERT INTO identity_link (id, identity_id, customer_id, assurance, from_at, actor) VALUES (:id, :identity, :who, 'attested', now(), 'system')"
    session.execute(text(link), {"id": new_id(), "identity": identity_id, "who": friend.id})
    buy(session, friend, now)
    assert states(session) == [("refused", "same_person")]
    assert points(session, referrer, friend) == [0, 10]
    assert_clean(session)


def test_a_claim_spoils_nothing(session: Session, referrer: Actor, friend: Actor, brought: UUID, now: datetime) -> None:
    """Else anybody could type a rival's address to take the reward from her."""
    rule(session, now)
    identity_id = factories.identity(
        session, customer_id=referrer.id, kind="email", value="a@example.com", assurance="claimed"
    )
    session.execute(text("UPDATE identity_link SET to_at = from_at WHERE identity_id = :id"), {"id": identity_id})
    link = "INSERT INTO identity_link (id, identity_id, customer_id, assurance, from_at, actor) VALUES (:id, :identity, :who, 'attested', now(), 'system')"
    session.execute(text(link), {"id": new_id(), "identity": identity_id, "who": friend.id})
    buy(session, friend, now)
    assert states(session) == [("rewarded", "")]


def test_who_was_merged_meanwhile_is_not_rewarded(
    session: Session, referrer: Actor, friend: Actor, brought: UUID, now: datetime
) -> None:
    rule(session, now)
    ledger.merge(session, gone_id=friend.id, stays_id=referrer.id, merge_id=new_id(), actor=ACTOR, now=now)
    session.execute(text("UPDATE customer SET merged_into = :to WHERE id = :id"), {"to": referrer.id, "id": friend.id})
    buy(session, friend, now)
    assert states(session) == [("refused", "same_person")]
    assert points(session, referrer) == [10]
    assert_clean(session)


def test_a_friend_merged_into_another_record_is_rewarded_there(
    session: Session, referrer: Actor, friend: Actor, brought: UUID, now: datetime
) -> None:
    rule(session, now)
    stays = factories.customer(session)
    ledger.lock_member(session, customer_id=stays.id, now=now)
    ledger.merge(session, gone_id=friend.id, stays_id=stays.id, merge_id=new_id(), actor=ACTOR, now=now)
    session.execute(text("UPDATE customer SET merged_into = :to WHERE id = :id"), {"to": stays.id, "id": friend.id})
    buy(session, stays, now)
    assert states(session) == [("rewarded", "")]
    assert points(session, referrer, stays, friend) == [500, 310, 0]
    assert_clean(session)


def test_so_many_in_thirty_days(session: Session, api: Api, referrer: Actor, code: str, now: datetime) -> None:
    rule(session, now)
    friends = [factories.customer(session) for _ in range(limits.REFERRALS_PER_MONTH + 2)]
    for who in friends:
        referrals.use_code(session, customer_id=who.id, code=code, actor=ACTOR, now=now)
    for who in friends[:-1]:
        buy(session, who, now)
    assert states(session).count(("rewarded", "")) == limits.REFERRALS_PER_MONTH
    assert states(session).count(("refused", "too_many")) == 1
    assert points(session, referrer, friends[-2]) == [500 * limits.REFERRALS_PER_MONTH, 10]
    with clock.shifted(30 * DAY):
        buy(session, friends[-1], clock.now())
    assert points(session, referrer) == [500 * (limits.REFERRALS_PER_MONTH + 1)]
    assert_clean(session)


def test_the_rules_cap_bounds_the_referrer_alone(session: Session, referrer: Actor, code: str, now: datetime) -> None:
    rule(session, now, cap_per_member=700, cap_days=10)
    friends = [factories.customer(session) for _ in range(4)]
    for who in friends:
        referrals.use_code(session, customer_id=who.id, code=code, actor=ACTOR, now=now)
    for who in friends[:3]:
        buy(session, who, now)
    assert points(session, referrer, *friends[:3]) == [700, 310, 310, 310]
    assert remaining(session, referrer.id) == [500, 200]
    with clock.shifted(10 * DAY):
        buy(session, friends[3], clock.now())
    assert points(session, referrer) == [1200]
    assert states(session) == [("rewarded", "")] * 4
    assert_clean(session)


# --- and back


@pytest.fixture
def pending(session: Session, referrer: Actor, friend: Actor, brought: UUID, now: datetime) -> UUID:
    """The order that was rewarded, with points that can be spent in two weeks."""
    rule(session, now, pending_days=14, lot_days=90)
    return buy(session, friend, now)


def test_a_reward_can_be_spent_later(session: Session, api: Api, referrer: Actor, pending: UUID, now: datetime) -> None:
    shown = api(referrer).get("/me/points").json
    assert (shown["available"], shown["pending"]) == (0, 500)
    with pytest.raises(ledger.InsufficientPoints):
        ledger.hold(session, customer_id=referrer.id, order_id=new_id(), points=1, actor=ACTOR, now=now)
    ledger.hold(session, customer_id=referrer.id, order_id=new_id(), points=500, actor=ACTOR, now=now + 14 * DAY)
    assert_clean(session)


def test_an_order_that_goes_back_whole_takes_the_reward_along(
    session: Session, referrer: Actor, friend: Actor, pending: UUID, now: datetime
) -> None:
    send_back(session, pending, now, (1, 2))
    assert (states(session), points(session, referrer, friend)) == ([("rewarded", "")], [500, 305])
    send_back(session, pending, now)
    assert states(session) == [("refused", "returned")]
    assert decided(session) == [("rewarded", ""), ("refused", "returned")]
    assert [balances(session, who.id) for who in (referrer, friend)] == [(0, 0, 0), (0, 0, 0)]
    kinds = session.execute(
        text("SELECT kind, reason FROM points_transaction WHERE customer_id = :id ORDER BY seq"), {"id": referrer.id}
    )
    assert [tuple(row) for row in kinds] == [("earn", "referral"), ("claw_back", "referral")]
    assert_clean(session)
    # once: neither a second delivery nor another order brings or takes anything more
    assert referrals.take_back(session, customer_id=friend.id, order_id=pending, now=now) is None
    buy(session, friend, now)
    assert points(session, referrer, friend) == [0, 10]
    assert ledger.withdraw(session, source="referral", source_id=new_id(), reason="x", actor=ACTOR, now=now) == 0


def test_what_was_netted_with_a_debt_is_owed_again(
    session: Session, referrer: Actor, friend: Actor, brought: UUID, now: datetime
) -> None:
    rule(session, now, pending_days=14)
    old = buy(session, referrer, now, points=200)
    ledger.hold(session, customer_id=referrer.id, order_id=new_id(), points=200, actor=ACTOR, now=now)
    send_back(session, old, now)
    assert balances(session, referrer.id) == (0, 200, 200)
    order_id = buy(session, friend, now)
    assert balances(session, referrer.id) == (300, 200, 0)
    send_back(session, order_id, now)
    assert balances(session, referrer.id) == (0, 200, 200)
    assert_clean(session)


def test_it_stays_once_it_could_be_spent(
    session: Session, referrer: Actor, friend: Actor, pending: UUID, now: datetime
) -> None:
    with clock.shifted(14 * DAY):
        send_back(session, pending, clock.now())
    assert states(session) == [("rewarded", "")]
    assert points(session, referrer, friend) == [500, 300]


def test_an_order_that_went_back_before_the_news_came_decides_nothing(
    session: Session, referrer: Actor, friend: Actor, brought: UUID, now: datetime
) -> None:
    rule(session, now)
    order_id = new_id()
    ledger.earn(
        session, customer_id=friend.id, order_id=order_id, points=10, key="o", reason="order", actor=ACTOR, now=now
    )
    send_back(session, order_id, now)  # both are heard of now
    assert states(session) == [("pending", "")]
    assert points(session, referrer, friend) == [0, 0]
    buy(session, friend, now)
    assert states(session) == [("rewarded", "")]


def test_a_reward_that_was_merged_goes_back_from_where_it_is(
    session: Session, referrer: Actor, friend: Actor, pending: UUID, now: datetime
) -> None:
    stays = factories.customer(session)
    ledger.lock_member(session, customer_id=stays.id, now=now)
    ledger.merge(session, gone_id=referrer.id, stays_id=stays.id, merge_id=new_id(), actor=ACTOR, now=now)
    session.execute(text("UPDATE customer SET merged_into = :to WHERE id = :id"), {"to": stays.id, "id": referrer.id})
    assert points(session, stays) == [500]
    send_back(session, pending, now)
    assert points(session, stays, referrer, friend) == [0, 0, 0]
    assert states(session) == [("refused", "returned")]
    assert_clean(session)


def test_orders_that_decided_nothing_take_nothing_along(
    session: Session, referrer: Actor, friend: Actor, pending: UUID, now: datetime
) -> None:
    other = buy(session, friend, now)
    send_back(session, other, now)
    assert states(session) == [("rewarded", "")]
    assert points(session, referrer, friend) == [500, 310]


def test_where_tiers_go_by_points_a_reward_that_went_back_does_not_count(
    session: Session, referrer: Actor, friend: Actor, brought: UUID, now: datetime
) -> None:
    session.execute(text("INSERT INTO tier_program (id, basis, grace_days, updated_at) VALUES (1, 'points', 0, now())"))
    session.execute(
        text("INSERT INTO tier (code, name, rank, threshold, updated_at) VALUES ('gold', 'Gold', 1, 400, now())")
    )
    rule(session, now, pending_days=14)
    order_id = buy(session, friend, now)
    tiers = text("SELECT customer_id FROM member_tier")
    assert session.execute(tiers).scalars().all() == [referrer.id]
    send_back(session, order_id, now)
    assert session.execute(tiers).scalars().all() == []
