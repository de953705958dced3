"""What things cost. No yen is lost, whatever the prices, quantities and rates."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orders import pricing
from orders.pricing import TaxLine
from retail.kernel.money import MAX_MINOR, tax_of_exclusive, tax_of_inclusive
from retail.queries import Offer


def offer(unit_price_minor: int, tax_rate_bp: int = 1000, *, inclusive: bool = True, sku: str = "TEA") -> Offer:
    return Offer(UUID(int=1), sku, "Tea", "茶", unit_price_minor, "JPY", inclusive, tax_rate_bp)


def test_inclusive_tax_is_taken_out_once_per_rate() -> None:
    # 3 x 100 at 10 %: the tax of 300 is 27; rounded per line it would be 3 x 9 = 27, of 105s it differs:
    priced = pricing.price([(offer(105), 1), (offer(105), 1), (offer(105), 1)])
    assert (priced.subtotal_minor, priced.tax_minor, priced.total_minor) == (286, 29, 315)  # 3 x 10 would be 30
    assert [line.tax_minor for line in priced.lines] == [10, 10, 9]
    assert [line.subtotal_minor for line in priced.lines] == [95, 95, 96]
    assert [line.total_minor for line in priced.lines] == [105, 105, 105]
    assert priced.tax_lines == (TaxLine(1000, 286, 29),)


def test_exclusive_tax_is_added_once_per_rate() -> None:
    priced = pricing.price([(offer(105, inclusive=False), 1)] * 3)
    assert (priced.subtotal_minor, priced.tax_minor, priced.total_minor) == (315, 32, 347)  # 3 x 11 would be 33
    assert [line.total_minor for line in priced.lines] == [116, 116, 115]
    assert priced.tax_lines == (TaxLine(1000, 315, 32),)


def test_each_rate_has_its_line_highest_first() -> None:
    priced = pricing.price([(offer(540, 800, sku="CAKE"), 2), (offer(1980), 1), (offer(100, 0), 1)])
    assert priced.tax_lines == (TaxLine(1000, 1800, 180), TaxLine(800, 1000, 80), TaxLine(0, 100, 0))
    assert priced.total_minor == 3160
    assert [line.sku for line in priced.lines] == ["CAKE", "TEA", "TEA"]


def test_nothing_can_be_given_away() -> None:
    priced = pricing.price([(offer(0), 3)])
    assert (priced.subtotal_minor, priced.tax_minor, priced.total_minor) == (0, 0, 0)


def test_no_items_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="nothing to price"):
        pricing.price([])


def test_more_than_an_order_may_cost() -> None:
    pricing.price([(offer(MAX_MINOR), 1)])
    with pytest.raises(pricing.TooMuch):
        pricing.price([(offer(MAX_MINOR), 1), (offer(1), 1)])


ITEMS = st.lists(
    st.tuples(st.integers(0, 10_000_000), st.integers(1, 9999), st.sampled_from([0, 800, 1000, 2000, 2350])),
    min_size=1,
    max_size=12,
)


@given(ITEMS, st.booleans())
def test_sums_are_exact(items: list[tuple[int, int, int]], inclusive: bool) -> None:
    priced = pricing.price([(offer(unit, rate, inclusive=inclusive), quantity) for unit, quantity, rate in items])
    asked = sum(unit * quantity for unit, quantity, _ in items)
    assert (priced.total_minor if inclusive else priced.subtotal_minor) == asked
    assert priced.subtotal_minor + priced.tax_minor == priced.total_minor
    for name in ("subtotal_minor", "tax_minor", "total_minor"):
        assert sum(getattr(line, name) for line in priced.lines) == getattr(priced, name)
    for line in priced.lines:
        assert line.subtotal_minor + line.tax_minor == line.total_minor
        assert min(line.subtotal_minor, line.tax_minor, line.total_minor) >= 0
    for tax in priced.tax_lines:
        lines = [line for line in priced.lines if line.tax_rate_bp == tax.rate_bp]
        assert sum(line.tax_minor for line in lines) == tax.tax_minor
        assert sum(line.subtotal_minor for line in lines) == tax.taxable_minor
        whole = sum(unit * quantity for unit, quantity, rate in items if rate == tax.rate_bp)
        assert tax.tax_minor == (tax_of_inclusive if inclusive else tax_of_exclusive)(whole, tax.rate_bp)


@given(ITEMS, st.booleans())
def test_a_line_pays_its_own_tax_within_one_unit(items: list[tuple[int, int, int]], inclusive: bool) -> None:
    priced = pricing.price([(offer(unit, rate, inclusive=inclusive), quantity) for unit, quantity, rate in items])
    for line in priced.lines:
        own = line.total_minor if inclusive else line.subtotal_minor
        exact = own * line.tax_rate_bp / (10_000 + line.tax_rate_bp if inclusive else 10_000)
        assert abs(line.tax_minor - exact) < 1.5
