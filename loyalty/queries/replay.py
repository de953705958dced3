"""What the books say at one moment of a replay: every member's figures, and whether the ledger, its lots and its holds agree."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.orm import Session

_MEMBERS = text(
    """
    SELECT a.customer_id,
           -coalesce(sum(e.points) FILTER (WHERE e.account = 'issued' AND t.kind = 'earn'), 0)::bigint AS earned,
           coalesce(sum(e.points) FILTER (WHERE e.account = 'burned' AND t.kind = 'burn'), 0)::bigint AS burned,
           -coalesce(sum(e.points) FILTER (WHERE e.account = 'burned' AND t.kind = 'refund'), 0)::bigint AS refunded,
           coalesce(sum(e.points) FILTER (WHERE e.account = 'issued' AND t.kind = 'claw_back'), 0)::bigint AS clawed,
           coalesce(sum(e.points) FILTER (WHERE e.account = 'expired'), 0)::bigint AS expired,
           coalesce(sum(e.points) FILTER (WHERE e.account = 'member'), 0)::bigint AS points,
           coalesce(sum(e.points) FILTER (WHERE e.account = 'held'), 0)::bigint AS held,
           -coalesce(sum(e.points) FILTER (WHERE e.account = 'owed'), 0)::bigint AS owed,
           max(tier.tier_code) AS tier
    FROM points_account AS a
    LEFT JOIN points_entry AS e ON e.customer_id = a.customer_id LEFT JOIN points_transaction AS t ON t.id = e.transaction_id
    LEFT JOIN member_tier AS tier ON tier.customer_id = a.customer_id
    GROUP BY a.customer_id
    """
)
_LOTS = text(
    """
    SELECT customer_id, expires_at, CAST(sum(remaining) AS bigint) AS points FROM points_lot
    WHERE remaining > 0 GROUP BY customer_id, expires_at
    """
)
_CONTRADICTIONS: Mapping[str, str] = {
    "all entries together come to": "SELECT coalesce(sum(points), 0) FROM points_entry",
    "transactions that do not sum to zero": """
        SELECT count(*) FROM (SELECT FROM points_entry GROUP BY transaction_id HAVING sum(points) <> 0) AS unbalanced""",
    "transactions without entries or spend": """
        SELECT count(*) FROM points_transaction AS t
        WHERE t.spend_minor = 0 AND NOT EXISTS (SELECT FROM points_entry AS e WHERE e.transaction_id = t.id)""",
    "balances that are not what their lots hold": """
        SELECT count(*) FROM points_account AS a WHERE a.available <> (
            SELECT coalesce(sum(remaining), 0) FROM points_lot AS lot WHERE lot.customer_id = a.customer_id)""",
    "balances whose held points are not those of their open holds": """
        SELECT count(*) FROM points_account AS a WHERE a.held <> (
            SELECT coalesce(sum(points), 0) FROM points_hold AS h WHERE h.customer_id = a.customer_id AND h.state = 'open')""",
    "holds that are not what their slices hold": """
        SELECT count(*) FROM points_hold AS h
        WHERE h.points <> (SELECT coalesce(sum(points), 0) FROM points_slice AS s WHERE s.hold_id = h.id)""",
    "earnings that their reasons do not explain": """
        SELECT count(*) FROM points_transaction AS t WHERE t.kind = 'earn' AND
            (SELECT coalesce(-sum(points), 0) FROM points_entry AS e WHERE e.transaction_id = t.id AND e.account = 'issued')
            <> (SELECT coalesce(sum(points), 0) FROM points_reason AS r WHERE r.transaction_id = t.id)""",
}
_ROWS = text(
    """
    SELECT (SELECT count(*) FROM points_lot) AS lots, (SELECT count(*) FROM points_transaction) AS transactions,
           (SELECT count(*) FROM points_entry) AS entries, (SELECT count(*) FROM points_reason) AS reasons,
           (SELECT count(*) FROM points_hold WHERE state = 'burned') AS burned,
           (SELECT count(*) FROM points_hold WHERE state = 'released') AS released,
           (SELECT count(*) FROM points_hold WHERE state = 'expired') AS ran_out,
           (SELECT count(*) FROM points_hold WHERE state = 'open') AS open,
           (SELECT count(*) FROM tier_change) AS tier_changes
    """
)
_BY_RULE = text("SELECT rule_code, CAST(sum(points) AS bigint) AS points FROM points_reason GROUP BY 1 ORDER BY 1")


def members(session: Session) -> dict[UUID, Row[tuple[int, ...]]]:
    """Every member's sums by what happened, and her tier."""
    return {row.customer_id: row for row in session.execute(_MEMBERS).all()}


def lots(session: Session) -> dict[tuple[UUID, datetime], int]:
    """What is left, by member and when it runs out."""
    return {(row.customer_id, row.expires_at): row.points for row in session.execute(_LOTS).all()}


def contradictions(session: Session) -> dict[str, int]:
    """What must be zero and is not, in words."""
    found = {what: session.execute(text(statement)).scalar_one() for what, statement in _CONTRADICTIONS.items()}
    return {what: int(number) for what, number in found.items() if number}


def rows(session: Session) -> dict[str, int]:
    """How many rows the books have."""
    return dict(session.execute(_ROWS).mappings().one())


def by_rule(session: Session) -> dict[str, int]:
    """Points that were earned by each rule."""
    return {row.rule_code: row.points for row in session.execute(_BY_RULE)}


def learn(session: Session) -> None:
    """Tables that were empty a while ago are full: tell the planner."""
    session.execute(
        text(
            "ANALYZE points_account, points_lot, points_hold, points_slice, points_transaction, points_entry, points_reason"
        )
    )
