"""Who brought whom, and what must be known to reward it. A member is herself and all records merged into her."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

_RECORDS = text("SELECT id FROM customer WHERE id = :account_id OR merged_into = :account_id")
_CODE = text("SELECT code FROM referral_code WHERE customer_id = :customer_id")
_BY_CODE = text("SELECT customer_id FROM referral_code WHERE code = :code")
_MADE = text(
    """
    SELECT id, referrer_id, referred_id, state, reason, order_id, at, decided_at FROM referral
    WHERE referred_id = ANY(CAST(:records AS uuid[])) ORDER BY at, id LIMIT 1
    """
)
_LOCK = text(
    """
    SELECT id, referrer_id, referred_id, state, reason, order_id, at, decided_at FROM referral
    WHERE id = :referral_id FOR NO KEY UPDATE
    """
)
_OF_ORDER = text(
    """
    SELECT id, referrer_id, referred_id, state, reason, order_id, at, decided_at FROM referral
    WHERE referred_id = ANY(CAST(:records AS uuid[])) AND order_id = :order_id
    """
)
_EARNED = text(
    """
    SELECT EXISTS (SELECT FROM points_transaction
                   WHERE customer_id = ANY(CAST(:records AS uuid[])) AND kind = 'earn' AND order_id IS NOT NULL
                     AND EXISTS (SELECT FROM points_entry WHERE transaction_id = points_transaction.id))
    """
)
# From her who is to have brought upwards: whom she was brought by, and so on.
_ABOVE = text(
    """
    WITH RECURSIVE above AS (
        SELECT CAST(:referrer_id AS uuid) AS id
        UNION
        SELECT coalesce(who.merged_into, who.id)
        FROM above
        JOIN customer AS record ON record.id = above.id OR record.merged_into = above.id
        JOIN referral AS r ON r.referred_id = record.id
        JOIN customer AS who ON who.id = r.referrer_id
    )
    SELECT EXISTS (SELECT FROM above WHERE id = :referred_id)
    """
)
_SHARED = text(
    """
    SELECT EXISTS (SELECT FROM identity_link AS one JOIN identity_link AS other ON other.identity_id = one.identity_id
                   WHERE one.customer_id = ANY(CAST(:left AS uuid[])) AND other.customer_id = ANY(CAST(:right AS uuid[]))
                     AND one.assurance <> 'claimed' AND other.assurance <> 'claimed')
    """
)
_COUNTS = text(
    """
    SELECT count(*) AS brought, count(*) FILTER (WHERE state = 'pending') AS pending,
           count(*) FILTER (WHERE state = 'rewarded') AS rewarded,
           count(*) FILTER (WHERE state = 'rewarded' AND decided_at > :since) AS rewarded_lately
    FROM referral WHERE referrer_id = ANY(CAST(:records AS uuid[]))
    """
)
_ORDER = text(
    """
    SELECT r.placed_at, r.currency, r.basket->>'channel' AS channel, CAST(r.basket->>'location_id' AS uuid) AS location_id,
           CAST(r.basket->>'day' AS date) AS day, booked.spend_minor, booked.points
    FROM (SELECT CAST(coalesce(sum(spend_minor), 0) AS bigint) AS spend_minor,
                 CAST(coalesce(-sum(e.points), 0) AS bigint) AS points
          FROM points_transaction AS t LEFT JOIN points_entry AS e ON e.transaction_id = t.id AND e.account = 'issued'
          WHERE t.order_id = :order_id AND t.kind IN ('earn', 'claw_back')) AS booked
    LEFT JOIN earning_record AS r ON r.order_id = :order_id
    """
)
_RULE = text(
    """
    SELECT code, version, points, referrer_points, currency, min_amount_minor, cap_per_member, cap_days, pending_days, lot_days
    FROM earning_rule
    WHERE basis = 'referral' AND active AND from_at <= :at AND (to_at IS NULL OR to_at > :at)
      AND (from_on IS NULL OR from_on <= :day) AND (to_on IS NULL OR to_on >= :day)
      AND (weekdays = '{}' OR CAST(extract(isodow FROM CAST(:day AS date)) AS integer) = ANY(weekdays))
      AND (channels = '{}' OR CAST(:channel AS text) = ANY(channels))
      AND (locations = '{}' OR CAST(:location_id AS uuid) = ANY(locations))
    ORDER BY priority, code LIMIT 1
    """
)
_GIVEN = text(
    """
    SELECT CAST(coalesce(sum(r.points), 0) AS bigint)
    FROM points_transaction AS t JOIN points_reason AS r ON r.transaction_id = t.id
    WHERE t.customer_id = ANY(CAST(:records AS uuid[])) AND t.kind = 'earn' AND t.order_id IS NULL
      AND r.rule_code = :code AND t.key LIKE :keys AND (CAST(:since AS timestamptz) IS NULL OR t.at > :since)
    """
)


@dataclass(frozen=True, slots=True)
class ReferralFacts:
    """One referral."""

    id: uuid.UUID
    referrer_id: uuid.UUID
    referred_id: uuid.UUID
    state: str
    reason: str
    order_id: uuid.UUID | None
    at: datetime
    decided_at: datetime | None


@dataclass(frozen=True, slots=True)
class Counts:
    """How many a member has brought, and how many of them were rewarded, in all and lately."""

    brought: int
    pending: int
    rewarded: int
    rewarded_lately: int


@dataclass(frozen=True, slots=True)
class OrderFacts:
    """What of an order decides a referral; `placed_at` and what follows it are None before an order's basket was recorded.
    `points` is what it has earned and not given back."""

    placed_at: datetime | None
    currency: str | None
    channel: str | None
    location_id: uuid.UUID | None
    day: date | None
    spend_minor: int
    points: int


@dataclass(frozen=True, slots=True)
class RuleFacts:
    """The rule that rewards."""

    code: str
    version: int
    points: int
    referrer_points: int
    currency: str | None
    min_amount_minor: int
    cap_per_member: int | None
    cap_days: int | None
    pending_days: int
    lot_days: int | None


def records_of(session: Session, *, account_id: uuid.UUID) -> list[uuid.UUID]:
    """All records of one person: that of her account, and those merged into it."""
    return list(session.execute(_RECORDS, {"account_id": account_id}).scalars())


def code_of(session: Session, *, customer_id: uuid.UUID) -> str | None:
    """The code with which she brings others."""
    return session.execute(_CODE, {"customer_id": customer_id}).scalar_one_or_none()


def owner_of_code(session: Session, *, code: str) -> uuid.UUID | None:
    """Whose code it is, perhaps a merged record's."""
    return session.execute(_BY_CODE, {"code": code}).scalar_one_or_none()


def referral_of(session: Session, *, records: Sequence[uuid.UUID]) -> ReferralFacts | None:
    """By whom she was brought."""
    return _facts(session.execute(_MADE, {"records": list(records)}).one_or_none())


def lock_referral(session: Session, *, referral_id: uuid.UUID) -> ReferralFacts:
    """A referral, locked; after the accounts of both."""
    return ReferralFacts(*session.execute(_LOCK, {"referral_id": referral_id}).one())


def referral_by_order(session: Session, *, records: Sequence[uuid.UUID], order_id: uuid.UUID) -> ReferralFacts | None:
    """The referral that this order of hers decided."""
    return _facts(session.execute(_OF_ORDER, {"records": list(records), "order_id": order_id}).one_or_none())


def has_earned(session: Session, *, records: Sequence[uuid.UUID]) -> bool:
    """Whether an order of hers has ever earned."""
    return bool(session.execute(_EARNED, {"records": list(records)}).scalar_one())


def was_brought_by(session: Session, *, referrer_id: uuid.UUID, referred_id: uuid.UUID) -> bool:
    """Whether she who is to have brought the other came through her, be it through others."""
    return bool(session.execute(_ABOVE, {"referrer_id": referrer_id, "referred_id": referred_id}).scalar_one())


def share_identity(session: Session, *, left: Sequence[uuid.UUID], right: Sequence[uuid.UUID]) -> bool:
    """Whether an address, number or card was ever linked to both, beyond a mere claim."""
    return bool(session.execute(_SHARED, {"left": list(left), "right": list(right)}).scalar_one())


def counts_of(session: Session, *, records: Sequence[uuid.UUID], since: datetime) -> Counts:
    """How many she has brought; lately is after `since`."""
    return Counts(*session.execute(_COUNTS, {"records": list(records), "since": since}).one())


def order_facts(session: Session, *, order_id: uuid.UUID) -> OrderFacts:
    """What is known of an order here."""
    return OrderFacts(*session.execute(_ORDER, {"order_id": order_id}).one())


def rule_in_force(
    session: Session, *, at: datetime, day: date, channel: str | None, location_id: uuid.UUID | None
) -> RuleFacts | None:
    """The referral rule for an order placed then and there; of several the one with the lowest priority figure."""
    given = {"at": at, "day": day, "channel": channel, "location_id": location_id}
    row = session.execute(_RULE, given).one_or_none()
    return None if row is None else RuleFacts(*row)


def given_to_referrer(session: Session, *, records: Sequence[uuid.UUID], code: str, since: datetime | None) -> int:
    """What a rule has given her for bringing others, after `since`."""
    given = {"records": list(records), "code": code, "since": since, "keys": "referral:%:referrer"}
    return int(session.execute(_GIVEN, given).scalar_one())


def _facts(row: Any) -> ReferralFacts | None:
    return None if row is None else ReferralFacts(*row)
