"""Any path of an order's goods: picked, missing, broken, counted, moved, sent, arrived, replaced, paid back, collected, expired,
called off. After each step every unit of every line is somewhere, promised where it is to be, and paid for once."""

import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import stock
from orders import cancellation, checkout, moving, no_shows, pickup, resourcing, ship_to_store, shortfalls, substitutes
from orders import value as values
from orders.checkout import Item
from orders.ship_to_store import Scanned
from orders.shortfalls import Lack
from retail.kernel.auth import STAFF, Principal
from retail.kernel.errors import Problem
from retail.kernel.ids import new_id
from retail.roles import ROLES
from tests.factories import Place, Variant, location, variant
from tests.factories import channels as make_channels
from tests.inventory.books import balanced
from tests.inventory.supplies import bundle

BOSS = Principal(STAFF, new_id(), ROLES["admin"], channel="web")
ADDRESS = {"name": "Hanako", "postal_code": "150-0041", "city": "Shibuya", "line1": "1-2-3", "country": "JP"}
any_part = st.integers(0, 5)
few = st.integers(1, 3)
OPEN = ("allocated", "picking", "packed", "arrived", "ready", "short")

_PARTS = text(
    """
    SELECT f.id, f.method, f.state, f.location_id, f.source_location_id, f.arrived_at, fl.order_line_id, fl.quantity, fl.picked,
           fl.collected, fl.short, fl.cancelled,
           coalesce((SELECT sum(quantity) FROM shortfall AS s WHERE s.fulfillment_id = f.id AND s.order_line_id = fl.order_line_id
                     AND s.state IN ('open', 'proposed')), 0)::int AS unsettled
    FROM fulfillment AS f JOIN fulfillment_line AS fl ON fl.fulfillment_id = f.id WHERE f.order_id = :order ORDER BY f.id
    """
)
_PROMISED = text(
    """
    SELECT line_id, location_id, variant_id, sum(quantity)::int / max(per_unit) AS units, sum(quantity)::int % max(per_unit) AS odd
    FROM reservation WHERE owner_id = :order AND state IN ('allocated', 'short') GROUP BY line_id, location_id, variant_id
    """
)
_KEPT = text(
    """
    SELECT (SELECT coalesce(sum(amount_minor - released_minor - refunded_minor), 0)::bigint FROM payment
            WHERE order_id = :order AND state <> 'voided')
           - (SELECT coalesce(sum(e.amount_minor), 0)::bigint FROM payment_entry AS e JOIN payment AS p ON p.id = e.payment_id
              WHERE p.order_id = :order AND e.kind = 'refund' AND e.state = 'started')
    """
)
_LINES = text(
    "SELECT id, quantity, cancelled_quantity, total_minor FROM order_line WHERE order_id = :order ORDER BY position"
)


class FulfillmentMachine(RuleBasedStateMachine):
    """One order of teas and a box of a tea and two cups, three places, and everything that can befall it."""

    session: Session
    start: datetime

    def __init__(self) -> None:
        super().__init__()
        self.savepoint = self.session.begin_nested()
        self.now = self.start

    def teardown(self) -> None:
        self.savepoint.rollback()
        self.session.expunge_all()

    @initialize()
    def open_the_shop(self) -> None:
        make_channels(self.session)
        self.tea, self.cup, self.box, self.green = (
            variant(self.session, price_minor=p) for p in (1980, 700, 3001, 1500)
        )
        bundle(self.session, self.box, (self.tea, 1), (self.cup, 2))
        self.here, self.there = location(self.session), location(self.session, name="Ueno")
        self.depot = location(self.session, kind="warehouse", pickup_enabled=False)
        for place in (self.here, self.there, self.depot):
            for made, units in ((self.tea, 6), (self.cup, 4), (self.green, 3)):
                self.receive(place, made, units)
        lines = [Item(3, self.tea.sku), Item(2, self.box.sku)]
        order = checkout.place(
            self.session,
            caller=BOSS,
            now=self.now,
            lines=lines,
            method="pickup",
            location=self.here.id,
            payment={"method": "pay_at_pickup"},
            contact={"name": "Hanako", "email": "h@example.com", "phone": None},
        )
        self.order: UUID = order["id"]

    # --- Finding one's way

    @property
    def places(self) -> list[Place]:
        return [self.here, self.there, self.depot]

    def receive(self, place: Place, made: Variant, units: int) -> None:
        lines = [(made.id, units)]
        stock.receive(self.session, location_id=place.id, lines=lines, key=None, actor="system", now=self.now)

    def parts(self) -> list[Any]:
        return list(self.session.execute(_PARTS, {"order": self.order}))

    def part(self, number: int, *states: str) -> UUID:
        """One of the parts: mostly one in these states (``missing``: of which something is), sometimes any."""
        rows = self.parts()
        fit = [row for row in rows if row.state in states or ("missing" in states and row.unsettled)]
        known = sorted({row.id for row in (fit if fit and number < 5 else rows)})
        found: UUID = known[number % len(known)]
        return found

    def attempt(self, work: Callable[[], Any]) -> bool:
        """Whether it was done; what is refused changes nothing."""
        self.now += timedelta(minutes=1)
        try:
            with self.session.begin_nested():
                work()
        except Problem:
            return False
        finally:
            self.session.expire_all()
        return True

    def given(self, number: int, *states: str) -> dict[str, Any]:
        return {"fulfillment_id": self.part(number, *states), "caller": BOSS, "now": self.now}

    def noted(self) -> None:
        """What the handlers of AllocationShort and AllocationFilled do."""
        shortfalls.note(self.session, order_id=self.order, cause="count", actor="system", now=self.now)

    # --- What befalls it

    @rule(number=any_part)
    def pick(self, number: int) -> None:
        if number == 4:
            return
        self.attempt(lambda: pickup.start_picking(self.session, **self.given(number, "allocated")))

    @rule(number=any_part, line=st.integers(0, 3), units=few, cup=st.booleans(), broken=st.booleans())
    def miss(self, number: int, line: int, units: int, cup: bool, broken: bool) -> None:
        self.pick(number)
        known = sorted({row.order_line_id for row in self.parts() if row.id == self.part(number, "picking")})
        sku = self.cup.sku if cup else self.tea.sku
        lack = Lack(known[line % len(known)], units, sku)
        reason = "damaged" if broken else "not_found"
        self.attempt(
            lambda: shortfalls.report(self.session, lines=[lack], reason=reason, **self.given(number, "picking"))
        )

    @rule(place=st.integers(0, 2), cup=st.booleans(), units=few, note=st.booleans())
    def count_finds_less(self, place: int, cup: bool, units: int, note: bool) -> None:
        what: dict[str, Any] = {"location_id": self.places[place].id, "variant_id": (self.cup if cup else self.tea).id}
        self.attempt(
            lambda: stock.adjust(
                self.session, delta=-units, reason="count", key=None, actor="system", now=self.now, **what
            )
        )
        if note:
            self.noted()

    @rule(place=st.integers(0, 2), cup=st.booleans(), units=few)
    def goods_come_in(self, place: int, cup: bool, units: int) -> None:
        self.receive(self.places[place], self.cup if cup else self.tea, units)
        self.noted()

    @rule(number=any_part)
    def make_ready(self, number: int) -> None:
        self.pick(number)
        self.attempt(lambda: pickup.mark_ready(self.session, **self.given(number, "picking", "arrived")))

    @rule(number=any_part)
    def collect(self, number: int) -> None:
        for tender in ("cash", None):
            if self.attempt(
                lambda tender=tender: pickup.collect(
                    self.session, identity="passport", tender=tender, **self.given(number, "ready")
                )
            ):
                return

    @rule(number=any_part, place=st.integers(0, 2))
    def move(self, number: int, place: int) -> None:
        self.attempt(lambda: moving.move(self.session, location=self.places[place].code, **self.given(number)))

    @rule(number=any_part, way=st.sampled_from(resourcing.WAYS))
    def take_from_elsewhere(self, number: int, way: str) -> None:
        self.attempt(
            lambda: resourcing.resource(
                self.session, way=way, ship_to=ADDRESS, actor="system", **self.given(number, "missing")
            )
        )

    @rule(number=any_part)
    def pay_back(self, number: int) -> None:
        self.attempt(
            lambda: shortfalls.refund(self.session, line_ids=None, actor="system", **self.given(number, "missing"))
        )

    @rule(number=any_part, answer=st.sampled_from(["yes", "no", "none", "open"]))
    def replace(self, number: int, answer: str) -> None:
        made: list[UUID] = []
        lines = [row.order_line_id for row in self.parts() if row.id == self.part(number, "missing") and row.unsettled][
            :1
        ]
        self.attempt(
            lambda: made.append(
                substitutes.propose(self.session, line_ids=lines, sku=self.green.sku, **self.given(number, "missing"))
            )
        )
        if not made or answer == "open":
            return
        if answer == "none":
            later = self.now + timedelta(hours=25)
            self.attempt(lambda: substitutes.expire_one(self.session, proposal_id=made[0], now=later))
            return
        token = substitutes.token_of(made[0])
        assert self.attempt(lambda: substitutes.answer(self.session, token=token, accept=answer == "yes", now=self.now))

    @rule(number=any_part)
    def dispatch(self, number: int) -> None:
        self.pick(number)
        self.attempt(lambda: ship_to_store.dispatch(self.session, **self.given(number, "picking")))

    @rule(number=any_part, lost=st.integers(0, 2), broken=st.integers(0, 1))
    def arrive(self, number: int, lost: int, broken: int) -> None:
        rows = [row for row in self.parts() if row.id == self.part(number, "in_transit")]
        scanned = []
        for row in rows:
            units = max(0, row.quantity - row.short - row.cancelled - lost)
            if row.quantity - row.short - row.cancelled:
                scanned.append(Scanned(row.order_line_id, units, min(units, broken)))
        self.attempt(lambda: ship_to_store.arrive(self.session, scanned=scanned, **self.given(number, "in_transit")))

    @rule(number=any_part)
    def nobody_comes(self, number: int) -> None:
        later = self.now + timedelta(days=60)
        self.attempt(lambda: no_shows.expire(self.session, before=later, **self.given(number, "ready")))

    @rule(really=st.integers(0, 40))
    def call_off(self, really: int) -> None:
        if really != 40:
            return
        self.attempt(
            lambda: cancellation.call_off(self.session, order_id=self.order, reason="x", caller=BOSS, now=self.now)
        )
        self.noted()

    # --- What is always true

    @invariant()
    def the_books_agree(self) -> None:
        assert balanced(self.session)

    @property
    def called_off(self) -> bool:
        statement = text('SELECT cancelled_at IS NOT NULL FROM "order" WHERE id = :order')
        return bool(self.session.execute(statement, {"order": self.order}).scalar_one())

    @invariant()
    def every_unit_is_somewhere(self) -> None:
        """Of each line: given up, or with the customer, or still to come in some part, or missing and undecided."""
        if self.called_off:
            return
        rows = self.parts()
        for line_id, quantity, cancelled, _ in self.session.execute(_LINES, {"order": self.order}):
            units = sum(
                row.quantity - row.short - row.cancelled + row.unsettled for row in rows if row.order_line_id == line_id
            )
            assert units == quantity - cancelled, [tuple(row) for row in rows]

    @invariant()
    def every_unit_is_promised_where_it_is_to_be(self) -> None:
        wanted: dict[tuple[UUID, UUID], int] = {}
        for row in self.parts():
            if row.state not in OPEN:
                continue
            source = row.source_location_id if row.arrived_at is None else None
            key = (row.order_line_id, source or row.location_id)
            todo = row.quantity - row.short - row.cancelled - row.collected + row.unsettled
            wanted[key] = wanted.get(key, 0) + todo
        promised: dict[tuple[UUID, UUID], set[int]] = {}
        for row in self.session.execute(_PROMISED, {"order": self.order}):
            assert row.odd == 0
            promised.setdefault((row.line_id, row.location_id), set()).add(row.units)
        assert promised == {key: {units} for key, units in wanted.items() if units}

    @invariant()
    def what_is_kept_is_what_the_goods_are_worth(self) -> None:
        worth = 0
        if not self.called_off:
            for _, quantity, cancelled, total in self.session.execute(_LINES, {"order": self.order}):
                worth += total - values.worth(total_minor=total, quantity=quantity, before=0, units=cancelled)
        assert self.session.execute(_KEPT, {"order": self.order}).scalar_one() == worth


def follow(machine: FulfillmentMachine, choose: random.Random) -> None:
    """One step of those that make sense now, mostly: a search by chance alone ends early, or never gets far."""
    rows = machine.parts()
    states = {row.state for row in rows}
    number = choose.randint(0, 4)
    units = choose.randint(1, 2)
    steps: list[Callable[[], Any]] = [
        lambda: machine.count_finds_less(choose.randint(0, 2), choose.random() < 0.5, units, choose.random() < 0.5),
        lambda: machine.goods_come_in(choose.randint(0, 2), choose.random() < 0.5, units),
        lambda: machine.pick(number),
    ]
    if states & {"allocated", "picking"}:
        steps += [
            lambda: machine.miss(number, choose.randint(0, 3), units, choose.random() < 0.5, choose.random() < 0.2),
            lambda: machine.move(choose.randint(0, 5), choose.randint(0, 2)),
            lambda: machine.make_ready(number),
        ]
    if any(row.unsettled for row in rows):
        steps += [
            lambda: machine.take_from_elsewhere(0, choose.choice(resourcing.WAYS)),
            lambda: machine.take_from_elsewhere(1, "ship_to_store"),
            lambda: machine.pay_back(number),
            lambda: machine.replace(number, choose.choice(["yes", "yes", "no", "none", "open"])),
        ]
    if any(row.method == "ship_to_store" for row in rows):
        steps += [lambda number=number: machine.dispatch(number)] * 3  # type: ignore[misc]
    if "in_transit" in states:
        steps += [lambda: machine.arrive(number, choose.randint(0, 1), choose.randint(0, 1))] * 3
    if "ready" in states:
        steps += [lambda: machine.collect(number), lambda: machine.nobody_comes(number)]
    if choose.random() < 0.01:
        machine.call_off(40)
    choose.choice(steps)()


@pytest.mark.parametrize("seed", range(60))
def test_paths_that_lead_far(session: Session, now: datetime, seed: int) -> None:
    class Machine(FulfillmentMachine):
        pass

    Machine.session, Machine.start = session, now
    machine = Machine()
    machine.open_the_shop()
    choose = random.Random(seed)
    for _ in range(25):
        follow(machine, choose)
        machine.the_books_agree()
        machine.every_unit_is_somewhere()
        machine.every_unit_is_promised_where_it_is_to_be()
        machine.what_is_kept_is_what_the_goods_are_worth()
    machine.teardown()


def test_every_path_of_an_orders_goods(session: Session, now: datetime) -> None:
    class Machine(FulfillmentMachine):
        pass

    Machine.session, Machine.start = session, now
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=25,
            stateful_step_count=30,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
