"""What an agent tells a member about her points: the lots with their dates, and why each entry of her history exists.

All of it as codes and figures; the console puts it into words. Lots and entries of records merged into hers are hers.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

# When a lot came is told by what it came from: each is found by its key. Lots that nothing is known of (`grant`) are found
# by their entries.
_LOTS = text(
    """
    SELECT lot.id, lot.remaining AS points, lot.earned, lot.source, lot.available_from, lot.expires_at,
           CASE WHEN lot.available_from > :now THEN 'pending' ELSE 'open' END AS state,
           CASE WHEN lot.source = 'order' THEN lot.source_id ELSE gift.order_id END AS order_id,
           coalesce(gift.reason, granted.reason, '') AS reason,
           giver.name AS from_name,
           coalesce(gift.decided_at, given.at, brought.decided_at, bought.at, granted.at) AS earned_at,
           merged.reference AS merged_reference
    FROM points_lot AS lot
    LEFT JOIN goodwill_gift AS gift ON lot.source = 'goodwill' AND gift.id = lot.source_id
    LEFT JOIN points_transfer AS given ON lot.source = 'transfer' AND given.id = lot.source_id
    LEFT JOIN customer AS giver ON giver.id = given.from_id
    LEFT JOIN referral AS brought ON lot.source = 'referral' AND brought.id = lot.source_id
    LEFT JOIN customer AS merged ON merged.id = lot.member_id
    LEFT JOIN LATERAL (
        SELECT t.at FROM points_transaction AS t
        WHERE lot.source = 'order' AND t.order_id = lot.source_id AND t.kind = 'earn'
          AND EXISTS (SELECT FROM points_entry AS e WHERE e.transaction_id = t.id AND e.lot_id = lot.id)
        LIMIT 1
    ) AS bought ON true
    LEFT JOIN LATERAL (
        SELECT t.at, t.reason FROM points_entry AS e JOIN points_transaction AS t ON t.id = e.transaction_id
        WHERE lot.source NOT IN ('order', 'goodwill', 'transfer', 'referral')
          AND e.customer_id IN (lot.customer_id, lot.member_id) AND e.lot_id = lot.id
        ORDER BY t.seq LIMIT 1
    ) AS granted ON true
    WHERE lot.customer_id = :customer_id AND lot.remaining > 0 AND lot.expires_at > :now
      AND (CAST(:after_at AS timestamptz) IS NULL OR (lot.expires_at, lot.id) > (:after_at, CAST(:after_id AS uuid)))
    ORDER BY lot.expires_at, lot.id LIMIT :limit
    """
)


def lots_of(
    session: Session, *, customer_id: UUID, now: datetime, after: tuple[datetime, UUID] | None = None, limit: int
) -> list[dict[str, Any]]:
    """A member's lots with points in them, what runs out next first, after (expires_at, id) `after`. One statement.

    Each: id, points (left), earned, `source` (order | grant | goodwill | referral | transfer) with what it was: order_id,
    reason (of goodwill: its code), from_name (of a transfer); earned_at, available_from, expires_at; state open, or pending
    until available_from; merged_reference of the merged record whose it is.
    """
    given = {"customer_id": customer_id, "now": now, "limit": limit}
    given |= {"after_at": after[0], "after_id": after[1]} if after else {"after_at": None, "after_id": None}
    return [dict(row) for row in session.execute(_LOTS, given).mappings().all()]


# A transfer's and a merge's transactions have the id of the other side as their reason (see the ledger).
_WHY = text(
    """
    SELECT t.id, t.seq, t.kind, t.order_id, t.reason, t.at, t.actor, moved.points, moved.held, moved.owed,
           reasons.reasons, gift.gift, transfer.transfer, merged.merged, member.reference AS merged_reference,
           coalesce(record.currency, 'JPY') AS currency
    FROM (
        SELECT one.* FROM (SELECT id FROM customer WHERE id = :customer_id OR merged_into = :customer_id) AS mine
        CROSS JOIN LATERAL (
            SELECT * FROM points_transaction AS booked
            WHERE customer_id = mine.id AND (CAST(:before AS bigint) IS NULL OR seq < CAST(:before AS bigint))
              AND EXISTS (SELECT FROM points_entry WHERE transaction_id = booked.id)
            ORDER BY seq DESC LIMIT :limit
        ) AS one
        ORDER BY one.seq DESC LIMIT :limit
    ) AS t
    LEFT JOIN customer AS member ON member.id = t.member_id
    LEFT JOIN earning_record AS record ON record.order_id = t.order_id AND t.kind = 'earn'
    LEFT JOIN LATERAL (
        SELECT CAST(coalesce(sum(e.points) FILTER (WHERE e.account = 'member'), 0) AS bigint) AS points,
               CAST(coalesce(sum(e.points) FILTER (WHERE e.account = 'held'), 0) AS bigint) AS held,
               CAST(coalesce(-sum(e.points) FILTER (WHERE e.account = 'owed'), 0) AS bigint) AS owed
        FROM points_entry AS e WHERE e.transaction_id = t.id
    ) AS moved ON true
    LEFT JOIN LATERAL (
        SELECT jsonb_agg(jsonb_build_object(
                   'rule_code', by_rule.rule_code, 'rule_version', by_rule.rule_version, 'points', by_rule.points,
                   'counted', by_rule.counted, 'name', rule.name, 'name_ja', rule.name_ja, 'basis', rule.basis,
                   'currency', rule.currency, 'per_points', rule.points, 'per_minor', rule.per_minor,
                   'factor_bp', rule.factor_bp)
               ORDER BY by_rule.position) AS reasons
        FROM (SELECT rule_code, rule_version, min(position) AS position, CAST(sum(points) AS bigint) AS points,
                     CAST(sum(basis) AS bigint) AS counted
              FROM points_reason WHERE transaction_id = t.id GROUP BY rule_code, rule_version) AS by_rule
        LEFT JOIN earning_rule AS rule ON rule.code = by_rule.rule_code AND rule.version = by_rule.rule_version
    ) AS reasons ON true
    LEFT JOIN LATERAL (
        SELECT jsonb_build_object('reason', g.reason, 'note', g.note) AS gift
        FROM points_entry AS e JOIN points_lot AS lot ON lot.id = e.lot_id JOIN goodwill_gift AS g ON g.id = lot.source_id
        WHERE t.kind = 'goodwill' AND e.transaction_id = t.id LIMIT 1
    ) AS gift ON true
    LEFT JOIN LATERAL (
        SELECT jsonb_build_object('message', p.message, 'reference', c.reference, 'name', c.name) AS transfer
        FROM points_transfer AS p
        JOIN customer AS c ON c.id = CASE WHEN moved.points < 0 THEN p.to_id ELSE p.from_id END
        WHERE t.kind = 'transfer' AND p.id = CASE WHEN t.kind = 'transfer' THEN CAST(t.reason AS uuid) END
    ) AS transfer ON true
    LEFT JOIN LATERAL (
        SELECT jsonb_build_object('reference', c.reference, 'name', c.name) AS merged
        FROM customer AS c WHERE c.id = CASE WHEN t.kind IN ('merge', 'unmerge') THEN CAST(t.reason AS uuid) END
    ) AS merged ON true
    ORDER BY t.seq DESC
    """
)


def entries_why(session: Session, *, customer_id: UUID, before: int | None = None, limit: int) -> list[dict[str, Any]]:
    """A member's points transactions, newest first, older than sequence `before`, each with why it exists; those that moved
    none (spend alone) are left out. One statement.

    Beside what `entries_of` tells (without the sides): actor; the order's currency; `reasons`: what each rule's version gave, with the amount or units
    it `counted` and the rule's figures (None where no stored rule has that version: the program's own); `gift` reason and
    note; `transfer` and `merged`: the other one's reference and name; merged_reference of the record through which it came.
    """
    given = {"customer_id": customer_id, "before": before, "limit": limit}
    return [dict(row) for row in session.execute(_WHY, given).mappings().all()]


_TIER = text(
    """
    SELECT tier.code, tier.name, tier.name_ja, member.since, member.below_since
    FROM member_tier AS member JOIN tier ON tier.code = member.tier_code WHERE member.customer_id = :customer_id
    """
)


def tier_of(session: Session, *, customer_id: UUID) -> dict[str, Any] | None:
    """The tier that a member is in: code, name, name_ja, since, below_since; None without one."""
    row = session.execute(_TIER, {"customer_id": customer_id}).mappings().one_or_none()
    return None if row is None else dict(row)
