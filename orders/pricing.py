"""What things cost: offers and quantities in, priced lines, tax per rate and totals out. Pure; knows no database."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from retail.kernel.errors import Invalid
from retail.kernel.money import MAX_MINOR, allocate, tax_of_exclusive, tax_of_inclusive
from retail.queries import Offer


class TooMuch(Invalid):
    """The sum is beyond what an order may cost (kernel.money.MAX_MINOR)."""

    code, title = "total_too_large", "The order costs more than an order may"


@dataclass(frozen=True, slots=True)
class PricedLine:
    """One line, minor units: `subtotal_minor` without tax, `tax_minor` its share of the rounded tax, their sum `total_minor`."""

    variant_id: UUID
    sku: str
    title: str
    title_ja: str | None
    quantity: int
    unit_price_minor: int
    tax_rate_bp: int
    subtotal_minor: int
    tax_minor: int
    total_minor: int


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
    """A whole order or cart: lines in the given order, tax lines by rate, and subtotal + tax = total."""

    currency: str
    tax_inclusive: bool
    lines: tuple[PricedLine, ...]
    tax_lines: tuple[TaxLine, ...]
    subtotal_minor: int
    tax_minor: int
    total_minor: int


def price(items: Sequence[tuple[Offer, int]]) -> Priced:
    """Price offers with quantities.

    Tax is rounded once per rate over the whole order (Japan: Consumption Tax Act, art. 57-4; the seller may choose how,
    once per rate per invoice) and split over the lines of that rate in proportion to what they cost, no unit lost.
    All offers come from one price list, so they share currency and tax mode.

    Raises:
        ValueError: there are no items.
        TooMuch: the total is over MAX_MINOR.
    """
    if not items:
        raise ValueError("nothing to price")
    first = items[0][0]
    inclusive = first.tax_inclusive
    asked = [offer.unit_price_minor * quantity for offer, quantity in items]
    if sum(asked) > MAX_MINOR:
        raise TooMuch
    by_rate: dict[int, list[int]] = {}
    for position, (offer, _) in enumerate(items):
        by_rate.setdefault(offer.tax_rate_bp, []).append(position)

    shares = [0] * len(items)
    tax_lines = []
    for rate_bp in sorted(by_rate, reverse=True):
        positions = by_rate[rate_bp]
        weights = [asked[position] for position in positions]
        base = sum(weights)
        tax = tax_of_inclusive(base, rate_bp) if inclusive else tax_of_exclusive(base, rate_bp)
        for position, share in zip(positions, allocate(tax, weights), strict=True):
            shares[position] = share
        tax_lines.append(TaxLine(rate_bp, base - tax if inclusive else base, tax))

    lines = tuple(
        PricedLine(
            variant_id=offer.variant_id,
            sku=offer.sku,
            title=offer.title,
            title_ja=offer.title_ja,
            quantity=quantity,
            unit_price_minor=offer.unit_price_minor,
            tax_rate_bp=offer.tax_rate_bp,
            subtotal_minor=amount - tax if inclusive else amount,
            tax_minor=tax,
            total_minor=amount if inclusive else amount + tax,
        )
        for (offer, quantity), amount, tax in zip(items, asked, shares, strict=True)
    )
    tax = sum(shares)
    subtotal = sum(asked) - tax if inclusive else sum(asked)
    return Priced(first.currency, inclusive, lines, tuple(tax_lines), subtotal, tax, subtotal + tax)
