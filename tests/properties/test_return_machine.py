"""Goods that come back, in any way and as often as one likes: nothing is paid back twice or kept twice, the books agree after every
step, and every return comes to an end at which nothing is held for it."""

import random
from collections.abc import Callable
from datetime import datetime

import pytest
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from orders.returning import exchanging
from tests.factories.card_book import CardBook
from tests.properties.order_ends import check, finish
from tests.properties.order_life import any_of
from tests.properties.return_life import ReturnLife

WALKS, STEPS = 40, 14


def follow(life: ReturnLife) -> None:
    """One step of those that make sense now, mostly."""
    choose = life.choose
    steps: list[Callable[[], None]] = [life.ask, life.ask, life.ask_exchange, life.ask_exchange, life.job, life.network]
    works = {
        "requested": (life.approve, life.approve, life.approve, life.reject, life.cancel),
        "approved": (life.receive_back, life.receive_back, life.receive_back, life.cancel),
        "received": (life.inspect, life.inspect, life.inspect, life.inspect, life.reject),
    }
    for state, ways in works.items():
        if found := life.returns(state):
            steps += [lambda way=way, found=found: way(any_of(found, choose)) for way in ways]  # type: ignore[misc]
    if choose.random() < 0.03:
        steps = [life.refund_all]
    choose.choice(steps)()


def walk(life: ReturnLife) -> None:
    """From the purchase to the end."""
    life.set_policy()
    if not (life.place() and life.hand_over()):
        return  # a card was declined
    check(life)
    for _ in range(STEPS):
        follow(life)
        check(life)
    finish(life)


@pytest.mark.parametrize("seed", range(WALKS))
def test_every_return_comes_to_an_end(
    session: Session, now: datetime, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    walk(ReturnLife(session, now, CardBook().use(monkeypatch), random.Random(seed)))


GUARDS = {
    "what was kept in exchange is freed when it is given up": (exchanging, "give_up"),
    "the difference of an exchange is settled": (exchanging, "_settle"),
}


@pytest.mark.parametrize("guard", GUARDS)
def test_without_a_guard_some_walk_finds_it(
    session: Session, now: datetime, monkeypatch: pytest.MonkeyPatch, guard: str
) -> None:
    owner, name = GUARDS[guard]
    book = CardBook().use(monkeypatch)
    monkeypatch.setattr(owner, name, lambda *_, **__: None)
    for seed in range(WALKS):
        outer = session.begin_nested()
        try:
            walk(ReturnLife(session, now, book, random.Random(seed)))
        except (AssertionError, IntegrityError):
            return
        finally:
            outer.rollback()
            book.intents.clear()
            book.silent = None
    pytest.fail("no walk finds it")
