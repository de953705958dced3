"""What a point is worth."""

import pytest

from loyalty import earning


def test_a_currency_without_a_program_takes_no_points() -> None:
    with pytest.raises(earning.PointsNotAccepted) as refused:
        earning.value_of(10, "USD")
    assert refused.value.errors == [{"field": "points", "code": "points_not_accepted", "currency": "USD"}]


def test_a_point_is_worth_a_yen_or_a_penny() -> None:
    assert earning.value_of(250, "JPY") == 250
    assert earning.POINT_VALUE_MINOR == {"JPY": 1, "GBP": 1}
