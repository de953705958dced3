"""Any order, by any way, with any tender, through anything that can befall it: after every step the books agree, and from wherever
it is there is a way to an end at which no stock, no points and no money are held for it."""

import random
from collections.abc import Callable
from datetime import datetime

import pytest
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from orders import cancellation, handover, tenders
from orders.fulfillment import CLOSED
from tests.factories.card_book import CardBook
from tests.properties.order_ends import check, finish
from tests.properties.order_life import ELSEWHERE, PICKUP, SHIP, OrderLife, any_of

WALKS, STEPS = 60, 25


def follow(life: OrderLife) -> None:
    """One step of those that make sense now, mostly."""
    choose, rows = life.choose, life.parts()
    by_state: dict[str, list[object]] = {}
    for row in rows:
        by_state.setdefault(row.state, []).append(row)
        if row.missing:
            by_state.setdefault("missing", []).append(row)
    steps: list[Callable[[], None]] = [life.job, life.network]
    if "allocated" in by_state:
        steps += [life.change, life.change, lambda: life.cancel_line(choose.choice((1, 1, None)))]
    if {"picking", "packed", "ready", "missing"} & set(by_state):
        steps.append(lambda: life.cancel_line(choose.choice((1, None))))

    def add(state: str, *works: Callable[[object], None], times: int = 1) -> None:
        if state in by_state:
            steps.extend([lambda work=work: work(any_of(by_state[state], choose)) for work in works] * times)  # type: ignore[misc]

    add("allocated", life.pick, times=2)
    add("allocated", life.move)
    add("picking", life.miss, times=2)
    add("missing", life.resolve, times=4)
    if any(row.method in (PICKUP, ELSEWHERE) for row in rows):
        add("picking", life.ready, times=2)
        add("arrived", life.ready, times=3)
        add("ready", life.collect, times=2)
        add("ready", life.nobody_comes)
    if any(row.method == SHIP for row in rows):
        add("picking", life.pack, times=3)
        add("packed", life.send, times=4)
        add("shipped", life.deliver, times=2)
    if any(row.method == ELSEWHERE for row in rows):
        add("picking", life.dispatch, times=2)
        add("in_transit", life.arrive, times=3)
    rare = choose.random()
    if rare < 0.02:
        steps = [life.call_off]
    elif rare < 0.04:
        steps = [life.refund_all]
    choose.choice(steps)()


def walk(life: OrderLife) -> None:
    """From placing to the end."""
    assert life.place(), life.log
    check(life)
    for _ in range(STEPS):
        if all(part.state in CLOSED and not part.missing for part in life.parts()):
            break
        follow(life)
        check(life)
    if life.choose.random() < 0.3:
        life.refund_all()
        check(life)
    finish(life)


@pytest.mark.parametrize("seed", range(WALKS))
def test_every_order_comes_to_an_end(
    session: Session, now: datetime, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    walk(OrderLife(session, now, CardBook().use(monkeypatch), random.Random(seed)))


GUARDS = {
    "stock is freed when an order is called off": (cancellation.reservations, "release"),
    "points are freed when an order is called off": (cancellation.ledger, "release"),
    "the card is given free when an order is called off": (cancellation.settlement, "prepare"),
    "a counter takes what is due": (tenders, "take_at_counter"),
    "the card is charged at the handover": (handover.payments, "prepare_capture"),
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
            walk(OrderLife(session, now, book, random.Random(seed)))
        except (AssertionError, IntegrityError):
            return
        finally:
            outer.rollback()
            book.intents.clear()
            book.silent = None
    pytest.fail("no walk finds it")
