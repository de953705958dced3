"""Questions about tiers: what a member's gives her, which she was in at a moment, and what evaluating her needs."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from retail.kernel.hot import Hot

# The code of the tier in which a customer was at a moment (NULL: none), as an SQL expression to be formatted with what
# names both: ``TIER_AT.format(customer="o.customer_id", at="o.placed_at")``. The first change after the moment knows what was
# before it; without one it is what she is in now. A merged customer's own tier stands as it was when she was merged.
TIER_AT = """(
    SELECT CASE WHEN later.seq IS NULL THEN held.tier_code ELSE later.from_code END
    FROM (SELECT 1) AS one
    LEFT JOIN member_tier AS held ON held.customer_id = {customer}
    LEFT JOIN LATERAL (
        SELECT seq, from_code FROM tier_change WHERE customer_id = {customer} AND at > {at} ORDER BY at, seq LIMIT 1
    ) AS later ON true
)"""
NO_MULTIPLIER_BP = 10_000


@dataclass(frozen=True, slots=True)
class Benefits:
    """What a member's tier gives her: `multiplier_bp` / 10000 times the points of amount rules, and shipping at no charge."""

    tier: str | None = None
    multiplier_bp: int = NO_MULTIPLIER_BP
    free_shipping: bool = False
    name: str = ""
    name_ja: str | None = None


_BENEFITS = Hot(
    f"""
    SELECT tier.code, tier.multiplier_bp, tier.free_shipping, tier.name, tier.name_ja
    FROM (SELECT coalesce(merged_into, id) AS id FROM customer WHERE id = :customer_id) AS c
    JOIN tier ON tier.code = {TIER_AT.format(customer="c.id", at=":now")}
    """  # noqa: S608 - a constant of this module
)


def benefits_of(session: Session, *, customer_id: UUID, now: datetime) -> Benefits:
    """What the tier in which a customer is at `now` gives her (a merged one: the survivor's); one statement."""
    row = _BENEFITS.run(session, {"customer_id": customer_id, "now": now}).one_or_none()
    return Benefits() if row is None else Benefits(*row)


_TIER_AT = Hot(f"SELECT {TIER_AT.format(customer='CAST(:customer_id AS uuid)', at=':at')}")


def tier_at(session: Session, *, customer_id: UUID, at: datetime) -> str | None:
    """The code of the tier in which this very record was at a moment; None: none. One statement."""
    found: str | None = _TIER_AT.run(session, {"customer_id": customer_id, "at": at}).scalar_one()
    return found


_LOCK = text(
    """
    SELECT a.customer_id FROM points_account AS a
    WHERE a.customer_id IN (SELECT coalesce(merged_into, id) FROM customer WHERE id = ANY(:customer_ids))
      AND a.state <> 'merged' AND EXISTS (SELECT FROM tier_program)
    ORDER BY a.customer_id
    FOR NO KEY UPDATE
    """
)


def lock_members(session: Session, *, customer_ids: Sequence[UUID]) -> list[UUID]:
    """Lock the accounts of these customers or of whom they were merged into, in the order of their ids; whose they are. None
    in a shop without tiers."""
    return list(session.execute(_LOCK, {"customer_ids": list(customer_ids)}).scalars())


_PROGRAM = text(
    """
    SELECT p.*, (SELECT coalesce(json_agg(t ORDER BY t.rank), '[]') FROM tier AS t) AS tiers
    FROM tier_program AS p WHERE p.id = 1
    """
)


def program(session: Session) -> Row[Any] | None:
    """The row of the program with all tiers, by rank, as JSON; None where there is none. One statement."""
    return session.execute(_PROGRAM).one_or_none()


def lock_program(session: Session) -> None:
    """Lock the program's row, if there is one."""
    session.execute(text("SELECT id FROM tier_program WHERE id = 1 FOR UPDATE"))


def anything_spent(session: Session) -> bool:
    """Whether any qualifying spend was ever written down."""
    statement = text(
        "SELECT EXISTS (SELECT FROM points_transaction WHERE kind IN ('earn', 'claw_back') AND spend_minor <> 0)"
    )
    return bool(session.execute(statement).scalar_one())


def rules_naming(session: Session, *, code: str) -> list[str]:
    """The codes of the earning rules in force that are for members of this tier."""
    statement = text(
        "SELECT code FROM earning_rule WHERE to_at IS NULL AND active AND CAST(:code AS text) = ANY(tiers) ORDER BY code"
    )
    return list(session.execute(statement, {"code": code}).scalars())


@dataclass(frozen=True, slots=True)
class MemberFacts:
    """Where a member stands, and what she bought within the window.

    Attributes:
        figure: qualifying spend or points. falls_with: a moment of the step with whose leaving the figure falls below the best
            threshold that it reaches; None where it reaches none.
    """

    customer_id: UUID
    tier_code: str | None
    since: datetime | None
    below_since: datetime | None
    due_at: datetime | None
    figure: int
    falls_with: datetime | None


# An order counts for what it earned within the window less all that came back of it within the window, never for less than
# nothing; what no order earned is taken back by its lot. Rows leave the window in steps: each moment by itself when it rolls,
# a year at a time by the calendar. `counts` is by how much the order's figure falls (or, when a return leaves, rises) with a
# step, all earlier ones being gone. There is no upper end: what is booked counts, though the clock that wrote it be a moment
# ahead of the one that asks.
_MEMBERS = Hot(
    """
    WITH whose AS (
        SELECT id, id AS member_id FROM unnest(CAST(:customer_ids AS uuid[])) AS id
        UNION ALL
        SELECT merged_into, id FROM customer WHERE merged_into = ANY(CAST(:customer_ids AS uuid[]))
    ), booked AS (
        SELECT whose.id, coalesce(t.order_id, (
                   SELECT e.lot_id FROM points_entry AS e WHERE e.transaction_id = t.id AND e.lot_id IS NOT NULL
                   ORDER BY e.position LIMIT 1), t.id) AS source_id, t.at,
               CASE WHEN CAST(:year_zone AS text) IS NULL THEN t.at AT TIME ZONE 'UTC'
                    ELSE date_trunc('year', t.at AT TIME ZONE CAST(:year_zone AS text)) END AS step,
               CASE WHEN CAST(:basis AS text) = 'spend' THEN t.spend_minor
                    ELSE (SELECT coalesce(-sum(e.points), 0) FROM points_entry AS e WHERE e.transaction_id = t.id AND e.account = 'issued')
               END AS amount
        FROM whose JOIN points_transaction AS t ON coalesce(t.member_id, t.customer_id) = whose.member_id
        WHERE t.kind IN ('earn', 'claw_back') AND t.at > :after
    ), steps AS (
        SELECT id, source_id, step, min(at) AS at, sum(amount) AS amount,
               sum(sum(amount)) OVER (PARTITION BY id, source_id ORDER BY step DESC) AS left_over
        FROM booked GROUP BY id, source_id, step
    ), counted AS (
        SELECT id, at, sum(counts) OVER (PARTITION BY id) AS figure, sum(counts) OVER (PARTITION BY id ORDER BY step) AS leaving
        FROM (SELECT id, at, step, greatest(0, left_over) - greatest(0, left_over - amount) AS counts FROM steps) AS each
    ), summed AS (
        SELECT id, CAST(max(figure) AS bigint) AS figure, min(at) FILTER (WHERE figure - leaving < (
                   SELECT max(threshold) FROM unnest(CAST(:thresholds AS bigint[])) AS threshold WHERE threshold <= figure
               )) AS falls_with
        FROM counted GROUP BY id
    )
    SELECT member.id, held.tier_code, held.since, held.below_since, held.due_at, coalesce(summed.figure, 0) AS figure,
           summed.falls_with
    FROM unnest(CAST(:customer_ids AS uuid[])) AS member (id)
    LEFT JOIN member_tier AS held ON held.customer_id = member.id
    LEFT JOIN summed ON summed.id = member.id
    ORDER BY member.id
    """
)


def members(
    session: Session,
    *,
    customer_ids: Sequence[UUID],
    basis: str,
    after: datetime,
    year_zone: str | None,
    thresholds: Sequence[int],
) -> list[MemberFacts]:
    """These members (nobody's tombstones) by their ids, with what they and those merged into them earned after `after`, less
    what came back of it; one statement. `year_zone`: whose calendar years the window goes by; None: it rolls."""
    given = {"customer_ids": list(customer_ids), "basis": basis, "after": after, "year_zone": year_zone}
    rows = _MEMBERS.run(session, given | {"thresholds": list(thresholds)})
    return [MemberFacts(*row) for row in rows]


_DUE = text(
    """
    SELECT held.customer_id FROM member_tier AS held JOIN points_account AS a ON a.customer_id = held.customer_id
    WHERE held.due_at <= :now AND a.state <> 'merged'
    ORDER BY held.due_at LIMIT :limit
    """
)


def due(session: Session, *, now: datetime, limit: int) -> list[UUID]:
    """Members for whom time alone changes something, the longest due first."""
    return list(session.execute(_DUE, {"now": now, "limit": limit}).scalars())


def walk_after(session: Session) -> UUID | None:
    """How far the walk over all members has come (see loyalty.models.TierProgram); None: there is none under way."""
    found: UUID | None = session.execute(text("SELECT walk_after FROM tier_program")).scalar_one_or_none()
    return found


_AFTER = text(
    """
    SELECT customer_id FROM points_account WHERE customer_id > :after AND state <> 'merged' ORDER BY customer_id LIMIT :limit
    """
)


def members_after(session: Session, *, after: UUID, limit: int) -> list[UUID]:
    """The next members in the order of their ids."""
    return list(session.execute(_AFTER, {"after": after, "limit": limit}).scalars())


_MERGE = text(
    """
    SELECT detail -> 'before' AS before
    FROM (SELECT * FROM tier_change WHERE customer_id = :stays_id ORDER BY seq DESC LIMIT 1) AS last
    WHERE reason = 'merge' AND detail ->> 'gone_id' = CAST(:gone_id AS text)
    """
)


def before_merge(session: Session, *, gone_id: UUID, stays_id: UUID) -> dict[str, Any] | None:
    """Where the survivor stood before this merge, if that changed it and nothing has changed it since."""
    found: dict[str, Any] | None = session.execute(
        _MERGE, {"gone_id": str(gone_id), "stays_id": stays_id}
    ).scalar_one_or_none()
    return found


def standing_of(session: Session, *, customer_id: UUID) -> Row[Any] | None:
    """What is stored of where this record stands; None: in no tier."""
    statement = text("SELECT tier_code, since, below_since, due_at FROM member_tier WHERE customer_id = :customer_id")
    return session.execute(statement, {"customer_id": customer_id}).one_or_none()


_CHANGES = text(
    """
    SELECT from_code, to_code, reason, figure, coalesce(detail ->> 'note', '') AS note, actor, at FROM tier_change
    WHERE customer_id = :customer_id AND from_code IS DISTINCT FROM to_code
    ORDER BY seq DESC LIMIT :limit
    """
)


def changes_of(session: Session, *, customer_id: UUID, limit: int) -> list[dict[str, Any]]:
    """Changes of a member's tier, the newest first."""
    rows = session.execute(_CHANGES, {"customer_id": customer_id, "limit": limit}).mappings().all()
    return [dict(row) for row in rows]
