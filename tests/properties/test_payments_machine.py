"""A card payment in any order of what can befall it: put aside, put aside anew, less of it, charged, given
free, paid back in parts, told of again and again. After each step no more is charged than was put aside and no
more paid back than was charged, the sums are those of the ledger and of the provider, and the audits find nothing."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import audit as stock_audit
from loyalty import audit as points_audit
from orders import audit, payments, renewals, webhooks
from tests.conftest import NOW
from tests.factories import Actor, staff
from tests.factories.orders import Shop, pickup_body, shop
from tests.factories.shortfalls import key
from tests.factories.stripe import GOOD_CARD, CardNetwork, event, signature

few = st.integers(1, 3)
_SUMS = text(
    """
    SELECT provider_id, authorized_minor, captured_minor, refunded_minor FROM payment
    WHERE order_id = :id AND provider_id IS NOT NULL ORDER BY id
    """
)
EVENTS = (
    "payment_intent.succeeded",
    "payment_intent.canceled",
    "payment_intent.amount_capturable_updated",
    "charge.refunded",
)


class PaymentsMachine(RuleBasedStateMachine):
    """One order of three teas, paid by card."""

    api: Callable[..., Any]
    session: Session
    cards: CardNetwork
    made: Shop
    boss: Actor
    reached: set[str]

    @initialize(policy=st.sampled_from(["placed", "ready", "collected"]), fewer=st.integers(0, 2))
    def place(self, policy: str, fewer: int) -> None:
        self.session.execute(text("UPDATE location SET capture_at = :policy"), {"policy": policy})
        body = pickup_body(self.made, quantity=3) | {"payment": {"method": "card", "payment_method": GOOD_CARD}}
        answer = self.api(self.made.customer).post("/orders", key=key(), json=body)
        assert answer.status_code == 201, answer.json
        self.order = answer.json
        self.line = self.order["lines"][0]["id"]
        if fewer:
            self.less(fewer)

    def ask(self, path: str, name: str, **body: Any) -> None:
        """Done, or refused for a reason; never an error."""
        answer = self.api(self.boss).post(f"/orders/{self.order['reference']}/{path}", key=key(), json=body)
        assert answer.status_code in (200, 201, 404, 409), answer.json
        if answer.status_code < 300:
            self.reached.add(name)

    @rule(units=st.integers(1, 2))
    def less(self, units: int) -> None:
        self.ask(f"lines/{self.line}/cancellation", "less", quantity=units)

    @rule()
    def hand_over(self) -> None:
        pickup_id = self.order["fulfillments"][0]["id"]
        counter = self.api(self.made.associate)
        for step, body in (("picking", None), ("ready", None), ("collection", {"identity": "passport"})):
            answer = counter.post(f"/pickups/{pickup_id}/{step}", key=key(), json=body)
            assert answer.status_code in (200, 409), answer.json
        if answer.status_code == 200:
            self.reached.add("hand_over")
            (line,) = self.api(self.boss).get(f"/orders/{self.order['reference']}").json["lines"]
            if 0 < line["cancelled_quantity"] < line["quantity"]:
                self.reached.add("part handed over")

    @rule()
    def call_off(self) -> None:
        self.ask("cancellation", "call_off")

    @rule(units=few)
    def pay_units_back(self, units: int) -> None:
        self.ask("refunds", "units", reason="x", lines=[{"order_line_id": self.line, "quantity": units}])

    @rule(amount=st.integers(1, 3000))
    def give(self, amount: int) -> None:
        self.ask("refunds", "goodwill", reason="x", amount={"amount_minor": amount, "currency": "JPY"})

    @rule()
    def pay_all_back(self) -> None:
        self.ask("refunds", "all", reason="x")

    @rule()
    def put_aside_anew(self) -> None:
        if renewals.renew_due(now=NOW + timedelta(days=6, hours=12)):
            self.reached.add("anew")

    @rule(kinds=st.lists(st.sampled_from(EVENTS), min_size=1, max_size=3))
    def tell(self, kinds: list[str]) -> None:
        """Webhooks about every intent, in any order and again: they say little, and what they say may be old."""
        for intent, *_ in self.rows():
            for kind in kinds:
                raw = event(f"evt_{key()}", intent, kind)
                header = {"Stripe-Signature": signature(raw, NOW)}
                for _ in range(2):
                    assert self.api().post("/hooks/stripe/main", data=raw, headers=header).status_code == 200
        webhooks.process_inbox(now=NOW)

    @rule()
    def settle(self) -> None:
        payments.settle_started(now=NOW + timedelta(days=6, hours=13))

    def rows(self) -> list[Any]:
        return list(self.session.execute(_SUMS, {"id": self.order["id"]}).all())

    @invariant()
    def no_more_than_was_put_aside(self) -> None:
        for intent, authorized, captured, refunded in self.rows():
            assert 0 <= refunded <= captured <= authorized
            theirs = self.cards.intent(intent)
            assert theirs["amount_received"] == captured
            assert sum(one["amount"] for one in self.cards.refunds(intent)) == refunded

    @invariant()
    def the_books_agree(self) -> None:
        assert [
            *audit.divergences(self.session),
            *stock_audit.divergences(self.session),
            *points_audit.divergences(self.session),
        ] == []


def machine_of(session: Session, api: Callable[..., Any], cards: CardNetwork) -> type[PaymentsMachine]:
    """A machine on this test's shop."""

    class Machine(PaymentsMachine):
        pass

    Machine.api, Machine.session, Machine.cards = staticmethod(api), session, cards  # type: ignore[assignment]
    Machine.made, Machine.boss, Machine.reached = shop(session, units=1000), staff(session, "admin"), set()
    return Machine


def test_any_order_of_what_befalls_a_card(session: Session, api: Callable[..., Any], cards: CardNetwork) -> None:
    run_state_machine_as_test(
        machine_of(session, api, cards),
        settings=settings(
            max_examples=25,
            stateful_step_count=10,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )


WALKS: tuple[tuple[int, tuple[tuple[str, tuple[Any, ...]], ...]], ...] = (
    (0, (("put_aside_anew", ()), ("hand_over", ()), ("pay_units_back", (1,)), ("give", (100,)))),
    (1, (("hand_over", ()), ("pay_all_back", ()))),
    (0, (("tell", (list(EVENTS),)), ("call_off", ()), ("settle", ()))),
)


def test_every_step_can_happen(session: Session, api: Callable[..., Any], cards: CardNetwork) -> None:
    """What the walks above draw by chance, on known ways: a step that can never be taken would prove nothing."""
    made = machine_of(session, api, cards)
    for fewer, steps in WALKS:
        machine = made()
        machine.place("collected", fewer)
        for name, given in steps:
            getattr(machine, name)(*given)
            machine.no_more_than_was_put_aside()
            machine.the_books_agree()
    every = {"less", "hand_over", "call_off", "units", "goodwill", "all", "anew", "part handed over"}
    assert made.reached == every
