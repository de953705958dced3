"""What happened in the demo's shop before today: sales at the tills, pickups fetched, and pickups still at the counter.

Each is placed, picked and handed over by the shop's own functions, only at moments that have passed, in their order.
"""

import heapq
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from functools import partial
from itertools import count
from random import Random
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from deploy.demo.places import ZONE
from loyalty import queries as points
from orders import checkout, pickup, proofs
from orders.checkout import Item
from retail.kernel.auth import Principal

TILL_SALES = 70
PICKUPS = 24
HANAKO_SALES = 4
# What stands at the counters when the demo begins: store, how far it has come, hours ago.
AT_THE_COUNTER = (
    ("SHIBUYA", "ready", 24 * 10),  # nobody came: the shop keeps goods for seven days
    ("SHIBUYA", "ready", 20),
    ("SHIBUYA", "ready", 5),
    ("SHIBUYA", "picking", 2),
    ("SHIBUYA", "allocated", 1),
    ("SHIBUYA", "allocated", 0.5),
    ("KYOTO", "ready", 8),
    ("KYOTO", "allocated", 1),
    ("SAPPORO", "allocated", 2),
)


@dataclass(frozen=True, slots=True)
class Store:
    """A store with its till and the person at its counter."""

    code: str
    id: UUID
    till: Principal
    associate: Principal


class Past:
    """The shop's days so far. Steps wait in a heap, so that everything is written in the order in which it happened."""

    def __init__(
        self,
        session: Session,
        chance: Random,
        *,
        skus: Mapping[str, UUID],
        shoppers: Sequence[Principal],
        stores: Sequence[Store],
    ) -> None:
        self.session = session
        self.chance = chance
        self.skus = sorted(skus)
        self.shoppers = shoppers
        self.stores = stores
        self.orders = 0
        self._steps: list[tuple[datetime, int, Callable[[datetime], None]]] = []
        self._numbers = count()

    def happen(self, first: datetime, now: datetime) -> None:
        """Let it all happen between `first` and `now`."""
        last = now - timedelta(days=2)
        for number in range(TILL_SALES):
            regular = number < HANAKO_SALES  # the first shopper is the one of the tour: she has a past
            self._plan(self._noonish(first, last), partial(self._sell, regular=regular))
        for number in range(PICKUPS):
            self._plan(self._noonish(first, last), partial(self._order, spends=number % 4 == 0))
        for code, state, hours in AT_THE_COUNTER:
            store = next(store for store in self.stores if store.code == code)
            begun = now - timedelta(hours=hours)
            self._plan(begun, partial(self._leave, store=store, state=state))
        while self._steps:
            at, _, step = heapq.heappop(self._steps)
            step(at)

    def _plan(self, at: datetime, step: Callable[[datetime], None]) -> None:
        heapq.heappush(self._steps, (at, next(self._numbers), step))

    def _noonish(self, first: datetime, last: datetime) -> datetime:
        """A moment of a day in between, when every store is open on most days."""
        day = (first + self.chance.random() * (last - first)).astimezone(ZoneInfo(ZONE)).date()
        minute = timedelta(minutes=self.chance.randrange(110))
        return datetime.combine(day, time(11), ZoneInfo(ZONE)) + minute

    def _items(self) -> list[Item]:
        chosen = self.chance.sample(self.skus, self.chance.choice((1, 1, 2, 2, 3)))
        return [Item(self.chance.choice((1, 1, 1, 2)), sku) for sku in chosen]

    def _sell(self, at: datetime, *, regular: bool) -> None:
        """A sale at a till, most often with the customer's card."""
        store = self.chance.choice(self.stores)
        shopper = self.shoppers[0] if regular else self.chance.choice(self.shoppers)
        known = regular or self.chance.random() < 0.7
        checkout.place(
            self.session,
            caller=store.till,
            lines=self._items(),
            method="carry_out",
            location=store.id,
            payment={"method": self.chance.choice(("cash", "card_terminal"))},
            customer_id=shopper.id if known else None,
            now=at,
        )
        self.orders += 1

    def _place(self, at: datetime, store: Store, shopper: Principal, *, spends: bool) -> UUID:
        """An order for pickup, paid there; returns the pickup's id."""
        assert shopper.id is not None  # noqa: S101 - customers have one
        mine = points.points_of(self.session, customer_id=shopper.id, now=at)["available"] if spends else 0
        order: dict[str, Any] = checkout.place(
            self.session,
            caller=shopper,
            lines=self._items(),
            method="pickup",
            location=store.id,
            payment={"method": "pay_at_pickup"},
            points_to_spend=min(100, mine),
            now=at,
        )
        self.orders += 1
        return UUID(str(order["fulfillments"][0]["id"]))

    def _order(self, at: datetime, *, spends: bool) -> None:
        """A pickup that was fetched: picked within two hours, collected on the next day."""
        store, shopper = self.chance.choice(self.stores), self.chance.choice(self.shoppers)
        pickup_id = self._place(at, store, shopper, spends=spends)
        self._plan(at + timedelta(minutes=40), partial(self._pick, store=store, pickup_id=pickup_id))
        self._plan(at + timedelta(minutes=75), partial(self._ready, store=store, pickup_id=pickup_id))
        self._plan(at + timedelta(hours=26), partial(self._collect, store=store, pickup_id=pickup_id))

    def _leave(self, at: datetime, *, store: Store, state: str) -> None:
        """A pickup that is still there: not the tour's customer's, whose counter shall be empty."""
        pickup_id = self._place(at, store, self.chance.choice(self.shoppers[1:]), spends=False)
        if state in ("picking", "ready"):
            self._plan(at + timedelta(minutes=20), partial(self._pick, store=store, pickup_id=pickup_id))
        if state == "ready":
            self._plan(at + timedelta(minutes=50), partial(self._ready, store=store, pickup_id=pickup_id))

    def _pick(self, at: datetime, *, store: Store, pickup_id: UUID) -> None:
        pickup.start_picking(self.session, fulfillment_id=pickup_id, caller=store.associate, now=at)

    def _ready(self, at: datetime, *, store: Store, pickup_id: UUID) -> None:
        pickup.mark_ready(self.session, fulfillment_id=pickup_id, caller=store.associate, now=at)

    def _collect(self, at: datetime, *, store: Store, pickup_id: UUID) -> None:
        """Against the code; what points have not paid is paid now."""
        found = proofs.secrets_of(pickup_id, 1)
        pickup.collect(
            self.session,
            fulfillment_id=pickup_id,
            code=found[0],
            tender=self.chance.choice(("cash", "card_terminal")),
            caller=store.associate,
            now=at,
        )
