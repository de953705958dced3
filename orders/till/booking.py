"""A sale of the past as an order: what it adds up to, which customer and goods it means, and what is odd about it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from loyalty import earning
from loyalty.earning.facts import Basket, Line
from orders import gift_cards, pricing
from orders.pricing import TaxLine
from orders.queries.till import Buyer, Card, Ware
from orders.splitting import EARNS_NOTHING
from orders.till.reading import Sale
from retail import limits
from retail.kernel.ids import new_id, new_reference


@dataclass(slots=True)
class Part:
    """A tender of the order, minor units; `external`: the till took it, and nothing here pays for it."""

    tender: str
    amount_minor: int
    points: int | None = None
    card: Card | None = None
    payment_id: UUID = field(default_factory=new_id)


@dataclass(slots=True)
class Booking:
    """An order that will be written, and what staff should look at."""

    sale: Sale
    currency: str
    inclusive: bool
    shares: list[int]
    tax_lines: tuple[TaxLine, ...]
    wares: list[Ware | None]
    buyer: Buyer | None
    placed_at: datetime
    flags: list[dict[str, Any]]
    parts: list[Part] = field(default_factory=list)
    order_id: UUID = field(default_factory=new_id)
    fulfillment_id: UUID = field(default_factory=new_id)
    reference: str = field(default_factory=lambda: new_reference("R"))
    line_ids: list[UUID] = field(default_factory=list)

    @property
    def tax_minor(self) -> int:
        return sum(self.shares)

    @property
    def asked_minor(self) -> int:
        return sum(line.asked_minor for line in self.sale.lines)

    @property
    def total_minor(self) -> int:
        return self.asked_minor if self.inclusive else self.asked_minor + self.tax_minor

    @property
    def nets(self) -> list[int]:
        """What each line costs without tax."""
        lines = zip(self.sale.lines, self.shares, strict=True)
        return [line.asked_minor - share if self.inclusive else line.asked_minor for line, share in lines]

    def basket(self, *, channel: str, location_id: UUID, zone: str) -> Basket:
        """What it earns by: what was paid with points or gift cards earns nothing, covered or not."""
        spent = sum(one.amount_minor for one in self.sale.tenders if one.method in EARNS_NOTHING)
        told = zip(self.line_ids, self.sale.lines, self.wares, self.nets, strict=True)
        return Basket(
            order_id=self.order_id,
            currency=self.currency,
            channel=channel,
            location_id=location_id,
            placed_at=self.placed_at,
            day=self.placed_at.astimezone(ZoneInfo(zone)).date(),
            lines=tuple(
                Line(line_id, line.sku, "" if ware is None else ware.category, line.quantity, net)
                for line_id, line, ware, net in told
            ),
            paid_otherwise_minor=spent,
        )

    def flag(self, code: str, **about: Any) -> None:
        """Tell staff."""
        self.flags.append({"code": code, **about})


def book(
    sale: Sale, *, currency: str, inclusive: bool, wares: Mapping[str, Ware], buyers: Mapping[str, Buyer], now: datetime
) -> Booking:
    """The order that a sale becomes; its tenders come later (`settle`). The till's clock is believed unless it is ahead."""
    shares, tax_lines = pricing.tax_shares(
        [line.asked_minor for line in sale.lines], [line.tax_rate_bp for line in sale.lines], inclusive
    )
    named = str(sale.customer_id) if sale.customer_id else sale.member
    buyer = buyers.get(named) if named else None
    ahead = sale.sold_at > now + timedelta(seconds=limits.TILL_CLOCK_AHEAD_SECONDS)
    made = Booking(
        sale, currency, inclusive, shares, tax_lines, [wares.get(line.sku) for line in sale.lines], buyer,
        min(sale.sold_at, now), [], line_ids=[new_id() for _ in sale.lines],
    )  # fmt: skip
    if ahead:
        made.flag("clock_ahead", sold_at=sale.sold_at.isoformat())
    elif sale.sold_at < now - timedelta(days=limits.TILL_OFFLINE_DAYS):
        made.flag("clock_behind", sold_at=sale.sold_at.isoformat())
    if named and buyer is None:
        made.flag("customer_unknown")
    for position, (line, ware) in enumerate(zip(sale.lines, made.wares, strict=True), start=1):
        if ware is None:
            made.flag("sku_unknown", line=position, sku=line.sku, quantity=line.quantity)
        elif not ware.active:
            made.flag("not_for_sale", line=position, sku=line.sku)
    return made


def points_wanted(made: Booking) -> int:
    """How many points the sale wants to spend; none without a customer or a program, which is flagged."""
    amount = sum(one.amount_minor for one in made.sale.tenders if one.method == "points")
    if not amount:
        return 0
    if made.currency not in earning.POINT_VALUE_MINOR:
        made.flag("points_not_accepted", amount_minor=amount)
    elif made.buyer is None:
        made.flag("points_without_customer", amount_minor=amount)
    else:
        return amount // earning.POINT_VALUE_MINOR[made.currency]
    return 0


def settle(made: Booking, *, wanted: int, burned: int, cards: Mapping[str, Card], left: dict[UUID, int]) -> None:
    """Fill in the tenders: points as far as they were there, gift cards as far as `left` of them goes (and is taken off
    there); the rest of either was taken by the till alone, and is flagged."""
    uncovered = 0
    for one in made.sale.tenders:
        covered = one.amount_minor
        if one.method == "points":
            covered = burned * earning.POINT_VALUE_MINOR.get(made.currency, 1)
            if burned < wanted:
                made.flag("points_short", points=wanted, burned=burned)
            if covered:
                made.parts.append(Part("points", covered, points=burned))
        elif one.method == "gift_card":
            covered = _by_card(made, one.number or "", one.amount_minor, cards, left)
        else:
            made.parts.append(Part(one.method, covered))
        uncovered += one.amount_minor - covered
    if uncovered:
        made.flag("uncovered", amount_minor=uncovered)
        made.parts.append(Part("external", uncovered))


def _by_card(made: Booking, number: str, amount: int, cards: Mapping[str, Card], left: dict[UUID, int]) -> int:
    code_hash = gift_cards.fingerprint_of(number)
    card = cards.get(code_hash) if code_hash else None
    if card is None:
        made.flag("gift_card_unknown", amount_minor=amount)
        return 0
    if (
        card.state == "blocked"
        or card.currency != made.currency
        or (card.expires_at and card.expires_at <= made.placed_at)
    ):
        made.flag("gift_card_not_usable", gift_card_id=str(card.id), amount_minor=amount)
        return 0
    taken = min(amount, left[card.id])
    if taken < amount:
        made.flag("gift_card_short", gift_card_id=str(card.id), amount_minor=amount, taken_minor=taken)
    if taken:
        left[card.id] -= taken
        made.parts.append(Part("gift_card", taken, card=card))
    return taken
