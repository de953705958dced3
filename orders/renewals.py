"""Authorizations that lapse before the goods are handed over: told of once, then asked for anew (FAILURES 16).

The new authorization is a payment of its own that `replaces` the old one and stands for nothing until it holds; then it
takes the old one's place in one transaction, and the old one is given free after that, never before. Refused, or left to the
customer to authenticate, the order stays as it is and both hear of it. What dies in between is finished by the settle job.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from sqlalchemy import text
from sqlalchemy.orm import Session

from orders import attempts, payments
from orders.queries import payments as queries
from orders.queries import renewals as renewal_queries
from orders.queries.payments import OrderFacts, PartFacts, PaymentFacts
from orders.stripe_gateway import GatewayUnavailable, accepts_cards
from retail.events import PaymentExpiring
from retail.kernel import config, db, outbox
from retail.kernel.ids import new_id
from retail.kernel.outbox import SYSTEM

log = structlog.get_logger()

ORDERS_PER_RUN = 500
AGAIN_HOURS = 12  # after a refusal, before the card is asked once more
READY = ("ready", "packed", "arrived", "collected", "shipped", "delivered")

_WARNED = text("UPDATE payment SET warned_at = :now WHERE id = :id AND warned_at IS NULL RETURNING id")
_STAND_IN = text(
    """
    UPDATE payment SET released_minor = amount_minor, replaces = :old_id, payment_method_id = CAST(:method_id AS uuid)
    WHERE id = :id
    """
)


def warn_expiring(*, now: datetime) -> int:
    """Publish `PaymentExpiring` for authorizations that lapse within `payment_warn_hours`, once each; returns how many."""
    before = now + timedelta(hours=config.current().payment_warn_hours)
    with db.reading() as session:
        found = renewal_queries.to_warn(session, before=before, limit=ORDERS_PER_RUN)
    told = 0
    for order_id, payment_id in found:
        with db.transaction() as session:
            told += _warn(session, order_id=order_id, payment_id=payment_id, now=now)
    return told


def renew_due(*, now: datetime) -> int:
    """Renew the authorizations that lapse within `payment_renew_hours`; returns how many were begun.

    The first sign that the card network is down ends the run: what was begun waits for the settle job, the rest for the
    next run.
    """
    if not accepts_cards():
        return 0
    before = now + timedelta(hours=config.current().payment_renew_hours)
    tried_before = now - timedelta(hours=AGAIN_HOURS)
    with db.reading() as session:
        found = renewal_queries.to_renew(session, before=before, tried_before=tried_before, limit=ORDERS_PER_RUN)
    begun = 0
    for order_id, payment_id in found:
        with db.transaction() as session:
            ours = prepare(session, order_id=order_id, payment_id=payment_id, now=now)
        if not ours:
            continue
        begun += 1
        try:
            attempts.run_entries(order_id=order_id, now=now)
        except GatewayUnavailable:
            log.warning("the card network does not answer; the settle job goes on", order_id=str(order_id))
            break
    return begun


def prepare(session: Session, *, order_id: UUID, payment_id: UUID, now: datetime) -> bool:
    """Write down that an authorization is to be charged (when its store charges what is ready, and all of it is), or else
    asked for anew; follow with `attempts.run_entries`. Returns False when that is not due any more, or is under way."""
    order = queries.lock_order(session, order_id=order_id)
    parts = queries.lock_parts(session, order_id=order_id)
    rows = queries.lock_payments(session, order_id=order_id)
    payment = next((row for row in rows if row.id == payment_id), None)
    if order is None or payment is None or not _open(order, payment):
        return False
    if any(row.replaces == payment.id and row.state in ("pending", "requires_action") for row in rows):
        return False
    if order.capture_at in ("placed", "ready") and _all_ready(parts):
        return payments.prepare_capture(session, order_id=order_id, actor=SYSTEM, now=now) > 0
    new_payment = new_id()
    payments.prepare_authorization(
        session,
        order_id=order_id,
        payment_id=new_payment,
        amount_minor=payment.amount_minor - payment.released_minor,
        currency=payment.currency,
        provider_method=payment.provider_method or "",
        actor=SYSTEM,
        now=now,
    )
    given = {"id": new_payment, "old_id": payment.id, "method_id": payment.payment_method_id}
    session.execute(_STAND_IN, given)
    return True


def _warn(session: Session, *, order_id: UUID, payment_id: UUID, now: datetime) -> bool:
    order = queries.lock_order(session, order_id=order_id)
    payment = next((row for row in queries.lock_payments(session, order_id=order_id) if row.id == payment_id), None)
    if order is None or payment is None or payment.capture_before is None or not _open(order, payment):
        return False
    if session.execute(_WARNED, {"id": payment_id, "now": now}).one_or_none() is None:
        return False
    event = PaymentExpiring(
        order_id=order.id,
        reference=order.reference,
        customer_id=order.customer_id,
        payment_id=payment_id,
        amount_minor=payment.amount_minor - payment.released_minor,
        currency=payment.currency,
        capture_before=payment.capture_before.isoformat(),
    )
    outbox.publish(session, event, actor=SYSTEM, now=now)
    return True


def _open(order: OrderFacts, payment: PaymentFacts) -> bool:
    """Whether money is put aside for an order that stands, and is still to be charged."""
    stands = order.confirmed_at is not None and order.cancelled_at is None
    return (
        stands
        and payment.state == "authorized"
        and not payment.capturing
        and payment.released_minor < payment.amount_minor
    )


def _all_ready(parts: Sequence[PartFacts]) -> bool:
    left = [part for part in parts if part.state not in ("cancelled", "expired")]
    return bool(left) and all(part.state in READY for part in left)
