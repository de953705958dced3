"""The program's sums: what a purchase earns, what a point is worth."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loyalty import earning

YEN = st.integers(0, 10**9)


@pytest.mark.parametrize(
    ("lines", "paid_with_points", "earned"),
    [
        ([1800], 0, 18),
        ([1899], 0, 18),  # rounded down
        ([99], 0, 0),
        ([50, 50], 0, 1),  # once for the order, not per line
        ([33, 33, 33], 0, 0),
        ([1000, 800], 300, 15),  # what points paid earns nothing again
        ([1000, 800], 301, 14),
        ([1800], 1980, 0),  # paid with points, tax included
        ([], 0, 0),
        ([0, 0], 100, 0),
    ],
)
def test_failure_15_a_point_per_hundred_yen_without_tax_and_without_what_points_paid(
    lines: list[int], paid_with_points: int, earned: int
) -> None:
    assert earning.points_for(lines_net_minor=lines, paid_with_points_minor=paid_with_points, currency="JPY") == earned


@given(lines=st.lists(YEN, min_size=1, max_size=20), paid_with_points=YEN)
def test_it_is_the_rest_rounded_down(lines: list[int], paid_with_points: int) -> None:
    got = earning.points_for(lines_net_minor=lines, paid_with_points_minor=paid_with_points, currency="JPY")
    assert got == max(0, sum(lines) - paid_with_points) // 100


def test_a_currency_without_a_program_earns_nothing_and_takes_no_points() -> None:
    assert earning.points_for(lines_net_minor=[100_000], paid_with_points_minor=0, currency="USD") == 0
    with pytest.raises(earning.PointsNotAccepted) as refused:
        earning.value_of(10, "USD")
    assert refused.value.errors == [{"field": "points", "code": "points_not_accepted", "currency": "USD"}]


def test_a_point_is_worth_a_yen_or_a_penny() -> None:
    assert earning.value_of(250, "JPY") == 250
    assert earning.POINT_VALUE_MINOR == {"JPY": 1, "GBP": 1}
