"""The points ledger against a model of it in plain Python: any sequence of doors and days, compared after every step."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import ClassVar
from uuid import UUID

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy.orm import Session

from loyalty import audit, earning, ledger, queries
from retail.kernel.ids import new_id
from tests import factories
from tests.loyalty.ledger_facts import ACTOR

POINTS = st.integers(1, 300)


@dataclass
class Lot:
    """A lot as the model keeps it."""

    id: UUID
    order_id: UUID
    expires_at: datetime
    remaining: int

    @property
    def order(self) -> tuple[datetime, UUID]:
        return self.expires_at, self.id


@dataclass
class Hold:
    """A hold with its slices, oldest expiry first."""

    points: int
    slices: list[tuple[Lot, int]]
    state: str = "open"
    refunded: int = 0


@dataclass
class Book:
    """One customer's points as they must be."""

    customer_id: UUID
    lots: list[Lot] = field(default_factory=list)
    holds: dict[UUID, Hold] = field(default_factory=dict)
    earned: dict[UUID, int] = field(default_factory=dict)
    clawed: dict[UUID, int] = field(default_factory=dict)
    share: dict[UUID, int] = field(default_factory=dict)
    owed: int = 0

    def living(self, now: datetime) -> list[Lot]:
        return sorted((lot for lot in self.lots if lot.remaining and lot.expires_at > now), key=lambda lot: lot.order)

    def available(self, now: datetime) -> int:
        return sum(lot.remaining for lot in self.living(now))

    @property
    def held(self) -> int:
        return sum(hold.points for hold in self.holds.values() if hold.state == "open")


def take(lots: list[Lot], points: int) -> list[tuple[Lot, int]]:
    """Empty `lots` in order until `points` are taken; what was taken from which."""
    slices = []
    for lot in lots:
        part = min(lot.remaining, points)
        if part:
            lot.remaining -= part
            points -= part
            slices.append((lot, part))
    return slices


class PointsMachine(RuleBasedStateMachine):
    """Two customers, their orders, and time that passes. Every example is undone by a savepoint."""

    connection: ClassVar[sa.Connection]
    begin: ClassVar[datetime]
    orders = Bundle("orders")  # (book, order id)
    keys = Bundle("keys")  # (door, book, order id, key, what it answered)

    def __init__(self) -> None:
        super().__init__()
        self.savepoint = self.connection.begin_nested()
        self.session = Session(self.connection, join_transaction_mode="create_savepoint")
        self.now = self.begin
        self.books = [Book(factories.customer(self.session).id) for _ in range(2)]

    def teardown(self) -> None:
        self.session.close()
        self.savepoint.rollback()

    @rule(target=orders, who=st.integers(0, 1), points=POINTS)
    def earn(self, who: int, points: int) -> tuple[Book, UUID]:
        book, order_id = self.books[who], new_id()
        assert self._earn(book, order_id, points) == points
        netted = min(book.owed, points)
        book.owed -= netted
        lot_id = self.session.execute(
            sa.text("SELECT id FROM points_lot WHERE source_id = :id"), {"id": order_id}
        ).scalar_one()
        expires_at = self.now + timedelta(days=earning.LOT_DAYS)
        book.lots.append(Lot(lot_id, order_id, expires_at, points - netted))
        book.earned[order_id] = points
        return book, order_id

    def _earn(self, book: Book, order_id: UUID, points: int) -> int:
        return ledger.earn(
            self.session,
            customer_id=book.customer_id,
            order_id=order_id,
            points=points,
            key=f"earn:{order_id}",
            reason="pickup",
            actor=ACTOR,
            now=self.now,
        )

    @rule(order=orders, points=POINTS)
    def earn_again(self, order: tuple[Book, UUID], points: int) -> None:
        book, order_id = order
        if order_id in book.earned:
            assert self._earn(book, order_id, points) == book.earned[order_id]

    @rule(target=orders, who=st.integers(0, 1), points=st.integers(1, 500))
    def hold(self, who: int, points: int) -> object:
        book, order_id = self.books[who], new_id()
        available = book.available(self.now)
        if points > available:
            with pytest.raises(ledger.InsufficientPoints) as refused:
                self._hold(book, order_id, points)
            assert refused.value.extra == {"requested": points, "available": available}
            return multiple()
        self._hold(book, order_id, points)
        book.holds[order_id] = Hold(points, take(book.living(self.now), points))
        return book, order_id

    def _hold(self, book: Book, order_id: UUID, points: int) -> None:
        ledger.hold(
            self.session, customer_id=book.customer_id, order_id=order_id, points=points, actor=ACTOR, now=self.now
        )

    @rule(order=orders)
    def burn(self, order: tuple[Book, UUID]) -> None:
        book, order_id = order
        hold = book.holds.get(order_id)
        is_open = hold is not None and hold.state == "open"
        assert ledger.burn(self.session, order_id=order_id, actor=ACTOR, now=self.now) == (
            hold.points if hold and is_open else 0
        )
        if hold and is_open:
            hold.state = "burned"

    @rule(order=orders)
    def release(self, order: tuple[Book, UUID]) -> None:
        book, order_id = order
        hold = book.holds.get(order_id)
        is_open = hold is not None and hold.state == "open"
        got = ledger.release(self.session, order_id=order_id, actor=ACTOR, now=self.now)
        assert got == (hold.points if hold and is_open else 0)
        if hold and is_open:
            hold.state = "released" if any(lot.expires_at > self.now for lot, _ in hold.slices) else "expired"
            for lot, points in hold.slices:
                lot.remaining += points

    @rule(target=keys, order=orders, points=st.integers(0, 300))
    def refund(self, order: tuple[Book, UUID], points: int) -> object:
        book, order_id = order
        hold, key = book.holds.get(order_id), f"refund:{new_id()}"
        wanted = min(points, hold.points - hold.refunded) if hold and hold.state == "burned" else 0
        assert (
            ledger.refund(self.session, order_id=order_id, points=points, key=key, actor=ACTOR, now=self.now) == wanted
        )
        if not hold or not wanted:
            return multiple()
        # one point after the other, the model's own way to say "oldest first, where the last refund stopped"
        line = [lot for lot, part in hold.slices for _ in range(part)]
        for lot in line[hold.refunded : hold.refunded + wanted]:
            lot.remaining += 1
        hold.refunded += wanted
        return "refund", book, order_id, key, wanted

    @rule(target=keys, order=orders, more=st.integers(0, 7))
    def claw_back(self, order: tuple[Book, UUID], more: int) -> object:
        book, order_id = order
        share = min(7, book.share.get(order_id, 0) + more)
        book.share[order_id] = share
        due = book.earned.get(order_id, 0) * share // 7 - book.clawed.get(order_id, 0)
        key = f"claw:{new_id()}"
        assert self._claw_back(order_id, share, key) == due
        if not due:
            return multiple()
        living = sorted(book.living(self.now), key=lambda lot: (lot.order_id != order_id, lot.order))
        book.owed += due - sum(part for _, part in take(living, due))
        book.clawed[order_id] = book.clawed.get(order_id, 0) + due
        return "claw_back", book, order_id, key, due

    def _claw_back(self, order_id: UUID, share: int, key: str) -> int:
        return ledger.claw_back(
            self.session, order_id=order_id, numerator=share, denominator=7, key=key, actor=ACTOR, now=self.now
        )

    @rule(used=consumes(keys), points=POINTS)
    def repeat(self, used: tuple[str, Book, UUID, str, int], points: int) -> None:
        door, _, order_id, key, answer = used
        if door == "refund":
            got = ledger.refund(self.session, order_id=order_id, points=points, key=key, actor=ACTOR, now=self.now)
        else:
            got = self._claw_back(order_id, 7, key)
        assert got == answer

    @rule(days=st.sampled_from([1, 100, 182, 183, 365]))
    def time_passes(self, days: int) -> None:
        self.now += timedelta(days=days)

    @rule()
    def expire(self) -> None:
        ledger.expire_due(self.session, now=self.now, limit=100)
        for book in self.books:
            for lot in book.lots:
                if lot.expires_at <= self.now:
                    lot.remaining = 0

    @invariant()
    def the_books_agree(self) -> None:
        for book in self.books:
            living = book.living(self.now)
            first = living[0].expires_at if living else None
            expiry = {"points": sum(lot.remaining for lot in living if lot.expires_at == first), "at": first}
            assert queries.points_of(self.session, customer_id=book.customer_id, now=self.now) == {
                "available": book.available(self.now),
                "held": book.held,
                "owed": book.owed,
                "pending": 0,
                "state": "active",
                "lots_open": len(living),
                "next_expiry": expiry if living else None,
            }
            rows = self.session.execute(
                sa.text("SELECT id, remaining FROM points_lot WHERE customer_id = :id"), {"id": book.customer_id}
            )
            assert {row.id: row.remaining for row in rows} == {lot.id: lot.remaining for lot in book.lots}
            states = self.session.execute(
                sa.text("SELECT order_id, state, refunded FROM points_hold WHERE customer_id = :id"),
                {"id": book.customer_id},
            )
            assert {row.order_id: (row.state, row.refunded) for row in states} == {
                order_id: (hold.state, hold.refunded) for order_id, hold in book.holds.items()
            }
        # no balance below zero (CHECK), every transaction sums to zero, caches equal lots and entries
        assert list(audit.divergences(self.session)) == []


def test_points_are_never_lost_made_or_spent_twice(database: sa.Connection, now: datetime) -> None:
    PointsMachine.connection, PointsMachine.begin = database, now
    run_state_machine_as_test(
        PointsMachine,
        settings=settings(
            max_examples=40,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )
