"""Any sequence of receipts, adjustments, holds, orders, releases, handovers, sweeps and waiting: every answer is the one
a small model in plain Python gives, and levels, movements and reservations agree after each step."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import availability, reservations, stock
from inventory.reservations import Demand, NotAllocated, NotOnHand, OutOfStock
from retail.kernel.ids import new_id
from tests.factories import Place, Variant, location, variant
from tests.inventory.books import balanced, limit

ACTOR = "system"
Key = tuple[UUID, UUID]
CARTS = [new_id() for _ in range(3)]
# (variant, location) -> (safety, backorder limit)
LIMITS = {(0, 0): (0, 0), (0, 1): (1, 0), (1, 0): (0, 2), (1, 1): (2, 1)}

places = st.tuples(st.integers(0, 1), st.integers(0, 1))
wanted = st.lists(st.tuples(places, st.integers(1, 4)), min_size=1, max_size=4)


@dataclass
class Shelf:
    """One level as the model keeps it."""

    safety: int
    backorder: int
    on_hand: int = 0
    allocated: dict[UUID, int] = field(default_factory=dict)
    held: dict[UUID, tuple[int, datetime]] = field(default_factory=dict)

    def held_now(self, now: datetime, but: UUID | None = None) -> int:
        return sum(count for cart, (count, until) in self.held.items() if until > now and cart != but)

    def free(self, now: datetime, cart: UUID | None = None) -> int:
        taken = sum(self.allocated.values()) + self.held_now(now, cart)
        return self.on_hand - taken - self.safety + self.backorder


class StockMachine(RuleBasedStateMachine):
    """The database and the model, side by side."""

    session: Session
    start: datetime

    def __init__(self) -> None:
        super().__init__()
        self.savepoint = self.session.begin_nested()
        self.now = self.start
        self.orders: list[UUID] = []

    def teardown(self) -> None:
        self.savepoint.rollback()
        self.session.expunge_all()

    @initialize()
    def open_the_shop(self) -> None:
        self.variants: list[Variant] = [variant(self.session) for _ in range(2)]
        self.locations: list[Place] = [location(self.session) for _ in range(2)]
        self.shelves: dict[tuple[int, int], Shelf] = {}
        for (made, place), (safety, backorder) in LIMITS.items():
            self.shelves[made, place] = Shelf(safety, backorder)
            lines = [(self.variants[made].id, 3)]
            self.add(place, lines)
            self.shelves[made, place].on_hand = 3
            limit(self.session, self.variants[made], self.locations[place], safety=safety, backorder_limit=backorder)

    def add(self, place: int, lines: list[tuple[UUID, int]]) -> None:
        location_id = self.locations[place].id
        stock.receive(self.session, location_id=location_id, lines=lines, key=None, actor=ACTOR, now=self.now)

    def demands(self, lines: list[tuple[tuple[int, int], int]]) -> list[Demand]:
        return [
            Demand(self.variants[made].id, self.locations[place].id, count, new_id()) for (made, place), count in lines
        ]

    def fits(self, lines: list[tuple[tuple[int, int], int]], cart: UUID | None) -> bool:
        """What the rules say: all lines of one level together, the cart's own holds not in its way."""
        totals: dict[tuple[int, int], int] = {}
        for key, count in lines:
            totals[key] = totals.get(key, 0) + count
        return all(self.shelves[key].free(self.now, cart) >= count for key, count in totals.items())

    @rule(
        place=st.integers(0, 1), lines=st.lists(st.tuples(st.integers(0, 1), st.integers(1, 3)), min_size=1, max_size=3)
    )
    def receive(self, place: int, lines: list[tuple[int, int]]) -> None:
        self.add(place, [(self.variants[made].id, count) for made, count in lines])
        for made, count in lines:
            self.shelves[made, place].on_hand += count

    @rule(key=places, delta=st.integers(-5, 3).filter(bool))
    def adjust(self, key: tuple[int, int], delta: int) -> None:
        """A correction never takes what is promised (what a count does is in test_inventory_machine.py)."""
        shelf = self.shelves[key]
        promised = sum(shelf.allocated.values()) + shelf.held_now(self.now)
        backed = sum(shelf.allocated.values()) - self.waiting(key)
        allowed = delta > 0 or shelf.on_hand + delta >= max(0, backed, promised - shelf.backorder)
        try:
            stock.adjust(
                self.session,
                location_id=self.locations[key[1]].id,
                variant_id=self.variants[key[0]].id,
                delta=delta,
                reason="correction",
                key=None,
                actor=ACTOR,
                now=self.now,
            )
        except stock.BelowPromised:
            assert not allowed
        else:
            assert allowed
            shelf.on_hand += delta

    @rule(cart=st.sampled_from(CARTS), lines=wanted, minutes=st.integers(1, 5))
    def hold(self, cart: UUID, lines: list[tuple[tuple[int, int], int]], minutes: int) -> None:
        fits = self.fits(lines, cart)
        demands = self.demands(lines)
        try:
            until = reservations.hold(
                self.session, owner_id=cart, demands=demands, hold_seconds=minutes * 60, actor=ACTOR, now=self.now
            )
        except OutOfStock:
            assert not fits
            return
        assert fits
        self.drop_holds(cart)
        for key, count in lines:
            before, _ = self.shelves[key].held.get(cart, (0, until))
            self.shelves[key].held[cart] = (before + count, until)

    def drop_holds(self, cart: UUID) -> None:
        for shelf in self.shelves.values():
            shelf.held.pop(cart, None)

    @rule(cart=st.none() | st.sampled_from(CARTS), lines=wanted)
    def place_order(self, cart: UUID | None, lines: list[tuple[tuple[int, int], int]]) -> None:
        fits, order_id = self.fits(lines, cart), new_id()
        demands = self.demands(lines)
        try:
            reservations.allocate(
                self.session, owner_id=order_id, demands=demands, held_for=cart, actor=ACTOR, now=self.now
            )
        except OutOfStock as refused:
            assert not fits
            self.check_shortages(refused, lines, cart)
            return
        assert fits
        if cart is not None:
            self.drop_holds(cart)
        for key, count in lines:
            allocated = self.shelves[key].allocated
            allocated[order_id] = allocated.get(order_id, 0) + count
        self.orders.append(order_id)

    def check_shortages(self, refused: OutOfStock, lines: list[tuple[tuple[int, int], int]], cart: UUID | None) -> None:
        """Every short line, once, with what this caller could have."""
        totals: dict[tuple[int, int], int] = {}
        for key, count in lines:
            totals[key] = totals.get(key, 0) + count
        expected = [
            (line, max(0, self.shelves[key].free(self.now, cart)))
            for line, (key, _) in enumerate(lines, start=1)
            if self.shelves[key].free(self.now, cart) < totals[key]
        ]
        assert [(error["line"], error["available"]) for error in refused.errors] == expected

    def waiting(self, key: tuple[int, int], order_id: UUID | None = None) -> int:
        """Units promised there (to one order) that are not on the shelf."""
        statement = text(
            "SELECT coalesce(sum(backordered), 0) FROM reservation WHERE variant_id = :v AND location_id = :l"
            " AND (CAST(:o AS uuid) IS NULL OR owner_id = :o)"
        )
        here = {"v": self.variants[key[0]].id, "l": self.locations[key[1]].id, "o": order_id}
        found: int = self.session.execute(statement, here).scalar_one()
        return found

    @precondition(lambda self: self.orders)
    @rule(data=st.data())
    def hand_over(self, data: st.DataObject) -> None:
        order_id = data.draw(st.sampled_from(self.orders))
        taken = {key: shelf.allocated[order_id] for key, shelf in self.shelves.items() if order_id in shelf.allocated}
        here = not any(self.waiting(key, order_id) for key in taken)
        try:
            reservations.consume(self.session, owner_id=order_id, line_ids=None, actor=ACTOR, now=self.now)
        except NotAllocated:
            assert not taken
        except NotOnHand:
            assert not here
        else:
            assert taken
            assert here
            for key, count in taken.items():
                self.shelves[key].on_hand -= count
                del self.shelves[key].allocated[order_id]

    @precondition(lambda self: self.orders)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        order_id = data.draw(st.sampled_from(self.orders))
        taken = [key for key, shelf in self.shelves.items() if order_id in shelf.allocated]
        released = reservations.release(self.session, owner_id=order_id, cause="cancel", actor=ACTOR, now=self.now)
        assert (released > 0) == bool(taken)
        for key in taken:
            del self.shelves[key].allocated[order_id]

    @rule(cart=st.sampled_from(CARTS))
    def abandon_cart(self, cart: UUID) -> None:
        reservations.release(self.session, owner_id=cart, cause="abandon", actor=ACTOR, now=self.now)
        self.drop_holds(cart)

    @rule(minutes=st.integers(1, 6))
    def wait(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)

    @rule(limit=st.integers(1, 3))
    def sweep(self, limit: int) -> None:
        assert reservations.expire_due(self.session, now=self.now, limit=limit) <= limit

    @invariant()
    def everybody_agrees(self) -> None:
        if not hasattr(self, "shelves"):
            return
        assert balanced(self.session)
        answers = availability.for_skus(
            self.session,
            skus=[made.sku for made in self.variants],
            location_ids=[place.id for place in self.locations],
            now=self.now,
        )
        for (made, place), shelf in self.shelves.items():
            (found,) = [
                entry for entry in answers[made]["locations"] if entry["location"]["code"] == self.locations[place].code
            ]
            counted = (found["on_hand"], found["allocated"], found["held"])
            assert counted == (shelf.on_hand, sum(shelf.allocated.values()), shelf.held_now(self.now))
            assert found["available"] == max(0, shelf.free(self.now) - shelf.backorder)
            self.check_who_waits((made, place))

    def check_who_waits(self, key: tuple[int, int]) -> None:
        """Nobody waits for units that lie there for nobody; what nobody has swept yet may still seem held."""
        shelf = self.shelves[key]
        statement = text("SELECT held FROM stock_level WHERE variant_id = :v AND location_id = :l")
        here = {"v": self.variants[key[0]].id, "l": self.locations[key[1]].id}
        held = self.session.execute(statement, here).scalar_one()
        backed = sum(shelf.allocated.values()) - self.waiting(key)
        assert backed <= shelf.on_hand
        assert self.waiting(key) == 0 or shelf.on_hand - backed - held - shelf.safety <= 0


def test_stock_is_what_the_model_says(session: Session, now: datetime) -> None:
    class Machine(StockMachine):
        pass

    Machine.session, Machine.start = session, now
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=30,
            stateful_step_count=25,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
