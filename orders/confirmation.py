"""What becomes of an order that waited for its card: confirmed or failed, each exactly once, whoever brings the news.

Both are guarded by `confirmed_at IS NULL AND cancelled_at IS NULL` on the order's row, so that the request, the webhook
and the settle job may all say the same thing and one of them does it (FAILURES 17).
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import reservations
from loyalty import ledger
from orders import refund_ledger, tenders
from orders.promotions import coupons
from orders.queries import payments as payment_queries
from retail.events import OrderPlaced, PaymentFailed
from retail.kernel import outbox

_CONFIRM = text(
    """
    WITH confirmed AS (
        UPDATE "order" SET confirmed_at = :now, version = version + 1
        WHERE id = :order_id AND confirmed_at IS NULL AND cancelled_at IS NULL
        RETURNING id, reference, customer_id, total_minor, currency
    ), opened AS (
        UPDATE fulfillment SET state = 'allocated', version = version + 1
        WHERE order_id IN (SELECT id FROM confirmed) AND state = 'pending'
        RETURNING order_id, location_id, method
    )
    SELECT c.reference, c.customer_id, c.total_minor, c.currency, f.location_id, f.method
    FROM confirmed AS c LEFT JOIN opened AS f ON f.order_id = c.id
    LIMIT 1
    """
)
_FAIL = text(
    """
    WITH failed AS (
        UPDATE "order" SET cancelled_at = :now, cancel_reason = :reason, version = version + 1
        WHERE id = :order_id AND confirmed_at IS NULL AND cancelled_at IS NULL
        RETURNING id, reference, customer_id
    ), closed AS (
        UPDATE fulfillment SET state = 'cancelled', closed_at = :now, version = version + 1
        WHERE order_id IN (SELECT id FROM failed)
    ), reopened AS (
        UPDATE cart SET state = 'open', order_id = NULL, version = version + 1, updated_at = :now
        WHERE order_id IN (SELECT id FROM failed) AND state = 'placed'
    ), declined AS (
        UPDATE payment SET state = 'failed', failure_code = coalesce(failure_code, :code), updated_at = :now
        WHERE order_id IN (SELECT id FROM failed) AND tender = 'card' AND state IN ('pending', 'requires_action')
    )
    SELECT reference, customer_id FROM failed
    """
)


def confirm(session: Session, *, order_id: UUID, actor: str, now: datetime) -> bool:
    """The payment is secured: the pickup goes to the counter's list and the order is announced.

    Returns whether this call did it; False when it was confirmed or cancelled before.
    """
    row = session.execute(_CONFIRM, {"order_id": order_id, "now": now}).one_or_none()
    if row is None:
        return False
    placed = OrderPlaced(
        order_id=order_id,
        reference=row.reference,
        customer_id=row.customer_id,
        total_minor=row.total_minor,
        currency=row.currency,
        location_id=row.location_id,
        method=row.method or "",
    )
    outbox.publish(session, placed, actor=actor, now=now)
    return True


def fail(session: Session, *, order_id: UUID, code: str, actor: str, now: datetime) -> bool:
    """The card was declined, or never answered: stock, points and coupons go back, the cart is open again.

    `code` is the provider's (``card_declined``, ``expired_card``, ...). Returns whether this call did it.
    """
    row = session.execute(
        _FAIL, {"order_id": order_id, "code": code, "reason": "payment_failed", "now": now}
    ).one_or_none()
    if row is None:
        return False
    reservations.release(session, owner_id=order_id, cause="payment_failed", actor=actor, now=now)
    if tenders.void_points(session, order_id=order_id, actor=actor, now=now):
        ledger.release(session, order_id=order_id, actor=actor, now=now)
    _give_cards_back(session, order_id=order_id, actor=actor, now=now)
    coupons.release(session, order_id=order_id, now=now)
    failed = PaymentFailed(order_id=order_id, reference=row.reference, customer_id=row.customer_id, code=code)
    outbox.publish(session, failed, actor=actor, now=now)
    return True


def _give_cards_back(session: Session, *, order_id: UUID, actor: str, now: datetime) -> None:
    """What gift cards paid when the order was placed goes back onto them."""
    payments = payment_queries.lock_payments(session, order_id=order_id)
    order = payment_queries.lock_order(session, order_id=order_id)
    if order is not None and any(payment.tender == "gift_card" for payment in payments):
        refund_ledger.open_refund(
            session, order=order, payments=payments, reason="payment_failed", restock=False, actor=actor, now=now
        )
