"""What an order's lines are worth and how much of them was handed over, read under the order's lock."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class LineWorth:
    """One line, units and minor units; `collected` units have been handed over or shipped."""

    id: UUID
    kind: str
    quantity: int
    cancelled_quantity: int
    refunded_quantity: int
    collected: int
    subtotal_minor: int
    total_minor: int

    @property
    def left(self) -> int:
        """Units that were neither called off nor given back."""
        return self.quantity - self.cancelled_quantity - self.refunded_quantity


_LINES = text(
    """
    SELECT l.id, l.kind, l.quantity, l.cancelled_quantity, l.refunded_quantity,
           coalesce((SELECT sum(fl.collected) FROM fulfillment_line AS fl WHERE fl.order_line_id = l.id), 0)::int AS collected,
           l.subtotal_minor, l.total_minor
    FROM order_line AS l WHERE l.order_id = :order_id ORDER BY l.position
    """
)


def line_worths(session: Session, *, order_id: UUID) -> list[LineWorth]:
    """The lines of an order, in order; one statement. Lock the order first."""
    return [LineWorth(*row) for row in session.execute(_LINES, {"order_id": order_id}).all()]
