"""Calling an order off before its goods are handed over: stock, points, coupons and money go back to where they came from.

The order is cancelled in one transaction, whatever the card network does: the authorization is given free (or, when it
was captured, refunded) right afterwards with no transaction open, and by the settle job if nobody answers then.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import reservations
from loyalty import ledger
from orders import attempts, queries, refund_ledger, settlement, tenders
from orders.changing.rules import require_may_cancel
from orders.ownership import order_for
from orders.promotions import coupons
from orders.queries import payments as payment_queries
from orders.queries.payments import OrderFacts, PartFacts, PaymentFacts
from orders.stripe_gateway import GatewayUnavailable
from retail.events import OrderCancelled
from retail.kernel import db, outbox
from retail.kernel.auth import CUSTOMER, Principal
from retail.kernel.errors import Conflict, NotFound
from retail.kernel.idempotency import Claim

log = structlog.get_logger()

CUSTOMER_MAY_UNTIL = ("pending", "allocated")
OVER = ("collected", "shipped", "delivered")


class TooLateToCancel(Conflict):
    """The goods were handed over, or (for the customer herself) are being picked. `legal` names what can be done."""

    code, title = "too_late_to_cancel", "The order can no longer be cancelled"


_CANCEL = text(
    """
    WITH off AS (
        UPDATE "order" SET cancelled_at = :now, cancel_reason = :reason, version = version + 1
        WHERE id = :order_id AND cancelled_at IS NULL RETURNING id
    ), closed AS (
        UPDATE fulfillment SET state = 'cancelled', closed_at = :now, version = version + 1
        WHERE order_id IN (SELECT id FROM off) AND state <> 'cancelled'
    ), asked AS (
        -- who must authenticate need not any more: the attempt is free to be given up at once
        UPDATE payment_entry SET error = :called_off
        WHERE kind = 'authorize' AND state = 'started'
          AND payment_id IN (SELECT p.id FROM payment AS p JOIN off ON off.id = p.order_id WHERE p.state = 'requires_action')
    ), unpaid AS (
        UPDATE payment SET state = 'voided', updated_at = :now
        WHERE order_id IN (SELECT id FROM off) AND tender = 'pay_at_pickup' AND state = 'pending'
    )
    SELECT id FROM off
    """
)


def cancel(*, order: str, reason: str, caller: Principal, claim: Claim | None, now: datetime) -> dict[str, Any]:
    """Cancel an order and give everything back. `order` is a reference or an id. Repeats change nothing.

    A customer may until picking starts, staff until the goods are handed over. Returns the order (OrderSchema).

    Raises:
        NotFound: there is no such order, or it is another's or another store's.
        TooLateToCancel: see there; NotAllowed: the shop's rules forbid it. Nothing was changed.
    """
    with db.transaction() as session:
        if claim is not None:
            claim.begin(session, lease=True)
        order_id = order_for(session, order=order, caller=caller)
        call_off(session, order_id=order_id, reason=reason, caller=caller, now=now)
        if claim is not None:
            claim.attach(session, str(order_id))
    settle(order_id=order_id, now=now)
    with db.reading() as session:
        found = queries.order_dict(session, order_id=order_id)
    if found is None:
        raise NotFound
    return found


def settle(*, order_id: UUID, now: datetime) -> None:
    """Ask the card network for what the transaction wrote down; when it is away, the settle job will."""
    try:
        attempts.run_entries(order_id=order_id, now=now)
    except GatewayUnavailable:
        log.warning("the card network does not answer; the settle job goes on", order_id=str(order_id))


def call_off(session: Session, *, order_id: UUID, reason: str, caller: Principal, now: datetime) -> bool:
    """The cancellation itself, in the caller's transaction; follow with `settle`. Returns whether this call did it.

    Raises:
        TooLateToCancel: see there.
    """
    facts = payment_queries.lock_order(session, order_id=order_id)
    if facts is None:
        raise NotFound
    parts = payment_queries.lock_parts(session, order_id=order_id)
    for part in parts:
        caller.require_location(part.location_id)
    if facts.cancelled_at is not None:
        return False
    _require_cancellable(facts, parts, caller)
    require_may_cancel(session, order_id=order_id, reason=reason)
    payments = payment_queries.lock_payments(session, order_id=order_id)
    actor = caller.actor
    given = {"order_id": order_id, "reason": reason, "called_off": settlement.CALLED_OFF, "now": now}
    session.execute(_CANCEL, given)
    reservations.release(session, owner_id=order_id, cause="order_cancelled", actor=actor, now=now)
    tenders.void_points(session, order_id=order_id, actor=actor, now=now)
    ledger.release(session, order_id=order_id, actor=actor, now=now)
    _give_money_back(session, order=facts, payments=payments, actor=actor, now=now)
    coupons.release(session, order_id=order_id, now=now)
    event = OrderCancelled(order_id=order_id, reference=facts.reference, customer_id=facts.customer_id, reason=reason)
    outbox.publish(session, event, actor=actor, now=now)
    return True


def _require_cancellable(order: OrderFacts, parts: Sequence[PartFacts], caller: Principal) -> None:
    if order.kind != "live":
        raise TooLateToCancel("An imported order is history", legal=[])
    if any(part.state in OVER for part in parts):
        raise TooLateToCancel("The goods were handed over; they can be refunded", legal=["refund"])
    if any(part.begun for part in parts):
        raise TooLateToCancel("Some of the goods have left; they can come back", legal=["return"])
    if caller.kind == CUSTOMER and any(part.state not in CUSTOMER_MAY_UNTIL for part in parts):
        raise TooLateToCancel("The goods are being picked; ask the store", legal=[])


def _give_money_back(
    session: Session, *, order: OrderFacts, payments: Sequence[PaymentFacts], actor: str, now: datetime
) -> None:
    """What is put aside is given free; what was captured is refunded. A card still being asked is given up by its attempt."""
    for payment in payments:
        if payment.tender == "card" and payment.state == "authorized":
            settlement.prepare(
                session, payment_id=payment.id, kind="void", amount_minor=payment.authorized_minor, actor=actor, now=now
            )
    if any(payment.refundable_minor > 0 for payment in payments if payment.state == "captured"):
        refund_ledger.open_refund(
            session, order=order, payments=payments, reason=settlement.CALLED_OFF, restock=False, actor=actor, now=now
        )
