"""What promotions take off: which apply, why, how much on which line, and why others did not. Pure; knows no database.

Promotions are asked by priority (lowest number first, then code), each upon what the ones before it have left. Amounts are
in the price list's own mode (tax included or not) and are taken off before tax. The order of the lines never matters: what
cannot be split evenly is given out by SKU.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from typing import Any
from uuid import UUID

from retail.kernel.money import allocate

PERCENTAGE, AMOUNT, BUY_X_GET_Y, THRESHOLD = "percentage", "amount", "buy_x_get_y", "threshold"
KINDS = (PERCENTAGE, AMOUNT, BUY_X_GET_Y, THRESHOLD)
FREE_SHIPPING = "free_shipping"  # no promotion: what the buyer's tier gives her (shipping_fees)
WHOLE_BP = 10_000

# Why a promotion took nothing off. A promotion that needs no coupon is mentioned only when one of TOLD is the reason.
UNKNOWN_COUPON = "unknown_coupon"
NOT_STARTED, ENDED, WRONG_CURRENCY = "not_started", "ended", "wrong_currency"
NO_LINES, BELOW_QUANTITY, BELOW_AMOUNT = "no_eligible_lines", "below_min_quantity", "below_min_amount"
NOT_COMBINED, OTHER_OF_GROUP, APPLIED_ALREADY = "not_combined", "other_of_group", "applied_already"
NOTHING_LEFT = "nothing_left"
TOLD = frozenset({BELOW_QUANTITY, BELOW_AMOUNT, NOT_COMBINED, OTHER_OF_GROUP})


@dataclass(frozen=True, slots=True)
class Step:
    """From this amount of eligible goods on: a share (basis points) or an amount off, once."""

    from_minor: int
    percent_bp: int = 0
    amount_minor: int = 0


@dataclass(frozen=True, slots=True)
class Promotion:
    """One rule, as it stands for one customer's order.

    kind: ``percentage`` takes `percent_bp` off the eligible lines; ``amount`` takes `amount_minor` off their sum, or off
    each unit with `per_unit`; ``buy_x_get_y`` gives, of every `buy_quantity` + `get_quantity` eligible units, the cheapest
    `get_quantity` at `percent_bp` off (at most `times` times); ``threshold`` takes what the highest of `steps` says that
    the eligible goods reach.

    Eligible are the goods with one of `skus` or `categories`; all goods when both are empty. `min_quantity` and
    `min_amount_minor` are about the eligible goods at their prices before any discount. What is not `stackable` shares no
    line with another promotion, and of an `exclusive_group` only the one that takes most off applies. `coupon` is the code
    that was shown for it, and `barred` the reason why it cannot count whatever is in the order.
    """

    id: UUID
    code: str
    name: str
    kind: str
    name_ja: str | None = None
    currency: str | None = None
    percent_bp: int = 0
    amount_minor: int = 0
    per_unit: bool = False
    buy_quantity: int = 0
    get_quantity: int = 0
    times: int | None = None
    steps: tuple[Step, ...] = ()
    skus: frozenset[str] = frozenset()
    categories: frozenset[str] = frozenset()
    min_quantity: int = 0
    min_amount_minor: int = 0
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    priority: int = 100
    stackable: bool = True
    exclusive_group: str | None = None
    coupon: str | None = None
    coupon_id: UUID | None = None
    barred: str | None = None


@dataclass(frozen=True, slots=True)
class Ware:
    """One line of goods, as promotions see it."""

    sku: str
    category: str
    quantity: int
    unit_price_minor: int


@dataclass(slots=True)
class Discounts:
    """What was taken off each line (in the given order), and the story of it in the shape of ``order.discounts``."""

    by_line: list[int]
    told: list[dict[str, Any]] = field(default_factory=list)


def discount(
    wares: Sequence[Ware],
    *,
    promotions: Sequence[Promotion],
    coupon_codes: Sequence[str],
    currency: str,
    now: datetime | None,
) -> Discounts:
    """Apply `promotions` to one order's goods. `now` None leaves their periods out of it.

    The told story has one entry per promotion that applied: ``{"promotion", "name", "name_ja", "kind", "coupon",
    "applied": true, "reason": "applied", "facts", "amount_minor", "lines": [{"line", "sku", "amount_minor"}]}`` (`line` counts
    from 1), and after them one per coupon that did not and per automatic promotion that nearly did: ``"applied": false``
    with the reason and its facts (``missing_minor``, ``missing_quantity``, ``other``).
    """
    found = Discounts([0] * len(wares))
    state = _Basket(wares, found.by_line)
    asked = sorted(promotions, key=lambda item: (item.priority, item.code, item.coupon or ""))
    refused: list[dict[str, Any]] = []
    decided: set[int] = set()
    for promotion in asked:
        if id(promotion) in decided:
            continue
        group = [promotion]
        if promotion.exclusive_group is not None:
            group = [item for item in asked if item.exclusive_group == promotion.exclusive_group]
        decided.update(map(id, group))
        offers = [(item, state.offer(item, currency=currency, now=now)) for item in group]
        best = max((offer.amount_minor for _, offer in offers), default=0)
        for item, offer in offers:
            if offer.reason is None and offer.amount_minor == best and best > 0:
                found.told.append(state.take(item, offer))
                best = -1
            elif item.coupon is not None or offer.reason in TOLD or offer.reason is None:
                refused.append(_refused(item, offer.reason or OTHER_OF_GROUP, offer.facts))
    known = {promotion.coupon for promotion in promotions}
    refused += [_unknown(code) for code in coupon_codes if code not in known]
    found.told += refused
    return found


@dataclass(frozen=True, slots=True)
class _Offer:
    """What a promotion would take off now, by position; or the reason why nothing."""

    by_line: Mapping[int, int] = field(default_factory=dict)
    reason: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def amount_minor(self) -> int:
        return sum(self.by_line.values())


class _Basket:
    """The lines, what has been taken off them so far, and by whom."""

    def __init__(self, wares: Sequence[Ware], taken: list[int]) -> None:
        self.wares = wares
        self.taken = taken
        self.order = sorted(
            range(len(wares)), key=lambda at: (wares[at].sku, wares[at].unit_price_minor, wares[at].quantity)
        )
        self.by: dict[int, list[str]] = {}  # the codes of the promotions that a line has had
        self.closed: dict[int, str] = {}  # the lines of a promotion that is not stackable
        self.applied: set[UUID] = set()

    def left(self, at: int) -> int:
        return self.wares[at].unit_price_minor * self.wares[at].quantity - self.taken[at]

    def offer(self, promotion: Promotion, *, currency: str, now: datetime | None) -> _Offer:
        """What it would take off, upon what the others have left."""
        reason = self._outside(promotion, currency=currency, now=now)
        if reason is not None:
            return _Offer(reason=reason)
        eligible = [at for at in self.order if _is_eligible(promotion, self.wares[at])]
        if not eligible:
            return _Offer(reason=NO_LINES)
        units = sum(self.wares[at].quantity for at in eligible)
        worth = sum(self.wares[at].unit_price_minor * self.wares[at].quantity for at in eligible)
        facts: dict[str, Any] = {"eligible_quantity": units, "eligible_minor": worth}
        least_quantity, least_minor = _least(promotion)
        if units < least_quantity:
            return _Offer(reason=BELOW_QUANTITY, facts=facts | {"missing_quantity": least_quantity - units})
        if worth < least_minor:
            return _Offer(reason=BELOW_AMOUNT, facts=facts | {"missing_minor": least_minor - worth})
        free = [at for at in eligible if at not in self.closed and (promotion.stackable or at not in self.by)]
        if not free:
            others = sorted(set(chain.from_iterable(self.by.get(at, ()) for at in eligible)))
            return _Offer(reason=NOT_COMBINED, facts=facts | {"other": others})
        cut = _cut(promotion, self, free, worth)
        if not any(cut.values()):
            return _Offer(reason=NOTHING_LEFT, facts=facts)
        return _Offer(cut, facts=facts | _terms(promotion, worth))

    def take(self, promotion: Promotion, offer: _Offer) -> dict[str, Any]:
        """Take it off; returns the entry that tells of it."""
        for at, amount in offer.by_line.items():
            if amount:
                self.taken[at] += amount
                self.by.setdefault(at, []).append(promotion.code)
                if not promotion.stackable:
                    self.closed[at] = promotion.code
        self.applied.add(promotion.id)
        return _entry(promotion) | {
            "applied": True,
            "reason": "applied",
            "facts": dict(offer.facts),
            "amount_minor": offer.amount_minor,
            "lines": [
                {"line": at + 1, "sku": self.wares[at].sku, "amount_minor": amount}
                for at, amount in sorted(offer.by_line.items())
                if amount
            ],
        }

    def _outside(self, promotion: Promotion, *, currency: str, now: datetime | None) -> str | None:
        """The reason that lies outside the goods."""
        if promotion.barred is not None:
            return promotion.barred
        if promotion.id in self.applied:
            return APPLIED_ALREADY
        if now is not None and promotion.valid_from is not None and now < promotion.valid_from:
            return NOT_STARTED
        if now is not None and promotion.valid_to is not None and now >= promotion.valid_to:
            return ENDED
        if promotion.currency is not None and promotion.currency != currency:
            return WRONG_CURRENCY
        return None


def _is_eligible(promotion: Promotion, ware: Ware) -> bool:
    if not promotion.skus and not promotion.categories:
        return True
    return ware.sku in promotion.skus or ware.category in promotion.categories


def _least(promotion: Promotion) -> tuple[int, int]:
    """The least units and the least amount that it asks for."""
    units, minor = promotion.min_quantity, promotion.min_amount_minor
    if promotion.kind == BUY_X_GET_Y:
        units = max(units, promotion.buy_quantity + promotion.get_quantity)
    if promotion.kind == THRESHOLD:
        minor = max(minor, min((step.from_minor for step in promotion.steps), default=0))
    return units, minor


def _cut(promotion: Promotion, basket: _Basket, free: Sequence[int], worth: int) -> dict[int, int]:
    """What is taken off each of the lines `free`."""
    left = [basket.left(at) for at in free]
    if promotion.kind == BUY_X_GET_Y:
        return _cheapest(promotion, basket, free)
    if promotion.kind == AMOUNT and promotion.per_unit:
        return {
            at: min(rest, promotion.amount_minor * basket.wares[at].quantity)
            for at, rest in zip(free, left, strict=True)
        }
    percent_bp, amount_minor = promotion.percent_bp, promotion.amount_minor
    if promotion.kind == THRESHOLD:
        step = _step(promotion, worth)
        percent_bp, amount_minor = step.percent_bp, step.amount_minor
    elif promotion.kind == AMOUNT:
        percent_bp = 0
    else:
        amount_minor = 0
    whole = min(sum(left), amount_minor + _share(sum(left), percent_bp))
    return dict(zip(free, allocate(whole, left), strict=True))


def _cheapest(promotion: Promotion, basket: _Basket, free: Sequence[int]) -> dict[int, int]:
    """Of the units in whole groups of X + Y, the Y cheapest of each group's worth: the cheapest of all."""
    units = sum(basket.wares[at].quantity for at in free)
    groups = units // (promotion.buy_quantity + promotion.get_quantity)
    if promotion.times is not None:
        groups = min(groups, promotion.times)
    given = groups * promotion.get_quantity
    cut: dict[int, int] = {}
    for at in sorted(free, key=lambda at: basket.wares[at].unit_price_minor):  # ties stay in the order of SKUs
        take = min(given, basket.wares[at].quantity)
        cut[at] = _share(basket.left(at) * take // basket.wares[at].quantity, promotion.percent_bp)
        given -= take
    return cut


def _step(promotion: Promotion, worth: int) -> Step:
    return max((step for step in promotion.steps if step.from_minor <= worth), key=lambda step: step.from_minor)


def _share(amount_minor: int, percent_bp: int) -> int:
    """A share of an amount, rounded half up."""
    return (2 * amount_minor * percent_bp + WHOLE_BP) // (2 * WHOLE_BP)


def _terms(promotion: Promotion, worth: int) -> dict[str, Any]:
    """The figures of the promotion that the amount follows from."""
    if promotion.kind == BUY_X_GET_Y:
        return {
            "buy_quantity": promotion.buy_quantity,
            "get_quantity": promotion.get_quantity,
            "percent_bp": promotion.percent_bp,
        }
    if promotion.kind == THRESHOLD:
        step = _step(promotion, worth)
        return {"from_minor": step.from_minor, "percent_bp": step.percent_bp, "off_minor": step.amount_minor}
    if promotion.kind == AMOUNT:
        return {"off_minor": promotion.amount_minor, "per_unit": promotion.per_unit}
    return {"percent_bp": promotion.percent_bp}


def _entry(promotion: Promotion) -> dict[str, Any]:
    return {
        "promotion": promotion.code,
        "name": promotion.name,
        "name_ja": promotion.name_ja,
        "kind": promotion.kind,
        "coupon": promotion.coupon,
    }


def _refused(promotion: Promotion, reason: str, facts: Mapping[str, Any]) -> dict[str, Any]:
    return _entry(promotion) | {
        "applied": False,
        "reason": reason,
        "facts": dict(facts),
        "amount_minor": 0,
        "lines": [],
    }


def _unknown(code: str) -> dict[str, Any]:
    return {
        "promotion": None,
        "name": None,
        "name_ja": None,
        "kind": None,
        "coupon": code,
        "applied": False,
        "reason": UNKNOWN_COUPON,
        "facts": {},
        "amount_minor": 0,
        "lines": [],
    }
