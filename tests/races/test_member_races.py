"""Members under many hands: real connections, real commits."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from loyalty import birthdays, cards, enrollment, ledger, lookup, referrals
from retail import limits
from retail.kernel import auth, db
from retail.kernel.ids import new_id
from tests import factories
from tests.loyalty.ledger_facts import assert_clean, balances, earn
from tests.races.interleaving import Other, together

pytestmark = [pytest.mark.committed, pytest.mark.races]
HANDS = 8


def once(results: list[Any], refusal: type[Exception]) -> list[Any]:
    """The values of those that went through; everybody else got this refusal."""
    errors = [one for one in results if isinstance(one, Exception)]
    assert all(isinstance(one, refusal) for one in errors), errors
    return [one for one in results if not isinstance(one, Exception)]


def test_one_token_at_many_tills_counts_at_one(session: Session, now: datetime) -> None:
    who = factories.customer(session)
    token = cards.token(who.id, now=now).value

    def look(mine: Session) -> Any:
        till = auth.Principal(auth.STAFF, new_id(), frozenset())
        return lookup.by_token(mine, token=token, caller=till, now=now)["customer_id"]

    assert once(together([look] * HANDS), cards.TokenUsed) == [who.id]
    assert session.execute(text("SELECT count(*) FROM member_token_use")).scalar_one() == 1


def test_a_till_that_gives_up_leaves_the_token_to_the_next(session: Session, now: datetime) -> None:
    who = factories.customer(session)
    token = cards.token(who.id, now=now).value
    use: Callable[[Session], Any] = lambda mine: cards.use_token(mine, token=token, now=now)  # noqa: E731
    with pytest.raises(ZeroDivisionError), db.transaction() as mine:
        use(mine)
        other = Other(use)
        assert other.waits()
        raise ZeroDivisionError
    assert other.result() == who.id


def test_two_who_ask_for_a_card_at_once_are_told_one_number(session: Session, now: datetime) -> None:
    who = factories.customer(session)

    def ask(mine: Session) -> str:
        return cards.number(mine, customer_id=who.id, now=now)

    numbers = together([ask] * HANDS)
    assert len(set(numbers)) == 1
    linked = session.execute(
        text(
            "SELECT i.value FROM identity_link AS k JOIN identity AS i ON i.id = k.identity_id WHERE k.customer_id = :id"
        ),
        {"id": who.id},
    ).scalars()
    assert linked.all() == numbers[:1]


@pytest.mark.parametrize(
    "named", [{"phone": "09012345678"}, {"email": "a@example.com", "phone": "09012345678", "card": "2912345678906"}]
)
def test_one_phone_enrolled_at_many_tills_is_one_member(session: Session, now: datetime, named: dict[str, str]) -> None:
    client = factories.api_client(session, ["members.work"], channel="store")
    caller = auth.principal_of(client.token, cache_seconds=0)
    assert caller is not None
    ways = [named, dict(reversed(named.items()))]

    def enroll(mine: Session, place: int) -> Any:
        return enrollment.enroll(
            mine,
            name="Hanako",
            locale="ja",
            named=ways[place % 2],
            birthday=None,
            referral_code=None,
            location=None,
            caller=caller,
            now=now,
        )

    tills = [lambda mine, place=place: enroll(mine, place) for place in range(HANDS)]
    [made] = once(together(tills), enrollment.MemberKnown)
    assert session.execute(text("SELECT id FROM customer")).scalars().all() == [made.customer_id]
    assert session.execute(text("SELECT count(*) FROM event WHERE type = 'MemberEnrolled'")).scalar_one() == 1


def test_of_two_birthdays_stated_at_once_one_stays(session: Session, now: datetime) -> None:
    who = factories.customer(session)

    def state(mine: Session, day: int) -> int:
        birthdays.state(mine, customer_id=who.id, birthday=birthdays.Birthday(5, day), now=now)
        return day

    days = [lambda mine, day=day: state(mine, day) for day in range(1, HANDS)]
    [day] = once(together(days), birthdays.BirthdaySet)
    assert birthdays.shown(session, customer_id=who.id) == {"birthday": {"month": 5, "day": day}}


def test_one_referral_is_rewarded_once_under_many_deliveries(session: Session, now: datetime) -> None:
    referrer, friend = factories.customer(session), factories.customer(session)
    code = api_code(referrer.id, now)
    with db.transaction() as mine:
        referrals.use_code(mine, customer_id=friend.id, code=code, actor="system", now=now)
    promise(session, now)
    order_id = new_id()
    earn(session, friend.id, 10, now, order_id)

    def hear(mine: Session) -> Any:
        return referrals.reward(mine, customer_id=friend.id, order_id=order_id, now=now)

    assert sorted(map(str, together([hear] * HANDS))) == ["None"] * (HANDS - 1) + ["rewarded"]
    assert (balances(session, referrer.id)[0], balances(session, friend.id)[0]) == (500, 310)
    assert_clean(session)


def test_many_friends_buy_at_once_and_the_limit_holds(session: Session, now: datetime) -> None:
    """Their deliveries wait for the referrer's account, so each counts those before."""
    referrer = factories.customer(session)
    code = api_code(referrer.id, now)
    promise(session, now)
    calls = []
    for _ in range(limits.REFERRALS_PER_MONTH + 3):
        friend, order_id = factories.customer(session), new_id()
        with db.transaction() as mine:
            referrals.use_code(mine, customer_id=friend.id, code=code, actor="system", now=now)
        earn(session, friend.id, 10, now, order_id)
        calls.append(
            lambda mine, who=friend.id, order=order_id: referrals.reward(mine, customer_id=who, order_id=order, now=now)
        )
    results = together(calls)
    assert (results.count("rewarded"), results.count("refused")) == (limits.REFERRALS_PER_MONTH, 3), results
    assert balances(session, referrer.id)[0] == 500 * limits.REFERRALS_PER_MONTH
    assert_clean(session)


def test_two_codes_used_at_once_and_two_who_name_each_other(session: Session, now: datetime) -> None:
    one, other, third = (factories.customer(session) for _ in range(3))
    codes = {who.id: api_code(who.id, now) for who in (one, other, third)}

    def use(mine: Session, who: Any, code: str) -> Any:
        return referrals.use_code(mine, customer_id=who, code=code, actor="system", now=now)

    results = together(
        [
            lambda mine: use(mine, one.id, codes[other.id]),
            lambda mine: use(mine, other.id, codes[one.id]),
        ]
    )
    once(results, referrals.InACircle)
    session.execute(text("DELETE FROM referral"))
    results = together(
        [
            lambda mine: use(mine, one.id, codes[other.id]),
            lambda mine: use(mine, one.id, codes[third.id]),
        ]
    )
    assert len(once(results, referrals.BroughtBefore)) == 1


def test_two_who_ask_for_a_code_at_once_are_told_one(session: Session, now: datetime) -> None:
    who = factories.customer(session)
    answers = together([lambda mine: referrals.mine(mine, customer_id=who.id, now=now)["code"]] * HANDS)
    assert len(set(answers)) == 1


def test_a_reward_is_withdrawn_once(session: Session, now: datetime) -> None:
    referrer, friend, order_id = factories.customer(session), factories.customer(session), new_id()
    code = api_code(referrer.id, now)
    promise(session, now, pending_days=14)
    with db.transaction() as mine:
        referrals.use_code(mine, customer_id=friend.id, code=code, actor="system", now=now)
    earn(session, friend.id, 10, now, order_id)
    with db.transaction() as mine:
        assert referrals.reward(mine, customer_id=friend.id, order_id=order_id, now=now) == "rewarded"
        ledger.claw_back(mine, order_id=order_id, numerator=1, denominator=1, key="back", actor="system", now=now)

    def back(mine: Session) -> Any:
        return referrals.take_back(mine, customer_id=friend.id, order_id=order_id, now=now)

    assert sorted(map(str, together([back] * HANDS))) == ["None"] * (HANDS - 1) + ["refused"]
    assert (balances(session, referrer.id), balances(session, friend.id)) == ((0, 0, 0), (0, 0, 0))
    assert_clean(session)


def api_code(customer_id: Any, now: datetime) -> str:
    """Her referral code."""
    with db.transaction() as mine:
        return str(referrals.mine(mine, customer_id=customer_id, now=now)["code"])


def promise(session: Session, now: datetime, pending_days: int = 0) -> None:
    """A referral rule: 300 for who is brought, 500 for who brings."""
    statement = text(
        "INSERT INTO earning_rule (code, version, name, basis, points, referrer_points, pending_days, from_at, actor) "
        "VALUES ('friends', 1, 'Friends', 'referral', 300, 500, :pending_days, :from_at, 'system')"
    )
    session.execute(statement, {"pending_days": pending_days, "from_at": now - timedelta(days=1)})
