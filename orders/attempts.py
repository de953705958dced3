"""One attempt at the card network: claim an open entry of the payments' ledger, ask, write the answer.

An entry is worked on by whoever claims it: a claim clears `error` and renews `started_at`; it lapses after
`attempt_seconds`. Running an entry twice is harmless: each step looks at the provider first. `claim` and the step are
separate, so that a test can die between them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from sqlalchemy import text
from sqlalchemy.orm import Session

from orders import settlement, stripe_gateway
from orders.queries import payments as queries
from orders.stripe_gateway import (
    ACTION,
    CANCELED,
    CAPTURABLE,
    METHOD_NEEDED,
    UNCONFIRMED,
    CardDeclined,
    GatewayRefused,
    GatewayUnavailable,
    Intent,
)
from retail.kernel import config, db

log = structlog.get_logger()

CALLS_PER_ATTEMPT = 3  # to the provider, at most, one after the other
SPARE_SECONDS = 30  # for the database, and for clocks that differ
PAYMENT_MINUTES = (
    30  # an order whose card has not answered by then is called off; a renewal has until the old one lapses
)
ENTRIES_PER_RUN = 100
IDLE = "card_network_unavailable"  # the `error` of a started entry whose last attempt got no answer


@dataclass(frozen=True, slots=True)
class Work:
    """One claimed entry and what is needed to run it."""

    entry_id: UUID
    kind: str
    amount_minor: int
    idempotency_key: str
    refund_id: UUID | None
    actor: str
    claimed_at: datetime
    payment_id: UUID
    provider_id: str | None
    provider_method: str | None
    currency: str
    order_id: UUID
    reference: str
    give_up_at: datetime
    superseded: bool
    cancelled_at: datetime | None


_CLAIM = text(
    """
    UPDATE payment_entry AS e SET error = NULL, started_at = :now
    FROM payment AS p JOIN "order" AS o ON o.id = p.order_id
    WHERE e.id = :entry_id AND p.id = e.payment_id AND e.state = 'started'
      AND (e.error IS NOT NULL OR e.started_at <= :attempt_before)
    RETURNING e.id AS entry_id, e.kind, e.amount_minor, e.idempotency_key, e.refund_id, e.actor, e.started_at AS claimed_at,
              p.id AS payment_id, p.provider_id, p.provider_method, p.currency, o.id AS order_id, o.reference,
              o.cancelled_at,
              greatest(p.created_at + make_interval(mins => :minutes),
                       (SELECT old.capture_before FROM payment AS old WHERE old.id = p.replaces)) AS give_up_at,
              EXISTS (SELECT FROM payment AS old WHERE old.id = p.replaces
                      AND (old.captured_minor > 0 OR old.released_minor = old.amount_minor)) AS superseded
    """
)
_UNCLAIM = text(
    "UPDATE payment_entry SET error = :idle WHERE id = :entry_id AND state = 'started' AND started_at = :claimed_at"
)
_ATTACH = text(
    """
    UPDATE payment AS p SET provider_id = :provider_id, updated_at = :now
    FROM payment_entry AS e
    WHERE p.id = :payment_id AND p.provider_id IS NULL AND e.id = :entry_id AND e.payment_id = p.id AND e.state = 'started'
    """
)


def attempt_seconds() -> float:
    """How long an attempt may last before whoever claimed the entry counts as dead: longer than any can."""
    return SPARE_SECONDS + CALLS_PER_ATTEMPT * config.current().stripe_timeout_seconds


def waiting(session: Session, *, order_id: UUID | None, now: datetime, older_than_seconds: int) -> list[UUID]:
    """Open entries that nobody works on, oldest first: of one order, or (None) of all."""
    return queries.waiting_entries(
        session,
        order_id=order_id,
        idle_before=now - timedelta(seconds=older_than_seconds),
        attempt_before=now - timedelta(seconds=attempt_seconds()),
        limit=ENTRIES_PER_RUN,
    )


def run_entries(*, order_id: UUID, now: datetime) -> int:
    """Run the order's open entries that nobody else is working on, and those that follow from them; returns how many.

    Raises:
        GatewayUnavailable: the card network did not answer; the entry is open for the next one at once.
    """
    ran = 0
    for _ in range(4):  # an authorization may be followed by a capture, or by a void and a refund
        with db.reading() as session:
            found = waiting(session, order_id=order_id, now=now, older_than_seconds=0)
        if not found:
            break
        for entry_id in found:
            ran += run(entry_id, now=now)
    return ran


def claim(session: Session, *, entry_id: UUID, now: datetime) -> Work | None:
    """Take an open entry to work on, unless somebody else is at it or it has its outcome."""
    given = {"entry_id": entry_id, "now": now, "minutes": PAYMENT_MINUTES}
    given["attempt_before"] = now - timedelta(seconds=attempt_seconds())
    row = session.execute(_CLAIM, given).mappings().one_or_none()
    return None if row is None else Work(**row)


def run(entry_id: UUID, *, now: datetime) -> bool:
    """Claim and run one entry. Returns whether it was ours to run."""
    with db.transaction() as session:
        work = claim(session, entry_id=entry_id, now=now)
    if work is None:
        return False
    try:
        _STEPS[work.kind](work, now)
    except GatewayUnavailable:
        with db.transaction() as session:
            session.execute(_UNCLAIM, {"entry_id": work.entry_id, "claimed_at": work.claimed_at, "idle": IDLE})
        raise
    return True


def _authorize(work: Work, now: datetime) -> None:
    """Create, remember, confirm; an order that is called off or overdue is given up instead."""
    given_up = work.cancelled_at is not None or work.superseded or work.give_up_at <= now
    intent: Intent | None = None
    code = "expired"
    try:
        intent = _intent_of(work, given_up=given_up, now=now)
        if intent is None and not given_up:
            return  # settled by somebody else meanwhile
        if intent is not None and given_up and intent.status in (UNCONFIRMED, ACTION, METHOD_NEEDED):
            intent = stripe_gateway.cancel(intent.id, key=f"{work.idempotency_key}:cancel")
        elif intent is not None and intent.status == UNCONFIRMED:
            intent = stripe_gateway.confirm(intent.id, key=work.idempotency_key)
    except CardDeclined as declined:
        intent, code = None, declined.provider_code
    except GatewayRefused as refused:
        log.warning("the card provider refused an authorization", order=work.reference, code=refused.provider_code)
        intent, code = None, refused.provider_code
    with db.transaction() as session:
        if intent is None:
            settlement.fail_authorization(session, payment_id=work.payment_id, code=code, actor=work.actor, now=now)
        else:
            settlement.apply_intent(session, payment_id=work.payment_id, intent=intent, actor=work.actor, now=now)


def _intent_of(work: Work, *, given_up: bool, now: datetime) -> Intent | None:
    """The payment's intent, made and remembered when there is none; None when given up or overtaken before it was made."""
    if work.provider_id is not None:
        return stripe_gateway.retrieve(work.provider_id)
    if given_up:
        return None
    intent = stripe_gateway.create(
        amount_minor=work.amount_minor,
        currency=work.currency,
        method=work.provider_method or "",
        key=work.idempotency_key,
        metadata={"order": work.reference, "payment_id": str(work.payment_id), "entry_id": str(work.entry_id)},
    )
    with db.transaction() as session:
        given = {"provider_id": intent.id, "payment_id": work.payment_id, "entry_id": work.entry_id, "now": now}
        attached = session.execute(_ATTACH, given).rowcount == 1  # type: ignore[attr-defined]
    return intent if attached else None


def _capture(work: Work, now: datetime) -> None:
    """Take what is put aside, unless the order was called off meanwhile."""
    try:
        intent = stripe_gateway.retrieve(work.provider_id or "")
        if intent.status == CAPTURABLE and work.cancelled_at is None:
            intent = stripe_gateway.capture(intent.id, amount_minor=work.amount_minor, key=work.idempotency_key)
    except (GatewayRefused, CardDeclined) as refused:
        return _refused(work, refused, now)
    with db.transaction() as session:
        if intent.status == CAPTURABLE:
            code = settlement.CALLED_OFF
            settlement.fail_entry(session, payment_id=work.payment_id, kind="capture", code=code, now=now)
        else:
            settlement.apply_intent(session, payment_id=work.payment_id, intent=intent, actor=work.actor, now=now)
    return None


def _void(work: Work, now: datetime) -> None:
    """Give free what is put aside; what was captured before that is booked, and goes back as a refund."""
    try:
        intent = stripe_gateway.retrieve(work.provider_id or "")
        if intent.status != CANCELED:
            intent = stripe_gateway.cancel(intent.id, key=work.idempotency_key)
    except (GatewayRefused, CardDeclined) as refused:
        return _refused(work, refused, now)
    with db.transaction() as session:
        settlement.apply_intent(session, payment_id=work.payment_id, intent=intent, actor=work.actor, now=now)
    return None


def _refund(work: Work, now: datetime) -> None:
    """Send money back; the provider's own list of refunds says what an interrupted attempt has done."""
    error: str | None = None
    provider_id: str | None = None
    try:
        entry = str(work.entry_id)
        result = stripe_gateway.refund(
            work.provider_id or "", amount_minor=work.amount_minor, entry_id=entry, key=work.idempotency_key
        )
        provider_id = result.id
        error = None if result.accepted else result.status
    except (GatewayRefused, CardDeclined) as refused:
        error = refused.provider_code
    if work.refund_id is None:
        raise LookupError(f"refund entry {work.entry_id} belongs to no refund")
    with db.transaction() as session:
        settlement.apply_refund(
            session,
            payment_id=work.payment_id,
            entry_id=work.entry_id,
            refund_id=work.refund_id,
            provider_id=provider_id,
            error=error,
            now=now,
        )


def _refused(work: Work, refused: GatewayRefused | CardDeclined, now: datetime) -> None:
    log.error("the card provider refused", kind=work.kind, order=work.reference, code=refused.provider_code)
    with db.transaction() as session:
        settlement.fail_entry(session, payment_id=work.payment_id, kind=work.kind, code=refused.provider_code, now=now)


_STEPS: dict[str, Callable[[Work, datetime], None]] = {
    "authorize": _authorize,
    "capture": _capture,
    "void": _void,
    "refund": _refund,
}
