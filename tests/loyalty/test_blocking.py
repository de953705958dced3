"""Blocking a member's points: said why, heard by who listens, and over when it is over."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from loyalty import blocking
from retail.kernel.ids import new_id
from tests import factories
from tests.factories import Actor
from tests.loyalty.ledger_facts import assert_clean, balances, customer_with

Api = Callable[..., Any]
Unchanged = Callable[[], AbstractContextManager[None]]
BLOCK = {"blocked": True, "reason": "Two phones, one card"}


@pytest.fixture
def supervisor(session: Session) -> Actor:
    return factories.staff(session, "supervisor")


def told(session: Session) -> list[tuple[bool, str]]:
    found = session.execute(text("SELECT data FROM event WHERE type = 'MemberBlockedOrNot' ORDER BY seq")).scalars()
    return [(data["blocked"], data["reason"]) for data in found]


def test_points_are_blocked_and_let_go(
    session: Session, api: Api, supervisor: Actor, now: datetime, unchanged: Unchanged
) -> None:
    who, _ = customer_with(session, (200, now))
    path = f"/customers/{who.reference}/points/block"
    for _ in range(2):  # what is so already changes nothing
        answer = api(supervisor).put(path, json=BLOCK)
        assert (answer.status_code, answer.json) == (200, {"state": "blocked", "blocked_reason": BLOCK["reason"]})
    assert told(session) == [(True, BLOCK["reason"])]
    other = api(supervisor).put(path, json={"blocked": True, "reason": "Card stolen"})
    assert other.json == {"state": "blocked", "blocked_reason": "Card stolen"}
    assert balances(session, who.id) == (200, 0, 0)
    for _ in range(2):
        free = api(supervisor).put(path, json={"blocked": False, "reason": "She showed her passport"})
        assert (free.status_code, free.json) == (200, {"state": "active", "blocked_reason": ""})
    assert told(session) == [
        (True, BLOCK["reason"]),
        (True, "Card stolen"),
        (False, "She showed her passport"),
    ]
    assert_clean(session)


def test_somebody_who_never_earned_can_be_blocked(session: Session, api: Api, supervisor: Actor) -> None:
    who = factories.customer(session, phone="+819012345678")
    assert api(supervisor).put(f"/customers/{who.id}/points/block", json=BLOCK).status_code == 200
    found = api(supervisor).post("/members/lookup", json={"phone": "09012345678"}).json
    assert (found["state"], found["may_spend"]) == ("blocked", False)


def test_letting_go_who_is_not_blocked_writes_nothing(
    session: Session, api: Api, supervisor: Actor, unchanged: Unchanged
) -> None:
    who = factories.customer(session)
    with unchanged():
        answer = api(supervisor).put(f"/customers/{who.id}/points/block", json={"blocked": False})
    assert answer.json == {"state": "active", "blocked_reason": ""}


@pytest.mark.parametrize("body", [{}, {"blocked": True}, {"blocked": True, "reason": "  "}, {"blocked": "perhaps"}])
def test_a_block_without_a_reason_is_refused(
    session: Session, api: Api, supervisor: Actor, body: Any, unchanged: Unchanged
) -> None:
    who = factories.customer(session)
    with unchanged():
        answer = api(supervisor).put(f"/customers/{who.id}/points/block", json=body)
    assert answer.status_code == 422
    assert answer.json["errors"]


def test_a_merged_record_is_blocked_as_the_one_that_stays(
    session: Session, api: Api, supervisor: Actor, now: datetime, unchanged: Unchanged
) -> None:
    (stays, _), (gone, _) = customer_with(session, (5, now)), customer_with(session, (7, now))
    session.execute(text("UPDATE customer SET merged_into = :to WHERE id = :id"), {"to": stays.id, "id": gone.id})
    session.execute(text("UPDATE points_account SET state = 'merged' WHERE customer_id = :id"), {"id": gone.id})
    assert api(supervisor).put(f"/customers/{gone.id}/points/block", json=BLOCK).status_code == 200
    rows = session.execute(text("SELECT customer_id, state FROM points_account"))
    states = {row.customer_id: row.state for row in rows}
    assert states == {stays.id: "blocked", gone.id: "merged"}
    # somebody who still holds the tombstone's id, because the merge came in between, is told
    for blocked in (True, False):
        with unchanged(), pytest.raises(blocking.MergedMeanwhile):
            blocking.block(session, customer_id=gone.id, blocked=blocked, reason="x", actor="system", now=now)


def test_a_merge_in_between_is_a_conflict(
    session: Session, api: Api, supervisor: Actor, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    who, _ = customer_with(session, (5, now))
    session.execute(text("UPDATE points_account SET state = 'merged' WHERE customer_id = :id"), {"id": who.id})
    answer = api(supervisor).put(f"/customers/{who.id}/points/block", json=BLOCK)
    assert (answer.status_code, answer.json["code"]) == (409, "customer_merged")


def test_who_may_not(session: Session, api: Api, supervisor: Actor, unchanged: Unchanged) -> None:
    who = factories.customer(session)
    others = [who, *(factories.staff(session, role) for role in ("associate", "manager", "agent", "analyst"))]
    with unchanged():
        assert api().put(f"/customers/{who.id}/points/block", json=BLOCK).status_code == 401
        for caller in others:
            assert api(caller).put(f"/customers/{who.id}/points/block", json=BLOCK).status_code == 403
        missing = api(supervisor).put(f"/customers/{new_id()}/points/block", json=BLOCK)
        assert (missing.status_code, missing.json["code"]) == (404, "not_found")
