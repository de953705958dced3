"""A shop whose stock does anything in any order, beside shelves.py: goods come and go, are promised and handed over.

`step` does one thing to both and compares. What concerns papers and limits is in inventory_papers.py.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import reservations, stock
from inventory.reservations import Demand
from retail.kernel.errors import Problem
from retail.kernel.ids import new_id
from tests.factories import Place, Variant, location, variant
from tests.inventory import books
from tests.inventory.books import balanced
from tests.inventory.supplies import bundle, policy
from tests.properties.shelves import Books, Key, Refused, expanded

ACTOR = "system"
CARTS = [new_id() for _ in range(2)]
# (variant, location) -> (units at first, safety, backorder limit)
AT_FIRST = {(0, 0): (6, 0, 6), (0, 1): (4, 1, 3), (1, 0): (4, 0, 5), (1, 1): (4, 2, 6)}
# what is ordered at first: whole, as a bundle, beyond what is here
ORDERS = ([(0, 0, 3), (1, 1, 1)], [(2, 1, 1)], [(1, 0, 6), (0, 0, 2)])
FACTS = ("count", "lost", "damaged", "stolen", "expired", "pick_failed")

keys = st.tuples(st.integers(0, 1), st.integers(0, 1))
units = st.integers(1, 4)
# 2 is the bundle: two of the first tea and one of the second
wanted = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 1), st.integers(1, 3)), min_size=1, max_size=2)
Say = Callable[[Books], Any]


class InventoryShop(RuleBasedStateMachine):
    """The database beside plain Python."""

    session: Session
    start: datetime

    def __init__(self) -> None:
        super().__init__()
        self.savepoint = self.session.begin_nested()
        self.now = self.start
        self.owned = 0  # units at locations and on their way
        self.orders: dict[UUID, list[Demand]] = {}
        self.books = Books.read(self.session)

    def teardown(self) -> None:
        self.savepoint.rollback()
        self.session.expunge_all()

    @initialize()
    def open_the_shop(self) -> None:
        self.teas: list[Variant] = [variant(self.session) for _ in range(2)]
        self.places: list[Place] = [location(self.session) for _ in range(2)]
        self.box = bundle(self.session, variant(self.session), (self.teas[0], 2), (self.teas[1], 1))
        self.goods = [*self.teas, self.box]
        self.parts = {self.box.id: [(self.teas[0].id, 2), (self.teas[1].id, 1)]}
        policy(self.session, self.teas[1], lead_days=5)
        for (tea, place), (quantity, safety, limit) in AT_FIRST.items():
            stock.receive(
                self.session,
                location_id=self.places[place].id,
                lines=[(self.teas[tea].id, quantity)],
                key=None,
                **self.given(),
            )
            books.limit(self.session, self.teas[tea], self.places[place], safety=safety, backorder_limit=limit)
            self.owned += quantity
        self.books = Books.read(self.session)
        for lines in ORDERS:
            self.place_order(None, lines)

    # --- one step

    def key(self, pair: tuple[int, int]) -> Key:
        return self.teas[pair[0]].id, self.places[pair[1]].id

    def given(self) -> dict[str, Any]:
        return {"actor": ACTOR, "now": self.now}

    def step(self, act: Callable[[], Any], say: Say, *, gone: int | Callable[[], int] = 0) -> str | None:
        """Do it, and compare with what should come of it; returns the refusal's code. `gone`: units that leave the shop for
        good (negative: that come)."""
        self.now += timedelta(seconds=1)
        before = self.books
        # While a hold has expired that nobody has settled, who is filled first depends on who looks: then only what does
        # not depend on it is compared. Accepted or refused is the same either way.
        exact = not before.expired(self.now)
        predicted = before.copy()
        predicted.sweep(self.now)
        refusal = None
        try:
            say(predicted)
        except Refused as refused:
            refusal, predicted = refused.code, before
        try:
            with self.session.begin_nested():
                act()
            code = None
        except Problem as problem:
            code = problem.code
        assert code == refusal
        self.books = after = Books.read(self.session)
        assert after.there() == predicted.there()
        assert after.open_units() == predicted.open_units()
        if exact or code is not None:
            assert after.numbers() == predicted.numbers()
            assert after.promises() == predicted.promises()
        if code is None:
            self.owned -= gone() if callable(gone) else gone
        return code

    # --- goods come and go

    @rule(place=st.integers(0, 1), lines=st.lists(st.tuples(st.integers(0, 1), units), min_size=1, max_size=3))
    def receive(self, place: int, lines: list[tuple[int, int]]) -> None:
        here = self.places[place].id
        bought = [(self.teas[tea].id, quantity) for tea, quantity in lines]

        def say(books: Books) -> None:
            for tea in {tea for tea, _ in bought}:
                books.add((tea, here), sum(quantity for one, quantity in bought if one == tea))

        def act() -> None:
            stock.receive(self.session, location_id=here, lines=bought, key=None, **self.given())

        self.step(act, say, gone=-sum(quantity for _, quantity in bought))

    @rule(place=st.integers(0, 1), made=st.integers(0, 2), quantity=units, fit=st.booleans())
    def put_back(self, place: int, made: int, quantity: int, fit: bool) -> None:
        here, what = self.places[place].id, self.goods[made].id
        parts = expanded([(None, (what, here), quantity)], self.parts)

        def say(books: Books) -> None:
            for _, key, count in parts:
                books.add(key, count, unavailable=not fit)

        def act() -> None:
            bucket = stock.AVAILABLE if fit else stock.UNAVAILABLE
            lines, cause = [(what, quantity)], {"cause": "return", "cause_id": None, "bucket": bucket}
            stock.put_back(self.session, location_id=here, lines=lines, **cause, **self.given())

        self.step(act, say, gone=-sum(count for _, _, count in parts))

    @rule(pair=keys, delta=st.integers(-5, 3).filter(bool), reason=st.sampled_from(FACTS), odd=st.integers(0, 3))
    def adjust(self, pair: tuple[int, int], delta: int, reason: str, odd: int) -> None:
        if delta > 0:
            reason = ("found", "count", "correction", "lost")[odd]
        elif odd == 0:
            reason = "sample" if delta > -3 else "correction"
        key, facts = self.key(pair), reason in FACTS

        def say(books: Books) -> None:
            if delta > 0 and reason == "lost":
                raise Refused("reason_invalid")
            if delta > 0:
                books.add(key, delta)
            else:
                books.take(key, -delta, self.now, fact=facts)

        def act() -> None:
            what = {"variant_id": key[0], "location_id": key[1], "delta": delta, "reason": reason}
            stock.adjust(self.session, **what, key=None, **self.given())

        self.step(act, say, gone=-delta)

    @rule(pair=keys, quantity=units, reason=st.sampled_from(["damaged", "inspection"]))
    def set_aside(self, pair: tuple[int, int], quantity: int, reason: str) -> None:
        key = self.key(pair)

        def act() -> None:
            what = {"variant_id": key[0], "location_id": key[1], "quantity": quantity, "reason": reason}
            stock.set_aside(self.session, **what, key=None, **self.given())

        self.step(act, lambda books: books.take(key, quantity, self.now, fact=reason == "damaged", aside=True))

    @rule(pair=keys, quantity=st.integers(1, 2), fit=st.booleans())
    def restore_or_write_off(self, pair: tuple[int, int], quantity: int, fit: bool) -> None:
        key, door = self.key(pair), stock.restore if fit else stock.write_off

        def act() -> None:
            what = {"variant_id": key[0], "location_id": key[1], "quantity": quantity}
            door(self.session, **what, key=None, **self.given())

        self.step(act, lambda books: books.out_of_unavailable(key, quantity, restore=fit), gone=0 if fit else quantity)

    # --- promises

    def demands(self, lines: list[tuple[int, int, int]]) -> list[Demand]:
        return [Demand(self.goods[made].id, self.places[place].id, count, new_id()) for made, place, count in lines]

    def asked(self, demands: list[Demand]) -> list[tuple[UUID | None, Key, int]]:
        return expanded([(demand.line_id, demand.key, demand.quantity) for demand in demands], self.parts)

    @rule(cart=st.none() | st.sampled_from(CARTS), lines=wanted)
    def place_order(self, cart: UUID | None, lines: list[tuple[int, int, int]]) -> None:
        order, demands = new_id(), self.demands(lines)

        def say(books: Books) -> None:
            books.promise(order, self.asked(demands), bucket="allocated", held_for=cart, now=self.now)

        def act() -> None:
            who = {"owner_id": order, "held_for": cart}
            reservations.allocate(self.session, demands=demands, **who, **self.given())

        if self.step(act, say) is None:
            self.orders[order] = demands

    @rule(cart=st.sampled_from(CARTS), lines=wanted, minutes=st.integers(1, 4))
    def hold(self, cart: UUID, lines: list[tuple[int, int, int]], minutes: int) -> None:
        demands = self.demands(lines)

        def say(books: Books) -> None:
            until = self.now + timedelta(minutes=minutes)
            asked = self.asked(demands)
            books.promise(cart, asked, bucket="held", held_for=cart, expires_at=until, now=self.now)

        def act() -> None:
            seconds = minutes * 60
            reservations.hold(self.session, owner_id=cart, demands=demands, hold_seconds=seconds, **self.given())

        self.step(act, say)

    def an_order(self, data: st.DataObject) -> UUID:
        """One to which something is promised, where there is one."""
        promised = {row.owner for row in self.books.rows}
        return data.draw(st.sampled_from([order for order in self.orders if order in promised] or list(self.orders)))

    @precondition(lambda self: self.orders)
    @rule(data=st.data(), to=st.integers(0, 1), whole=st.booleans())
    def move(self, data: st.DataObject, to: int, whole: bool) -> None:
        order, place = self.an_order(data), self.places[to].id
        lines = [one.line_id for one in self.orders[order] if one.line_id]
        chosen = lines if whole else [data.draw(st.sampled_from(lines))]

        def say(books: Books) -> None:
            books.move(order, chosen, place, self.now)

        def act() -> None:
            what = {"owner_id": order, "line_ids": chosen, "to_location_id": place}
            reservations.move(self.session, **what, **self.given())

        self.step(act, say)

    @precondition(lambda self: self.books.rows)
    @rule(data=st.data(), one_line=st.booleans())
    def release(self, data: st.DataObject, one_line: bool) -> None:
        owners = sorted({row.owner for row in self.books.rows if row.owner in self.orders or row.owner in CARTS})
        if not owners:
            return
        owner = data.draw(st.sampled_from(owners))
        line = data.draw(st.sampled_from(self.orders[owner])).line_id if one_line and owner in self.orders else None

        def act() -> None:
            chosen = None if line is None else [line]
            reservations.release(self.session, owner_id=owner, line_ids=chosen, cause="cancel", **self.given())

        def say(books: Books) -> None:
            books.release(lambda row: row.owner == owner and (line is None or row.line == line))

        self.step(act, say)

    @precondition(lambda self: self.orders)
    @rule(data=st.data())
    def hand_over(self, data: st.DataObject) -> None:
        order = self.an_order(data)
        there = sum(row.quantity for row in self.books.rows if row.owner == order)

        def act() -> None:
            reservations.consume(self.session, owner_id=order, line_ids=None, **self.given())

        self.step(act, lambda books: books.consume(order, None), gone=there)

    @precondition(lambda self: self.orders)
    @rule(data=st.data(), quantity=st.integers(1, 2))
    def hand_over_a_part(self, data: st.DataObject, quantity: int) -> None:
        order = self.an_order(data)
        # a bundle's line has several kinds of goods: it is handed over whole
        lines = [one.line_id for one in self.orders[order] if one.line_id and one.variant_id != self.box.id]
        if not lines:
            return
        line = data.draw(st.sampled_from(lines))

        def act() -> None:
            some = {line: quantity}
            reservations.consume(self.session, owner_id=order, line_ids=[line], quantities=some, **self.given())

        self.step(act, lambda books: books.consume(order, {line: quantity}), gone=quantity)

    @rule(minutes=st.integers(1, 5), tidy=st.booleans())
    def wait(self, minutes: int, tidy: bool) -> None:
        """Time passes, and (tidy) the job settles the holds that have expired."""
        self.now += timedelta(minutes=minutes)
        if tidy:
            self.step(lambda: reservations.expire_due(self.session, now=self.now, limit=100), lambda _: None)

    # --- what holds after every step

    @invariant()
    def all_accounts_agree(self) -> None:
        if not hasattr(self, "teas"):
            return
        assert balanced(self.session)
        now = self.books
        for key, shelf in now.shelves.items():
            assert min(now.numbers()[key]) >= 0
            assert now.allocated(key) - now.backordered(key) + shelf.unavailable <= shelf.on_hand
            assert now.spare(key) <= 0 or not now.waiting(key), "somebody waits for what lies on the shelf"
        on_the_way = "SELECT coalesce(sum(outstanding), 0) FROM transfer_line"
        there = sum(shelf.on_hand for shelf in now.shelves.values())
        assert there + self.session.execute(text(on_the_way)).scalar_one() == self.owned
