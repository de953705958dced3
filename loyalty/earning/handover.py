"""What of an order's points is due with the units that are the customer's by now. Pure.

Goods are handed over in parts, an order can change between two of them, and a cap can meanwhile be used up by another order.
So each time the whole order is judged anew, and due is what the units handed over so far earn less what the order has
earned before, by each rule: never less than nothing, and in the end exactly the whole.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from uuid import UUID

from loyalty.earning.engine import Earning, Part
from loyalty.earning.facts import Basket


@dataclass(frozen=True, slots=True)
class Before:
    """What an order has earned: points by (line, rule), those from before there were reasons, and its qualifying spend."""

    points: Mapping[tuple[UUID | None, str], int] = field(default_factory=dict)
    unexplained: int = 0
    spend_minor: int = 0


def upto(earning: Earning, basket: Basket, units: Mapping[UUID, int]) -> list[Part]:
    """The part of each line that `units` {line: so many} of it have earned: rounded down, all of it with the last one."""
    whole = {line.id: line.quantity for line in basket.lines}
    return [
        replace(part, points=_share(part.points, units, part.line_id, whole), basis=_share(part.basis, units, part.line_id, whole))
        for part in earning.parts
    ]  # fmt: skip


def spend(basket: Basket, units: Mapping[UUID, int]) -> int:
    """What these units add to the member's qualifying spend: their eligible amount, minor units."""
    whole = {line.id: line.quantity for line in basket.lines}
    return sum(_share(amount, units, line_id, whole) for line_id, amount in basket.eligible().items())


def due(
    earning: Earning, basket: Basket, *, units: Mapping[UUID, int], units_before: Mapping[UUID, int], before: Before
) -> list[Part]:
    """The points (> 0) that `units` so far bring beyond what the order has earned before; of a rule never more than what
    all of them bring. `basis` is what is counted now: of `units` beyond `units_before`."""
    found: list[Part] = []
    unexplained = before.unexplained
    reached = [
        replace(part, basis=part.basis - old.basis)
        for part, old in zip(upto(earning, basket, units), upto(earning, basket, units_before), strict=True)
    ]
    for code in dict.fromkeys(part.rule_code for part in reached):
        parts = [part for part in reached if part.rule_code == code]
        had = sum(points for (_, rule), points in before.points.items() if rule == code)
        room = max(0, sum(part.points for part in parts) - had)
        for part in parts:
            points = min(room, max(0, part.points - before.points.get((part.line_id, code), 0)))
            room -= points
            known = min(points, unexplained)
            unexplained -= known
            if points > known:
                found.append(replace(part, points=points - known))
    return found


def _share(amount: int, units: Mapping[UUID, int], line_id: UUID, whole: Mapping[UUID, int]) -> int:
    quantity = whole[line_id]
    return amount * min(units.get(line_id, 0), quantity) // quantity if quantity > 0 else 0
