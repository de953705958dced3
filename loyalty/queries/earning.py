"""What an order is judged by: the rules of its moment and what is known of the member, read under her account's lock."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from loyalty.queries.locking import NAMED, NAMED_ACCOUNT
from loyalty.queries.tiers import TIER_AT
from retail.kernel.hot import Hot

# {account}: the member's locked account; {order}, {at}: the order and when it was placed. She and those merged into her are
# one: lots of theirs lie with her, and transactions through them tell so. What was clawed back stays counted by the caps,
# and an order that was given back was her first purchase all the same: neither is to be had twice.
_FACTS = """
    NOT EXISTS (SELECT FROM points_lot AS lot WHERE lot.customer_id = {account} AND lot.source = 'order'
                AND lot.source_id <> {order}) AS first_purchase,
    (SELECT jsonb_build_object('code', tier.code, 'bp', tier.multiplier_bp, 'name', tier.name, 'name_ja', tier.name_ja) FROM tier WHERE tier.code = {tier}) AS tier,
    (SELECT jsonb_object_agg(capped.code, capped.points) FROM (
        SELECT rule.code, sum(reason.points) AS points
        FROM earning_rule AS rule
        JOIN points_transaction AS t ON t.kind = 'earn'
            AND coalesce(t.member_id, t.customer_id) IN (SELECT id FROM customer WHERE id = {account} OR merged_into = {account})
            AND t.order_id IS DISTINCT FROM {order}
            AND (rule.cap_days IS NULL OR t.at > CAST(:now AS timestamptz) - make_interval(days => rule.cap_days))
        JOIN points_reason AS reason ON reason.transaction_id = t.id AND reason.rule_code = rule.code
        WHERE rule.cap_per_member IS NOT NULL AND rule.from_at <= {at} AND (rule.to_at IS NULL OR rule.to_at > {at})
        GROUP BY rule.code) AS capped) AS earned_by_rule
"""
_RULES = """(SELECT jsonb_agg(to_jsonb(r) ORDER BY r.code, r.version) FROM earning_rule AS r
    WHERE r.from_at <= {until} AND (r.to_at IS NULL OR r.to_at > {since}))"""
_QUALIFYING = """coalesce((SELECT currency FROM tier_program), 'JPY') AS program_currency,
    EXISTS (SELECT FROM tier_program WHERE basis = 'spend') AS by_spend"""
_ONE = {"account": "locked.customer_id", "order": "CAST(:order_id AS uuid)", "at": "CAST(:at AS timestamptz)"}
_FACTS_OF_ONE = _FACTS.format(**_ONE, tier=TIER_AT.format(customer="locked.customer_id", at=_ONE["at"]))
# Run by whoever locks: a stale answer is asked for again (loyalty.ledger.books.run_fresh).
LOCKED_FACTS = Hot(
    f"""
    WITH {NAMED}, opened AS (
        INSERT INTO points_account (customer_id, opened_at) SELECT owner, :now FROM named
        ON CONFLICT (customer_id) DO NOTHING
        RETURNING customer_id, owed, state
    ), {NAMED_ACCOUNT}, locked AS (
        SELECT customer_id, owed, state FROM fresh UNION ALL SELECT customer_id, owed, state FROM opened
    )
    SELECT (EXISTS (SELECT FROM named) AND NOT EXISTS (SELECT FROM locked)) AS stale, locked.customer_id AS id,
           nullif(CAST(:customer_id AS uuid), locked.customer_id) AS member_id, locked.owed, locked.state, born.birth_month, born.birth_day,
           {_RULES.format(until=_ONE["at"], since=_ONE["at"])} AS rules, {_QUALIFYING},
           {_FACTS_OF_ONE},
           (SELECT jsonb_agg(jsonb_build_array(sums.order_line_id, sums.rule_code, sums.points))
            FROM (SELECT reason.order_line_id, reason.rule_code, sum(reason.points) AS points
                  FROM points_transaction AS t JOIN points_reason AS reason ON reason.transaction_id = t.id
                  WHERE t.order_id = :order_id AND t.kind = 'earn' GROUP BY 1, 2) AS sums) AS earned,
           (SELECT CAST(coalesce(sum(earned), 0) AS bigint) FROM points_lot
            WHERE source = 'order' AND source_id = :order_id) AS earned_in_all,
           (SELECT CAST(coalesce(sum(spend_minor), 0) AS bigint) FROM points_transaction
            WHERE order_id = :order_id AND kind = 'earn') AS spend_minor
    FROM (VALUES (1)) AS always (one) LEFT JOIN locked ON true
    LEFT JOIN points_account AS born ON born.customer_id = locked.customer_id
    """  # noqa: S608 - constants of this module
)


@dataclass(frozen=True, slots=True)
class Standing:
    """A member as an order finds her: her birthday, whether it is her first, her tier then, what capped rules gave her."""

    birth_month: int | None
    birth_day: int | None
    first_purchase: bool
    tier: Mapping[str, Any] | None
    earned_by_rule: Mapping[str, int]


def standing_of(row: Any) -> Standing:
    """From a row with these columns."""
    return Standing(row.birth_month, row.birth_day, row.first_purchase, row.tier, row.earned_by_rule or {})


@dataclass(frozen=True, slots=True)
class Qualifying:
    """What of an order counts towards tiers: its spend in `currency`; where they go `by_spend`, also when it earns nothing."""

    currency: str
    by_spend: bool


def qualifying_of(row: Any) -> Qualifying:
    """From a row with these columns."""
    return Qualifying(row.program_currency, row.by_spend)


_ASKED = {"account": "asked.account_id", "order": "asked.order_id", "at": "asked.placed_at"}
_FACTS_OF_EACH = _FACTS.format(**_ASKED, tier=TIER_AT.format(customer="asked.account_id", at="asked.placed_at"))
_OF_MANY = text(
    f"""
    SELECT asked.order_id, a.birth_month, a.birth_day, {_QUALIFYING},
           CASE WHEN row_number() OVER () = 1 THEN
               {_RULES.format(until="CAST(:until AS timestamptz)", since="CAST(:since AS timestamptz)")} END AS rules,
           {_FACTS_OF_EACH}
    FROM json_to_recordset(CAST(:asked AS json)) AS asked (order_id uuid, account_id uuid, placed_at timestamptz)
    LEFT JOIN points_account AS a ON a.customer_id = asked.account_id
    """  # noqa: S608 - constants of this module
)


def standings(
    session: Session, *, asked: Sequence[tuple[UUID, UUID, datetime]], now: datetime
) -> tuple[dict[UUID, Standing], list[dict[str, Any]], Qualifying]:
    """Of many new orders (id, locked account, when it was placed) at once: {order: standing}, all versions of rules that held
    at any of these moments (as JSON), and what counts towards tiers. One statement."""
    moments = [at for _, _, at in asked]
    listed = [{"order_id": order, "account_id": account, "placed_at": at} for order, account, at in asked]
    given = {"asked": json.dumps(listed, default=str), "since": min(moments), "until": max(moments), "now": now}
    rows = session.execute(_OF_MANY, given).all()
    rules: list[dict[str, Any]] = next((row.rules for row in rows if row.rules), [])
    return {row.order_id: standing_of(row) for row in rows}, rules, qualifying_of(rows[0])


# What an order earned by line and rule, with the rule's names; what of it was taken back; what of it waits, and until when.
_EARNED = text(
    """
    SELECT reasons.reasons, taken.points AS clawed_back, lots.waiting,
           (SELECT CAST(coalesce(sum(earned), 0) AS bigint) FROM points_lot WHERE source = 'order' AND source_id = :order_id) AS earned
    FROM (
        SELECT jsonb_agg(jsonb_build_object(
                   'line', r.order_line_id, 'rule', r.rule_code, 'version', r.rule_version, 'points', r.points, 'counted', r.basis,
                   'given', to_jsonb(rule), 'tier', (SELECT jsonb_build_object('name', tier.name, 'name_ja', tier.name_ja)
                                                     FROM tier WHERE 'tier:' || tier.code = r.rule_code)
               ) ORDER BY r.rule_code) AS reasons
        FROM (SELECT r.order_line_id, r.rule_code, r.rule_version, sum(r.points) AS points, sum(r.basis) AS basis
              FROM points_transaction AS t JOIN points_reason AS r ON r.transaction_id = t.id
              WHERE t.order_id = :order_id AND t.kind = 'earn' GROUP BY 1, 2, 3) AS r
        LEFT JOIN earning_rule AS rule ON rule.code = r.rule_code AND rule.version = r.rule_version
    ) AS reasons
    CROSS JOIN (
        SELECT CAST(coalesce(sum(e.points), 0) AS bigint) AS points
        FROM points_transaction AS t JOIN points_entry AS e ON e.transaction_id = t.id AND e.account = 'issued'
        WHERE t.order_id = :order_id AND t.kind = 'claw_back'
    ) AS taken
    CROSS JOIN (
        SELECT jsonb_agg(jsonb_build_object('points', w.points, 'from', w.available_from) ORDER BY w.available_from) AS waiting
        FROM (SELECT available_from, sum(remaining) AS points FROM points_lot
              WHERE source = 'order' AND source_id = :order_id AND available_from > :now AND remaining > 0
              GROUP BY available_from) AS w
    ) AS lots
    """
)


def earned_of(session: Session, *, order_id: UUID, now: datetime) -> Mapping[str, Any]:
    """``{"reasons": [...] | None, "clawed_back", "waiting": [{"points", "from"}] | None, "earned"}`` of an order. One statement."""
    return dict(session.execute(_EARNED, {"order_id": order_id, "now": now}).mappings().one())


_RECORDED = text(
    """
    SELECT * FROM (
        SELECT order_id, customer_id, basket, points, placed_at FROM earning_record
        ORDER BY placed_at DESC, order_id DESC LIMIT :limit
    ) AS latest ORDER BY placed_at, order_id
    """
)


def recorded(session: Session, *, limit: int) -> list[Mapping[str, Any]]:
    """The baskets of the `limit` latest orders that earned, the oldest first: order_id, customer_id, basket, points, placed_at."""
    return [dict(row) for row in session.execute(_RECORDED, {"limit": limit}).mappings().all()]
