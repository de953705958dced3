"""The feed of changes under concurrent commits: nothing is skipped, and a sequence number alone would skip."""

import random
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import changes, stock
from inventory.changes import Position
from retail.kernel import clock, db
from retail.kernel.auth import CLIENT, Principal
from tests.factories import Place, Variant, location, variant
from tests.inventory.books import balanced, level, receive, wait_for_others

pytestmark = [pytest.mark.races, pytest.mark.committed]
FOLLOWER = Principal(CLIENT, None, frozenset({"stock.read"}))


def follow(position: Position | None, limit: int = 200) -> changes.Changes:
    with db.reading() as session:
        return changes.follow(session, position=position, limit=limit, location=None, caller=FOLLOWER, now=clock.now())


def caught_up(position: Position) -> tuple[list[dict[str, Any]], Position]:
    """Everything there is now, and where to go on."""
    items = []
    while True:
        page = follow(position)
        items += page.items
        position = page.next
        if not page.more:
            return items, position


def skus(items: list[dict[str, Any]]) -> list[str]:
    return [item["sku"] for item in items]


def naively_after(seq: int) -> list[tuple[int, UUID]]:
    """What a feed ordered by sequence number alone would tell."""
    statement = text("SELECT seq, variant_id FROM stock_movement WHERE seq > :seq ORDER BY seq")
    with db.reading() as session:
        return [(row[0], row[1]) for row in session.execute(statement, {"seq": seq})]


def test_a_change_that_commits_late_is_told_where_a_sequence_number_alone_would_miss_it(session: Session) -> None:
    slow, quick, shop = variant(session), variant(session), location(session)
    start = follow(None).next
    naive_cursor = 0
    with db.transaction() as first:
        receive(first, slow, shop, 3)  # takes its number, and stays open
        for _ in range(3):
            with_own_transaction(lambda second: receive(second, quick, shop, 1))
        told, position = caught_up(start)
        assert skus(told) == [], "what is behind an open transaction waits with it"
        naive = naively_after(naive_cursor)
        assert [variant_id for _, variant_id in naive] == [quick.id] * 3, "the naive reader sees the later ones"
        naive_cursor = naive[-1][0]
    wait_for_others()
    told, position = caught_up(position)
    assert [(item["sku"], item["on_hand"]) for item in told] == [(slow.sku, 3), (quick.sku, 3)]
    assert naively_after(naive_cursor) == [], "and has gone past the one that committed late: it is lost to him"
    assert caught_up(position)[0] == []


def with_own_transaction(work: Callable[[Session], None]) -> None:
    """In a thread: this one has a transaction open."""
    failed: list[BaseException] = []

    def run() -> None:
        try:
            with db.transaction() as session:
                work(session)
        except BaseException as error:  # noqa: BLE001 - raised again below
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(10)
    if failed:
        raise failed[0]


def test_a_long_transaction_only_delays(session: Session) -> None:
    tea, shop = variant(session), location(session)
    start = follow(None).next
    with db.engine().connect() as other:
        other.execute(text("SELECT pg_current_xact_id()"))  # writes elsewhere, for a long time
        receive(session, tea, shop, 2)
        page = follow(start)
        assert (page.items, page.more) == ([], False)
        assert follow(page.next).items == []
        other.rollback()
    wait_for_others()
    told, position = caught_up(page.next)
    assert [(item["sku"], item["on_hand"]) for item in told] == [(tea.sku, 2)]
    assert caught_up(position)[0] == []


def test_who_begins_to_follow_while_something_is_open_hears_of_it(session: Session) -> None:
    tea, shop = variant(session), location(session)
    with db.transaction() as writer:
        receive(writer, tea, shop, 4)
        begun = follow(None)
        loaded = level(session, tea, shop)
    assert loaded is None, "he loads everything, and this is not there yet"
    wait_for_others()
    assert [(item["sku"], item["on_hand"]) for item in caught_up(begun.next)[0]] == [(tea.sku, 4)]


def test_a_follower_ends_with_exactly_the_levels(session: Session, now: datetime) -> None:
    """Eight writers who commit in any order, some of whom take long; a follower who reads small pages all the while."""
    shops = [location(session) for _ in range(3)]
    goods = [variant(session) for _ in range(6)]
    begun = follow(None).next
    done = threading.Event()
    failed: list[BaseException] = []

    def write(seed: int) -> None:
        dice = random.Random(seed)
        try:
            turns = 0
            while turns < 25 or (pages <= 10 and follower.is_alive()):
                turns += 1
                with db.transaction() as own:
                    move(own, dice, goods, shops, now)
                    if dice.random() < 0.3:
                        time.sleep(dice.random() * 0.03)
        except BaseException as error:  # noqa: BLE001 - told below
            failed.append(error)

    writers = [threading.Thread(target=write, args=(seed,)) for seed in range(8)]
    seen: dict[tuple[str, str], int] = {}
    position, pages = begun, 0

    def read() -> None:
        nonlocal position, pages
        while True:
            last = done.is_set()
            page = follow(position, limit=7)
            pages += 1
            for item in page.items:
                seen[item["sku"], item["location"]["code"]] = item["on_hand"]
            position = page.next
            if last and not page.more:
                return

    follower = threading.Thread(target=read)
    for thread in (*writers, follower):
        thread.start()
    for thread in writers:
        thread.join(60)
    wait_for_others()
    done.set()
    follower.join(60)
    assert (failed, follower.is_alive()) == ([], False)
    stored = {
        (sku, code): on_hand
        for sku, code, on_hand in session.execute(
            text(
                "SELECT sku, code, on_hand FROM stock_level JOIN variant ON variant.id = variant_id "
                "JOIN location ON location.id = location_id"
            )
        )
    }
    assert seen == stored
    assert pages > 10
    assert balanced(session)


def move(own: Session, dice: random.Random, goods: list[Variant], shops: list[Place], now: datetime) -> None:
    """One sorted receipt of some goods at one shop."""
    chosen = dice.sample(goods, dice.randint(1, 3))
    lines = [(one.id, dice.randint(1, 5)) for one in sorted(chosen, key=lambda one: one.id)]
    stock.receive(own, location_id=dice.choice(shops).id, lines=lines, key=None, actor="system", now=now)
