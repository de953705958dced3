"""What the provider says, written into our books: the second transaction around every call to it.

`apply_intent` is the one completion that the request, the webhook and the settle job all go through: it locks the order,
compares the intent as fetched just now with what is stored, and writes the difference, once (FAILURES 17). Events that
arrive late, twice or out of order find nothing to do.
"""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from orders import confirmation, refund_ledger, stripe_gateway
from orders.queries import payments as queries
from orders.queries.payments import OrderFacts, PaymentFacts
from orders.refund_ledger import PREPARED, touch_order
from orders.stripe_gateway import Intent
from retail.events import PaymentRenewalRefused, PaymentRenewed
from retail.kernel import outbox
from retail.kernel.ids import new_id

AUTHORIZATION_DAYS = (
    7  # Stripe's default for online cards where it names no moment (docs.stripe.com/payments/place-a-hold)
)
WAITING = ("pending", "requires_action")
CALLED_OFF = "order_cancelled"
TOO_MUCH = "captured_too_much"
NEEDS_OWNER = "authentication_required"

_SETTLE = text(
    """
    UPDATE payment_entry SET state = CAST(:state AS text), error = :error, provider_id = :provider_id, settled_at = :now,
                             amount_minor = coalesce(:amount, amount_minor)
    WHERE payment_id = :payment_id AND kind = :kind AND state = 'started'
    """
)
_PREPARE = text(
    """
    INSERT INTO payment_entry (id, payment_id, kind, amount_minor, state, idempotency_key, error, actor, started_at)
    SELECT :id, :payment_id, CAST(:kind AS text), :amount_minor, 'started',
           CAST(:kind AS text) || ':' || CAST(:payment_id AS text)
           || coalesce((SELECT ':' || count(*) FROM payment_entry
                        WHERE payment_id = :payment_id AND kind = CAST(:kind AS text) HAVING count(*) > 0), ''),
           :prepared, :actor, :now
    WHERE NOT EXISTS (SELECT 1 FROM payment_entry
                      WHERE payment_id = :payment_id AND kind = CAST(:kind AS text) AND state = 'started')
    """
)
_TOLD = text(
    """
    INSERT INTO payment_entry (id, payment_id, kind, amount_minor, state, idempotency_key, provider_id, actor, started_at, settled_at)
    VALUES (:id, :payment_id, :kind, :amount_minor, 'succeeded', :key, :provider_id, :actor, :now, :now)
    """
)
_AUTHORIZED = text(
    """
    UPDATE payment SET state = 'authorized', authorized_minor = amount_minor, capture_before = :capture_before,
                       failure_code = NULL, updated_at = :now
    WHERE id = :payment_id AND state IN ('pending', 'requires_action')
    """
)
# Captured by hand, it may be more than was left to capture: what had been given up of it then was not.
_CAPTURED = text(
    """
    UPDATE payment SET state = 'captured', captured_minor = captured_minor + :amount, updated_at = :now,
                       released_minor = least(released_minor, amount_minor - captured_minor - :amount)
    WHERE id = :payment_id AND state IN ('authorized', 'captured') AND captured_minor + :amount <= authorized_minor
    """
)
_STATE = text(
    """
    UPDATE payment SET state = CAST(:state AS text), failure_code = coalesce(:code, failure_code), updated_at = :now
    WHERE id = :payment_id AND state = ANY(CAST(:from_states AS text[]))
    """
)
_IN_PLACE = text(
    """
    UPDATE payment SET released_minor = CASE id WHEN :id THEN amount_minor - :owed ELSE amount_minor END, updated_at = :now
    WHERE id IN (:id, :old_id)
    """
)
_REFUND_ANSWERED = text(
    """
    UPDATE payment_entry SET state = CASE WHEN CAST(:error AS text) IS NULL THEN 'succeeded' ELSE 'failed' END,
                             error = :error, provider_id = :provider_id, settled_at = :now
    WHERE id = :entry_id AND state = 'started' RETURNING amount_minor
    """
)


def prepare(session: Session, *, payment_id: UUID, kind: str, amount_minor: int, actor: str, now: datetime) -> None:
    """Write down what is to be asked of the provider; no second row while one of that kind is open."""
    row = {"id": new_id(), "payment_id": payment_id, "kind": kind, "amount_minor": amount_minor}
    session.execute(_PREPARE, row | {"prepared": PREPARED, "actor": actor, "now": now})


def locked(session: Session, *, payment_id: UUID) -> tuple[OrderFacts, PaymentFacts, list[PaymentFacts]]:
    """The payment with its order and all tenders of it, locked in the one order of locks.

    Raises:
        LookupError: there is no such payment.
    """
    order_id = queries.order_id_of(session, payment_id=payment_id)
    order = None if order_id is None else queries.lock_order(session, order_id=order_id)
    if order is None:
        raise LookupError(f"no payment {payment_id}")
    payments = queries.lock_payments(session, order_id=order.id)
    return order, next(p for p in payments if p.id == payment_id), payments


def apply_intent(session: Session, *, payment_id: UUID, intent: Intent, actor: str, now: datetime) -> None:
    """Bring our books to what Stripe says of the intent. Idempotent, and harmless when `intent` is outdated."""
    order, payment, _ = locked(session, payment_id=payment_id)
    if intent.status in (stripe_gateway.CAPTURABLE, stripe_gateway.SUCCEEDED):
        if payment.state in WAITING:
            _authorized(session, order=order, payment=payment, intent=intent, actor=actor, now=now)
        elif payment.state in ("failed", "voided") and intent.status == stripe_gateway.CAPTURABLE:
            # Authenticated after we had given up: the money is put aside for nothing, so give it free.
            prepare(
                session, payment_id=payment.id, kind="void", amount_minor=payment.amount_minor, actor=actor, now=now
            )
    if intent.status == stripe_gateway.SUCCEEDED:
        _captured(session, order=order, payment_id=payment.id, intent=intent, actor=actor, now=now)
    elif intent.status == stripe_gateway.ACTION:
        if _move(session, payment_id=payment.id, to="requires_action", from_states=("pending",), now=now):
            touch_order(session, order_id=order.id)
            if payment.replaces is not None:
                _renewal_refused(session, order, payment, code=NEEDS_OWNER, actor=actor, now=now)
    elif intent.status == stripe_gateway.METHOD_NEEDED and payment.state in WAITING:
        fail_authorization(
            session, payment_id=payment.id, code=intent.failure_code or "card_declined", actor=actor, now=now
        )
    elif intent.status == stripe_gateway.CANCELED:
        if payment.state in WAITING:
            fail_authorization(session, payment_id=payment.id, code="expired", actor=actor, now=now)
        else:
            _voided(session, order=order, payment=payment, intent=intent, now=now)


def fail_authorization(session: Session, *, payment_id: UUID, code: str, actor: str, now: datetime) -> None:
    """The card will not pay: the payment failed, and its order is called off (stock and points go back)."""
    order, payment, _ = locked(session, payment_id=payment_id)
    if payment.state not in WAITING:
        return
    _settle(
        session,
        payment_id=payment_id,
        kind="authorize",
        state="failed",
        error=code,
        provider_id=payment.provider_id,
        now=now,
    )
    _move(session, payment_id=payment_id, to="failed", from_states=WAITING, code=code, now=now)
    if payment.replaces is not None:
        touch_order(session, order_id=order.id)
        if order.cancelled_at is None and _still_owed(session, order, payment) > 0:
            _renewal_refused(session, order, payment, code=code, actor=actor, now=now)
        return
    confirmation.fail(session, order_id=order.id, code=code, actor=actor, now=now)


def fail_entry(session: Session, *, payment_id: UUID, kind: str, code: str, now: datetime) -> None:
    """The provider refused this capture or void for good; the payment keeps its state and shows the reason."""
    order, _, _ = locked(session, payment_id=payment_id)
    _settle(session, payment_id=payment_id, kind=kind, state="failed", error=code, provider_id=None, now=now)
    touch_order(session, order_id=order.id)
    session.execute(
        text("UPDATE payment SET failure_code = :code, updated_at = :now WHERE id = :id"),
        {"code": code, "now": now, "id": payment_id},
    )


def apply_refund(
    session: Session,
    *,
    payment_id: UUID,
    entry_id: UUID,
    refund_id: UUID,
    provider_id: str | None,
    error: str | None,
    now: datetime,
) -> None:
    """The provider answered for one refund entry: `error` is None when the money goes back. Once, however often called."""
    locked(session, payment_id=payment_id)
    given = {"entry_id": entry_id, "error": error, "provider_id": provider_id, "now": now}
    row = session.execute(_REFUND_ANSWERED, given).one_or_none()
    if row is None:
        return
    if error is None:
        refund_ledger.book_card(
            session, payment_id=payment_id, refund_id=refund_id, amount_minor=row.amount_minor, now=now
        )
    else:
        refund_ledger.close(session, refund_id=refund_id, now=now)


def _authorized(
    session: Session, *, order: OrderFacts, payment: PaymentFacts, intent: Intent, actor: str, now: datetime
) -> None:
    before = intent.capture_before or now + timedelta(days=AUTHORIZATION_DAYS)
    session.execute(_AUTHORIZED, {"payment_id": payment.id, "capture_before": before, "now": now})
    _settle(session, payment_id=payment.id, kind="authorize", state="succeeded", provider_id=intent.id, now=now)
    if order.cancelled_at is not None:
        touch_order(session, order_id=order.id)
        if intent.status == stripe_gateway.CAPTURABLE:
            prepare(
                session, payment_id=payment.id, kind="void", amount_minor=payment.amount_minor, actor=actor, now=now
            )
        return
    if payment.replaces is not None:
        _take_the_place(session, order=order, payment=payment, actor=actor, now=now)
        return
    others = queries.payments_of(session, order_id=order.id)
    if any(p.tender == "card" and p.state in WAITING for p in others):
        touch_order(session, order_id=order.id)
        return  # a second card has not answered yet
    confirmation.confirm(session, order_id=order.id, actor=actor, now=now)
    if order.capture_at == "placed" and intent.status == stripe_gateway.CAPTURABLE:
        amount = payment.amount_minor - payment.released_minor
        prepare(session, payment_id=payment.id, kind="capture", amount_minor=amount, actor=actor, now=now)


def _still_owed(session: Session, order: OrderFacts, payment: PaymentFacts) -> int:
    """How much of the authorization that `payment` is to take the place of is neither charged nor released."""
    old = next(p for p in queries.payments_of(session, order_id=order.id) if p.id == payment.replaces)
    return 0 if old.captured_minor or old.capturing else old.amount_minor - old.released_minor


def _take_the_place(session: Session, *, order: OrderFacts, payment: PaymentFacts, actor: str, now: datetime) -> None:
    """The new authorization holds: it stands for what the old one stood for by now, and the old one is given free. One that
    comes too late (the old one was charged, or nothing is left to pay) is given free itself."""
    owed = min(_still_owed(session, order, payment), payment.amount_minor)
    touch_order(session, order_id=order.id)
    if owed <= 0:
        prepare(session, payment_id=payment.id, kind="void", amount_minor=payment.amount_minor, actor=actor, now=now)
        return
    session.execute(_IN_PLACE, {"id": payment.id, "old_id": payment.replaces, "owed": owed, "now": now})
    old = next(p for p in queries.payments_of(session, order_id=order.id) if p.id == payment.replaces)
    if old.state == "authorized":
        prepare(session, payment_id=old.id, kind="void", amount_minor=old.authorized_minor, actor=actor, now=now)
    renewed = PaymentRenewed(
        **_named(order), payment_id=payment.id, replaces=old.id, amount_minor=owed, currency=payment.currency
    )
    outbox.publish(session, renewed, actor=actor, now=now)


def _renewal_refused(
    session: Session, order: OrderFacts, payment: PaymentFacts, *, code: str, actor: str, now: datetime
) -> None:
    refused = PaymentRenewalRefused(**_named(order), payment_id=payment.id, code=code)
    outbox.publish(session, refused, actor=actor, now=now)


def _named(order: OrderFacts) -> dict[str, Any]:
    return {"order_id": order.id, "reference": order.reference, "customer_id": order.customer_id}


def _captured(
    session: Session, *, order: OrderFacts, payment_id: UUID, intent: Intent, actor: str, now: datetime
) -> None:
    """Book what was captured beyond what we know of; on an order called off meanwhile it goes straight back, and so does
    what had been released before it was captured all the same."""
    payment = next(p for p in queries.payments_of(session, order_id=order.id) if p.id == payment_id)
    delta = intent.captured_minor - payment.captured_minor
    taken = False
    if delta > 0:
        booked = session.execute(_CAPTURED, {"payment_id": payment.id, "amount": delta, "now": now})
        taken = booked.rowcount == 1  # type: ignore[attr-defined]
        touch_order(session, order_id=order.id)
    settled = _settle(
        session,
        payment_id=payment.id,
        kind="capture",
        state="succeeded" if taken else "failed",
        provider_id=intent.id,
        now=now,
        error=None if taken else "captured_before",
        amount_minor=delta if taken else None,
    )
    if taken and not settled:
        # Captured by hand in the provider's dashboard: it happened, so it is in the ledger.
        row = {
            "id": new_id(),
            "payment_id": payment.id,
            "kind": "capture",
            "amount_minor": delta,
            "provider_id": intent.id,
        }
        row |= {"key": f"capture:{payment.id}:told:{intent.captured_minor}", "actor": "stripe", "now": now}
        session.execute(_TOLD, row)
    _settle(
        session, payment_id=payment.id, kind="void", state="failed", error="captured", provider_id=intent.id, now=now
    )
    too_much = payment.captured_minor + delta + payment.released_minor - payment.amount_minor
    if not taken or (order.cancelled_at is None and too_much <= 0):
        return
    payments = queries.lock_payments(session, order_id=order.id)
    if order.cancelled_at is not None:
        reason = CALLED_OFF
        refund_ledger.open_refund(
            session, order=order, payments=payments, reason=reason, restock=False, actor=actor, now=now
        )
        return
    shares = [(one, too_much) for one in payments if one.id == payment.id]
    refund_ledger.open_parts(session, order=order, shares=shares, points=0, reason=TOO_MUCH, actor=actor, now=now)


def _voided(session: Session, *, order: OrderFacts, payment: PaymentFacts, intent: Intent, now: datetime) -> None:
    """The authorization is given free: by us, by hand in the dashboard, or because it lapsed."""
    moved = _move(session, payment_id=payment.id, to="voided", from_states=("authorized",), now=now)
    settled = _settle(session, payment_id=payment.id, kind="void", state="succeeded", provider_id=intent.id, now=now)
    if moved:
        touch_order(session, order_id=order.id)
    if moved and not settled:
        row = {"id": new_id(), "payment_id": payment.id, "kind": "void", "amount_minor": payment.amount_minor}
        row |= {"provider_id": intent.id, "key": f"void:{payment.id}:told", "actor": "stripe", "now": now}
        session.execute(_TOLD, row)
    _settle(
        session, payment_id=payment.id, kind="capture", state="failed", error="canceled", provider_id=intent.id, now=now
    )


def _settle(
    session: Session,
    *,
    payment_id: UUID,
    kind: str,
    state: str,
    provider_id: str | None,
    now: datetime,
    error: str | None = None,
    amount_minor: int | None = None,
) -> bool:
    """Give the open entry of that kind its outcome. Returns whether there was one."""
    given = {"payment_id": payment_id, "kind": kind, "state": state, "error": error, "amount": amount_minor}
    return bool(session.execute(_SETTLE, given | {"provider_id": provider_id, "now": now}).rowcount)  # type: ignore[attr-defined]


def _move(
    session: Session, *, payment_id: UUID, to: str, from_states: tuple[str, ...], now: datetime, code: str | None = None
) -> bool:
    given = {"payment_id": payment_id, "state": to, "from_states": list(from_states), "code": code, "now": now}
    return bool(session.execute(_STATE, given).rowcount)  # type: ignore[attr-defined]
