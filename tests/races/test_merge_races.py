"""Merges under many hands: who names a merged record and who settles what was made before take locks in one order."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from loyalty import ledger
from loyalty.ledger.books import run_fresh
from loyalty.queries.earning import LOCKED_FACTS
from retail.kernel import db
from retail.kernel.ids import new_id
from tests.loyalty.ledger_facts import ACTOR, assert_clean, balances, customer_with, earn
from tests.races.interleaving import Other

pytestmark = [pytest.mark.committed, pytest.mark.races]
DAY = timedelta(days=1)
_LOCK = text("SELECT FROM points_account WHERE customer_id = ANY(:ids) ORDER BY customer_id FOR NO KEY UPDATE")


def locking(*ids: UUID) -> Callable[[Session], Any]:
    """Take these accounts in the order of their ids, as a transfer or a merge of two members does."""
    return lambda inside: inside.execute(_LOCK, {"ids": list(ids)})


def merging(gone: UUID, stays: UUID, merge_id: UUID, now: datetime) -> Callable[[Session], Any]:
    def call(inside: Session) -> None:
        redirect = text("UPDATE customer SET merged_into = :stays WHERE id = :gone")
        inside.execute(redirect, {"stays": stays, "gone": gone})
        ledger.merge(inside, gone_id=gone, stays_id=stays, merge_id=merge_id, actor=ACTOR, now=now)

    return call


def parting(
    gone: UUID, stays: UUID, merge_id: UUID, now: datetime, also: tuple[UUID, ...] = ()
) -> Callable[[Session], Any]:
    def call(inside: Session) -> None:
        inside.execute(text("UPDATE customer SET merged_into = NULL WHERE id = :gone"), {"gone": gone})
        inside.execute(
            text("UPDATE customer SET merged_into = :gone WHERE id = ANY(:also)"), {"gone": gone, "also": list(also)}
        )
        ledger.unmerge(
            inside, gone_id=gone, stays_id=stays, also=also, merge_id=merge_id, merged_at=now, actor=ACTOR, now=now
        )

    return call


def holding(customer_id: UUID, points: int, now: datetime, order_id: UUID) -> Callable[[Session], Any]:
    return lambda inside: ledger.hold(
        inside, customer_id=customer_id, order_id=order_id, points=points, actor=ACTOR, now=now
    )


def clawing(order_id: UUID, now: datetime) -> Callable[[Session], Any]:
    return lambda inside: ledger.claw_back(
        inside, order_id=order_id, numerator=1, denominator=1, key=f"c:{order_id}", actor=ACTOR, now=now
    )


def refunding(order_id: UUID, now: datetime) -> Callable[[Session], Any]:
    return lambda inside: ledger.refund(
        inside, order_id=order_id, points=1000, key=f"r:{order_id}", actor=ACTOR, now=now
    )


def releasing(order_id: UUID, now: datetime) -> Callable[[Session], Any]:
    return lambda inside: ledger.release(inside, order_id=order_id, actor=ACTOR, now=now)


def reading(customer_id: UUID, now: datetime) -> Callable[[Session], Any]:
    """The lock of whoever earns."""
    given = {"customer_id": customer_id, "order_id": new_id(), "at": now, "now": now}
    return lambda inside: run_fresh(inside, statement=LOCKED_FACTS, params=given)


def in_turn(first: Callable[[Session], Any], *others: Callable[[Session], Any]) -> list[Any]:
    """The others begin one after the other while `first` has run and not committed; each comes to wait for a lock."""
    with db.transaction() as session:
        first(session)
        began = []
        for work in others:
            began.append(Other(work))
            assert began[-1].waits()
    return [other.result() for other in began]


def two(session: Session, now: datetime, *, gone_first: bool) -> tuple[UUID, UUID]:
    """Two members with 100 points each; the one who will be gone has the lower id, or the higher one."""
    ids = sorted(customer_with(session, (100, now))[0].id for _ in range(2))
    return (ids[0], ids[1]) if gone_first else (ids[1], ids[0])


@pytest.mark.parametrize("gone_first", [True, False])
def test_naming_a_merged_record_and_settling_what_it_held_never_deadlock(
    session: Session, now: datetime, gone_first: bool
) -> None:
    gone, stays = two(session, now, gone_first=gone_first)
    before, after = new_id(), new_id()
    holding(gone, 40, now, before)(session)
    with db.transaction() as inside:
        merging(gone, stays, new_id(), now)(inside)
    in_turn(locking(stays), releasing(before, now), holding(gone, 50, now, after))
    assert (balances(session, gone), balances(session, stays)) == ((0, 0, 0), (150, 50, 0))
    assert_clean(session)


@pytest.mark.parametrize("gone_first", [True, False])
@pytest.mark.parametrize(
    "door", ["hold", "spend", "claw_back", "lock_member", "lock_members", "facts", "refund", "release"]
)
def test_who_waited_for_a_merge_to_be_undone_never_deadlocks(
    session: Session, now: datetime, door: str, gone_first: bool
) -> None:
    """She finds that she needs another account, and must not hold one by then that somebody wants who has the other."""
    gone, stays = two(session, now, gone_first=gone_first)
    bought, spent, more = new_id(), new_id(), new_id()
    earn(session, gone, 20, now, bought)
    merge_id = new_id()
    with db.transaction() as inside:
        merging(gone, stays, merge_id, now)(inside)
    holding(stays, 150, now, spent)(session)  # from the lots of both
    if door == "refund":
        ledger.burn(session, order_id=spent, actor=ACTOR, now=now)
    ways: dict[str, Callable[[Session], Any]] = {
        "hold": holding(gone, 5, now, more),
        "spend": lambda inside: ledger.spend(inside, customer_id=gone, order_id=more, points=5, actor=ACTOR, now=now),
        "claw_back": clawing(bought, now),
        "lock_member": lambda inside: ledger.lock_member(inside, customer_id=gone, now=now),
        "lock_members": lambda inside: ledger.lock_members(inside, customer_ids=[gone], now=now),
        "facts": reading(gone, now),
        "refund": refunding(spent, now),
        "release": releasing(spent, now),
    }
    answer = in_turn(parting(gone, stays, merge_id, now), ways[door], locking(gone, stays))[0]
    assert_clean(session)
    if door == "lock_member":
        assert answer == ledger.Member(gone, None, 0, "active")
    if door == "facts":
        assert (answer.id, answer.member_id) == (gone, None)
    if door == "lock_members":
        assert answer == {gone: ledger.Member(gone, None, 0, "active")}


@pytest.mark.parametrize("gone_first", [True, False])
@pytest.mark.parametrize(
    "door", ["hold", "spend", "claw_back", "lock_member", "lock_members", "facts", "refund", "release"]
)
def test_who_waited_for_a_merge_works_on_the_survivors_lots(
    session: Session, now: datetime, door: str, gone_first: bool
) -> None:
    gone, stays = two(session, now, gone_first=gone_first)
    bought, spent, more = new_id(), new_id(), new_id()
    earn(session, gone, 20, now, bought)
    holding(gone, 60, now, spent)(session)
    if door == "refund":
        ledger.burn(session, order_id=spent, actor=ACTOR, now=now)
    held = 60 if door != "refund" else 0
    ways: dict[str, tuple[Callable[[Session], Any], tuple[int, int, int], int]] = {
        "hold": (holding(gone, 150, now, more), (10, 150, 0), held),
        "spend": (
            lambda inside: ledger.spend(inside, customer_id=gone, order_id=more, points=150, actor=ACTOR, now=now),
            (10, 0, 0),
            held,
        ),
        "claw_back": (clawing(bought, now), (140, 0, 0), held),
        "lock_member": (
            lambda inside: ledger.lock_member(inside, customer_id=gone, now=now),
            (160, 0, 0),
            held,
        ),
        "lock_members": (
            lambda inside: ledger.lock_members(inside, customer_ids=[gone], now=now),
            (160, 0, 0),
            held,
        ),
        "facts": (reading(gone, now), (160, 0, 0), held),
        "refund": (refunding(spent, now), (220, 0, 0), 0),
        "release": (releasing(spent, now), (220, 0, 0), 0),
    }
    call, expected, still_held = ways[door]
    answer = in_turn(merging(gone, stays, new_id(), now), call)[0]
    assert (balances(session, gone), balances(session, stays)) == ((0, still_held, 0), expected)
    assert_clean(session)
    if door == "lock_member":
        assert answer == ledger.Member(stays, gone, 0, "active")
    if door == "facts":
        assert (answer.id, answer.member_id) == (stays, gone)
    if door == "lock_members":
        assert answer == {gone: ledger.Member(stays, gone, 0, "active")}
