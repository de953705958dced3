"""What came of a week: counted while it is lived through, and compared with the books and with the file at the end."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from uuid import UUID

from inventory.queries.replay import StoreBalance
from orders.replay.online_retail.week import CREDIT, SALE, Sums, Week

REFUSED, UNMATCHED = "refused", "unmatched"


@dataclass(frozen=True, slots=True)
class Missed:
    """A line that was not lived through: refused for want of stock, or a credit whose sale is not known; `why` in a word."""

    what: str
    invoice: str
    day: date
    sku: str
    quantity: int
    amount_minor: int
    why: str


@dataclass(frozen=True, slots=True)
class Day:
    """One day of one kind (sale, credit) in pounds: file = lived + missed + left out + rounding, or `difference` is not 0."""

    day: date
    kind: str
    file: Decimal
    lived: Decimal
    missed: Decimal
    left_out: Decimal
    rounding: Decimal

    @property
    def difference(self) -> Decimal:
        """Zero, or something is wrong."""
        return self.file - self.lived - self.missed - self.left_out - self.rounding


@dataclass(slots=True)
class Account:
    """Counted by us: orders and returns with their day, units sold and brought back by location, `ways` (method, payment) of
    orders, missed lines, calls, and `faults` in words. From the books: `days` and `places`."""

    orders: dict[UUID, date] = field(default_factory=dict)
    returns: dict[UUID, date] = field(default_factory=dict)
    ways: Counter[tuple[str, str]] = field(default_factory=Counter)
    lines: int = 0
    returned_lines: int = 0
    sold: Counter[str] = field(default_factory=Counter)
    returned: Counter[str] = field(default_factory=Counter)
    missed: list[Missed] = field(default_factory=list)
    calls: int = 0
    seconds: float = 0.0
    days: list[Day] = field(default_factory=list)
    places: dict[str, StoreBalance] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def money(self, kind: str) -> Decimal:
        """What was charged (sale) or refunded (credit) in all, in pounds."""
        return sum((day.lived for day in self.days if day.kind == kind), Decimal(0))


def settle(
    account: Account,
    week: Week,
    *,
    opened: Mapping[str, int],
    charged: Mapping[UUID, int],
    refunded: Mapping[UUID, int],
    places: Mapping[str, StoreBalance],
) -> None:
    """Compare. charged, refunded: minor units by order and by return, from the books."""
    for kind, lived, of in ((SALE, charged, account.orders), (CREDIT, refunded, account.returns)):
        by_day: Counter[date] = Counter()
        for one, day in of.items():
            by_day[day] += lived.get(one, 0)
        for (day, sums_of), sums in week.sums.items():
            if sums_of == kind:
                account.days.append(_day(day, kind, sums, by_day[day], account))
    account.faults += [
        f"{day.kind}s of {day.day:%Y-%m-%d}: the file and the shop differ by {day.difference:,.2f}"
        for day in account.days
        if day.difference
    ]
    for code, books in places.items():
        account.places[code] = books
        wanted = (opened.get(code, 0), account.sold[code], account.returned[code], 0)
        found = (books.received, books.sold, books.other, books.difference)
        if wanted != found:
            account.faults.append(
                f"{code}: received, sold, returned, unexplained are {found} in the books, and were counted as {wanted}"
            )


def _day(day: date, kind: str, sums: Sums, lived_minor: int, account: Account) -> Day:
    what = REFUSED if kind == SALE else UNMATCHED
    missed = sum(one.amount_minor for one in account.missed if one.day == day and one.what == what)
    return Day(
        day,
        kind,
        sums.file,
        _pounds(lived_minor),
        _pounds(missed),
        _pounds(sum(sums.left_out.values())),
        sums.rounding,
    )


def _pounds(minor: int) -> Decimal:
    return Decimal(minor).scaleb(-2)
