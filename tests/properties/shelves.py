"""Stock in plain Python: what each operation makes of levels and promises, as docs and contracts say it, without SQL.

Reads what is there before a step, and says what must be there after it. Slow, obvious, and written from the rules alone.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

Key = tuple[UUID, UUID]  # (variant, location)
FAR = timedelta(days=100_000)


class Refused(Exception):
    """The rules refuse this; `code` is the problem's."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass
class Shelf:
    """One level, without what is derived from promises."""

    on_hand: int = 0
    unavailable: int = 0
    safety: int = 0
    backorder_limit: int = 0


@dataclass
class Row:
    """An open reservation: held, allocated or short."""

    owner: UUID
    line: UUID | None
    key: Key
    state: str
    quantity: int
    backordered: int = 0
    expires_at: datetime | None = None
    promised_at: datetime | None = None
    created_at: datetime | None = None
    id: UUID = field(default_factory=lambda: UUID(int=0))

    @property
    def backed(self) -> int:
        return self.quantity - self.backordered

    @property
    def born(self) -> tuple[Any, ...]:
        return self.created_at, self.id


@dataclass
class Books:
    """All shelves and everything promised from them."""

    shelves: dict[Key, Shelf]
    rows: list[Row]

    @classmethod
    def read(cls, session: Session) -> "Books":
        levels = session.execute(
            text("SELECT variant_id, location_id, on_hand, unavailable, safety, backorder_limit FROM stock_level")
        )
        promised = session.execute(
            text(
                "SELECT owner_id, line_id, variant_id, location_id, state, quantity, backordered, expires_at, promised_at,"
                " created_at, id FROM reservation WHERE state IN ('held', 'allocated', 'short')"
            )
        )
        return cls(
            {(row[0], row[1]): Shelf(*row[2:]) for row in levels},
            [Row(row[0], row[1], (row[2], row[3]), *row[4:]) for row in promised],
        )

    def copy(self) -> "Books":
        return Books({key: replace(shelf) for key, shelf in self.shelves.items()}, [replace(row) for row in self.rows])

    # --- what follows from the rows

    def at(self, key: Key, *states: str) -> list[Row]:
        return [row for row in self.rows if row.key == key and row.state in states]

    def allocated(self, key: Key) -> int:
        return sum(row.quantity for row in self.at(key, "allocated"))

    def backordered(self, key: Key) -> int:
        return sum(row.backordered for row in self.at(key, "allocated"))

    def held(self, key: Key) -> int:
        return sum(row.quantity for row in self.at(key, "held"))

    def unpromised(self, key: Key) -> int:
        """On the shelf, fit for sale, and nobody's."""
        shelf = self.shelves[key]
        return shelf.on_hand - shelf.unavailable - self.held(key) - self.allocated(key) + self.backordered(key)

    def spare(self, key: Key) -> int:
        return self.unpromised(key) - self.shelves[key].safety

    def waiting(self, key: Key) -> int:
        return sum(row.quantity for row in self.at(key, "short")) + self.backordered(key)

    def expired(self, now: datetime) -> list[Row]:
        return [
            row for row in self.rows if row.state == "held" and row.expires_at is not None and row.expires_at <= now
        ]

    def numbers(self) -> dict[Key, tuple[int, ...]]:
        """Each level's counters, as the table has them."""
        return {
            key: (
                shelf.on_hand,
                self.allocated(key),
                self.backordered(key),
                self.held(key),
                shelf.unavailable,
                shelf.safety,
                shelf.backorder_limit,
            )
            for key, shelf in self.shelves.items()
        }

    def promises(self) -> dict[tuple[Any, ...], tuple[int, int]]:
        """(units, of these backordered) of each owner, line, level and state; a promise in several rows is one."""
        found: dict[tuple[Any, ...], tuple[int, int]] = {}
        for row in self.rows:
            name = (row.owner, row.line, row.key, row.state)
            units, waiting = found.get(name, (0, 0))
            found[name] = (units + row.quantity, waiting + row.backordered)
        return found

    def open_units(self) -> dict[tuple[Any, ...], int]:
        """Units promised to each owner, line and level, whether they are here, awaited or missing."""
        found: dict[tuple[Any, ...], int] = {}
        for row in self.rows:
            if row.state != "held":
                name = (row.owner, row.line, row.key)
                found[name] = found.get(name, 0) + row.quantity
        return found

    def there(self) -> dict[Key, tuple[int, int]]:
        return {key: (shelf.on_hand, shelf.unavailable) for key, shelf in self.shelves.items()}

    # --- what comes in

    def add(self, key: Key, quantity: int, *, unavailable: bool = False) -> None:
        shelf = self.shelves.setdefault(key, Shelf())
        shelf.on_hand += quantity
        if unavailable:
            shelf.unavailable += quantity
        else:
            self.fill(key)

    def fill(self, key: Key) -> None:
        """What is missing first, then what is awaited, each in order of promise."""
        for state in ("short", "allocated"):
            queue = sorted(
                (row for row in self.at(key, state) if state == "short" or row.backordered),
                key=lambda row: (row.promised_at or datetime.max.replace(tzinfo=row.created_at.tzinfo), *row.born),  # type: ignore[union-attr]
            )
            for row in queue:
                got = min(self.spare(key), row.quantity if state == "short" else row.backordered)
                if got <= 0:
                    break
                if state == "allocated":
                    row.backordered -= got
                elif got == row.quantity:
                    row.state = "allocated"
                else:
                    row.quantity -= got
                    self.rows.append(replace(row, state="allocated", quantity=got, backordered=0))

    # --- what goes out

    def make_room(self, key: Key, units: int, now: datetime) -> None:
        """The youngest give way: holds that have expired, other holds, promises that have their goods."""
        lacking = units - self.unpromised(key)

        def rank(row: Row) -> int:
            if row.state == "allocated":
                return 2
            return 1 if row.expires_at is not None and row.expires_at > now else 0

        standing = [row for row in self.at(key, "held", "allocated") if row.backed]
        standing.sort(key=lambda row: row.born, reverse=True)
        for row in sorted(standing, key=rank):
            cut = min(lacking, row.backed)
            if cut <= 0:
                break
            lacking -= cut
            if row.state == "allocated":
                self.rows.append(replace(row, state="short", quantity=cut, backordered=0))
            row.quantity -= cut
        self.rows = [row for row in self.rows if row.quantity]

    def take(self, key: Key, units: int, now: datetime, *, fact: bool, aside: bool = False) -> None:
        """Units leave the shop, or (aside) what can be sold. A fact cannot be refused for what is promised."""
        if key not in self.shelves:
            raise Refused("not_found")
        shelf = self.shelves[key]
        if fact:
            if units > shelf.on_hand - shelf.unavailable:
                raise Refused("below_promised")
            self.make_room(key, units, now)
        else:
            promised = self.allocated(key) + shelf.unavailable
            here = shelf.on_hand - units >= promised - self.backordered(key)
            if not here or shelf.on_hand - units + shelf.backorder_limit < promised + self.held(key):
                raise Refused("below_promised")
        if aside:
            shelf.unavailable += units
        else:
            shelf.on_hand -= units
        self.fill(key)

    def out_of_unavailable(self, key: Key, units: int, *, restore: bool) -> None:
        if key not in self.shelves:
            raise Refused("not_found")
        shelf = self.shelves[key]
        if units > shelf.unavailable:
            raise Refused("not_set_aside")
        shelf.unavailable -= units
        if restore:
            self.fill(key)
        else:
            shelf.on_hand -= units

    def count(self, key: Key, difference: int, now: datetime) -> None:
        """What a count found: more, or less, and of that first what is fit for sale."""
        if difference > 0:
            self.add(key, difference)
        elif difference < 0:
            shelf = self.shelves[key]
            aside = max(0, -difference - (shelf.on_hand - shelf.unavailable))
            self.out_of_unavailable(key, aside, restore=False)
            if -difference > aside:
                self.take(key, -difference - aside, now, fact=True)

    # --- promises

    def sweep(self, now: datetime) -> None:
        expired = self.expired(now)
        self.rows = [row for row in self.rows if not any(row is one for one in expired)]
        for key in {row.key for row in expired}:
            self.fill(key)

    def promise(
        self,
        owner: UUID,
        lines: Sequence[tuple[UUID | None, Key, int]],
        *,
        bucket: str,
        held_for: UUID | None = None,
        for_sale: bool = True,
        expires_at: datetime | None = None,
        now: datetime,
    ) -> None:
        """Hold or allocate all of it, or nothing; what the cart held counts as free for it."""
        wanted: dict[Key, int] = {}
        for _, key, quantity in lines:
            wanted[key] = wanted.get(key, 0) + quantity
        own = [row for row in self.rows if row.state == "held" and row.owner == held_for]
        back = {row.key for row in own}
        self.rows = [row for row in self.rows if not any(row is one for one in own)]
        here: dict[Key, int] = {}
        for key, quantity in wanted.items():
            if key not in self.shelves:
                raise Refused("out_of_stock")
            shelf = self.shelves[key]
            kept = shelf.safety if for_sale or bucket == "held" else 0
            spare = self.unpromised(key) - kept
            # what may be promised beyond the goods that are here
            limit = shelf.backorder_limit - self.backordered(key) if for_sale or bucket == "held" else 0
            if quantity > spare + limit:
                raise Refused("out_of_stock")
            here[key] = max(0, spare)
        for line, key, quantity in lines:
            backed = min(quantity, here[key]) if bucket == "allocated" else quantity
            here[key] -= backed
            made = Row(owner, line, key, bucket, quantity, quantity - backed, expires_at, created_at=now)
            self.rows.append(made)
        for key in back:
            self.fill(key)

    def release(self, chosen: Callable[[Row], bool]) -> int:
        gone = [row for row in self.rows if chosen(row)]
        self.rows = [row for row in self.rows if not any(row is one for one in gone)]
        for key in {row.key for row in gone if row.state != "short" and row.backed}:
            self.fill(key)
        return len(gone)

    def move(self, owner: UUID, lines: Sequence[UUID], place: UUID, now: datetime) -> None:
        """What is promised to these lines is taken from another place, all of it or nothing, and keeps its age."""
        mine = [row for row in self.rows if row.owner == owner and row.line in lines and row.state != "held"]
        if {row.line for row in mine} != set(lines):
            raise Refused("not_allocated")
        leaving = sorted((row for row in mine if row.key[1] != place), key=lambda row: row.id)
        asked = [(row.line, (row.key[0], place), row.quantity) for row in leaving]
        self.promise(owner, asked, bucket="allocated", now=now)
        self.release(lambda row: any(row is one for one in leaving))

    def consume(self, owner: UUID, quantities: Mapping[UUID | None, int] | None) -> None:
        """Units leave the shop; of each line as many as named (None: everything). What is missing or awaited cannot."""
        mine = [row for row in self.rows if row.owner == owner and row.state != "held"]
        if quantities is None:
            if not mine:
                raise Refused("not_allocated")
            if any(row.state == "short" or row.backordered for row in mine):
                raise Refused("not_on_hand")
            for row in mine:
                self.shelves[row.key].on_hand -= row.quantity
            self.rows = [row for row in self.rows if not any(row is one for one in mine)]
            return
        for line, quantity in quantities.items():
            rows = [row for row in mine if row.line == line]
            if not rows or sum(row.quantity for row in rows) < quantity:
                raise Refused("not_allocated")
            if sum(row.backed for row in rows if row.state == "allocated") < quantity:
                raise Refused("not_on_hand")
        for line, quantity in quantities.items():
            left = quantity
            for row in [row for row in mine if row.line == line and row.state == "allocated"]:
                gone = min(left, row.backed)
                left -= gone
                row.quantity -= gone
                self.shelves[row.key].on_hand -= gone
        self.rows = [row for row in self.rows if row.quantity]


def expanded(
    lines: Iterable[tuple[UUID | None, Key, int]], bundles: Mapping[UUID, Sequence[tuple[UUID, int]]]
) -> list[tuple[UUID | None, Key, int]]:
    """Lines with each bundle replaced by its components."""
    return [
        (line, (part, key[1]), quantity * each)
        for line, key, quantity in lines
        for part, each in bundles.get(key[0], [(key[0], 1)])
    ]
