"""A grocer's past, lived through with today's code: opening stock, weekly deliveries, and every basket at its moment.

A workflow: each delivery and each basket is a transaction of its own, as they would be in the shop. A basket allocates
its lines and hands them over at once, as a till does. What a till finds too little of it refuses, and sells the rest.

Broken off in the shop's own database, it goes on where it stopped: a basket's id is made of its number in the data, so
what it reserved says that it was served, and a delivery's key makes it come once.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from time import perf_counter
from uuid import UUID

from sqlalchemy import text

from inventory import inbound, reservations, stock
from inventory.documents import Arrived
from inventory.importers.grocery import WEEK, Basket, Journey
from inventory.inbound import Expected
from inventory.queries.replay import StoreBalance, on_hand_at, owners_served, store_balances
from inventory.reservations import Demand, OutOfStock
from retail import imports, staff
from retail.kernel import db, outbox
from retail.kernel.progress import Tell

ZONE, TAX_REGION = "America/New_York", "US"  # the data does not say where; its moments look like UTC
ACTOR = outbox.SYSTEM
SUPPLIER = "Complete Journey"
BATCH = 5_000
STEPS = {
    "products": "Products",
    "opening": "Opening stock",
    "selling": "Baskets",
    "checking": "Checking",
}

_TABLES = "variant, product, stock_level, stock_movement, reservation, inbound_line, inbound_shipment"


@dataclass(slots=True)
class StoreAccount:
    """One store: what the tills and the dock counted in this run (units, baskets, lines), and the books at the end."""

    received: int = 0
    sold: int = 0
    baskets: int = 0
    lines: int = 0
    refused_lines: int = 0
    refused_units: int = 0
    balance: StoreBalance | None = None


@dataclass(slots=True)
class Account:
    """What a replay did. `already`: baskets that an earlier run had served. `faults`: what does not add up, in words."""

    stores: dict[str, StoreAccount] = field(default_factory=dict)
    products: int = 0
    deliveries: int = 0
    already: int = 0
    movements: int = 0
    seconds: float = 0.0
    selling_seconds: float = 0.0
    faults: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Names:
    """What stores and SKUs are called here, and how many units each store is to have of each of its SKUs."""

    stores: Mapping[str, UUID]
    variants: Mapping[str, UUID]
    targets: Mapping[str, Mapping[UUID, int]]


def run(journey: Journey, *, fill_percent: int = 100, tell: Tell) -> Account:
    """Replay it into the database at hand.

    fill_percent: how many units the weekly delivery refills to, of the most that the store ever sold in a week.
    """
    started = perf_counter()
    account = Account(stores={code: StoreAccount() for code in journey.stores}, products=len(journey.goods))
    names = _prepare(journey, fill_percent, tell)
    before = _balances(names)
    for position, code in enumerate(names.stores):
        tell("opening", position, len(names.stores))
        _open(code, journey.begins, names, account)
    tell("opening", len(names.stores), len(names.stores))
    _learn()
    selling = perf_counter()
    _live(journey, names, account, tell)
    account.selling_seconds = perf_counter() - selling
    tell("checking", 0, 0)
    check(before, _balances(names), account)
    account.seconds = perf_counter() - started
    return account


def _prepare(journey: Journey, fill_percent: int, tell: Tell) -> _Names:
    """Products, variants and stores, made if missing."""
    variants: dict[str, UUID] = {}
    goods = list(journey.goods.values())
    for first in range(0, len(goods), BATCH):
        tell("products", first, len(goods))
        batch = goods[first : first + BATCH]
        with db.transaction() as session:
            variants |= imports.ensure_variants(
                session,
                titles={one.sku: one.title for one in batch},
                categories={one.sku: one.category for one in batch},
                now=journey.begins,
            )
    tell("products", len(goods), len(goods))
    called = {code: f"Store {code}" for code in journey.stores}
    with db.transaction() as session:
        stores = imports.ensure_stores(session, names=called, zone=ZONE, tax_region=TAX_REGION)
    targets: dict[str, dict[UUID, int]] = {code: {} for code in stores}
    for (code, sku), most in journey.levels().items():
        targets[code][variants[sku]] = max(1, -(-most * fill_percent // 100))
    return _Names(stores, variants, targets)


def _open(code: str, at: datetime, names: _Names, account: Account) -> None:
    """The stock a store begins with, once."""
    lines = list(names.targets[code].items())
    try:
        with db.transaction() as session:
            db.take_time(session)
            stock.receive(
                session,
                location_id=names.stores[code],
                lines=lines,
                key=f"complete-journey/{code}/opening",
                actor=ACTOR,
                now=at,
            )
    except stock.AlreadyRecorded:
        return
    account.stores[code].received += sum(quantity for _, quantity in lines)


def _learn() -> None:
    """Tables that were empty a moment ago are full: tell the planner."""
    with db.transaction() as session:
        session.execute(text(f"ANALYZE {_TABLES}"))


def _live(journey: Journey, names: _Names, account: Account, tell: Tell) -> None:
    """Week after week: the delivery of each store, then its baskets at their moments."""
    served = _served(journey.baskets)
    behind = max((at for at, basket in enumerate(journey.baskets) if basket.id in served), default=-1)
    week, begins = 0, journey.begins
    for at, basket in enumerate(journey.baskets):
        if at % 20 == 0:
            tell("selling", at, len(journey.baskets))
        if at <= behind:  # everything up to here was lived through, deliveries too
            account.already += 1
            week = (basket.at - begins) // WEEK
            continue
        while week < (basket.at - begins) // WEEK:
            week += 1
            for code in names.stores:
                _deliver(code, begins + week * WEEK, names, account)
        _sell(basket, names, account.stores[basket.store])
    tell("selling", len(journey.baskets), len(journey.baskets))


def _served(baskets: Sequence[Basket]) -> set[UUID]:
    ids = [basket.id for basket in baskets]
    served: set[UUID] = set()
    with db.reading() as session:
        for first in range(0, len(ids), BATCH):
            served |= owners_served(session, owner_ids=ids[first : first + BATCH])
    return served


def _deliver(code: str, at: datetime, names: _Names, account: Account) -> None:
    """A supplier brings what is missing, announced and received through the door for deliveries. Once."""
    location_id = names.stores[code]
    try:
        with db.transaction() as session:
            there = on_hand_at(session, location_id=location_id)
            missing = {key: target - there.get(key, 0) for key, target in names.targets[code].items()}
            coming = {key: quantity for key, quantity in missing.items() if quantity > 0}
            if not coming:
                return
            announced = [Expected(key, quantity) for key, quantity in coming.items()]
            reference = inbound.announce(
                session, location_id=location_id, lines=announced, due_at=at, supplier=SUPPLIER, actor=ACTOR, now=at
            )
            inbound.receive(
                session,
                shipment=reference,
                arrived=[Arrived(key, quantity) for key, quantity in coming.items()],
                key=f"complete-journey/{code}/{at:%Y-%m-%d}",
                caller=staff.OPERATOR,
                now=at,
            )
    except stock.AlreadyRecorded:
        return
    account.deliveries += 1
    account.stores[code].received += sum(coming.values())


def _sell(basket: Basket, names: _Names, store: StoreAccount) -> None:
    """One basket over the till, in one transaction. Lines that find too little stock are refused, the others are sold."""
    location_id = names.stores[basket.store]
    demands = [Demand(names.variants[sku], location_id, quantity) for sku, quantity in basket.lines]
    with db.transaction() as session:
        try:
            reservations.allocate(session, owner_id=basket.id, demands=demands, actor=ACTOR, now=basket.at)
        except OutOfStock as refused:
            demands = list(_served_first(demands, refused))
            if demands:
                reservations.allocate(session, owner_id=basket.id, demands=demands, actor=ACTOR, now=basket.at)
        if demands:
            reservations.consume(session, owner_id=basket.id, line_ids=None, actor=ACTOR, now=basket.at)
    units = sum(demand.quantity for demand in demands)
    store.baskets += 1
    store.lines += len(demands)
    store.sold += units
    store.refused_lines += len(basket.lines) - len(demands)
    store.refused_units += sum(quantity for _, quantity in basket.lines) - units


def _served_first(demands: Sequence[Demand], refused: OutOfStock) -> Iterator[Demand]:
    """The lines that can be served, in their order: of two lines of one product the first comes first."""
    left = {error["variant_id"]: error["available"] for error in refused.errors}
    for demand in demands:
        if demand.variant_id not in left:
            yield demand
        elif demand.quantity <= left[demand.variant_id]:
            left[demand.variant_id] -= demand.quantity
            yield demand


def _balances(names: _Names) -> dict[str, StoreBalance]:
    with db.snapshot() as session:
        return store_balances(session, location_ids=list(names.stores.values()))


def check(before: Mapping[str, StoreBalance], after: Mapping[str, StoreBalance], account: Account) -> None:
    """Units received - sold = on hand, per store, and the books tell what docks and tills have counted."""
    for code, store in account.stores.items():
        was, now = before[code], after[code]
        store.balance = now
        account.movements += now.movements - was.movements
        counted = {"received": store.received, "sold": store.sold}
        booked = {"received": now.received - was.received, "sold": now.sold - was.sold}
        if now.difference:
            account.faults.append(
                f"{code}: {now.received:,} received - {now.sold:,} sold and {now.on_hand:,} on hand differ by {now.difference:,}"
            )
        account.faults += [
            f"{code}: {counted[what]:,} units {what} were counted, {booked[what]:,} are in the books"
            for what in ("received", "sold")
            if counted[what] != booked[what]
        ]
