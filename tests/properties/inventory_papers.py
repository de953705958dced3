"""The rest of what can happen to stock: limits and rules, writes from outside, transfers, deliveries, counts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import rule
from sqlalchemy import text

from inventory import counts, inbound, rules, stock, transfers, updates
from inventory.counts import Entry
from inventory.documents import Arrived
from inventory.inbound import Expected
from inventory.queries import Scope
from inventory.transfers import Wanted
from inventory.updates import Line
from retail.kernel.auth import STAFF, Principal
from retail.kernel.ids import new_id
from retail.roles import ROLES
from tests.properties.inventory_shop import InventoryShop, keys, units
from tests.properties.shelves import Books, Refused

HANA, KEN, BOSS = (Principal(STAFF, new_id(), ROLES["manager"]) for _ in range(3))
APPROVAL_ABOVE = 1
CLOSED = ("closed", "received", "cancelled")


@dataclass
class Paper:
    """A transfer, delivery or count as the model keeps it."""

    reference: str
    origin: int = 0
    destination: int = 0
    state: str = "open"
    id: UUID = field(default_factory=new_id)
    lines: dict[int, int] = field(default_factory=dict)  # tea -> requested, expected, or the difference that waits
    outstanding: dict[int, int] = field(default_factory=dict)  # tea -> on its way
    counted: dict[int, str] = field(default_factory=dict)  # tea -> state of the line


class InventoryPapers(InventoryShop):
    """Papers say what is to come, to go and to be counted; limits say what may be promised."""

    def __init__(self) -> None:
        super().__init__()
        self.transfers: list[Paper] = []
        self.deliveries: list[Paper] = []
        self.counts: list[Paper] = []
        self.rule_of: dict[int, tuple[UUID, int]] = {}
        self.source_version = 0

    # --- limits, rules, other systems

    @rule(
        pair=keys,
        by_rule=st.booleans(),
        changes=st.fixed_dictionaries(
            {}, optional={"safety": st.none() | st.integers(0, 3), "backorder_limit": st.integers(0, 5)}
        ),
    )
    def set_limits(self, pair: tuple[int, int], by_rule: bool, changes: dict[str, int | None]) -> None:
        if by_rule:
            self.rule_of_a_store(pair[1], changes.get("safety", 0))
            return
        key = self.key(pair)
        query = text("SELECT version FROM stock_level WHERE variant_id = :v AND location_id = :l")
        version = self.session.execute(query, {"v": key[0], "l": key[1]}).scalar_one()

        def say(books: Books) -> None:
            shelf = books.shelves[key]
            if "backorder_limit" in changes:
                shelf.backorder_limit = changes["backorder_limit"] or 0
            promised = books.allocated(key) + books.held(key) + shelf.unavailable
            if books.backordered(key) > shelf.backorder_limit or promised > shelf.on_hand + shelf.backorder_limit:
                raise Refused("below_promised")
            if "safety" in changes:
                ruled = self.rule_of.get(pair[1], (None, 0))[1]
                shelf.safety = ruled if changes["safety"] is None else changes["safety"]
            books.fill(key)

        def act() -> None:
            what = {"variant_id": key[0], "location_id": key[1], "changes": changes, "version": version}
            stock.set_limits(self.session, **what, **self.given())

        self.step(act, say)

    def rule_of_a_store(self, place: int, quantity: int | None) -> None:
        """Make, change or (None) retire the rule that keeps units back in one store."""
        here = self.places[place].id
        there = self.rule_of.get(place)
        if quantity is None and there is None:
            return
        by_hand = text("SELECT variant_id, safety_by_hand FROM stock_level WHERE location_id = :l")
        ruled = [row[0] for row in self.session.execute(by_hand, {"l": here}) if not row[1]]
        made: list[UUID] = []

        def say(books: Books) -> None:
            for tea in ruled:
                books.shelves[tea, here].safety = quantity or 0
                books.fill((tea, here))

        def act() -> None:
            if there is None:
                scope = Scope(location_id=here)
                made.append(rules.create(self.session, scope=scope, quantity=quantity or 0, **self.given()))
                return
            query = text("SELECT version FROM stock_rule WHERE id = :id")
            what = {"rule_id": there[0], "version": self.session.execute(query, {"id": there[0]}).scalar_one()}
            if quantity is None:
                rules.retire(self.session, **what, **self.given())
            else:
                rules.change(self.session, quantity=quantity, **what, **self.given())

        self.step(act, say)
        if quantity is None:
            self.rule_of.pop(place)
        else:
            self.rule_of[place] = (made[0] if made else self.rule_of[place][0], quantity)

    @rule(
        pair=keys,
        mode=st.sampled_from(updates.MODES),
        number=st.integers(-4, 6),
        off=st.sampled_from([0, 0, 0, 1]),
    )
    def write_from_outside(self, pair: tuple[int, int], mode: str, number: int, off: int) -> None:
        """`off`: the number expected, or the version, is wrong by so much."""
        key, shelf = self.key(pair), self.books.shelves[self.key(pair)]
        self.source_version += 1 - off
        target = shelf.on_hand + number if mode == updates.DELTA else number
        line = Line(
            number=1,
            location=self.places[pair[1]].code,
            mode=mode,
            quantity=number,
            sku=self.teas[pair[0]].sku,
            expected=shelf.on_hand + off if mode == updates.COMPARE else None,
            version=self.source_version * 10 + pair[0] + 2 * pair[1] if mode == updates.ABSOLUTE else None,
        )
        if mode == updates.ABSOLUTE and line.version is not None:
            query = text(
                "SELECT CAST(source_versions ->> 'erp' AS bigint) FROM stock_level WHERE variant_id = :v AND location_id = :l"
            )
            known = self.session.execute(query, {"v": key[0], "l": key[1]}).scalar_one()
            stale = known is not None and line.version <= known
        else:
            stale = mode == updates.COMPARE and off > 0
        refused = stale or target < 0 or (target < shelf.on_hand and target < shelf.unavailable)
        results: list[Any] = []

        def say(books: Books) -> None:
            if refused or target == shelf.on_hand:
                return
            if target > shelf.on_hand:
                books.add(key, target - shelf.on_hand)
            else:
                books.take(key, shelf.on_hand - target, self.now, fact=True)

        def act() -> None:
            everywhere: Callable[[UUID], bool] = lambda _: True  # noqa: E731
            results.extend(
                updates.apply(self.session, lines=[line], source="erp", may_write=everywhere, **self.given())
            )

        self.step(act, say, gone=0 if refused else shelf.on_hand - target)
        (result,) = results
        expected = updates.REFUSED if refused else updates.UNCHANGED if target == shelf.on_hand else updates.APPLIED
        assert result.outcome == expected, result

    # --- transfers

    def one_of(self, data: st.DataObject, papers: list[Paper]) -> Paper:
        """One that is not closed, where there is one."""
        return data.draw(st.sampled_from([paper for paper in papers if paper.state not in CLOSED] or papers))

    def draft_transfer(self, origin: int, lines: dict[int, int]) -> None:
        reference = transfers.draft(
            self.session,
            from_location_id=self.places[origin].id,
            to_location_id=self.places[1 - origin].id,
            lines=[Wanted(self.teas[tea].id, quantity) for tea, quantity in lines.items()],
            due_at=self.now + timedelta(days=2),
            caller=BOSS,
            now=self.now,
        )
        found = text("SELECT id FROM transfer WHERE reference = :reference")
        paper_id = self.session.execute(found, {"reference": reference}).scalar_one()
        self.transfers.append(Paper(reference, origin, 1 - origin, "draft", id=paper_id, lines=lines))
        self.make_transfer_ready(self.transfers[-1])

    @rule(
        data=st.data(),
        what=st.sampled_from(["on", "on", "on", "on", "cancel", "odd"]),
        origin=st.integers(0, 1),
        lines=st.dictionaries(st.integers(0, 1), st.integers(1, 3), min_size=1),
    )
    def transfer(self, data: st.DataObject, what: str, origin: int, lines: dict[int, int]) -> None:
        """The next step of one as a rule; else it is cancelled, or something is tried that may not be its turn."""
        if not [paper for paper in self.transfers if paper.state not in CLOSED]:
            self.draft_transfer(origin, lines)
            return
        paper = self.one_of(data, self.transfers)
        steps = {
            "draft": self.make_transfer_ready,
            "ready": lambda paper: self.ship_transfer(paper, data.draw(st.sampled_from([0, 0, 1, 2]))),
            "in_transit": lambda paper: self.receive_transfer(
                paper, data.draw(units), data.draw(st.integers(0, 1)), data.draw(st.booleans())
            ),
        }
        steps["partly_received"] = steps["in_transit"]
        steps["cancelled"] = steps["received"] = self.make_transfer_ready
        if what == "cancel":
            self.cancel_transfer(paper, data.draw(st.sampled_from([transfers.RETURN, transfers.SHRINK])))
        else:
            step = data.draw(st.sampled_from(list(steps.values()))) if what == "odd" else steps[paper.state]
            step(paper)

    def make_transfer_ready(self, paper: Paper) -> None:
        here = self.places[paper.origin].id

        def say(books: Books) -> None:
            if paper.state != "draft":
                raise Refused("illegal_transition")
            lines = [(self.teas[tea].id, (self.teas[tea].id, here), count) for tea, count in paper.lines.items()]
            books.promise(paper.id, lines, bucket="allocated", for_sale=False, now=self.now)

        def act() -> None:
            transfers.make_ready(self.session, transfer=paper.reference, caller=BOSS, now=self.now)

        if self.step(act, say) is None:
            paper.state = "ready"

    def ship_transfer(self, paper: Paper, less: int) -> None:
        """Everything, or `less` of each line."""
        leaving: dict[int, int] = {}

        def say(books: Books) -> None:
            if paper.state != "ready":
                raise Refused("illegal_transition")
            for tea, count in paper.lines.items():
                mine = [row for row in books.rows if row.owner == paper.id and row.key[0] == self.teas[tea].id]
                there = sum(row.backed for row in mine if row.state == "allocated")
                if min(max(0, count - less), there):
                    leaving[tea] = min(max(0, count - less), there)
            if not leaving:
                raise Refused("nothing_to_ship")
            books.consume(paper.id, {self.teas[tea].id: count for tea, count in leaving.items()})
            books.release(lambda row: row.owner == paper.id)

        def act() -> None:
            asked = [Wanted(self.teas[tea].id, max(0, count - less)) for tea, count in paper.lines.items()]
            shipped = asked if less else None
            transfers.ship(self.session, transfer=paper.reference, shipped=shipped, caller=BOSS, now=self.now)

        if self.step(act, say) is None:
            paper.state, paper.outstanding = "in_transit", dict(leaving)

    def receive_transfer(self, paper: Paper, share: int, damaged: int, final: bool) -> None:
        here = self.places[paper.destination].id
        arrived = {tea: min(count, share) for tea, count in paper.outstanding.items() if count}
        lost = sum(paper.outstanding.values()) - sum(arrived.values()) if final else 0

        def say(books: Books) -> None:
            if paper.state not in ("in_transit", "partly_received"):
                raise Refused("illegal_transition")
            for tea, count in arrived.items():
                books.add((self.teas[tea].id, here), damaged, unavailable=True)
                books.add((self.teas[tea].id, here), count - damaged)

        def act() -> None:
            came = [Arrived(self.teas[tea].id, count, damaged) for tea, count in arrived.items()]
            what = {"transfer": paper.reference, "arrived": came, "final": final, "key": None}
            transfers.receive(self.session, **what, caller=BOSS, now=self.now)

        if self.step(act, say, gone=lost) is None:
            paper.outstanding = {
                tea: 0 if final else count - arrived.get(tea, 0) for tea, count in paper.outstanding.items()
            }
            paper.state = "partly_received" if any(paper.outstanding.values()) else "received"

    def cancel_transfer(self, paper: Paper, choice: str) -> None:
        here, given_up = self.places[paper.origin].id, choice == transfers.SHRINK

        def say(books: Books) -> None:
            if paper.state in ("received", "cancelled"):
                raise Refused("illegal_transition")
            books.release(lambda row: row.owner == paper.id)
            for tea, count in paper.outstanding.items():
                if count and not given_up:
                    books.add((self.teas[tea].id, here), count)

        def act() -> None:
            transfers.cancel(self.session, transfer=paper.reference, choice=choice, caller=BOSS, now=self.now)

        if self.step(act, say, gone=sum(paper.outstanding.values()) if given_up else 0) is None:
            paper.state, paper.outstanding = "cancelled", {}

    # --- deliveries

    @rule(
        data=st.data(),
        place=st.integers(0, 1),
        lines=st.dictionaries(st.integers(0, 1), st.tuples(units, st.integers(0, 1)), min_size=1),
        days=st.integers(0, 9),
        final=st.none() | st.booleans(),
    )
    def delivery(
        self,
        data: st.DataObject,
        place: int,
        lines: dict[int, tuple[int, int]],
        days: int,
        final: bool | None,
    ) -> None:
        """One is announced, or `lines` (units, of these damaged) of one that was come in."""
        if not [paper for paper in self.deliveries if paper.state not in CLOSED]:
            self.announce_delivery(place, {tea: count for tea, (count, _) in lines.items()}, days)
        else:
            self.receive_delivery(self.one_of(data, self.deliveries), lines, final)

    def announce_delivery(self, place: int, lines: dict[int, int], days: int) -> None:
        reference = inbound.announce(
            self.session,
            location_id=self.places[place].id,
            lines=[Expected(self.teas[tea].id, quantity) for tea, quantity in lines.items()],
            due_at=self.now + timedelta(days=days),
            **self.given(),
        )
        self.deliveries.append(Paper(reference, destination=place, lines=lines))

    def receive_delivery(self, paper: Paper, arrived: dict[int, tuple[int, int]], final: bool | None) -> None:
        here = self.places[paper.destination].id

        def say(books: Books) -> None:
            if paper.state != "open":
                raise Refused("illegal_transition")
            for tea, (count, damaged) in arrived.items():
                books.add((self.teas[tea].id, here), damaged, unavailable=True)
                books.add((self.teas[tea].id, here), count - damaged)

        def act() -> None:
            came = [Arrived(self.teas[tea].id, *numbers) for tea, numbers in arrived.items()]
            what = {"shipment": paper.reference, "arrived": came, "final": final, "key": None}
            inbound.receive(self.session, **what, caller=BOSS, now=self.now)

        if self.step(act, say, gone=-sum(count for count, _ in arrived.values())) is None:
            for tea, (count, _) in arrived.items():
                paper.lines[tea] = max(0, paper.lines.get(tea, 0) - count)
            if final or (final is None and not any(paper.lines.values())):
                paper.state = "closed"

    # --- counts

    def begin_count(self, place: int, teas: set[int]) -> None:
        reference = counts.begin(
            self.session,
            location_id=self.places[place].id,
            variant_ids=[self.teas[tea].id for tea in sorted(teas)],
            approval_above=APPROVAL_ABOVE,
            **self.given(),
        )
        self.counts.append(Paper(reference, origin=place, counted=dict.fromkeys(sorted(teas), "open")))

    @rule(
        data=st.data(),
        place=st.integers(0, 1),
        off=st.dictionaries(st.integers(0, 1), st.integers(-4, 2), min_size=1),
        approve=st.booleans(),
    )
    def count(self, data: st.DataObject, place: int, off: dict[int, int], approve: bool) -> None:
        """One is begun, or an entry is made, or the decision that it waits for."""
        if not [paper for paper in self.counts if paper.state not in CLOSED]:
            self.begin_count(place, set(off))
        paper = self.one_of(data, self.counts)
        if "approval" in paper.counted.values() and data.draw(st.booleans()):
            self.decide_count(paper, approve)
        else:
            left = [tea for tea, state in paper.counted.items() if state in ("open", "recount")]
            self.enter_count(paper, {tea: off.get(tea, -2) for tea in left} or off)

    def enter_count(self, paper: Paper, off: Mapping[int, int]) -> None:
        """What is found differs from the books by `off`."""
        here = self.places[paper.origin].id
        there = self.books.shelves
        found = {tea: max(0, there[self.teas[tea].id, here].on_hand + off[tea]) for tea in off if tea in paper.counted}
        if not found:
            return
        differs = {tea: count - there[self.teas[tea].id, here].on_hand for tea, count in found.items()}
        small = [
            tea
            for tea, difference in differs.items()
            if paper.counted[tea] == "recount" and abs(difference) <= APPROVAL_ABOVE
        ]

        def say(books: Books) -> None:
            if paper.state == "closed":
                raise Refused("count_closed")
            if any(paper.counted[tea] in ("approval", "applied") for tea in found):
                raise Refused("line_settled")
            for tea in small:
                books.count((self.teas[tea].id, here), differs[tea], self.now)

        def act() -> None:
            entries = [Entry(self.teas[tea].id, count) for tea, count in found.items()]
            counts.enter(self.session, count=paper.reference, entries=entries, caller=HANA, now=self.now)

        if self.step(act, say, gone=-sum(differs[tea] for tea in small)) is not None:
            return
        for tea, difference in differs.items():
            again = paper.counted[tea] == "recount"
            large = abs(difference) > APPROVAL_ABOVE
            paper.counted[tea] = (
                ("approval" if large else "applied") if again else "recount" if difference else "applied"
            )
            paper.lines[tea] = difference
        self.close_when_done(paper)

    def decide_count(self, paper: Paper, approve: bool) -> None:
        here = self.places[paper.origin].id
        waiting = {tea: paper.lines[tea] for tea, state in paper.counted.items() if state == "approval"}

        def say(books: Books) -> None:
            if paper.state == "closed":
                raise Refused("count_closed")
            if not waiting:
                raise Refused("not_waiting")
            if approve:
                if any(books.shelves[self.teas[tea].id, here].on_hand + change < 0 for tea, change in waiting.items()):
                    raise Refused("count_overtaken")
                for tea, change in waiting.items():
                    books.count((self.teas[tea].id, here), change, self.now)

        def act() -> None:
            counts.decide(self.session, count=paper.reference, approve=approve, caller=KEN, now=self.now)

        if self.step(act, say, gone=-sum(waiting.values()) if approve else 0) is None:
            paper.counted |= dict.fromkeys(waiting, "applied" if approve else "recount")
            self.close_when_done(paper)

    def close_when_done(self, paper: Paper) -> None:
        if set(paper.counted.values()) == {"applied"}:
            paper.state = "closed"
