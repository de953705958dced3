"""Who a member is to a till: her card, her standing, her points; and the locks of whoever issues cards."""

import uuid
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from retail.kernel.errors import NotFound
from retail.kernel.hot import Hot


@dataclass(frozen=True, slots=True)
class MemberFacts:
    """A member as a till may come to see her; `state` is active or blocked, `tier_code` None without a tier."""

    customer_id: uuid.UUID
    reference: str
    name: str
    state: str
    points: int
    tier_code: str | None
    tier_name: str | None
    tier_name_ja: str | None


_MEMBER = Hot(
    """
    SELECT c.id, c.reference, c.name, coalesce(a.state, 'active') AS state,
           coalesce((SELECT CAST(sum(remaining) AS bigint) FROM points_lot
                     WHERE customer_id = c.id AND remaining > 0 AND expires_at > :now AND available_from <= :now), 0) AS points,
           tier.code AS tier_code, tier.name AS tier_name, tier.name_ja AS tier_name_ja
    FROM customer AS c
    LEFT JOIN points_account AS a ON a.customer_id = c.id
    LEFT JOIN member_tier AS m ON m.customer_id = c.id
    LEFT JOIN tier ON tier.code = m.tier_code
    WHERE c.id = :customer_id
    """
)
_LOCK = text("SELECT id FROM customer WHERE id = :customer_id FOR NO KEY UPDATE")
# Her own cards before those of records merged into her, and the first before the others.
_CARDS = text(
    """
    SELECT i.value FROM identity_link AS k
    JOIN identity AS i ON i.id = k.identity_id
    JOIN customer AS c ON c.id = k.customer_id
    WHERE (c.id = :customer_id OR c.merged_into = :customer_id) AND k.to_at IS NULL
      AND i.kind = 'card' AND i.namespace = '' AND k.assurance IN ('attested', 'verified')
    ORDER BY c.id <> :customer_id, k.from_at, k.id
    """
)
_KNOWN = text(
    """
    SELECT EXISTS (SELECT FROM identity WHERE kind = 'card' AND value = :number)
        OR EXISTS (SELECT FROM barcode WHERE gtin = '0' || CAST(:number AS text))
    """
)


def member(session: Session, *, customer_id: uuid.UUID, now: datetime) -> MemberFacts:
    """A customer who is nobody's tombstone. One statement.

    Raises:
        NotFound: there is no such customer.
    """
    row = _MEMBER.run(session, {"customer_id": customer_id, "now": now}).one_or_none()
    if row is None:
        raise NotFound("There is no such customer")
    return MemberFacts(*row)


def lock_customer(session: Session, *, customer_id: uuid.UUID) -> None:
    """Wait for whoever issues this customer a card."""
    session.execute(_LOCK, {"customer_id": customer_id}).scalar_one()


def cards_of(session: Session, *, customer_id: uuid.UUID) -> list[str]:
    """The numbers of the cards that are proven to be hers, or of somebody merged into her."""
    return list(session.execute(_CARDS, {"customer_id": customer_id}).scalars())


def number_known(session: Session, *, number: str) -> bool:
    """Whether thirteen digits were ever a card's number, or are on goods."""
    return bool(session.execute(_KNOWN, {"number": number}).scalar_one())


_BIRTHDAY = text(
    """
    SELECT birth_month, birth_day FROM points_account WHERE customer_id = :customer_id AND birth_month IS NOT NULL
    """
)
_STANDING = text("SELECT state, blocked_reason FROM points_account WHERE customer_id = :customer_id")


def birthday_of(session: Session, *, customer_id: uuid.UUID) -> tuple[int, int] | None:
    """Month and day, when she has stated them."""
    row = session.execute(_BIRTHDAY, {"customer_id": customer_id}).one_or_none()
    return None if row is None else (row.birth_month, row.birth_day)


def standing_of(session: Session, *, customer_id: uuid.UUID) -> tuple[str, str]:
    """The state of her account, and why it is blocked if it is; an account that nobody has opened is active."""
    row = session.execute(_STANDING, {"customer_id": customer_id}).one_or_none()
    return ("active", "") if row is None else (row.state, row.blocked_reason)
