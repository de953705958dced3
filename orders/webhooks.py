"""What Stripe tells us unasked: kept first, answered at once, worked on afterwards.

The event's id is the inbox's key, so a repeat is a no-op. Events arrive late, twice and out of order; therefore an event
never says what happened, it only makes us fetch the object again and go through the one completion (settlement).
"""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import text
from sqlalchemy.orm import Session

from orders import attempts, payments, stripe_gateway
from orders.queries import payments as queries
from orders.stripe_gateway import GatewayUnavailable
from retail.kernel import config, db
from retail.kernel.errors import Problem, TooLarge
from retail.kernel.outbox import backoff_seconds

log = structlog.get_logger()

BODY_BYTES = 256_000  # Stripe's own events stay far below
LEASE_SECONDS = 60
EVENTS_PER_RUN = 100
MAX_BACKOFF_ATTEMPTS = 20


@dataclass(frozen=True, slots=True)
class _Taken:
    """One inbox row that this process is working on."""

    provider: str
    event_id: str
    type: str
    object_id: str | None
    attempts: int


_KEEP = text(
    """
    INSERT INTO webhook_inbox (provider, event_id, type, object_id, payload, received_at, next_at)
    VALUES (:provider, :event_id, :type, :object_id, CAST(:payload AS jsonb), :now, :now)
    ON CONFLICT (provider, event_id) DO NOTHING
    """
)
_TAKE = text(
    """
    UPDATE webhook_inbox AS w SET next_at = :leased_until, attempts = w.attempts + 1
    FROM (SELECT provider, event_id FROM webhook_inbox WHERE processed_at IS NULL AND next_at <= :now
          ORDER BY next_at, event_id LIMIT 1 FOR UPDATE SKIP LOCKED) AS due
    WHERE w.provider = due.provider AND w.event_id = due.event_id
    RETURNING w.provider, w.event_id, w.type, w.object_id, w.attempts
    """
)
_DONE = text(
    "UPDATE webhook_inbox SET processed_at = :now, last_error = NULL WHERE provider = :provider AND event_id = :event_id"
)
_LATER = text(
    """
    UPDATE webhook_inbox SET next_at = :next_at, last_error = :error
    WHERE provider = :provider AND event_id = :event_id AND processed_at IS NULL
    """
)


def keep(session: Session, *, account: str, raw: bytes, signature: str | None, now: datetime) -> bool:
    """Verify and store one webhook. Returns False when it was stored before.

    Raises:
        TooLarge: more than BODY_BYTES.
        NotFound, BadSignature, BadRequest: see `stripe_gateway.read_event`; nothing is stored.
    """
    if len(raw) > BODY_BYTES:
        raise TooLarge(f"A webhook may hold at most {BODY_BYTES:,} bytes")
    secret = config.current().stripe_webhook_secret
    event = stripe_gateway.read_event(raw, header=signature, secret=secret, now=now)
    row = {"provider": f"stripe:{account}", "event_id": event.id, "type": event.type, "object_id": event.intent_id}
    stored = session.execute(_KEEP, row | {"payload": json.dumps(event.summary), "now": now})
    return stored.rowcount == 1  # type: ignore[attr-defined, no-any-return]


def process_inbox(*, now: datetime, limit: int = EVENTS_PER_RUN) -> int:
    """Work on what is due, one event at a time; returns how many were finished. Safe to run in many workers at once."""
    done = 0
    for _ in range(limit):
        with db.transaction() as session:
            taken = _take(session, now=now)
        if taken is None:
            break
        try:
            _work_on(taken, now=now)
        except GatewayUnavailable as away:
            _postpone(taken, away.code, now=now)
            break
        except (Problem, LookupError) as error:
            log.error("a webhook could not be worked on", event_id=taken.event_id, type=taken.type, error=str(error))
            _postpone(taken, f"{type(error).__name__}: {error}", now=now)
            continue
        with db.transaction() as session:
            session.execute(_DONE, {"provider": taken.provider, "event_id": taken.event_id, "now": now})
        done += 1
    return done


def _take(session: Session, *, now: datetime) -> _Taken | None:
    given = {"now": now, "leased_until": now + timedelta(seconds=LEASE_SECONDS)}
    row = session.execute(_TAKE, given).mappings().one_or_none()
    return None if row is None else _Taken(**row)


def _work_on(taken: _Taken, *, now: datetime) -> None:
    """Fetch the intent the event is about and complete what follows; an intent that is not ours is another system's."""
    if taken.object_id is None:
        return
    with db.reading() as session:
        payment_id = queries.payment_id_of(session, provider_id=taken.object_id)
        order_id = queries.order_id_of(session, payment_id=payment_id) if payment_id is not None else None
    if payment_id is None or order_id is None:
        log.info("a webhook about a payment that is not ours", event_id=taken.event_id, type=taken.type)
        return
    if taken.type in ("refund.failed", "charge.dispute.created"):
        log.error("the card provider reports trouble", type=taken.type, event_id=taken.event_id, order_id=str(order_id))
    payments.look(payment_id=payment_id, intent_id=taken.object_id, now=now)
    attempts.run_entries(order_id=order_id, now=now)


def _postpone(taken: _Taken, error: str, *, now: datetime) -> None:
    wait = backoff_seconds(min(taken.attempts, MAX_BACKOFF_ATTEMPTS))
    given = {"provider": taken.provider, "event_id": taken.event_id, "error": error[:2000]}
    with db.transaction() as session:
        session.execute(_LATER, given | {"next_at": now + timedelta(seconds=wait)})
