"""Low stock: what is left to sell of a level fell to its threshold or below, told once per crossing.

What is left is on_hand - allocated - unavailable - safety: a cart that only holds units takes nothing off the shelf yet.
Whoever changes one of these numbers knows both sides of the change from the row it has locked, so nobody has to remember
whether an event was sent: from above the threshold to it or below is a crossing, anything else is none.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from retail.events import StockLow
from retail.kernel import outbox


@dataclass(frozen=True, slots=True)
class Fall:
    """One level before and after a change; a threshold of None is never crossed."""

    variant_id: UUID
    location_id: UUID
    left_before: int
    left_after: int
    threshold_before: int | None
    threshold_after: int | None

    @property
    def crosses(self) -> bool:
        """Whether it was above its threshold (or had none) and is not any more."""
        if self.threshold_after is None or self.left_after > self.threshold_after:
            return False
        return self.threshold_before is None or self.left_before > self.threshold_before


def announce(session: Session, *, falls: Iterable[Fall], actor: str, now: datetime) -> int:
    """Publish StockLow for the falls that cross; returns how many."""
    crossed = [fall for fall in falls if fall.crosses]
    for fall in crossed:
        event = StockLow(
            variant_id=fall.variant_id,
            location_id=fall.location_id,
            left=fall.left_after,
            threshold=fall.threshold_after or 0,
        )
        outbox.publish(session, event, actor=actor, now=now)
    return len(crossed)
