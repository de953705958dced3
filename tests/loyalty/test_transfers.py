"""Points from member to member: with their dates, within limits, and without telling who holds which card."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from loyalty import ledger, queries
from retail import limits
from retail.kernel import clock, db
from retail.kernel.ids import new_id
from tests import factories
from tests.factories import Actor
from tests.loyalty.ledger_facts import ACTOR, assert_clean, balances, customer_with, earn, lots_of, remaining

Api = Callable[..., Any]
Unchanged = Callable[[], AbstractContextManager[None]]
DAY = timedelta(days=1)
PATH = "/me/points/transfers"
MOST = limits.TRANSFER_POINTS_PER_DAY


@pytest.fixture
def giver(session: Session, now: datetime) -> Actor:
    """60 points of a hundred days ago, 40 of today."""
    return customer_with(session, (60, now - 100 * DAY), (40, now))[0]


@pytest.fixture
def friend(session: Session) -> Actor:
    return factories.customer(session, name="Jiro Tanaka", card="4902778123456")


def block(session: Session, customer_id: UUID) -> None:
    session.execute(text("UPDATE points_account SET state = 'blocked' WHERE customer_id = :id"), {"id": customer_id})


def merge(session: Session, gone: UUID, stays: UUID, now: datetime) -> None:
    session.execute(text("UPDATE customer SET merged_into = :stays WHERE id = :gone"), {"stays": stays, "gone": gone})
    ledger.merge(session, gone_id=gone, stays_id=stays, merge_id=new_id(), actor=ACTOR, now=now)


def test_points_arrive_with_their_dates(session: Session, now: datetime, api: Api, giver: Actor, friend: Actor) -> None:
    sent = {"to": "4902 7781 23456", "points": 70, "message": "Happy birthday"}
    answer = api(giver).post(PATH, json=sent, key="one")
    assert answer.status_code == 201, answer.json
    transfer_id = answer.json["id"]
    assert answer.json == {
        "id": transfer_id,
        "direction": "given",
        "points": 70,
        "other": "3456",
        "message": "Happy birthday",
        "at": now.isoformat(),
    }
    again = api(giver).post(PATH, json=sent, key="one")
    assert (again.json, again.headers["Idempotent-Replayed"]) == (answer.json, "true")
    assert (balances(session, giver.id), balances(session, friend.id)) == ((30, 0, 0), (70, 0, 0))
    assert remaining(session, giver.id) == [0, 30]
    lots = session.execute(
        text(
            "SELECT remaining, source, source_id, available_from, expires_at FROM points_lot WHERE customer_id = :id"
            " ORDER BY expires_at"
        ),
        {"id": friend.id},
    ).all()
    assert [tuple(lot) for lot in lots] == [
        (60, "transfer", UUID(transfer_id), now - 100 * DAY, now + 265 * DAY),
        (10, "transfer", UUID(transfer_id), now, now + 365 * DAY),
    ]
    event = session.execute(text("SELECT party_id, data FROM event WHERE type = 'PointsTransferred'")).one()
    assert event.party_id == giver.id
    assert (event.data["to_customer_id"], event.data["points"]) == (str(friend.id), 70)
    assert_clean(session)


def test_each_end_sees_what_it_may(session: Session, now: datetime, api: Api, giver: Actor, friend: Actor) -> None:
    assert api(giver).post(PATH, json={"to": friend.reference.lower(), "points": 70}, key="one").status_code == 201
    back = api(friend).post(PATH, json={"to": giver.reference, "points": 5, "message": "Change"}, key="two")
    assert back.status_code == 201, back.json
    hers = [(one["direction"], one["points"], one["other"]) for one in api(giver).get(PATH).json["items"]]
    assert hers == [("received", 5, "Jiro Tanaka"), ("given", 70, friend.reference[-4:])]
    his = [(one["direction"], one["points"], one["message"]) for one in api(friend).get(PATH).json["items"]]
    assert his == [("given", 5, "Change"), ("received", 70, "")]
    page = api(giver).get(f"{PATH}?limit=1").json
    rest = api(giver).get(f"{PATH}?limit=1&cursor={page['next']}").json
    assert ([one["points"] for one in page["items"] + rest["items"]], rest["next"]) == ([5, 70], None)
    with db.counting() as count:
        api(giver).get(PATH)
    assert count.statements == 3
    assert api(factories.customer(session)).get(PATH).json == {"items": [], "next": None}


def test_a_wrong_receiver_gets_one_answer_whoever_it_is(
    session: Session, now: datetime, api: Api, giver: Actor, unchanged: Unchanged
) -> None:
    factories.customer(session, card="CLAIMED1", assurance="claimed")
    blocked = factories.customer(session, card="BLOCKED1")
    earn(session, blocked.id, 1, now)
    block(session, blocked.id)
    answers = []
    with unchanged():
        for number, to in enumerate(
            ("NOBODY1", "CLAIMED1", "BLOCKED1", blocked.reference, "C-22222-22222", "C-2222", "??", "+819012345678")
        ):
            refused = api(giver).post(PATH, json={"to": to, "points": 1}, key=f"k{number}")
            answers.append((refused.status_code, {k: v for k, v in refused.json.items() if k != "request_id"}))
    assert [status for status, _ in answers] == [422] * 8
    assert [told for _, told in answers] == [answers[0][1]] * 8
    assert answers[0][1]["code"] == "receiver_unknown"
    assert [error["field"] for error in answers[0][1]["errors"]] == ["to"]


def test_tries_are_counted_also_refused_ones(
    session: Session, api: Api, giver: Actor, friend: Actor, unchanged: Unchanged
) -> None:
    calling = api(giver)
    with unchanged():
        for number in range(limits.TRANSFER_TRIES):
            refused = calling.post(PATH, json={"to": f"NOBODY{number}", "points": 1}, key=f"k{number}")
            assert refused.status_code == 422
        stopped = calling.post(PATH, json={"to": friend.reference, "points": 1}, key="right")
        assert (stopped.status_code, stopped.headers["Retry-After"]) == (429, "900")
    with clock.shifted(timedelta(seconds=limits.TRANSFER_TRY_SECONDS)):
        assert calling.post(PATH, json={"to": friend.reference, "points": 1}, key="right").status_code == 201


def test_nobody_gives_to_herself_nor_to_who_is_merged_with_her(
    session: Session, now: datetime, api: Api, giver: Actor, unchanged: Unchanged
) -> None:
    gone, _ = customer_with(session, (5, now))
    factories.identity(session, customer_id=giver.id, kind="card", value="MYCARD1")
    factories.identity(session, customer_id=gone.id, kind="card", value="OLDCARD1")
    merge(session, gone.id, giver.id, now)
    with unchanged():
        for number, to in enumerate((giver.reference, "MYCARD1", gone.reference, "OLDCARD1")):
            for caller in (giver, gone):  # the token of the merged record is the survivor's
                refused = api(caller).post(PATH, json={"to": to, "points": 1}, key=f"k{number}")
                assert (refused.status_code, refused.json["code"]) == (422, "points_given_to_herself"), to


def test_a_merged_receiver_is_the_survivor(
    session: Session, now: datetime, api: Api, giver: Actor, friend: Actor
) -> None:
    stays = factories.customer(session)
    merge(session, friend.id, stays.id, now)
    assert api(giver).post(PATH, json={"to": "4902778123456", "points": 10}, key="one").status_code == 201
    assert balances(session, stays.id) == (10, 0, 0)
    assert [one["points"] for one in api(friend).get(PATH).json["items"]] == [10]
    assert_clean(session)


def test_only_what_is_available_can_be_given(
    session: Session, now: datetime, api: Api, giver: Actor, friend: Actor, unchanged: Unchanged
) -> None:
    ledger.hold(session, customer_id=giver.id, order_id=new_id(), points=20, actor=ACTOR, now=now)
    session.execute(text("UPDATE points_account SET owed = 7 WHERE customer_id = :id"), {"id": giver.id})
    with unchanged():
        refused = api(giver).post(PATH, json={"to": friend.reference, "points": 81}, key="one")
        told = refused.json
        assert (refused.status_code, told["code"], told["available"]) == (409, "insufficient_points", 80)
    assert api(giver).post(PATH, json={"to": friend.reference, "points": 80}, key="two").status_code == 201
    assert (balances(session, giver.id), balances(session, friend.id)) == ((0, 20, 7), (80, 0, 0))


def test_points_that_ran_out_cannot_be_given(session: Session, now: datetime, api: Api, friend: Actor) -> None:
    who, _ = customer_with(session, (50, now - 365 * DAY), (10, now))
    refused = api(who).post(PATH, json={"to": friend.reference, "points": 11}, key="one")
    assert (refused.status_code, refused.json["available"]) == (409, 10)


def test_who_is_blocked_gives_nothing(
    session: Session, api: Api, giver: Actor, friend: Actor, unchanged: Unchanged
) -> None:
    block(session, giver.id)
    with unchanged():
        refused = api(giver).post(PATH, json={"to": friend.reference, "points": 1}, key="one")
        assert (refused.status_code, refused.json["code"]) == (409, "points_account_blocked")


def test_the_days_limits_of_giver_and_receiver(session: Session, now: datetime, api: Api, unchanged: Unchanged) -> None:
    rich, richer, third = (customer_with(session, (3 * MOST, now - DAY))[0] for _ in range(3))
    friend, other = factories.customer(session), factories.customer(session)

    def give(who: Actor, to: Actor, points: int, key: str) -> Any:
        return api(who).post(PATH, json={"to": to.reference, "points": points}, key=key)

    assert give(rich, friend, MOST - 10, "a").status_code == 201
    with unchanged():
        refused = give(rich, other, 11, "b")
        told = {name: refused.json[name] for name in ("code", "limit", "most", "left")}
        assert (refused.status_code, told) == (
            409,
            {"code": "transfer_limit", "limit": "given", "most": MOST, "left": 10},
        )
        refused = give(richer, friend, 11, "c")
        assert (refused.status_code, refused.json["code"], refused.json["limit"]) == (409, "transfer_limit", "received")
        assert "left" not in refused.json
    assert give(rich, other, 10, "d").status_code == 201
    assert give(richer, friend, 10, "e").status_code == 201
    with clock.shifted(timedelta(hours=23, minutes=59)):
        assert give(rich, other, 1, "f").status_code == 409
    with clock.shifted(DAY):
        assert give(rich, friend, MOST, "g").status_code == 201
    for number in range(limits.TRANSFERS_PER_DAY):
        assert give(third, other, 1, f"t{number}").status_code == 201
    with unchanged():
        refused = give(third, other, 1, "one more")
        assert (refused.status_code, refused.json["limit"]) == (409, "transfers")
    assert_clean(session)


def test_a_merge_does_not_double_the_days_limit(session: Session, now: datetime, api: Api) -> None:
    one, two = (customer_with(session, (2 * MOST, now - DAY))[0] for _ in range(2))
    friends = [factories.customer(session) for _ in range(2)]
    assert api(one).post(PATH, json={"to": friends[0].reference, "points": MOST}, key="a").status_code == 201
    merge(session, one.id, two.id, now)
    assert api(two).post(PATH, json={"to": friends[1].reference, "points": 1}, key="b").status_code == 409


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ({"points": 1}, "to"),
        ({"to": "", "points": 1}, "to"),
        ({"to": "x" * 65, "points": 1}, "to"),
        ({"to": "CARD1"}, "points"),
        ({"to": "CARD1", "points": 0}, "points"),
        ({"to": "CARD1", "points": -1}, "points"),
        ({"to": "CARD1", "points": "7"}, "points"),
        ({"to": "CARD1", "points": MOST + 1}, "points"),
        ({"to": "CARD1", "points": 1, "message": "x" * 141}, "message"),
        ({"to": "CARD1", "points": 1, "message": "a\nb"}, "message"),
        ({"to": "CARD1", "points": 1, "from": "CARD2"}, "from"),
    ],
)
def test_what_a_transfer_must_say(
    api: Api, giver: Actor, unchanged: Unchanged, sent: dict[str, Any], field: str
) -> None:
    with unchanged():
        refused = api(giver).post(PATH, json=sent, key="one")
    assert (refused.status_code, [error["field"] for error in refused.json["errors"]]) == (422, [field])


def test_who_may(session: Session, api: Api, giver: Actor, friend: Actor, unchanged: Unchanged) -> None:
    admin = factories.staff(session, "admin")
    client = factories.api_client(session, ["me"])
    sent = {"to": friend.reference, "points": 1}
    with unchanged():
        for caller, status in ((None, 401), (admin, 403), (client, 403)):
            assert api(caller).post(PATH, json=sent, key="one").status_code == status
            assert api(caller).get(PATH).status_code == status
        assert api(giver).post(PATH, json=sent).status_code == 400
        assert api(giver).get(f"{PATH}?cursor=made-up").status_code == 422
    assert api(giver).post(PATH, json=sent, key="one").status_code == 201
    with unchanged():
        reused = api(giver).post(PATH, json=sent | {"points": 2}, key="one")
        assert (reused.status_code, reused.json["code"]) == (422, "idempotency_key_reused")


def test_a_gift_of_points_is_two_entries_of_the_history(
    session: Session, now: datetime, giver: Actor, friend: Actor, api: Api
) -> None:
    api(giver).post(PATH, json={"to": friend.reference, "points": 70}, key="one")
    for who, points in ((giver, -70), (friend, 70)):
        [entry] = queries.entries_of(session, customer_id=who.id, before=None, limit=1)
        assert (entry["kind"], entry["points"]) == ("transfer", points)
    assert len(lots_of(session, friend.id)) == 2
