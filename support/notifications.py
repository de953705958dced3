"""Messages to customers: one row per event and template, sent afterwards by a workflow, once.

queued -> sending (with a lease: `next_at`) -> sent | failed. A process that dies between the mail server's yes and our
note sends the message again when the lease ends, with the same Message-ID, so that the repeat is recognizable; that is
the one gap SMTP leaves open, and it never loses a message.
"""

import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from orders import queries as orders
from retail import queries as retail
from retail.kernel import clock, config, db, ids
from retail.kernel.outbox import backoff_seconds
from support import letters, mail_gateway, queries
from support.letters import Letter
from support.mail_gateway import MailServer, Refused
from support.models import Message

log = structlog.get_logger()
LEASE_SECONDS = 180  # longer than one SMTP exchange may take
MAX_ATTEMPTS = 12
MESSAGES_PER_RUN = 200


def queue(
    session: Session,
    *,
    event_id: uuid.UUID,
    template: str,
    params: Mapping[str, Any],
    order_id: uuid.UUID | None,
    customer_id: uuid.UUID | None,
    address: str | None = None,
    locale: str | None = None,
    now: datetime,
) -> bool:
    """Write this event's message, if there is somebody to write to; whether a row was written.

    To the customer's best email in her language; a guest's from the order. `client_key` makes a repeat a no-op.
    """
    if address is None:
        address, locale = _recipient(session, customer_id, order_id)
    if not address:
        return False
    row = {
        "id": ids.new_id(),
        "client_key": f"{event_id}:{template}",
        "customer_id": customer_id,
        "order_id": order_id,
        "channel": "email",
        "address": address,
        "template": template,
        "locale": locale or "ja",
        "params": dict(params),
        "next_at": now,
        "created_at": now,
    }
    statement = insert(Message).values(row).on_conflict_do_nothing(index_elements=["client_key"]).returning(Message.id)
    return session.execute(statement).one_or_none() is not None


def _recipient(
    session: Session, customer_id: uuid.UUID | None, order_id: uuid.UUID | None
) -> tuple[str | None, str | None]:
    """(email, locale): the customer's own, else what the order says."""
    facts = retail.customer_facts(session, customer_id=customer_id) if customer_id else None
    if facts is not None and facts.merged_into is not None:
        facts = retail.customer_facts(session, customer_id=facts.merged_into)
    if facts is not None and facts.email:
        return facts.email, facts.locale
    order = orders.order_dict(session, order_id=order_id) if order_id else None
    if order is None:
        return None, None
    return order["contact"]["email"], facts.locale if facts is not None else order["locale"]


def send_due(*, limit: int = MESSAGES_PER_RUN) -> int:
    """Send what is due over one connection; returns how many were accepted by the mail server.

    A workflow: per message one transaction takes it, none is open while the server answers, one writes the outcome.
    Without SMTP_URL messages stay queued. A server that is away ends the run; the message taken goes back.
    """
    if not config.current().smtp_url:
        return 0
    sent = 0
    server: MailServer | None = None
    try:
        for _ in range(limit):
            taken = _take()
            if taken is None:
                break
            message_id, address, letter = taken
            if letter is None:
                continue
            try:
                db.assert_no_transaction()
                server = server or mail_gateway.connect()
                server.send(message_id=message_id, address=address, letter=letter)
            except Refused as refusal:
                _write_failure(message_id, str(refusal), final=refusal.permanent)
                if not refusal.connected:
                    break
                continue
            _write_success(message_id, letter)
            sent += 1
    finally:
        if server is not None:
            server.close()
    return sent


def _take() -> tuple[uuid.UUID, str, Letter | None] | None:
    """Take the next due message for LEASE_SECONDS and compose it; its letter is None when nothing is to be sent."""
    now = clock.now()
    with db.transaction() as session:
        message = queries.lock_next_message(session, now=now)
        if message is None:
            return None
        message.attempts += 1
        try:
            letter = letters.compose(session, template=message.template, locale=message.locale, params=message.params)
        except (LookupError, TypeError, ValueError) as error:
            log.exception("letter cannot be composed", message_id=str(message.id), template=message.template)
            message.state, message.last_error = "failed", f"{type(error).__name__}: {error}"[:500]
            return message.id, message.address, None
        if letter is None:
            message.state, message.last_error = "failed", "superseded: no longer true when it was to be sent"
        else:
            message.state, message.next_at = "sending", now + timedelta(seconds=LEASE_SECONDS)
        return message.id, message.address, letter


def _write_success(message_id: uuid.UUID, letter: Letter) -> None:
    with db.transaction() as session:
        message = queries.lock_message(session, message_id=message_id)
        message.state, message.sent_at, message.last_error = "sent", clock.now(), None
        message.subject, message.body = letter.subject, letter.masked()


def _write_failure(message_id: uuid.UUID, error: str, *, final: bool) -> None:
    """Back off, doubling; give up after MAX_ATTEMPTS or when the server will never take it."""
    now = clock.now()
    with db.transaction() as session:
        message = queries.lock_message(session, message_id=message_id)
        if message.state != "sending":
            return
        message.last_error = error[:500]
        message.state = "failed" if final or message.attempts >= MAX_ATTEMPTS else "queued"
        message.next_at = now + timedelta(seconds=backoff_seconds(message.attempts))
    log.warning("message not sent", message_id=str(message_id), error=error, final=final)
