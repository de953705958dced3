"""An order as its points are judged: read under the order's lock, or for whoever asks why."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from retail.kernel.hot import Hot

# The store is where the customer gets the goods; what is sent has none. A part that came to nothing does not name it.
_ORDER = Hot(
    """
    SELECT o.kind, o.customer_id, o.currency, o.channel_code, o.placed_at, store.id AS location_id, store.zone, lines.lines,
           (SELECT CAST(coalesce(sum(p.amount_minor - p.refunded_minor), 0) AS bigint) FROM payment AS p
            WHERE p.order_id = o.id AND p.tender IN ('points', 'gift_card') AND p.state <> 'voided') AS paid_minor
    FROM "order" AS o
    LEFT JOIN LATERAL (
        SELECT l.id, l.zone FROM fulfillment AS f JOIN location AS l ON l.id = f.location_id
        WHERE f.order_id = o.id AND f.method <> 'ship' ORDER BY f.state IN ('cancelled', 'expired'), f.id LIMIT 1
    ) AS store ON true
    CROSS JOIN LATERAL (
        SELECT jsonb_agg(jsonb_build_object(
                   'id', l.id, 'kind', l.kind, 'sku', l.sku, 'title', l.title, 'category', coalesce(product.category, ''), 'quantity', l.quantity,
                   'cancelled', l.cancelled_quantity, 'refunded', l.refunded_quantity, 'subtotal', l.subtotal_minor,
                   'total', l.total_minor, 'collected', (
                       SELECT coalesce(sum(fl.collected), 0) FROM fulfillment_line AS fl WHERE fl.order_line_id = l.id)
               ) ORDER BY l.position) AS lines
        FROM order_line AS l
        LEFT JOIN variant ON variant.id = l.variant_id LEFT JOIN product ON product.id = variant.product_id
        WHERE l.order_id = o.id
    ) AS lines
    WHERE o.id = :order_id
    """
)


@dataclass(frozen=True, slots=True)
class EarningLine:
    """A line, units and minor units; `collected` units were handed over or shipped."""

    id: UUID
    kind: str
    sku: str
    title: str
    category: str
    quantity: int
    cancelled: int
    refunded: int
    collected: int
    subtotal: int
    total: int


@dataclass(frozen=True, slots=True)
class EarningOrder:
    """What decides about an order's points. `paid_minor`: what points and gift cards paid of it and still do."""

    kind: str
    customer_id: UUID | None
    currency: str
    channel: str
    placed_at: datetime
    location_id: UUID | None
    zone: str | None
    lines: tuple[EarningLine, ...]
    paid_minor: int


def earning_order(session: Session, *, order_id: UUID) -> EarningOrder | None:
    """The order with its lines, in order; one statement."""
    row = _ORDER.run(session, {"order_id": order_id}).one_or_none()
    if row is None:
        return None
    lines = tuple(_line(told) for told in row.lines or ())
    return EarningOrder(
        row.kind, row.customer_id, row.currency, row.channel_code, row.placed_at, row.location_id, row.zone, lines, row.paid_minor,
    )  # fmt: skip


def _line(told: Mapping[str, Any]) -> EarningLine:
    return EarningLine(**(dict(told) | {"id": UUID(told["id"])}))
