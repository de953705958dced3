"""Gift cards, read and locked."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from retail.queries import FAMILY


@dataclass(frozen=True, slots=True)
class GiftCardFacts:
    """A card as it stands; `balance_minor` in minor units of `currency`."""

    id: UUID
    kind: str
    hint: str
    customer_id: UUID | None
    currency: str
    balance_minor: int
    state: str
    expires_at: datetime | None
    external_reference: str | None
    version: int
    created_at: datetime


_COLUMNS = (
    "id, kind, hint, customer_id, currency, balance_minor, state, expires_at, external_reference, version, created_at"
)
_BY_FINGERPRINT = text(f"SELECT {_COLUMNS} FROM gift_card WHERE code_hash = :code_hash")  # noqa: S608 - a constant
_LOCK = text(f"SELECT {_COLUMNS} FROM gift_card WHERE id = :gift_card_id FOR UPDATE")  # noqa: S608 - a constant


def by_fingerprint(session: Session, *, code_hash: str) -> GiftCardFacts | None:
    """The card whose number has this fingerprint."""
    row = session.execute(_BY_FINGERPRINT, {"code_hash": code_hash}).one_or_none()
    return None if row is None else GiftCardFacts(*row)


def lock_card(session: Session, *, gift_card_id: UUID) -> GiftCardFacts:
    """A card that exists, locked: its balance stays until the transaction ends."""
    return GiftCardFacts(*session.execute(_LOCK, {"gift_card_id": gift_card_id}).one())


_CARD = text(f"SELECT {_COLUMNS} FROM gift_card WHERE id = :gift_card_id")  # noqa: S608 - a constant
_CARDS = text(f"SELECT {_COLUMNS} FROM gift_card WHERE customer_id IN {FAMILY} ORDER BY created_at, id")  # noqa: S608
_ENTRIES = text(
    """
    SELECT e.id, e.kind, e.amount_minor, e.reason, e.actor, e.at, o.reference AS order_reference
    FROM gift_card_entry AS e LEFT JOIN "order" AS o ON o.id = e.order_id
    WHERE e.gift_card_id = :gift_card_id ORDER BY e.seq DESC LIMIT :limit
    """
)


def card(session: Session, *, gift_card_id: UUID) -> GiftCardFacts | None:
    """One card by id."""
    row = session.execute(_CARD, {"gift_card_id": gift_card_id}).one_or_none()
    return None if row is None else GiftCardFacts(*row)


def cards_of(session: Session, *, customer_id: UUID) -> list[GiftCardFacts]:
    """The cards of a customer and those merged into her, oldest first."""
    return [GiftCardFacts(*row) for row in session.execute(_CARDS, {"customer_id": customer_id}).all()]


def entries_of(session: Session, *, gift_card_id: UUID, limit: int) -> list[dict[str, Any]]:
    """A card's ledger, newest first: id, kind, amount_minor, reason, actor, at, order_reference."""
    given = {"gift_card_id": gift_card_id, "limit": limit}
    return [dict(row) for row in session.execute(_ENTRIES, given).mappings().all()]


def entry_exists(session: Session, *, key: str) -> bool:
    """Whether a card's ledger has an entry of this key."""
    statement = text("SELECT 1 FROM gift_card_entry WHERE key = :key")
    return session.execute(statement, {"key": key}).one_or_none() is not None


_WRONG_BALANCES = text(
    """
    SELECT g.id, g.balance_minor, coalesce(sum(e.amount_minor), 0)::bigint AS entries
    FROM gift_card AS g LEFT JOIN gift_card_entry AS e ON e.gift_card_id = g.id
    GROUP BY g.id HAVING g.balance_minor <> coalesce(sum(e.amount_minor), 0) ORDER BY g.id
    """
)
_WRONG_TENDERS = text(
    """
    SELECT o.reference, t.gift_card_id, t.paid, coalesce(e.spent, 0)::bigint AS spent
    FROM (SELECT order_id, gift_card_id, sum(captured_minor) AS paid FROM payment
          WHERE tender = 'gift_card' GROUP BY order_id, gift_card_id) AS t
    JOIN "order" AS o ON o.id = t.order_id AND o.kind = 'live'
    LEFT JOIN (SELECT order_id, gift_card_id, -sum(amount_minor) AS spent FROM gift_card_entry
               WHERE kind = 'spend' GROUP BY order_id, gift_card_id) AS e
           ON e.order_id = t.order_id AND e.gift_card_id = t.gift_card_id
    WHERE t.paid <> coalesce(e.spent, 0) ORDER BY o.reference
    """
)


def wrong_balances(session: Session) -> list[tuple[UUID, int, int]]:
    """Cards whose balance is not the sum of their entries: (card, stored, sum)."""
    return [(row.id, row.balance_minor, row.entries) for row in session.execute(_WRONG_BALANCES).all()]


def wrong_tenders(session: Session) -> list[tuple[str, int, int]]:
    """Orders whose gift card tenders are not what the cards' ledgers say: (reference, tenders, ledger)."""
    return [(row.reference, int(row.paid), row.spent) for row in session.execute(_WRONG_TENDERS).all()]
