"""Questions about points, and the locks of the ledger. Balances are read by lots at `now`, never from the cache."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from retail.kernel.errors import NotFound
from retail.kernel.hot import Hot
from retail.queries import FAMILY

_POINTS = Hot(
    """
    SELECT coalesce(lots.available, 0) AS available, coalesce(lots.pending, 0) AS pending,
           coalesce(a.held, 0) + coalesce((SELECT CAST(sum(m.held) AS bigint) FROM customer AS gone
                                           JOIN points_account AS m ON m.customer_id = gone.id
                                           WHERE gone.merged_into = c.id), 0) AS held,
           coalesce(a.owed, 0) AS owed, coalesce(a.state, 'active') AS state,
           coalesce(lots.lots_open, 0) AS lots_open, lots.next_at, lots.next_points
    FROM customer AS c
    LEFT JOIN points_account AS a ON a.customer_id = c.id
    LEFT JOIN LATERAL (
        SELECT CAST(sum(remaining) FILTER (WHERE spendable) AS bigint) AS available,
               CAST(sum(remaining) FILTER (WHERE NOT spendable) AS bigint) AS pending,
               count(*) FILTER (WHERE spendable) AS lots_open, min(first_at) AS next_at,
               CAST(sum(remaining) FILTER (WHERE spendable AND expires_at = first_at) AS bigint) AS next_points
        FROM (SELECT remaining, expires_at, available_from <= :now AS spendable,
                     min(expires_at) FILTER (WHERE available_from <= :now) OVER () AS first_at
              FROM points_lot WHERE customer_id = c.id AND remaining > 0 AND expires_at > :now) AS open_lots
    ) AS lots ON true
    WHERE c.id = :customer_id
    """
)


def points_of(session: Session, *, customer_id: uuid.UUID, now: datetime) -> dict[str, Any]:
    """A customer's points at `now`; all zero for one who never had any. One statement.

    ``{"available", "pending", "held", "owed", "state", "lots_open", "next_expiry": {"points", "at"} | None}``: what she can
    spend, what she can spend later, what open orders have put aside (those of records merged into hers too), what future
    earning will pay off first, active | blocked | merged, how many lots she can spend from, what runs out next.

    Raises:
        NotFound: there is no such customer.
    """
    row = _POINTS.run(session, {"customer_id": customer_id, "now": now}).one_or_none()
    if row is None:
        raise NotFound("There is no such customer")
    return {
        "available": row.available,
        "pending": row.pending,
        "held": row.held,
        "owed": row.owed,
        "state": row.state,
        "lots_open": row.lots_open,
        "next_expiry": None if row.next_at is None else {"points": row.next_points, "at": row.next_at},
    }


_ENTRIES = text(
    f"""
    SELECT t.id, t.seq, t.kind, t.order_id, t.reason, t.at, entries.points, entries.held, entries.owed, entries.entries
    FROM customer AS c
    LEFT JOIN LATERAL (
        SELECT one.* FROM {FAMILY} AS member CROSS JOIN LATERAL (
            SELECT * FROM points_transaction AS moved
            WHERE customer_id = member.id AND (CAST(:before AS bigint) IS NULL OR seq < CAST(:before AS bigint))
              AND EXISTS (SELECT FROM points_entry WHERE transaction_id = moved.id)
            ORDER BY seq DESC LIMIT :limit
        ) AS one ORDER BY one.seq DESC LIMIT :limit
    ) AS t ON true
    LEFT JOIN LATERAL (
        SELECT CAST(coalesce(sum(e.points) FILTER (WHERE e.account = 'member' AND hers.id IS NOT NULL), 0) AS bigint) AS points,
               CAST(coalesce(sum(e.points) FILTER (WHERE e.account = 'held' AND hers.id IS NOT NULL), 0) AS bigint) AS held,
               CAST(coalesce(-sum(e.points) FILTER (WHERE e.account = 'owed' AND hers.id IS NOT NULL), 0) AS bigint) AS owed,
               jsonb_agg(jsonb_build_object('account', e.account, 'points', e.points, 'lot_id', e.lot_id)
                         ORDER BY e.position) AS entries
        FROM points_entry AS e LEFT JOIN {FAMILY} AS hers ON hers.id = e.customer_id WHERE e.transaction_id = t.id
    ) AS entries ON true
    WHERE c.id = :customer_id
    ORDER BY t.seq DESC
    """  # noqa: S608 - words of this package
)


def entries_of(session: Session, *, customer_id: uuid.UUID, before: int | None, limit: int) -> list[dict[str, Any]]:
    """The points transactions of a customer and those merged into her, newest first, `limit` rows at most, older than
    sequence `before`. One statement.

    Each: id, seq, kind, order_id, reason, at; `points`, `held`, `owed` are what it changed on her balances; `entries`
    are its sides ``{"account", "points", "lot_id"}``, which sum to zero; what has none (spend alone) is left out. (Some of a
    refund may be another's: of lots that went back to their member when a merge was undone.)

    Raises:
        NotFound: there is no such customer.
    """
    params = {"customer_id": customer_id, "before": before, "limit": limit}
    rows = session.execute(_ENTRIES, params).mappings().all()
    if not rows:
        raise NotFound("There is no such customer")
    return [dict(row) for row in rows if row["id"] is not None]


_OWNERS = text("SELECT id, coalesce(merged_into, id) AS owner FROM customer WHERE id = ANY(CAST(:customers AS uuid[]))")


def owners_of(session: Session, *, customer_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, uuid.UUID]:
    """Whose account each customer's points are in: her own, or that of who she was merged into. Unknown ones are missing."""
    return {row.id: row.owner for row in session.execute(_OWNERS, {"customers": list(customer_ids)}).all()}


# What was booked on the survivor's `owed` with the merge, and since then through the merged records, in whoever's history:
# she may have been merged herself for a while. The order of the books counts, not the moment, which for a request that
# waited for the merge is before it; only a merge that moved nothing has no place in the books.
_DEBT = text(
    """
    WITH merge AS (
        SELECT id, seq FROM points_transaction WHERE key = :key
    ), through AS (
        SELECT id FROM points_transaction AS t
        WHERE coalesce(member_id, customer_id) = ANY(CAST(:member_ids AS uuid[])) AND kind IN ('earn', 'claw_back')
          AND member_id IS NOT NULL
          AND CASE WHEN EXISTS (SELECT FROM merge) THEN seq > (SELECT seq FROM merge) ELSE at >= :since END
    )
    SELECT CAST(coalesce(-sum(points), 0) AS bigint) FROM points_entry
    WHERE account = 'owed' AND transaction_id IN (SELECT id FROM merge UNION ALL SELECT id FROM through)
    """
)


def debt_of_merged(session: Session, *, member_ids: Sequence[uuid.UUID], key: str, since: datetime) -> int:
    """What of the points owed came with the merge booked under `key`, done at `since`, or later through those merged; it may
    be negative when they have earned against it."""
    given = {"member_ids": list(member_ids), "key": key, "since": since}
    return int(session.execute(_DEBT, given).scalar_one())


@dataclass(frozen=True, slots=True)
class HoldFacts:
    """A hold: whose, how many points, and open | burned | released | expired."""

    customer_id: uuid.UUID
    points: int
    refunded: int
    state: str


def hold_of(session: Session, *, order_id: uuid.UUID) -> HoldFacts | None:
    """The order's hold on points, if it ever had one."""
    statement = text("SELECT customer_id, points, refunded, state FROM points_hold WHERE order_id = :order_id")
    row = session.execute(statement, {"order_id": order_id}).one_or_none()
    return None if row is None else HoldFacts(row.customer_id, row.points, row.refunded, row.state)


def holds_for(session: Session, *, order_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, HoldFacts]:
    """The holds of many orders at once; orders that never had one are missing. One statement."""
    statement = text(
        "SELECT order_id, customer_id, points, refunded, state FROM points_hold WHERE order_id = ANY(:order_ids)"
    )
    rows = session.execute(statement, {"order_ids": list(order_ids)}).all()
    return {row.order_id: HoldFacts(row.customer_id, row.points, row.refunded, row.state) for row in rows}


@dataclass(frozen=True, slots=True)
class TransactionFacts:
    """What a transaction of the ledger was for, and how many points it moved from one side to the other."""

    kind: str
    order_id: uuid.UUID | None
    points: int


_BY_KEY = text(
    """
    SELECT t.kind, t.order_id, CAST(coalesce(sum(e.points) FILTER (WHERE e.points > 0), 0) AS bigint) AS points
    FROM points_transaction AS t LEFT JOIN points_entry AS e ON e.transaction_id = t.id
    WHERE t.key = :key GROUP BY t.id
    """
)


def transaction_by_key(session: Session, *, key: str) -> TransactionFacts | None:
    """The transaction that was booked under `key`."""
    row = session.execute(_BY_KEY, {"key": key}).one_or_none()
    return None if row is None else TransactionFacts(row.kind, row.order_id, row.points)
