"""One level at which everything is going on, and every operation that can meet there.

The level has no spare unit: some are promised, held, held until a moment ago, set aside; one order waits for goods and of
one goods are missing; transfers, a delivery and counts are under way. Whatever happens here meets everything else.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import bundles, counts, inbound, queries, reservations, rules, stock, transfers, updates
from inventory.counts import Entry
from inventory.documents import Arrived
from inventory.inbound import Expected
from inventory.queries import Scope
from inventory.reservations import Demand
from inventory.transfers import Wanted
from inventory.updates import Line
from retail.bundles import Component
from retail.kernel import db
from retail.kernel.auth import STAFF, Principal
from retail.kernel.ids import new_id
from retail.roles import ROLES
from tests.factories import Place, Variant, location, variant
from tests.inventory.books import limit

SYSTEM = "system"
HANA, KEN, BOSS = (Principal(STAFF, new_id(), ROLES["manager"]) for _ in range(3))
NAMES = new_id()  # the namespace of ids that the operations make
ON_HAND = 10


@dataclass(slots=True)
class World:
    """What the operations name. Of the owners `early` and `late` have their goods, `awaits` waits, of `misses` goods are
    missing, `afar` is at the depot; carts: `cart` holds, `idle` has held until a while ago."""

    tea: Variant
    cup: Variant
    box: Variant
    shop: Place
    depot: Place
    at: datetime
    early: UUID = field(default_factory=new_id)
    late: UUID = field(default_factory=new_id)
    awaits: UUID = field(default_factory=new_id)
    misses: UUID = field(default_factory=new_id)
    afar: UUID = field(default_factory=new_id)
    cart: UUID = field(default_factory=new_id)
    idle: UUID = field(default_factory=new_id)
    papers: dict[str, str] = field(default_factory=dict)
    rule_id: UUID = NAMES

    @property
    def here(self) -> dict[str, Any]:
        return {"location_id": self.shop.id, "variant_id": self.tea.id}

    def lines(self, quantity: int) -> list[tuple[UUID, int]]:
        return [(self.tea.id, quantity)]

    def demands(
        self, owner: UUID, quantity: int, *, made: Variant | None = None, place: Place | None = None
    ) -> list[Demand]:
        return [Demand((made or self.tea).id, (place or self.shop).id, quantity, uuid5(owner, "line"))]


def build(session: Session, at: datetime) -> World:
    """The world as every pair meets it; `session` writes at once."""
    world = World(*(variant(session) for _ in range(3)), *(location(session) for _ in range(2)), at)
    tea, past = world.tea, at - timedelta(hours=1)

    def minute(count: int) -> dict[str, Any]:
        return {"actor": SYSTEM, "now": past + timedelta(minutes=count)}

    with db.transaction() as s:
        parts = [Component(tea.sku, 1), Component(world.cup.sku, 1)]
        bundles.set_components(s, sku=world.box.sku, components=parts, **minute(0))
        brought = [*world.lines(20), (world.cup.id, 4)]
        stock.receive(s, location_id=world.shop.id, lines=brought, key=None, **minute(0))
        stock.receive(s, location_id=world.depot.id, lines=world.lines(12), key=None, **minute(0))
        world.rule_id = rules.create(s, scope=Scope(location_id=world.depot.id), quantity=1, **minute(0))
    limit(session, tea, world.shop, backorder_limit=6)
    limit(session, tea, world.depot, safety=1, backorder_limit=2)
    _promise(world, minute)
    _send(world, past)
    with db.transaction() as s:
        stock.set_aside(s, quantity=2, reason="inspection", key=None, **world.here, **minute(20))
        level = stock.level_of(s, **world.here, now=past)
        spare = level["on_hand"] - level["allocated"] - level["held"] - level["unavailable"]
        stock.adjust(s, delta=-spare, reason="correction", key=None, **world.here, **minute(21))
        reservations.allocate(s, owner_id=world.awaits, demands=world.demands(world.awaits, 3), **minute(22))
    session.execute(
        text(
            "INSERT INTO reservation (id, variant_id, location_id, quantity, state, owner_id, line_id, created_at)"
            " VALUES (:id, :v, :l, 2, 'short', :owner, :line, :at)"
        ),
        {
            "id": new_id(),
            "v": tea.id,
            "l": world.shop.id,
            "owner": world.misses,
            "line": uuid5(world.misses, "line"),
            "at": past,
        },
    )
    _count(world, past)
    on_hand = text("SELECT on_hand FROM stock_level WHERE variant_id = :variant_id AND location_id = :location_id")
    assert session.execute(on_hand, world.here).scalar_one() == ON_HAND
    return world


def _promise(world: World, minute: Callable[[int], dict[str, Any]]) -> None:
    for number, (owner, quantity, place) in enumerate(
        [(world.early, 3, world.shop), (world.late, 2, world.shop), (world.afar, 2, world.depot)], start=1
    ):
        with db.transaction() as s:
            demands = world.demands(owner, quantity, place=place)
            reservations.allocate(s, owner_id=owner, demands=demands, **minute(number))
    for cart, seconds in ((world.cart, 3600), (world.idle, 60)):
        with db.transaction() as s:
            demands = world.demands(cart, 1)
            reservations.hold(s, owner_id=cart, demands=demands, hold_seconds=seconds, **minute(5))


def _send(world: World, past: datetime) -> None:
    """Transfers in every state, and a delivery."""
    ends = {"out": (world.shop, world.depot), "in": (world.depot, world.shop)}
    for name, way, quantity, steps in (
        ("drafted", "in", 2, 0),
        ("ready", "out", 1, 1),
        ("coming", "in", 3, 2),
        ("going", "out", 2, 2),
    ):
        with db.transaction() as s:
            paper = transfers.draft(
                s,
                from_location_id=ends[way][0].id,
                to_location_id=ends[way][1].id,
                lines=[Wanted(world.tea.id, quantity)],
                due_at=world.at,
                caller=BOSS,
                now=past,
            )
            for step in (transfers.make_ready, transfers.ship)[:steps]:
                step(s, transfer=paper, caller=BOSS, now=past)
        world.papers[name] = paper
    with db.transaction() as s:
        announced = [Expected(world.tea.id, 3)]
        world.papers["delivery"] = inbound.announce(
            s, location_id=world.shop.id, lines=announced, due_at=world.at, actor=SYSTEM, now=past
        )


def _count(world: World, past: datetime) -> None:
    """One that is begun, one to be recounted, one whose difference waits for approval."""
    for name, figures in (("fresh", []), ("differs", [ON_HAND - 1]), ("waits", [ON_HAND - 3, ON_HAND - 3])):
        with db.transaction() as s:
            paper = counts.begin(
                s, location_id=world.shop.id, variant_ids=[world.tea.id], approval_above=2, actor=SYSTEM, now=past
            )
            for figure in figures:
                counts.enter(s, count=paper, entries=[Entry(world.tea.id, figure)], caller=HANA, now=past)
        world.papers[name] = paper


Work = Callable[[Session], Any]
# name -> (world, its turn: 1 or 2, the moment) -> work
Operation = Callable[[World, int, datetime], Work]


def _id(name: str, turn: int) -> UUID:
    """What an operation makes is called the same in every run."""
    return uuid5(NAMES, f"{name} {turn}")


def _given(now: datetime) -> dict[str, Any]:
    return {"actor": SYSTEM, "now": now}


def _receive(world: World, turn: int, now: datetime) -> Work:
    return lambda s: stock.receive(s, location_id=world.shop.id, lines=world.lines(2), key=None, **_given(now))


def _put_back(world: World, turn: int, now: datetime) -> Work:
    what = {"location_id": world.shop.id, "lines": [(world.box.id, 1)], "cause": "return", "cause_id": None}
    return lambda s: stock.put_back(s, **what, **_given(now))


def _adjust(delta: int, reason: str) -> Operation:
    what = {"delta": delta, "reason": reason, "key": None}
    return lambda world, _, now: lambda s: stock.adjust(s, **what, **world.here, **_given(now))


def _aside(reason: str) -> Operation:
    what = {"quantity": 1, "reason": reason, "key": None}
    return lambda world, _, now: lambda s: stock.set_aside(s, **what, **world.here, **_given(now))


def _out_of_aside(door: Callable[..., None]) -> Operation:
    return lambda world, _, now: lambda s: door(s, quantity=1, key=None, **world.here, **_given(now))


def _allocate(name: str, quantity: int, *, bundle: bool = False, from_cart: bool = False) -> Operation:
    def operation(world: World, turn: int, now: datetime) -> Work:
        order = _id(name, turn)
        demands = world.demands(order, quantity, made=world.box if bundle else world.tea)
        cart = world.cart if from_cart else None
        return lambda s: reservations.allocate(s, owner_id=order, demands=demands, held_for=cart, **_given(now))

    return operation


def _hold(quantity: int, *, again: bool) -> Operation:
    def operation(world: World, turn: int, now: datetime) -> Work:
        cart = world.cart if again else _id("hold", turn)
        demands = world.demands(cart, quantity)
        return lambda s: reservations.hold(s, owner_id=cart, demands=demands, hold_seconds=60, **_given(now))

    return operation


def _release(owner: str, quantity: int | None = None) -> Operation:
    def operation(world: World, turn: int, now: datetime) -> Work:
        who = getattr(world, owner)
        lines = None if quantity is None else {uuid5(who, "line"): quantity}
        what = {"owner_id": who, "line_ids": lines and list(lines), "quantities": lines}
        return lambda s: reservations.release(s, cause="cancel", **what, **_given(now))

    return operation


def _consume(owner: str, quantity: int | None = None) -> Operation:
    def operation(world: World, turn: int, now: datetime) -> Work:
        who = getattr(world, owner)
        lines = None if quantity is None else {uuid5(who, "line"): quantity}
        what = {"owner_id": who, "line_ids": lines and list(lines), "quantities": lines}
        return lambda s: reservations.consume(s, **what, **_given(now))

    return operation


def _move(owner: str, to: str, quantity: int | None = None) -> Operation:
    def operation(world: World, turn: int, now: datetime) -> Work:
        who, place, line = getattr(world, owner), getattr(world, to).id, uuid5(getattr(world, owner), "line")
        what: dict[str, Any] = {"owner_id": who, "line_ids": [line], "to_location_id": place}
        if quantity is not None:
            what |= {"quantities": {line: quantity}, "from_location_id": world.shop.id}
        return lambda s: reservations.move(s, **what, **_given(now))

    return operation


def _expire(world: World, turn: int, now: datetime) -> Work:
    return lambda s: reservations.expire_due(s, now=now, limit=10)


def _transfer(name: str, step: Callable[..., Any], **what: Any) -> Operation:
    return lambda world, _, now: lambda s: step(s, transfer=world.papers[name], caller=BOSS, now=now, **what)


def _take_in(name: str, quantity: int, *, final: bool) -> Operation:
    def operation(world: World, turn: int, now: datetime) -> Work:
        what = {"arrived": [Arrived(world.tea.id, quantity, 1)], "final": final, "key": None}
        return lambda s: transfers.receive(s, transfer=world.papers[name], caller=BOSS, now=now, **what)

    return operation


def _deliver(world: World, turn: int, now: datetime) -> Work:
    what = {"arrived": [Arrived(world.tea.id, 4, 1)], "final": True, "key": None}
    return lambda s: inbound.receive(s, shipment=world.papers["delivery"], caller=BOSS, now=now, **what)


def _enter(name: str, figure: int) -> Operation:
    def operation(world: World, turn: int, now: datetime) -> Work:
        entries = [Entry(world.tea.id, figure)]
        return lambda s: counts.enter(s, count=world.papers[name], entries=entries, caller=KEN, now=now)

    return operation


def _decide(approve: bool) -> Operation:
    return lambda world, _, now: (
        lambda s: counts.decide(s, count=world.papers["waits"], approve=approve, caller=BOSS, now=now)
    )


def _limits(changes: Mapping[str, Any]) -> Operation:
    def operation(world: World, turn: int, now: datetime) -> Work:
        def work(session: Session) -> None:
            # who edits has read the level before; here under its lock, so that nobody was in between
            queries.lock_level(session, **world.here)
            version = stock.level_of(session, **world.here, now=now)["version"]
            stock.set_limits(session, changes=changes, version=version, **world.here, **_given(now))

        return work

    return operation


def _rule(place: str) -> Operation:
    def operation(world: World, turn: int, now: datetime) -> Work:
        scope = Scope(location_id=getattr(world, place).id, variant_id=world.tea.id)
        return lambda s: rules.create(s, scope=scope, quantity=2, **_given(now))

    return operation


def _change_rule(world: World, turn: int, now: datetime) -> Work:
    return lambda s: rules.change(s, rule_id=world.rule_id, quantity=0, version=1, **_given(now))


def _update(mode: str, quantity: int, **what: Any) -> Operation:
    def operation(world: World, turn: int, now: datetime) -> Work:
        line = Line(1, world.shop.code, mode, quantity, sku=world.tea.sku, **what)

        def work(session: Session) -> str | None:
            (result,) = updates.apply(session, lines=[line], source="erp", may_write=lambda _: True, **_given(now))
            return result.code or result.outcome

        return work

    return operation


def _rebuild(world: World, turn: int, now: datetime) -> Work:
    return lambda s: stock.rebuild(s, **world.here)


def _rebundle(world: World, turn: int, now: datetime) -> Work:
    parts = [Component(world.tea.sku, 2), Component(world.cup.sku, 1)]
    return lambda s: bundles.set_components(s, sku=world.box.sku, components=parts, **_given(now))


OPERATIONS: Mapping[str, Operation] = {
    "receive": _receive,
    "put_back": _put_back,
    "lose": _adjust(-2, "lost"),
    "correct": _adjust(-1, "correction"),
    "damage": _aside("damaged"),
    "restore": _out_of_aside(stock.restore),
    "write_off": _out_of_aside(stock.write_off),
    "order_much": _allocate("order_much", 3),
    "order_bundle": _allocate("order_bundle", 1, bundle=True),
    "order_cart": _allocate("order_cart", 2, from_cart=True),
    "hold_again": _hold(2, again=True),
    "abandon": _release("cart"),
    "cancel": _release("early"),
    "cancel_awaited": _release("awaits"),
    "cancel_part": _release("early", 2),
    "hand_over": _consume("early"),
    "hand_over_part": _consume("early", 1),
    "hand_over_awaited": _consume("awaits"),
    "expire": _expire,
    "move_away": _move("late", "depot"),
    "move_part": _move("late", "depot", 1),
    "move_missed": _move("misses", "depot"),
    "move_here": _move("afar", "shop"),
    "make_ready": _transfer("drafted", transfers.make_ready),
    "ship": _transfer("ready", transfers.ship),
    "take_in": _take_in("coming", 2, final=False),
    "turn_back": _transfer("going", transfers.cancel, choice=transfers.RETURN),
    "give_up": _transfer("coming", transfers.cancel, choice=transfers.SHRINK),
    "cancel_ready": _transfer("ready", transfers.cancel),
    "deliver": _deliver,
    "recount": _enter("differs", ON_HAND - 1),
    "recount_more": _enter("differs", ON_HAND + 1),
    "approve": _decide(True),
    "send_back": _decide(False),
    "limits": _limits({"safety": 1, "backorder_limit": 7}),
    "rule_here": _rule("shop"),
    "rule_of_depot": _change_rule,
    "delta_down": _update(updates.DELTA, -2),
    "compare": _update(updates.COMPARE, ON_HAND - 1, expected=ON_HAND),
    "absolute": _update(updates.ABSOLUTE, ON_HAND + 2, version=7),
    "rebuild": _rebuild,
    "rebundle": _rebundle,
}
