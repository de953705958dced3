"""Members under many hands: real connections, real commits."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from loyalty import birthdays, cards, enrollment, lookup
from retail.kernel import auth, db
from tests import factories
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
        return lookup.by_token(mine, token=token, now=now)["customer_id"]

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
