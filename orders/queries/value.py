"""What an order's lines are worth and how much of them was handed over: read under the order's lock, or (audit) of all orders."""

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


# What the customer has and did not bring back is worth no more than what was paid: what is captured, or written down to be
# captured at once, less what went back; what was given for nothing is the shop's own loss. A part of a line counts with its
# share rounded down, so that no rounding is taken for a fault. Fees are not counted, and an order that is being refunded
# whole is not judged: its goods count as given back before its lines say so.
_UNPAID = text(
    """
    WITH gone AS (
        SELECT order_line_id, sum(collected) AS units FROM fulfillment_line WHERE collected > 0 GROUP BY order_line_id
    ), goods AS (
        SELECT l.order_id,
               sum(div(l.total_minor * greatest(gone.units - l.refunded_quantity, 0), l.quantity))::bigint AS minor
        FROM gone JOIN order_line AS l ON l.id = gone.order_line_id AND l.quantity > 0
        GROUP BY l.order_id
    ), judged AS (
        SELECT o.reference, goods.minor AS goods, coalesce(sum(p.captured_minor), 0)::bigint AS captured,
               coalesce(sum(asked.minor) FILTER (WHERE p.state = 'authorized'), 0)::bigint AS asked,
               coalesce(sum(p.refunded_minor), 0)::bigint - coalesce(sum(given.minor), 0)::bigint AS refunded
        FROM goods
        JOIN "order" AS o ON o.id = goods.order_id AND o.kind = 'live'
        LEFT JOIN payment AS p ON p.order_id = o.id
        LEFT JOIN LATERAL (SELECT sum(e.amount_minor) AS minor FROM payment_entry AS e
                           WHERE e.payment_id = p.id AND e.kind = 'capture' AND e.state = 'started') AS asked ON true
        LEFT JOIN LATERAL (SELECT sum(e.amount_minor) AS minor
                           FROM payment_entry AS e JOIN refund AS r ON r.id = e.refund_id AND r.goodwill
                           WHERE e.payment_id = p.id AND e.kind = 'refund' AND e.state = 'succeeded') AS given ON true
        WHERE NOT EXISTS (SELECT 1 FROM refund AS r WHERE r.order_id = o.id AND r.whole)
        GROUP BY o.id, goods.minor
    )
    SELECT reference, goods, captured, asked, refunded FROM judged WHERE goods > captured + asked - refunded
    ORDER BY reference
    """
)


@dataclass(frozen=True, slots=True)
class UnpaidGoods:
    """An order of which the customer has more than was paid, minor units: what the goods are worth; what was captured, what
    is written down to be captured, and what was given back (but for what was given for nothing)."""

    reference: str
    goods_minor: int
    captured_minor: int
    asked_minor: int
    refunded_minor: int

    @property
    def paid_minor(self) -> int:
        """What pays for the goods."""
        return self.captured_minor + self.asked_minor - self.refunded_minor


def unpaid_goods(session: Session) -> list[UnpaidGoods]:
    """Live orders whose goods left for less than they are worth, by reference; one statement over all."""
    return [UnpaidGoods(*row) for row in session.execute(_UNPAID).all()]
