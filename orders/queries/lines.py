"""What of an order's lines is still to be handed over, and where: read under the order's lock."""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class OpenPart:
    """Units of a line that one fulfillment still owes: `left`, promised at `stock_at`; `missing` of it are not there, and
    nobody has decided what becomes of them."""

    fulfillment_id: UUID
    order_line_id: UUID
    state: str
    stock_at: UUID
    left: int
    missing: int


_OPEN = text(
    """
    SELECT f.id, fl.order_line_id, f.state, coalesce(f.source_location_id, f.location_id),
           fl.quantity - fl.short - fl.cancelled - fl.collected,
           coalesce((SELECT sum(s.quantity) FROM shortfall AS s
                     WHERE s.fulfillment_id = f.id AND s.order_line_id = fl.order_line_id
                       AND s.state IN ('open', 'proposed')), 0)::int
    FROM fulfillment AS f JOIN fulfillment_line AS fl ON fl.fulfillment_id = f.id
    WHERE f.order_id = :order_id AND f.state NOT IN ('collected', 'delivered', 'expired', 'cancelled')
    ORDER BY f.id, fl.order_line_id
    """
)
_GONE = text(
    """
    SELECT EXISTS (SELECT 1 FROM fulfillment AS f JOIN fulfillment_line AS fl ON fl.fulfillment_id = f.id
                   WHERE f.order_id = :order_id AND (fl.collected > 0 OR fl.short > 0))
    """
)


def open_parts(session: Session, *, order_id: UUID) -> list[OpenPart]:
    """Every line of every fulfillment that has not ended."""
    return [OpenPart(*row) for row in session.execute(_OPEN, {"order_id": order_id}).all()]


def anything_gone(session: Session, *, order_id: UUID) -> bool:
    """Whether any unit was handed over, or is missing and undecided."""
    return bool(session.execute(_GONE, {"order_id": order_id}).scalar_one())
