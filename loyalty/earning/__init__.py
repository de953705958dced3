"""What a purchase earns and what a point is worth. `engine` judges a basket by rules and is pure; `handover` says what of it
is due with the goods; `crediting` reads, judges and books. What a point pays stands here."""

from collections.abc import Sequence

from loyalty.earning.engine import LOT_DAYS, MINOR_PER_POINT, POINT_VALUE_MINOR
from retail.kernel.errors import Invalid
from retail.kernel.money import allocate

__all__ = ["LOT_DAYS", "POINT_VALUE_MINOR", "PointsNotAccepted", "value_of"]


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
    """The points an order earns by the built-in rule."""
    if currency not in MINOR_PER_POINT or not lines_net_minor:
        return 0
    spent = allocate(paid_with_points_minor, lines_net_minor)
    eligible = sum(max(0, net - part) for net, part in zip(lines_net_minor, spent, strict=True))
    return eligible // MINOR_PER_POINT[currency]
