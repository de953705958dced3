"""Card payments: what is to be asked of the card network is written down first, asked with no transaction open, and its
answer written in a second transaction (settlement). HOUSE, "Around Stripe"; FAILURES 16 and 17.

`prepare_*` join the caller's transaction and only write a `started` entry. The workflows (`authorize`, `capture`, `void`,
`refresh`) run such entries by way of `attempts`; `settle_started` finishes those whose process died.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import structlog
from sqlalchemy import text
from sqlalchemy.orm import Session

from orders import attempts, settlement, stripe_gateway
from orders.queries import payments as queries
from orders.refund_ledger import PREPARED
from orders.settlement import WAITING
from orders.stripe_gateway import CardDeclined, CardsNotAccepted, GatewayUnavailable
from retail.kernel import db
from retail.kernel.errors import Problem, Unavailable
from retail.kernel.ids import new_id
from retail.kernel.outbox import SYSTEM

log = structlog.get_logger()


class PaymentPending(Unavailable):
    """Another process is asking the card network about this order right now."""

    code, title = "payment_in_progress", "The payment is being processed"


@dataclass(frozen=True, slots=True)
class CardState:
    """How an order's card payment stands. `client_secret` is there when the customer must authenticate; never stored."""

    state: str
    client_secret: str | None = None


_PREPARE_AUTHORIZATION = text(
    """
    WITH tender AS (
        INSERT INTO payment (id, order_id, tender, state, amount_minor, currency, provider_method, created_at, updated_at)
        VALUES (:payment_id, :order_id, 'card', 'pending', :amount_minor, :currency, :provider_method, :now, :now)
        ON CONFLICT (id) DO UPDATE SET provider_method = excluded.provider_method
    )
    INSERT INTO payment_entry (id, payment_id, kind, amount_minor, state, idempotency_key, error, actor, started_at)
    VALUES (:id, :payment_id, 'authorize', :amount_minor, 'started', 'authorize:' || CAST(:payment_id AS text), :prepared, :actor, :now)
    """
)


def prepare_authorization(
    session: Session,
    *,
    order_id: UUID,
    payment_id: UUID,
    amount_minor: int,
    currency: str,
    provider_method: str,
    actor: str,
    now: datetime,
) -> UUID:
    """Write down that a card is to be authorized (and the tender's row, if it is not there yet); returns the entry's id.

    Raises:
        CardsNotAccepted: this installation has no card provider. AmountNotChargeable: see there.
    """
    if not stripe_gateway.accepts_cards():
        raise CardsNotAccepted
    stripe_gateway.require_chargeable(amount_minor, currency)
    entry_id = new_id()
    row = {
        "id": entry_id,
        "payment_id": payment_id,
        "order_id": order_id,
        "amount_minor": amount_minor,
        "currency": currency,
    }
    row |= {"provider_method": provider_method, "prepared": PREPARED, "actor": actor, "now": now}
    session.execute(_PREPARE_AUTHORIZATION, row)
    return entry_id


def prepare_capture(session: Session, *, order_id: UUID, actor: str, now: datetime) -> int:
    """Write down that the order's authorized cards are to be captured, less what was released of each; returns how many.
    Repeats change nothing.

    Follow with `capture` when no transaction is open, or leave it to the settle job (seconds later).
    """
    queries.lock_order(session, order_id=order_id)
    due = [
        p
        for p in queries.lock_payments(session, order_id=order_id)
        if p.tender == "card" and p.state == "authorized" and p.released_minor < p.authorized_minor
    ]
    for payment in due:
        amount = payment.authorized_minor - payment.released_minor
        settlement.prepare(session, payment_id=payment.id, kind="capture", amount_minor=amount, actor=actor, now=now)
    return len(due)


def prepare_void(session: Session, *, order_id: UUID, actor: str, now: datetime) -> int:
    """Write down that the order's authorized cards are to be given free; returns how many. Repeats change nothing."""
    queries.lock_order(session, order_id=order_id)
    due = [
        p for p in queries.lock_payments(session, order_id=order_id) if p.tender == "card" and p.state == "authorized"
    ]
    for payment in due:
        settlement.prepare(
            session, payment_id=payment.id, kind="void", amount_minor=payment.authorized_minor, actor=actor, now=now
        )
    return len(due)


def authorize(*, order_id: UUID, actor: str, now: datetime) -> CardState:
    """Ask the card network for the order's prepared authorization and confirm or fail the order by its answer.

    A repeat goes on where an interrupted run stopped; an order whose payment is settled is left alone.

    Returns: the state, with the client secret when the customer must authenticate first (``requires_action``).

    Raises:
        CardDeclined: the order has been called off; stock and points are free again.
        GatewayUnavailable, PaymentPending: nothing is lost: the order stays ``pending_payment``; a repeat or the settle
            job goes on.
    """
    del actor  # the entry names who asked
    attempts.run_entries(order_id=order_id, now=now)
    return _card_state(order_id)


def capture(*, order_id: UUID, actor: str, now: datetime) -> None:
    """Take what `prepare_capture` wrote down. What the card network leaves unanswered is settled by the job.

    Raises:
        GatewayUnavailable: as above; the entry stays open.
    """
    del actor
    attempts.run_entries(order_id=order_id, now=now)


def void(*, order_id: UUID, actor: str, now: datetime) -> None:
    """Give free what `prepare_void` wrote down.

    Raises:
        GatewayUnavailable: the card network did not answer; the settle job goes on.
    """
    del actor
    attempts.run_entries(order_id=order_id, now=now)


def refresh(*, order_id: UUID, now: datetime) -> CardState:
    """Look at the provider and complete or fail the order accordingly: what the page does that the customer returns to.

    Raises:
        CardDeclined, GatewayUnavailable, PaymentPending: see `authorize`.
    """
    attempts.run_entries(order_id=order_id, now=now)
    with db.reading() as session:
        cards = [p for p in queries.payments_of(session, order_id=order_id) if p.tender == "card"]
    for payment in cards:
        if payment.provider_id is not None and payment.state in WAITING:
            look(payment_id=payment.id, intent_id=payment.provider_id, now=now)
    attempts.run_entries(order_id=order_id, now=now)
    return _card_state(order_id)


def look(*, payment_id: UUID, intent_id: str, now: datetime) -> None:
    """Fetch the intent and bring our books to it."""
    intent = stripe_gateway.retrieve(intent_id)
    with db.transaction() as session:
        settlement.apply_intent(session, payment_id=payment_id, intent=intent, actor=SYSTEM, now=now)


def _card_state(order_id: UUID) -> CardState:
    with db.reading() as session:
        cards = [p for p in queries.payments_of(session, order_id=order_id) if p.tender == "card"]
    # A card that was to take another's place and did not leaves the order as it was.
    cards = [p for p in cards if p.replaces is None or p.state not in ("failed", "voided")]
    for payment in cards:
        if payment.state == "failed":
            raise CardDeclined(payment.failure_code or "card_declined")
        if payment.state == "requires_action" and payment.provider_id is not None:
            return CardState("requires_action", stripe_gateway.retrieve(payment.provider_id).client_secret)
        if payment.state == "pending":
            raise PaymentPending(retry_after_seconds=2)
    return CardState(cards[-1].state if cards else "none")


def settle_started(*, now: datetime, older_than_seconds: int = 5) -> int:
    """Finish what others left: entries prepared and not asked for, or whose process died; overdue orders are called off.

    Safe to run in many workers at once. Returns how many entries ran. The first sign that the card network is down ends
    the run; what failed for another reason is logged and tried again later.
    """
    with db.reading() as session:
        waiting = attempts.waiting(session, order_id=None, now=now, older_than_seconds=older_than_seconds)
    ran = 0
    for entry_id in waiting:
        try:
            ran += attempts.run(entry_id, now=now)
        except GatewayUnavailable:
            log.warning("the card network does not answer; payments wait", waiting=len(waiting) - ran)
            break
        except Problem as problem:
            log.error("a payment could not be settled", entry_id=str(entry_id), code=problem.code)
    return ran
