"""What things cost: offers and quantities in, priced lines, tax per rate and totals out. Pure; knows no database."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from orders.discounts import Discounts, Promotion, Ware, discount
from retail.kernel.errors import Invalid
from retail.kernel.money import MAX_MINOR, allocate, tax_of_exclusive, tax_of_inclusive
from retail.queries import Offer


class TooMuch(Invalid):
    """The sum is beyond what an order may cost (kernel.money.MAX_MINOR)."""

    code, title = "total_too_large", "The order costs more than an order may"


GOODS, SHIPPING, GIFT_CARD = "goods", "shipping", "gift_card"


@dataclass(frozen=True, slots=True)
class Fee:
    """A line that is no goods: shipping, or a gift card that is bought. In the price list's mode, like an offer's price;
    promotions leave it alone."""

    kind: str
    sku: str
    title: str
    title_ja: str | None
    amount_minor: int
    tax_rate_bp: int
    quantity: int = 1


@dataclass(frozen=True, slots=True)
class PricedLine:
    """One line, minor units: `subtotal_minor` without tax, `tax_minor` its share of the rounded tax, their sum `total_minor`,
    all after `discount_minor` was taken off `quantity` x `unit_price_minor`. Fees have no variant."""

    variant_id: UUID | None
    sku: str
    title: str
    title_ja: str | None
    quantity: int
    unit_price_minor: int
    tax_rate_bp: int
    subtotal_minor: int
    tax_minor: int
    total_minor: int
    kind: str = GOODS
    discount_minor: int = 0
    category: str = ""


@dataclass(frozen=True, slots=True)
class TaxLine:
    """The tax of one rate over the whole order: `taxable_minor` without tax, rounded once."""

    rate_bp: int
    taxable_minor: int
    tax_minor: int

    def stored(self) -> dict[str, Any]:
        """As it stands in ``order.tax_lines``."""
        return {"rate_bp": self.rate_bp, "taxable_minor": self.taxable_minor, "tax_minor": self.tax_minor}


@dataclass(frozen=True, slots=True)
class Priced:
    """A whole order or cart: lines in the given order (goods, then fees), tax lines by rate, and subtotal + tax = total.

    `discount_minor` is the sum of the lines' discounts, `discounts` says where it comes from and why other promotions and
    coupons did not count (see `discounts.discount`), `coupon_codes` are the coupons that did.
    """

    currency: str
    tax_inclusive: bool
    lines: tuple[PricedLine, ...]
    tax_lines: tuple[TaxLine, ...]
    subtotal_minor: int
    tax_minor: int
    total_minor: int
    discount_minor: int = 0
    discounts: tuple[dict[str, Any], ...] = ()
    coupon_codes: tuple[str, ...] = ()


def price(
    items: Sequence[tuple[Offer, int]],
    *,
    promotions: Sequence[Promotion] = (),
    coupon_codes: Sequence[str] = (),
    fees: Sequence[Fee] = (),
    told: Sequence[Mapping[str, Any]] = (),
    now: datetime | None = None,
) -> Priced:
    """Price offers with quantities, and fees.

    Promotions are taken off first. Tax is rounded once per rate over the whole order (Japan: Consumption Tax Act, art.
    57-4; the seller may choose how, once per rate per invoice) and split over the lines of that rate in proportion to what
    they cost, no unit lost. All offers come from one price list, so they share currency and tax mode.

    Args:
        promotions: those that may count, coupons shown included (`promotions.applicable`). coupon_codes: all that were
            shown: one without a promotion is told to be unknown. told: what else `discounts` has to say. now: for the promotions' periods; None leaves them out.

    Raises:
        ValueError: there are no items, or their currencies differ.
        TooMuch: the total is over MAX_MINOR.
    """
    if not items:
        raise ValueError("nothing to price")
    first = items[0][0]
    inclusive = first.tax_inclusive
    if any(offer.currency != first.currency or offer.tax_inclusive != inclusive for offer, _ in items):
        raise ValueError("offers of two price lists")
    found = _discounts(items, promotions=promotions, coupon_codes=coupon_codes, now=now)
    asked = [
        offer.unit_price_minor * quantity - off for (offer, quantity), off in zip(items, found.by_line, strict=True)
    ]
    asked += [fee.amount_minor * fee.quantity for fee in fees]
    if sum(asked) + sum(found.by_line) > MAX_MINOR:
        raise TooMuch
    shares, tax_lines = tax_shares(
        asked, [offer.tax_rate_bp for offer, _ in items] + [fee.tax_rate_bp for fee in fees], inclusive
    )
    sold: list[tuple[Offer | Fee, int, int]] = [
        (offer, quantity, off) for (offer, quantity), off in zip(items, found.by_line, strict=True)
    ]
    sold += [(fee, fee.quantity, 0) for fee in fees]
    lines = tuple(
        _line(what, quantity, off, amount=amount, tax=tax, inclusive=inclusive)
        for (what, quantity, off), amount, tax in zip(sold, asked, shares, strict=True)
    )
    tax = sum(shares)
    subtotal = sum(asked) - tax if inclusive else sum(asked)
    return Priced(
        currency=first.currency,
        tax_inclusive=inclusive,
        lines=lines,
        tax_lines=tax_lines,
        subtotal_minor=subtotal,
        tax_minor=tax,
        total_minor=subtotal + tax,
        discount_minor=sum(found.by_line),
        discounts=(*found.told, *map(dict, told)),
        coupon_codes=tuple(entry["coupon"] for entry in found.told if entry["applied"] and entry["coupon"]),
    )


def _line(what: Offer | Fee, quantity: int, off: int, *, amount: int, tax: int, inclusive: bool) -> PricedLine:
    return PricedLine(
        variant_id=what.variant_id if isinstance(what, Offer) else None,
        sku=what.sku,
        title=what.title,
        title_ja=what.title_ja,
        quantity=quantity,
        unit_price_minor=what.unit_price_minor if isinstance(what, Offer) else what.amount_minor,
        tax_rate_bp=what.tax_rate_bp,
        subtotal_minor=amount - tax if inclusive else amount,
        tax_minor=tax,
        total_minor=amount if inclusive else amount + tax,
        kind=GOODS if isinstance(what, Offer) else what.kind,
        discount_minor=off,
        category=what.category if isinstance(what, Offer) else "",
    )


def _discounts(
    items: Sequence[tuple[Offer, int]],
    *,
    promotions: Sequence[Promotion],
    coupon_codes: Sequence[str],
    now: datetime | None,
) -> Discounts:
    if not promotions and not coupon_codes:
        return Discounts([0] * len(items))
    wares = [Ware(offer.sku, offer.category, quantity, offer.unit_price_minor) for offer, quantity in items]
    currency = items[0][0].currency
    return discount(wares, promotions=promotions, coupon_codes=coupon_codes, currency=currency, now=now)


def tax_shares(asked: Sequence[int], rates_bp: Sequence[int], inclusive: bool) -> tuple[list[int], tuple[TaxLine, ...]]:
    """Each amount's share of the tax, and the tax of each rate, highest rate first."""
    by_rate: dict[int, list[int]] = {}
    for position, rate_bp in enumerate(rates_bp):
        by_rate.setdefault(rate_bp, []).append(position)
    shares = [0] * len(asked)
    tax_lines = []
    for rate_bp in sorted(by_rate, reverse=True):
        positions = by_rate[rate_bp]
        weights = [asked[position] for position in positions]
        base = sum(weights)
        tax = tax_of_inclusive(base, rate_bp) if inclusive else tax_of_exclusive(base, rate_bp)
        for position, share in zip(positions, allocate(tax, weights), strict=True):
            shares[position] = share
        tax_lines.append(TaxLine(rate_bp, base - tax if inclusive else base, tax))
    return shares, tuple(tax_lines)
