"""What earning is judged by, as values: a basket, a rule, and what is known of the member. Pure; knows no database."""

import calendar
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import date, datetime
from typing import Any
from uuid import UUID

from retail.kernel.money import allocate

AMOUNT, UNIT, ORDER, MULTIPLIER, REFERRAL = BASES = ("amount", "unit", "order", "multiplier", "referral")
DAY, MONTH = "day", "month"
WHOLE_BP = 10_000  # a factor of one


@dataclass(frozen=True, slots=True)
class Line:
    """Goods of one order line that are, or will be, the customer's; `net_minor` without tax, minor units."""

    id: UUID
    sku: str
    category: str
    quantity: int
    net_minor: int


@dataclass(frozen=True, slots=True)
class Basket:
    """An order as earning sees it. `day` is that of placing in the zone of its location (of what is shipped: the shop's).

    `paid_otherwise_minor` is what points and gift cards paid of these goods, tax included.
    """

    order_id: UUID
    currency: str
    channel: str
    location_id: UUID | None
    placed_at: datetime
    day: date
    lines: tuple[Line, ...]
    paid_otherwise_minor: int = 0

    def eligible(self) -> dict[UUID, int]:
        """{line: what of it earns, minor units}: its amount without its share of what points and gift cards paid.

        In the order of the lines' ids, so that the order in which they are listed decides nothing.
        """
        lines = sorted(self.lines, key=lambda line: line.id)
        if not lines:
            return {}
        spent = allocate(self.paid_otherwise_minor, [line.net_minor for line in lines])
        return {line.id: max(0, line.net_minor - part) for line, part in zip(lines, spent, strict=True)}

    def to_json(self) -> dict[str, Any]:
        """As it stands in `earning_record.basket`."""
        return {
            "order_id": str(self.order_id),
            "currency": self.currency,
            "channel": self.channel,
            "location_id": None if self.location_id is None else str(self.location_id),
            "placed_at": self.placed_at.isoformat(),
            "day": self.day.isoformat(),
            "paid_otherwise_minor": self.paid_otherwise_minor,
            "lines": [
                {
                    "id": str(line.id),
                    "sku": line.sku,
                    "category": line.category,
                    "quantity": line.quantity,
                    "net_minor": line.net_minor,
                }
                for line in self.lines
            ],
        }

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> "Basket":
        """The inverse of `to_json`; anything else in `told` is passed over."""
        return cls(
            order_id=UUID(told["order_id"]),
            currency=told["currency"],
            channel=told["channel"],
            location_id=None if told["location_id"] is None else UUID(told["location_id"]),
            placed_at=datetime.fromisoformat(told["placed_at"]),
            day=date.fromisoformat(told["day"]),
            paid_otherwise_minor=told["paid_otherwise_minor"],
            lines=tuple(Line(**(line | {"id": UUID(line["id"])})) for line in told["lines"]),
        )


@dataclass(frozen=True, slots=True)
class Rule:
    """One version of an earning rule (`loyalty.models.EarningRule` says what each field means)."""

    code: str
    version: int
    basis: str
    name: str = ""
    name_ja: str | None = None
    currency: str | None = None
    points: int = 0
    per_minor: int = 0
    factor_bp: int = 0
    skus: frozenset[str] = frozenset()
    categories: frozenset[str] = frozenset()
    channels: frozenset[str] = frozenset()
    locations: frozenset[UUID] = frozenset()
    weekdays: frozenset[int] = frozenset()
    tiers: frozenset[str] = frozenset()
    from_on: date | None = None
    to_on: date | None = None
    first_purchase: bool = False
    birthday: str | None = None
    min_amount_minor: int = 0
    stack_group: str | None = None
    priority: int = 100
    cap_per_order: int | None = None
    cap_per_member: int | None = None
    cap_days: int | None = None
    pending_days: int = 0
    lot_days: int | None = None
    active: bool = True

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "Rule":
        """From a row of the table, or from one as JSON; other columns are passed over."""
        return cls(**{name: _READ.get(name, _as_is)(row[name]) for name in _NAMES if name in row})

    def is_about(self, line: Line) -> bool:
        """Whether a line of these goods counts."""
        if not self.skus and not self.categories:
            return True
        return line.sku in self.skus or line.category in self.categories


def _as_is(value: Any) -> Any:
    return value


def _day(value: Any) -> date | None:
    return date.fromisoformat(value) if isinstance(value, str) else value


def _ids(values: Iterable[Any]) -> frozenset[UUID]:
    return frozenset(UUID(str(value)) for value in values)


_NAMES = tuple(one.name for one in fields(Rule))
_READ: Mapping[str, Any] = {
    "skus": frozenset,
    "categories": frozenset,
    "channels": frozenset,
    "locations": _ids,
    "weekdays": frozenset,
    "tiers": frozenset,
    "from_on": _day,
    "to_on": _day,
}


@dataclass(frozen=True, slots=True)
class MemberFacts:
    """What is known of the member when an order is judged. `birthday`: whether it was placed on her birthday (``day``), in
    its month (``month``) or not. `tier` and its factor are those of the moment of placing. `earned_by_rule` holds, of rules
    with a cap per member, what other orders gave within its days."""

    first_purchase: bool = False
    birthday: str | None = None
    tier: str | None = None
    tier_bp: int = WHOLE_BP
    earned_by_rule: Mapping[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As it stands beside the basket in `earning_record`: what the caps need is worked out anew by whoever reads it."""
        return {
            "first_purchase": self.first_purchase,
            "birthday": self.birthday,
            "tier": self.tier,
            "tier_bp": self.tier_bp,
        }


def birthday_on(day: date, *, month: int | None, of_month: int | None) -> str | None:
    """``day``, ``month`` or None. Who was born on February 29th has it on the 28th in years without."""
    if month is None or of_month is None or month != day.month:
        return None
    last = calendar.monthrange(day.year, month)[1]
    return DAY if day.day == min(of_month, last) else MONTH
