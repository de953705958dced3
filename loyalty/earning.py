"""What a purchase earns and what a point is worth: the program's rules, as constants and two sums."""

from collections.abc import Sequence

from retail.kernel.errors import Invalid
from retail.kernel.money import allocate

# What one point pays, in minor units. A currency that is not here has no points program.
POINT_VALUE_MINOR = {"JPY": 1}
# How much of the eligible amount earns one point, in minor units: 1 % in yen, the usual rate of Japanese stores.
MINOR_PER_POINT = {"JPY": 100}
# A lot can be spent for a year from the moment it was earned.
LOT_DAYS = 365


class PointsNotAccepted(Invalid):
    """Points cannot pay in this currency."""

    code, title = "points_not_accepted", "Points are not accepted in this currency"


def value_of(points: int, currency: str) -> int:
    """What `points` (>= 0) pay, in minor units of `currency`.

    Raises:
        PointsNotAccepted: there is no program in that currency.
    """
    if currency not in POINT_VALUE_MINOR:
        raise PointsNotAccepted(errors=[{"field": "points", "code": PointsNotAccepted.code, "currency": currency}])
    return points * POINT_VALUE_MINOR[currency]


def points_for(*, lines_net_minor: Sequence[int], paid_with_points_minor: int, currency: str) -> int:
    """The points an order earns: one per MINOR_PER_POINT of what was paid with money, tax and shipping excluded.

    `lines_net_minor` are the goods' amounts without tax (>= 0, minor units). The part paid with points, in minor units,
    earns nothing again: it is spread over the lines in proportion (`money.allocate`) and taken off each, never below
    zero. Rounded down once, for the whole order. 0 in a currency without a program.
    """
    if currency not in MINOR_PER_POINT or not lines_net_minor:
        return 0
    spent = allocate(paid_with_points_minor, lines_net_minor)
    eligible = sum(max(0, net - part) for net, part in zip(lines_net_minor, spent, strict=True))
    return eligible // MINOR_PER_POINT[currency]
