"""Whether the payments' stored sums are those of their ledger: what the audit reads, one statement over all rows each.
Amounts in minor units.
"""

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

_PAYMENT_SUMS = text(
    """
    SELECT o.reference, p.id, p.tender, p.authorized_minor, p.captured_minor, p.refunded_minor,
           s.authorized, s.captured, s.refunded
    FROM payment AS p
    JOIN "order" AS o ON o.id = p.order_id AND o.kind = 'live'
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(e.amount_minor) FILTER (WHERE e.kind = 'authorize'), 0)::bigint AS authorized,
               coalesce(sum(e.amount_minor) FILTER (WHERE e.kind = 'capture'), 0)::bigint AS captured,
               coalesce(sum(e.amount_minor) FILTER (WHERE e.kind = 'refund'), 0)::bigint AS refunded
        FROM payment_entry AS e WHERE e.payment_id = p.id AND e.state = 'succeeded') AS s
    WHERE (p.authorized_minor, p.captured_minor, p.refunded_minor) <> (s.authorized, s.captured, s.refunded)
    ORDER BY o.reference, p.id
    """
)
_REFUND_SUMS = text(
    """
    SELECT o.reference, r.id, r.amount_minor, s.amount
    FROM refund AS r
    JOIN "order" AS o ON o.id = r.order_id
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(e.amount_minor), 0)::bigint AS amount
        FROM payment_entry AS e JOIN payment AS p ON p.id = e.payment_id
        WHERE e.refund_id = r.id AND e.state = 'succeeded' AND p.tender <> 'points') AS s
    WHERE r.state = 'done' AND r.amount_minor <> s.amount
    ORDER BY o.reference, r.id
    """
)
# What the tenders still hold of an order is what its lines are still worth: less what was given for nothing, more what was
# kept back of returned goods. After a refund of the whole they hold nothing. Orders whose refund is on its way, or was
# refused by the provider, are not judged yet.
_ORDER_SUMS = text(
    """
    WITH held AS (
        SELECT order_id, sum(amount_minor - released_minor - refunded_minor) AS minor FROM payment GROUP BY order_id
    ), lost AS (
        SELECT order_id, sum(total_minor - div(total_minor * (quantity - refunded_quantity), quantity)
                             + div(total_minor * cancelled_quantity, quantity)) AS minor
        FROM order_line WHERE quantity > 0 AND refunded_quantity + cancelled_quantity > 0 GROUP BY order_id
    ), given AS (
        SELECT order_id, bool_or(state <> 'done') AS open, bool_or(whole) AS whole,
               sum(kept_minor - CASE WHEN goodwill THEN amount_minor ELSE 0 END) AS kept
        FROM refund GROUP BY order_id
    ), judged AS (
        SELECT o.reference, o.id, coalesce(held.minor, 0)::bigint AS held,
               (CASE WHEN given.whole THEN 0 ELSE o.total_minor - coalesce(lost.minor, 0) + coalesce(given.kept, 0) END)::bigint AS owed
        FROM "order" AS o
        LEFT JOIN held ON held.order_id = o.id
        LEFT JOIN lost ON lost.order_id = o.id
        LEFT JOIN given ON given.order_id = o.id
        WHERE o.kind = 'live' AND o.cancelled_at IS NULL AND given.open IS NOT TRUE
    )
    SELECT reference, id, owed, held FROM judged WHERE owed <> held ORDER BY reference
    """
)
_POINTS_TENDERS = text(
    """
    SELECT o.reference, p.order_id, p.points, p.state, coalesce(r.points, 0)::bigint AS refunded
    FROM payment AS p
    JOIN "order" AS o ON o.id = p.order_id AND o.kind = 'live'
    LEFT JOIN (SELECT order_id, sum(points) AS points FROM refund WHERE state = 'done' GROUP BY order_id) AS r
           ON r.order_id = p.order_id
    WHERE p.tender = 'points' AND p.state IN ('captured', 'authorized')
    ORDER BY o.reference
    """
)


@dataclass(frozen=True, slots=True)
class PaymentSums:
    """A payment whose stored sums are not those of its ledger: (authorized, captured, refunded) each."""

    reference: str
    payment_id: UUID
    tender: str
    stored: tuple[int, int, int]
    rebuilt: tuple[int, int, int]


def wrong_payment_sums(session: Session) -> list[PaymentSums]:
    """Payments of live orders whose sums differ from their succeeded entries, by order reference."""
    return [
        PaymentSums(
            row.reference,
            row.id,
            row.tender,
            (row.authorized_minor, row.captured_minor, row.refunded_minor),
            (row.authorized, row.captured, row.refunded),
        )
        for row in session.execute(_PAYMENT_SUMS).all()
    ]


def wrong_refund_sums(session: Session) -> list[tuple[str, UUID, int, int]]:
    """Refunds that are done: (order reference, refund, stored money, money of its entries) where these differ."""
    return [(row.reference, row.id, row.amount_minor, row.amount) for row in session.execute(_REFUND_SUMS).all()]


def wrong_order_sums(session: Session) -> list[tuple[str, int, int]]:
    """Live orders of which the tenders hold another amount than the lines are worth: (reference, lines, tenders)."""
    return [(row.reference, row.owed, row.held) for row in session.execute(_ORDER_SUMS).all()]


def points_tenders(session: Session) -> list[tuple[str, UUID, int, str, int]]:
    """Orders paid with points: (reference, order, points, the tender's state, points given back), by reference."""
    return [
        (row.reference, row.order_id, row.points, row.state, row.refunded)
        for row in session.execute(_POINTS_TENDERS).all()
    ]
