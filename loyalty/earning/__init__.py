"""What a purchase earns and what a point is worth. `engine` judges a basket by rules and is pure; `handover` says what of it
is due with the goods; `crediting` reads, judges and books. What a point pays stands here."""

from loyalty.earning.engine import LOT_DAYS, POINT_VALUE_MINOR
from retail.kernel.errors import Invalid

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
