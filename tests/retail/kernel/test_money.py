"""No unit of money is made or lost."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retail.kernel import money
from retail.kernel.money import CurrencyMismatch, Money

AMOUNTS = st.integers(-(10**15), 10**15)
WEIGHTS = st.lists(st.integers(0, 10**9), min_size=1, max_size=20)


@given(AMOUNTS, WEIGHTS)
def test_parts_sum_to_the_amount_and_are_off_by_less_than_one(amount: int, weights: list[int]) -> None:
    parts = money.allocate(amount, weights)
    assert sum(parts) == amount
    if total := sum(weights):
        assert all(abs(Fraction(amount * w, total) - part) < 1 for part, w in zip(parts, weights, strict=True))
        assert all(part == 0 for part, w in zip(parts, weights, strict=True) if w == 0)
    else:
        assert parts == [amount] + [0] * (len(weights) - 1)


@given(AMOUNTS, WEIGHTS)
def test_giving_back_is_the_mirror_of_giving(amount: int, weights: list[int]) -> None:
    assert money.allocate(-amount, weights) == [-part for part in money.allocate(amount, weights)]


def test_the_largest_remainders_get_the_rest_and_ties_go_to_the_earlier() -> None:
    assert money.allocate(100, [1, 1, 1]) == [34, 33, 33]
    assert money.allocate(101, [1, 1, 1]) == [34, 34, 33]
    assert money.allocate(10, [5, 3, 1]) == [6, 3, 1]
    assert money.allocate(5, [0, 0]) == [5, 0]


@pytest.mark.parametrize("weights", [[], [1, -1]])
def test_impossible_weights_are_refused(weights: list[int]) -> None:
    with pytest.raises(ValueError, match="weights"):
        money.allocate(1, weights)


@pytest.mark.parametrize(
    ("gross", "rate_bp", "tax"),
    [(1100, 1000, 100), (1080, 800, 80), (1000, 1000, 91), (6, 1000, 1), (5, 1000, 0), (-1000, 1000, -91), (0, 800, 0)],
)
def test_tax_inside_a_gross_amount(gross: int, rate_bp: int, tax: int) -> None:
    assert money.tax_of_inclusive(gross, rate_bp) == tax


@pytest.mark.parametrize(
    ("net", "rate_bp", "tax"), [(1000, 1000, 100), (5, 1000, 1), (4, 1000, 0), (-5, 1000, -1), (99, 800, 8)]
)
def test_tax_on_a_net_amount(net: int, rate_bp: int, tax: int) -> None:
    assert money.tax_of_exclusive(net, rate_bp) == tax


@given(st.integers(0, 10**12), st.integers(0, 10_000))
def test_inclusive_tax_is_within_half_a_unit(gross: int, rate_bp: int) -> None:
    assert abs(Fraction(gross * rate_bp, 10_000 + rate_bp) - money.tax_of_inclusive(gross, rate_bp)) <= Fraction(1, 2)


def test_currencies_do_not_mix() -> None:
    assert Money(5, "JPY") + Money(7, "JPY") == Money(12, "JPY")
    assert Money(5, "JPY") - Money(7, "JPY") == -Money(2, "JPY")
    assert Money(10, "JPY").allocate([1, 2]) == [Money(3, "JPY"), Money(7, "JPY")]
    with pytest.raises(CurrencyMismatch):
        Money(5, "JPY") + Money(5, "GBP")


def test_minor_units_by_currency() -> None:
    assert str(Money(1234567, "JPY")) == "1,234,567 JPY"
    assert str(Money(-1234567, "GBP")) == "-12,345.67 GBP"
    assert str(Money(1, "KWD")) == "0.001 KWD"
    assert money.from_decimal(Decimal("2.555"), "GBP") == Money(256, "GBP")
    assert money.from_decimal(Decimal("1980"), "JPY") == Money(1980, "JPY")


def test_how_many_decimals_a_currency_has() -> None:
    """ISO 4217: nothing of a yen, hundredths of a dollar, thousandths of a dinar."""
    assert [money.exponent(code) for code in ("JPY", "KRW", "XPF", "RWF")] == [0, 0, 0, 0]
    assert [money.exponent(code) for code in ("USD", "EUR", "GBP", "MGA")] == [2, 2, 2, 2]
    assert [money.exponent(code) for code in ("KWD", "BHD", "IQD", "LYD")] == [3, 3, 3, 3]
    assert str(Money(2970, "KWD")) == "2.970 KWD"
    assert money.from_decimal(Decimal("2.9705"), "KWD") == Money(2971, "KWD")
