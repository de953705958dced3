"""What our ledger says of cards, for the comparison with the provider's. Amounts in minor units."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class Booked:
    """What we booked of one charge (`subject_id`: the intent, all its captures together) or of one refund."""

    kind: str
    subject_id: str
    amount_minor: int
    currency: str
    reference: str
    at: datetime


_BOOKED = """
    SELECT CASE e.kind WHEN 'capture' THEN 'charge' ELSE 'refund' END AS kind,
           coalesce(CASE e.kind WHEN 'capture' THEN p.provider_id ELSE e.provider_id END, '') AS subject_id,
           sum(e.amount_minor)::bigint AS amount_minor, p.currency, o.reference, max(e.settled_at) AS at
    FROM payment_entry AS e JOIN payment AS p ON p.id = e.payment_id AND p.tender = 'card'
    JOIN "order" AS o ON o.id = p.order_id AND o.kind = 'live'
    WHERE e.kind IN ('capture', 'refund') AND e.state = 'succeeded' AND p.provider_id IS NOT NULL
      AND (e.kind = 'capture' OR e.provider_id IS NOT NULL)"""
_GROUPED = "GROUP BY 1, 2, p.currency, o.reference, CASE e.kind WHEN 'refund' THEN e.id END ORDER BY at, subject_id"
_SETTLED = text(f"{_BOOKED} AND e.settled_at >= :since AND e.settled_at < :until {_GROUPED}")
_NAMED = text(f"{_BOOKED} AND (p.provider_id = ANY(:ids) OR e.provider_id = ANY(:ids)) {_GROUPED}")


def settled(session: Session, *, since: datetime, until: datetime) -> list[Booked]:
    """Captures and refunds of cards that were booked from `since` until before `until`."""
    return [Booked(*row) for row in session.execute(_SETTLED, {"since": since, "until": until}).all()]


def named(session: Session, *, ids: Sequence[str]) -> dict[tuple[str, str], Booked]:
    """What was booked, whenever, of these intents and refunds: by (kind, id)."""
    rows = [Booked(*row) for row in session.execute(_NAMED, {"ids": list(ids)}).all()]
    return {(row.kind, row.subject_id): row for row in rows}
