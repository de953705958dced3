"""Tenders that are settled in our own database: points, and what the till takes (cash, card terminal).

Each change writes its entries in the ledger of the payment and moves the payment's sums in the same statement. The
card network's side is `payments`; this file never talks to anybody.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy import TextClause, text
from sqlalchemy.orm import Session

from retail.kernel.errors import Invalid
from retail.kernel.ids import new_id

AT_THE_TILL = ("cash", "card_terminal")


class TenderMissing(Invalid):
    """Something is to be paid at the counter: the request must name the tender that was taken (FAILURES 12)."""

    code, title = "tender_required", "Name the tender that was taken"


class NothingDue(Invalid):
    """A tender was named, but everything is paid: nobody may take money for it."""

    code, title = "nothing_due", "Nothing is to be paid at the counter"


_TAKE_AT_COUNTER = text(
    """
    WITH taken AS (
        UPDATE payment SET tender = :tender, state = 'captured', authorized_minor = amount_minor - released_minor,
                           captured_minor = amount_minor - released_minor, updated_at = :now
        WHERE order_id = :order_id AND tender = 'pay_at_pickup' AND state = 'pending'
        RETURNING id, captured_minor AS amount_minor
    ), booked AS (
        INSERT INTO payment_entry (id, payment_id, kind, amount_minor, state, idempotency_key, actor, started_at, settled_at)
        SELECT gen_random_uuid(), t.id, kind, t.amount_minor, 'succeeded', kind || ':' || t.id, :actor, :now, :now
        FROM taken AS t CROSS JOIN unnest(ARRAY['authorize', 'capture']) AS kind
    )
    SELECT id FROM taken
    """
)
_DUE_AT_COUNTER = text(
    """
    SELECT COALESCE(sum(amount_minor - released_minor), 0) FROM payment
    WHERE order_id = :order_id AND tender = 'pay_at_pickup' AND state = 'pending'
    """
)
_CAPTURE_POINTS = text(
    """
    WITH taken AS (
        UPDATE payment SET state = 'captured', captured_minor = authorized_minor, updated_at = :now
        WHERE order_id = :order_id AND tender = 'points' AND state = 'authorized'
        RETURNING id, authorized_minor
    )
    INSERT INTO payment_entry (id, payment_id, kind, amount_minor, state, idempotency_key, actor, started_at, settled_at)
    SELECT :entry_id, id, 'capture', authorized_minor, 'succeeded', 'capture:' || id, :actor, :now, :now FROM taken
    RETURNING amount_minor
    """
)
_VOID_POINTS = text(
    """
    WITH taken AS (
        UPDATE payment SET state = 'voided', updated_at = :now
        WHERE order_id = :order_id AND tender = 'points' AND state = 'authorized'
        RETURNING id, authorized_minor
    )
    INSERT INTO payment_entry (id, payment_id, kind, amount_minor, state, idempotency_key, actor, started_at, settled_at)
    SELECT :entry_id, id, 'void', authorized_minor, 'succeeded', 'void:' || id, :actor, :now, :now FROM taken
    RETURNING amount_minor
    """
)


def take_at_counter(
    session: Session, *, order_id: UUID, due_minor: int, tender: str | None, actor: str, now: datetime
) -> list[UUID]:
    """Record what the counter took for a pay-at-pickup order, in the transaction of the handover; the payments it took.

    Raises:
        TenderMissing: something is due and no tender is named.
        NothingDue: a tender is named and nothing is due.
    """
    if due_minor == 0:
        if tender is not None:
            raise NothingDue(errors=[{"field": "tender", "code": "nothing_due", "detail": "Nothing is to be paid"}])
        return []
    if tender is None:
        detail = f"{due_minor} is to be paid: name one of {', '.join(AT_THE_TILL)}"
        raise TenderMissing(errors=[{"field": "tender", "code": "required", "detail": detail}])
    given = {"order_id": order_id, "tender": tender, "actor": actor, "now": now}
    return list(session.execute(_TAKE_AT_COUNTER, given).scalars().all())


def due_at_counter(session: Session, *, order_id: UUID) -> int:
    """What is still to be paid at the counter for this order, in minor units."""
    return int(session.execute(_DUE_AT_COUNTER, {"order_id": order_id}).scalar_one())


def capture_points(session: Session, *, order_id: UUID, actor: str, now: datetime) -> bool:
    """The points part of the order is earned by us. Returns whether there was one that was still open."""
    return _one(session, _CAPTURE_POINTS, order_id=order_id, actor=actor, now=now)


def void_points(session: Session, *, order_id: UUID, actor: str, now: datetime) -> bool:
    """The points part of the order is given up before it was captured. Returns whether there was one that was open."""
    return _one(session, _VOID_POINTS, order_id=order_id, actor=actor, now=now)


def _one(session: Session, statement: TextClause, *, order_id: UUID, actor: str, now: datetime) -> bool:
    given = {"order_id": order_id, "entry_id": new_id(), "actor": actor, "now": now}
    return session.execute(statement, given).one_or_none() is not None
