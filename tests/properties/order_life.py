"""One order from placing to its end, in any way that the shop knows: what can be done to it, step by step. What is refused changes
nothing; a process may die after any transaction, and the card network may be silent."""

import random
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import stock
from loyalty import ledger
from orders import (
    cancellation,
    changing,
    checkout,
    gift_cards,
    line_cancellation,
    moving,
    no_shows,
    payments,
    pickup,
    refunds,
    resourcing,
    ship_to_store,
    shipping,
    shipping_fees,
    shortfalls,
    substitutes,
)
from orders.changing import Addition, LineChange
from orders.changing.money import Settlement
from orders.checkout import Item
from orders.queries.parcels import shipment_dict
from orders.ship_to_store import Scanned
from orders.shipping import Packed
from orders.shortfalls import Lack
from retail.kernel.auth import STAFF, Principal
from retail.kernel.errors import Problem
from retail.kernel.ids import new_id
from retail.roles import ROLES
from tests.factories import Place, Variant, customer, location, variant
from tests.factories.card_book import AFTER, BAD_CARD, BEFORE, CardBook
from tests.factories.shortfalls import deliver_events

ADDRESS = {"name": "Hanako", "postal_code": "150-0041", "city": "Shibuya", "line1": "1-2-3", "country": "JP"}
POINTS, BALANCE = 3_000, 2_500
TILL, PICKUP, SHIP, ELSEWHERE = "carry_out", "pickup", "ship", "ship_to_store"

_PARTS = text(
    """
    SELECT f.id, f.method, f.state, f.location_id, f.source_location_id, fl.order_line_id AS line_id,
           fl.quantity - fl.short - fl.cancelled - fl.collected AS todo, fl.collected,
           coalesce((SELECT sum(quantity) FROM shortfall AS s WHERE s.fulfillment_id = f.id AND s.order_line_id = fl.order_line_id
                     AND s.state IN ('open', 'proposed')), 0)::int AS missing
    FROM fulfillment AS f JOIN fulfillment_line AS fl ON fl.fulfillment_id = f.id WHERE f.order_id = :order ORDER BY f.id
    """
)
_LINES = text(
    "SELECT id, sku, quantity, quantity - cancelled_quantity - refunded_quantity AS left FROM order_line "
    "WHERE order_id = :order AND kind = 'goods' ORDER BY position"
)


class OrderLife:
    """The shop, its customer and her one order. `choose` decides everything, so that a walk can be repeated."""

    def __init__(self, session: Session, now: datetime, cards: CardBook, choose: random.Random) -> None:
        self.session, self.now, self.cards, self.choose = session, now, cards, choose
        self.order: UUID | None = None
        self.log: list[str] = []
        self.hanako = customer(session, email="h@example.com", phone="+819012345678")
        self.boss = Principal(STAFF, new_id(), ROLES["admin"], channel="web")
        self.tea, self.cup, self.green = (variant(session, price_minor=p) for p in (1980, 700, 1500))
        policies = ("placed", "ready", "collected")
        self.here, self.there = (location(session, capture_at=choose.choice(policies)) for _ in range(2))
        self.depot = location(session, kind="warehouse", pickup_enabled=False, capture_at=choose.choice(policies))
        session.execute(text("UPDATE location SET ship_enabled = true WHERE id = :id"), {"id": self.depot.id})
        for place in self.places:
            for made in (self.tea, self.cup, self.green):
                self.receive(place, made, 6)
        ledger.earn(
            session,
            customer_id=self.hanako.id,
            order_id=None,
            points=POINTS,
            key=f"gift:{new_id()}",
            reason="gift",
            actor="system",
            now=now,
        )
        self.gift = gift_cards.issue(session, amount_minor=BALANCE, currency="JPY", actor="system", now=now)
        rate = {"amount_minor": 550, "free_from_minor": None, "tax_class": "standard"}
        where = {"currency": "JPY", "country": "all", "region": "all"}
        shipping_fees.put(session, rate=rate, version=0, actor="system", now=now, **where)

    # --- Finding one's way

    @property
    def places(self) -> list[Place]:
        return [self.here, self.there, self.depot]

    @property
    def reference(self) -> str:
        return str(self.order)

    def receive(self, place: Place, made: Variant, units: int) -> None:
        lines = [(made.id, units)]
        stock.receive(self.session, location_id=place.id, lines=lines, key=None, actor="system", now=self.now)

    def parts(self) -> list[Any]:
        return list(self.session.execute(_PARTS, {"order": self.order}))

    def lines(self) -> list[Any]:
        return list(self.session.execute(_LINES, {"order": self.order}))

    def attempt(self, name: str, work: Callable[[], Any]) -> bool:
        """Do it in one transaction, then what a route does after the commit, unless the process dies; whether it was done."""
        self.now += timedelta(minutes=1)
        try:
            with self.session.begin_nested():
                work()
        except Problem as refused:
            self.log.append(f"{name}: {refused.code}")
            return False
        finally:
            self.session.expire_all()
        self.log.append(name)
        if self.choose.random() < 0.8:
            self.after_commit()
        return True

    def after_commit(self) -> None:
        if self.order is not None:
            cancellation.settle(order_id=self.order, now=self.now)

    def given(self, part: UUID) -> dict[str, Any]:
        return {"fulfillment_id": part, "caller": self.boss, "now": self.now}

    # --- Placing

    def place(self) -> bool:
        """By a way, a set of tenders and at a place that chance chooses; whether there is an order now."""
        choose = self.choose
        method = choose.choice((TILL, *(PICKUP, SHIP) * 4, PICKUP))
        lines = [Item(choose.randint(1, 3), self.tea.sku), Item(choose.randint(1, 2), self.cup.sku)]
        tender = {TILL: "cash", PICKUP: choose.choice(("card", "pay_at_pickup")), SHIP: "card"}[method]
        card = BAD_CARD if choose.random() < 0.1 else "pm_card_visa"
        payment = {"method": tender} | ({"payment_method": card} if tender == "card" else {})
        made: list[dict[str, Any]] = []
        caller = self.boss if method != TILL else Principal(STAFF, new_id(), ROLES["admin"], channel="web")

        def work() -> None:
            order = checkout.place(
                self.session,
                caller=caller,
                now=self.now,
                lines=lines,
                method=method,
                location=None if method == SHIP else self.here.id,
                ship_to=ADDRESS if method == SHIP else None,
                payment=payment,
                gift_card_numbers=[self.gift.number] if choose.random() < 0.4 else [],
                points_to_spend=choose.choice((0, 0, 500, POINTS)),
                customer_id=self.hanako.id,
            )
            by_card = next((one for one in order["payments"] if one["tender"] == "card"), None)
            if by_card is not None:
                payments.prepare_authorization(
                    self.session,
                    order_id=order["id"],
                    payment_id=by_card["id"],
                    amount_minor=by_card["amount"]["amount_minor"],
                    currency="JPY",
                    provider_method=card,
                    actor=caller.actor,
                    now=self.now,
                )
            made.append(order)
            self.order = order["id"]

        self.attempt(f"place {method} {payment}", work)
        return bool(made)

    # --- What befalls it

    def pick(self, part: Any) -> None:
        start = shipping.start_picking if part.method == SHIP else pickup.start_picking
        self.attempt("pick", lambda: start(self.session, **self.given(part.id)))

    def miss(self, part: Any) -> None:
        sku = next(line.sku for line in self.lines() if line.id == part.line_id)
        lack = Lack(part.line_id, self.choose.randint(1, 2), sku)
        reason = self.choose.choice(("not_found", "damaged"))
        self.attempt(
            "miss", lambda: shortfalls.report(self.session, lines=[lack], reason=reason, **self.given(part.id))
        )

    def resolve(self, part: Any) -> None:
        way = self.choose.choice((*resourcing.WAYS, "refund", "substitute", "substitute"))
        given = self.given(part.id)
        if way == "refund":
            self.attempt(way, lambda: shortfalls.refund(self.session, line_ids=None, actor="system", **given))
        elif way == "substitute":
            self.substitute(part)
        else:
            self.attempt(
                way, lambda: resourcing.resource(self.session, way=way, ship_to=ADDRESS, actor="system", **given)
            )

    def substitute(self, part: Any) -> None:
        made: list[UUID] = []
        lines, sku = [part.line_id], self.green.sku
        self.attempt(
            "propose",
            lambda: made.append(substitutes.propose(self.session, line_ids=lines, sku=sku, **self.given(part.id))),
        )
        if made and self.choose.random() < 0.8:
            token, accept = substitutes.token_of(made[0]), self.choose.random() < 0.7
            self.attempt("answer", lambda: substitutes.answer(self.session, token=token, accept=accept, now=self.now))

    def ready(self, part: Any) -> None:
        self.attempt("ready", lambda: pickup.mark_ready(self.session, **self.given(part.id)))

    def collect(self, part: Any) -> None:
        for tender in ("cash", None):
            proof = {"identity": "passport", "tender": tender}
            if self.attempt(
                "collect", lambda proof=proof: pickup.collect(self.session, **proof, **self.given(part.id))
            ):  # type: ignore[misc]
                return

    def pack(self, part: Any) -> None:
        """All in one parcel, or one for each line."""
        units = {row.line_id: row.todo for row in self.parts() if row.id == part.id and row.todo}
        each = [Packed({line: some}) for line, some in units.items()]
        parcels = each if self.choose.random() < 0.5 else [Packed(units)]
        self.attempt("pack", lambda: shipping.pack(self.session, parcels=parcels, **self.given(part.id)))

    def send(self, part: Any) -> None:
        """One parcel, or all of them."""
        packed = shipment_dict(self.session, fulfillment_id=part.id)
        there = [one["id"] for one in (packed or {"parcels": []})["parcels"] if one["state"] == "packed"]
        leaving = {UUID(str(one)): "1" for one in there[: self.choose.randint(1, 2)]}
        self.attempt(
            "send", lambda: shipping.dispatch(self.session, carrier="yamato", tracking=leaving, **self.given(part.id))
        )

    def deliver(self, part: Any) -> None:
        self.attempt("deliver", lambda: shipping.deliver(self.session, **self.given(part.id)))

    def dispatch(self, part: Any) -> None:
        self.attempt("dispatch", lambda: ship_to_store.dispatch(self.session, **self.given(part.id)))

    def arrive(self, part: Any, *, lost: int | None = None) -> None:
        gone = self.choose.choice((0, 0, 1)) if lost is None else lost
        rows = [row for row in self.parts() if row.id == part.id and row.todo]
        scanned = [Scanned(row.line_id, max(0, row.todo - gone), 0) for row in rows]
        self.attempt("arrive", lambda: ship_to_store.arrive(self.session, scanned=scanned, **self.given(part.id)))

    def move(self, part: Any) -> None:
        place = self.choose.choice((self.here, self.there)).code
        self.attempt("move", lambda: moving.move(self.session, location=place, **self.given(part.id)))

    def nobody_comes(self, part: Any) -> None:
        later = self.now + timedelta(days=60)
        self.attempt("expire", lambda: no_shows.expire(self.session, before=later, **self.given(part.id)))

    # --- What she or the shop changes

    def cancel_line(self, quantity: int | None = 1) -> None:
        open_ = [row.line_id for row in self.parts() if row.todo]
        line = self.choose.choice([line for line in self.lines() if line.id in open_] or self.lines())
        given = {"caller": self.boss, "now": self.now, "reason": "too many", "quantity": quantity}
        self.attempt(
            "cancel line",
            lambda: line_cancellation.cancel_line(self.session, order=self.reference, line_id=line.id, **given),
        )

    def change(self) -> None:
        line = self.choose.choice(self.lines())
        changes, additions = [LineChange(line.id, quantity=self.choose.randint(1, 4))], []
        if self.choose.random() < 0.3:
            changes = [LineChange(line.id, sku=self.green.sku)]
        elif self.choose.random() < 0.3:
            changes, additions = [], [Addition(self.green.sku, 1)]
        by_gift = Settlement(gift_card=self.gift.number)
        settlement = self.choose.choice((Settlement(), Settlement(at_counter=True), by_gift))
        given = {"settlement": settlement, "caller": self.boss, "now": self.now}
        self.attempt(
            "change",
            lambda: changing.change_goods(
                self.session, order=self.reference, changes=changes, additions=additions, **given
            ),
        )

    def call_off(self) -> None:
        given = {"reason": "changed her mind", "caller": self.boss, "now": self.now}
        self.attempt("call off", lambda: cancellation.call_off(self.session, order_id=self.order, **given))

    def refund_all(self) -> None:
        """A workflow: its own transactions."""
        self.now += timedelta(minutes=1)
        restock = self.choose.random() < 0.5
        try:
            refunds.refund_order(
                order=self.reference, reason="broken", restock=restock, caller=self.boss, claim=None, now=self.now
            )
        except Problem as refused:
            self.log.append(f"refund all: {refused.code}")
        else:
            self.log.append("refund all")

    def close(self) -> bool:
        """One step forward with what comes back, if anything does (ReturnLife); whether there was one to do."""
        return False

    # --- What befalls the card network, and time

    def network(self) -> None:
        self.cards.silent = self.choose.choice((None, None, None, BEFORE, AFTER))
        self.log.append(f"the network: {self.cards.silent}")

    def job(self) -> None:
        self.now += timedelta(minutes=self.choose.choice((1, 5)))
        self.log.append(f"job: {payments.settle_started(now=self.now)}")
        deliver_events(self.session, "OrderCancelled")


def any_of(rows: Sequence[Any], choose: random.Random) -> Any:
    """One of the rows."""
    return choose.choice(list(rows))
