"""Members are merged while points move, orders are placed and others merge: one order of events, no deadlock, clean books."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from random import Random
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

import loyalty.audit
import retail.audit
from loyalty import ledger, merging, queries
from retail import merging as records
from retail import queries as ground
from retail.kernel import auth, clock, db
from retail.kernel.ids import new_id
from tests.factories import Actor
from tests.factories.orders import pickup_body, shop
from tests.loyalty.ledger_facts import ACTOR, balances, customer_with, earn
from tests.races.interleaving import Other, together

pytestmark = [pytest.mark.committed, pytest.mark.races]
REFUSALS = (
    ledger.InsufficientPoints,
    records.AlreadyMerged,
    records.MergeUndone,
    records.MergedSince,
    ledger.HoldExists,
)


def clean(session: Session) -> None:
    assert [found for audit in (retail.audit, loyalty.audit) for found in audit.divergences(session)] == []


def merges(gone: Actor, stays: Actor, now: datetime) -> Callable[[Session], UUID]:
    return lambda session: merging.merge(
        session, customer=str(stays.id), gone=str(gone.id), reason="", actor=ACTOR, now=now
    )


def undoes(stays: Actor, merge_id: UUID, now: datetime) -> Callable[[Session], None]:
    return lambda session: merging.unmerge(session, customer=str(stays.id), merge_id=merge_id, actor=ACTOR, now=now)


def committed(work: Callable[[Session], Any]) -> Any:
    with db.transaction() as session:
        return work(session)


def behind(first: Callable[[Session], Any], second: Callable[[Session], Any]) -> Any:
    """Let `second` begin while `first` has run and not committed; returns what `second` answers after the wait."""
    with db.transaction() as session:
        first(session)
        other = Other(second)
        assert other.waits()
    return other.result()


def holds(who: Actor, points: int, order_id: UUID, now: datetime) -> Callable[[Session], None]:
    return lambda session: ledger.hold(
        session, customer_id=who.id, order_id=order_id, points=points, actor=ACTOR, now=now
    )


def earns(who: Actor, points: int, order_id: UUID, now: datetime) -> Callable[[Session], int]:
    return lambda session: earn(session, who.id, points, now, order_id)


@pytest.fixture
def two(session: Session, now: datetime) -> tuple[Actor, Actor]:
    """Who goes, with 60 points; who stays, with 40."""
    return customer_with(session, (60, now))[0], customer_with(session, (40, now))[0]


@pytest.mark.parametrize("named", [0, 1], ids=["gone", "stays"])
def test_a_hold_that_waited_for_a_merge_takes_from_both(
    session: Session, two: tuple[Actor, Actor], now: datetime, named: int
) -> None:
    gone, stays = two
    order_id = new_id()
    behind(merges(gone, stays, now), holds(two[named], 100, order_id, now))
    assert (balances(session, gone.id), balances(session, stays.id)) == ((0, 0, 0), (0, 100, 0))
    clean(session)


def test_a_merge_that_waited_for_a_hold_moves_what_is_left(
    session: Session, two: tuple[Actor, Actor], now: datetime
) -> None:
    gone, stays = two
    order_id = new_id()
    merge_id = behind(holds(gone, 50, order_id, now), merges(gone, stays, now))
    assert (balances(session, gone.id), balances(session, stays.id)) == ((0, 50, 0), (50, 0, 0))
    with_it = behind(
        lambda inside: ledger.release(inside, order_id=order_id, actor=ACTOR, now=now), undoes(stays, merge_id, now)
    )
    assert with_it is None
    assert (balances(session, gone.id), balances(session, stays.id)) == ((60, 0, 0), (40, 0, 0))
    clean(session)


def test_points_earned_behind_a_merge_or_its_undoing_go_to_whose_they_are(
    session: Session, two: tuple[Actor, Actor], now: datetime
) -> None:
    gone, stays = two
    first, second = new_id(), new_id()
    assert behind(merges(gone, stays, now), earns(gone, 7, first, now)) == 7
    assert balances(session, stays.id) == (107, 0, 0)
    merge_id = session.execute(text("SELECT id FROM customer_merge")).scalar_one()
    assert behind(undoes(stays, merge_id, now), earns(gone, 5, second, now)) == 5
    assert (balances(session, gone.id), balances(session, stays.id)) == ((72, 0, 0), (40, 0, 0))
    clean(session)


def test_goods_that_come_back_behind_a_merge(session: Session, two: tuple[Actor, Actor], now: datetime) -> None:
    gone, stays = two
    order_id = new_id()
    committed(earns(gone, 30, order_id, now))

    def back(inside: Session) -> int:
        return ledger.claw_back(inside, order_id=order_id, numerator=1, denominator=1, key="back", actor=ACTOR, now=now)

    assert behind(merges(gone, stays, now), back) == 30
    assert (balances(session, gone.id), balances(session, stays.id)) == ((0, 0, 0), (100, 0, 0))
    clean(session)


def test_a_merge_and_its_opposite_at_once(session: Session, two: tuple[Actor, Actor], now: datetime) -> None:
    gone, stays = two
    for _ in range(6):
        answers = together([merges(gone, stays, now), merges(stays, gone, now)] * 2)
        made = [answer for answer in answers if isinstance(answer, UUID)]
        assert len(made) == 1
        assert [type(answer) for answer in answers if answer not in made] == [records.AlreadyMerged] * 3
        clean(session)
        facts = ground.merge_facts(session, merge_id=made[0])
        assert facts is not None
        survivor = gone if facts.stays_id == gone.id else stays
        answers = together([undoes(survivor, made[0], clock.now())] * 3)
        assert sorted(type(answer).__name__ for answer in answers) == ["MergeUndone", "MergeUndone", "NoneType"]
        clean(session)
    assert (balances(session, gone.id), balances(session, stays.id)) == ((60, 0, 0), (40, 0, 0))


def test_an_order_is_placed_and_she_logs_in_while_they_are_merged(
    session: Session, api: Callable[..., Any], now: datetime
) -> None:
    made = shop(session, units=50)
    card, _ = customer_with(session, (60, now))
    web = made.customer
    merge_id: UUID | None = None
    for step in range(6):

        def placing(key: str = f"order-{step}") -> int:
            answer = api(card).post("/orders", key=key, json=pickup_body(made, points_to_spend=5))
            return int(answer.status_code)

        def asking() -> Any:
            token = auth.token_hash(card.token)
            return committed(lambda inside: ground.principal_by_token(inside, token_hash=token, now=clock.now()))

        moving = merges(card, web, clock.now()) if merge_id is None else undoes(web, merge_id, clock.now())
        with ThreadPoolExecutor(3) as pool:
            answers = [pool.submit(placing), pool.submit(asking), pool.submit(committed, moving)]
        placed, seen, moved = (answer.result() for answer in answers)
        assert placed in (201, 409), placed
        assert seen.id in (card.id, web.id)
        merge_id = moved
        clean(session)
    held = [queries.points_of(session, customer_id=who.id, now=clock.now())["held"] for who in (card, web)]
    left = [queries.points_of(session, customer_id=who.id, now=clock.now())["available"] for who in (card, web)]
    assert sum(held) + sum(left) == 60


def test_everything_at_once_neither_deadlocks_nor_loses_a_point(session: Session, now: datetime) -> None:
    people = [customer_with(session, (200, now))[0] for _ in range(4)]
    given = [0] * 8
    held: list[list[UUID]] = [[] for _ in range(8)]

    def hand(seed: int) -> None:
        random = Random(seed)
        for _ in range(14):
            who, other = random.sample(people, 2)
            try:
                committed(step(random, who, other, seed))
            except REFUSALS:
                continue

    def step(random: Random, who: Actor, other: Actor, seed: int) -> Callable[[Session], Any]:
        order_id, moment = new_id(), clock.now()

        def spend(inside: Session) -> None:
            holds(who, random.randint(1, 60), order_id, moment)(inside)
            held[seed].append(order_id)

        def settle(inside: Session) -> None:
            if held[seed]:
                name = random.choice(["burn", "release"])
                points = getattr(ledger, name)(inside, order_id=held[seed].pop(), actor=ACTOR, now=moment)
                given[seed] -= points if name == "burn" else 0

        def take(inside: Session) -> None:
            given[seed] += earns(who, 20, order_id, moment)(inside)

        def undo(inside: Session) -> None:
            found = ground.merges_of(inside, customer_id=who.id, after=None, limit=5)
            active = [one for one in found if one["undone_at"] is None]
            if active:
                one = random.choice(active)
                merging.unmerge(inside, customer=str(one["stays_id"]), merge_id=one["id"], actor=ACTOR, now=moment)

        return random.choice([merges(who, other, moment), undo, undo, spend, settle, take])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(hand, range(8)))
    clean(session)
    while True:
        active = session.execute(text("SELECT id, stays_id FROM customer_merge WHERE undone_at IS NULL")).all()
        if not active:
            break
        for row in active:
            try:
                committed(undoes(Actor("customer", row.stays_id, ""), row.id, clock.now()))
            except (records.MergedSince, records.MergeUndone):
                continue
    clean(session)
    everything = (
        "SELECT coalesce(sum(available), 0), coalesce(sum(held), 0), coalesce(sum(owed), 0) FROM points_account"
    )
    available, waiting, owed = session.execute(text(everything)).one()
    assert (available + waiting, owed) == (800 + sum(given), 0)
