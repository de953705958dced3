"""Money: whole minor units and a currency. No floats, no silent mixing, no unit lost in a split."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

# ISO 4217 exponents of the currencies whose minor unit is not a hundredth.
_WHOLE = (
    "BIF",
    "CLP",
    "DJF",
    "GNF",
    "ISK",
    "JPY",
    "KMF",
    "KRW",
    "PYG",
    "RWF",
    "UGX",
    "VND",
    "VUV",
    "XAF",
    "XOF",
    "XPF",
)
_THOUSANDTHS = ("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND")
_EXPONENTS = dict.fromkeys(_WHOLE, 0) | dict.fromkeys(_THOUSANDTHS, 3)
MAX_MINOR = 10**15


class CurrencyMismatch(ValueError):
    """Two amounts of different currencies met in one sum."""


@dataclass(frozen=True, slots=True, order=False)
class Money:
    """An amount in minor units (yen, cents) of one currency (ISO 4217, upper case)."""

    amount_minor: int
    currency: str

    def __add__(self, other: "Money") -> "Money":
        return Money(self.amount_minor + self._same(other).amount_minor, self.currency)

    def __sub__(self, other: "Money") -> "Money":
        return Money(self.amount_minor - self._same(other).amount_minor, self.currency)

    def __neg__(self) -> "Money":
        return Money(-self.amount_minor, self.currency)

    def _same(self, other: "Money") -> "Money":
        if other.currency != self.currency:
            raise CurrencyMismatch(f"{self.currency} and {other.currency} cannot be added")
        return other

    def allocate(self, weights: Sequence[int]) -> list["Money"]:
        """Split in proportion to `weights` without losing a unit (see `allocate`)."""
        return [Money(part, self.currency) for part in allocate(self.amount_minor, weights)]

    def __str__(self) -> str:
        digits = exponent(self.currency)
        return f"{Decimal(self.amount_minor).scaleb(-digits):,.{digits}f} {self.currency}"


def exponent(currency: str) -> int:
    """How many decimal digits the currency's minor unit has: 0 for JPY, 2 for GBP."""
    return _EXPONENTS.get(currency, 2)


def allocate(amount_minor: int, weights: Sequence[int]) -> list[int]:
    """Split an amount in proportion to whole weights >= 0; the parts always sum to the amount.

    Largest remainder (Hamilton's method): each part gets its floor, what is left goes one unit at a time to the
    largest remainders, ties to the earlier part. With all weights zero, the first part gets everything.

    Raises:
        ValueError: no weights, or a negative one.
    """
    if not weights or min(weights) < 0:
        raise ValueError("weights must be a non-empty sequence of whole numbers >= 0")
    total = sum(weights)
    if total == 0:
        return [amount_minor] + [0] * (len(weights) - 1)
    sign = -1 if amount_minor < 0 else 1
    shares = [divmod(abs(amount_minor) * weight, total) for weight in weights]
    parts = [whole for whole, _ in shares]
    left = abs(amount_minor) - sum(parts)
    for position in sorted(range(len(parts)), key=lambda i: (-shares[i][1], i))[:left]:
        parts[position] += 1
    return [sign * part for part in parts]


def tax_of_inclusive(gross_minor: int, rate_bp: int) -> int:
    """The tax contained in a gross amount at `rate_bp` basis points, rounded half up (sign kept).

    Japan leaves the choice of rounding to the seller, once per rate per invoice (Consumption Tax Act, art. 57-4;
    National Tax Agency, Q&A on qualified invoices, 57).
    """
    return _round_ratio(gross_minor * rate_bp, 10_000 + rate_bp)


def tax_of_exclusive(net_minor: int, rate_bp: int) -> int:
    """The tax to add to a net amount at `rate_bp` basis points, rounded half up (sign kept)."""
    return _round_ratio(net_minor * rate_bp, 10_000)


def _round_ratio(numerator: int, denominator: int) -> int:
    sign = -1 if numerator < 0 else 1
    return sign * ((2 * abs(numerator) + denominator) // (2 * denominator))


def from_decimal(amount: Decimal, currency: str) -> Money:
    """A decimal amount in major units ("2.55") as Money, rounded half up to the minor unit."""
    minor = amount.scaleb(exponent(currency)).quantize(Decimal(1), rounding=ROUND_HALF_UP)
    return Money(int(minor), currency)
