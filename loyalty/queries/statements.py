"""What a member's account was at a moment, and how it came to what it was at another; from the entries alone."""

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from retail.kernel.errors import NotFound
from retail.kernel.hot import Hot

# One statement, so that opening, movements and closing are of one moment: a sale that commits meanwhile is in all or none.
# Rows may be booked out of the order of their moments; `seq` only parts those of one moment.
_STATEMENT = Hot(
    """
    WITH sides AS MATERIALIZED (
        SELECT e.transaction_id, e.account, e.lot_id, e.points, t.at, t.at <= :opening AS before
        FROM points_entry AS e JOIN points_transaction AS t ON t.id = e.transaction_id
        WHERE e.customer_id = :customer_id AND e.account IN ('member', 'held', 'owed') AND t.at <= :closing
    ), sums AS (
        SELECT lot_id, coalesce(sum(points) FILTER (WHERE before), 0) AS opened, sum(points) AS closed
        FROM sides WHERE account = 'member' GROUP BY lot_id
    ), lots AS (
        SELECT lot.id, lot.earned, lot.source, lot.source_id, lot.available_from, lot.expires_at, sums.opened, sums.closed,
               CASE WHEN lot.expires_at <= :opening THEN 'expired' WHEN lot.available_from > :opening THEN 'pending'
                    ELSE 'available' END AS opening_state,
               CASE WHEN lot.expires_at <= :closing THEN 'expired' WHEN lot.available_from > :closing THEN 'pending'
                    ELSE 'available' END AS closing_state
        FROM sums JOIN points_lot AS lot ON lot.id = sums.lot_id WHERE sums.opened <> 0 OR sums.closed <> 0
    ), opening AS (
        SELECT coalesce(sum(opened), 0) AS points,
               coalesce(sum(opened) FILTER (WHERE opening_state = 'available'), 0) AS available,
               coalesce(sum(opened) FILTER (WHERE opening_state = 'pending'), 0) AS pending,
               coalesce(sum(opened) FILTER (WHERE opening_state = 'expired'), 0) AS expired,
               (SELECT coalesce(sum(points), 0) FROM sides WHERE before AND account = 'held') AS held,
               (SELECT coalesce(-sum(points), 0) FROM sides WHERE before AND account = 'owed') AS owed
        FROM lots
    ), closing AS (
        SELECT coalesce(sum(closed), 0) AS points,
               coalesce(sum(closed) FILTER (WHERE closing_state = 'available'), 0) AS available,
               coalesce(sum(closed) FILTER (WHERE closing_state = 'pending'), 0) AS pending,
               coalesce(sum(closed) FILTER (WHERE closing_state = 'expired'), 0) AS expired,
               (SELECT coalesce(sum(points), 0) FROM sides WHERE account = 'held') AS held,
               (SELECT coalesce(-sum(points), 0) FROM sides WHERE account = 'owed') AS owed
        FROM lots
    ), moved AS (
        SELECT transaction_id, coalesce(sum(points) FILTER (WHERE account = 'member'), 0) AS points,
               coalesce(sum(points) FILTER (WHERE account = 'held'), 0) AS held,
               coalesce(-sum(points) FILTER (WHERE account = 'owed'), 0) AS owed
        FROM sides WHERE NOT before GROUP BY transaction_id
    ), running AS (
        SELECT t.id, t.seq, t.kind, t.order_id, t.member_id, t.reason, t.at, moved.points, moved.held, moved.owed,
               jsonb_build_object('points', opening.points + sum(moved.points) OVER line,
                                  'held', opening.held + sum(moved.held) OVER line,
                                  'owed', opening.owed + sum(moved.owed) OVER line) AS balance
        FROM moved JOIN points_transaction AS t ON t.id = moved.transaction_id CROSS JOIN opening
        WINDOW line AS (ORDER BY t.at, t.seq)
    ), page AS (
        SELECT * FROM running WHERE (at, seq) > (:after_at, CAST(:after_seq AS bigint)) ORDER BY at, seq LIMIT :limit
    ), listed AS (
        SELECT id, closed AS points, earned, source, source_id, available_from, expires_at, closing_state AS state
        FROM lots WHERE closed <> 0 ORDER BY expires_at, id LIMIT :lots
    )
    SELECT (SELECT to_jsonb(opening) FROM opening) AS opening,
           (SELECT to_jsonb(closing) FROM closing) AS closing,
           (SELECT jsonb_build_object('transactions', count(*), 'points', coalesce(sum(points), 0),
                                      'held', coalesce(sum(held), 0), 'owed', coalesce(sum(owed), 0)) FROM moved) AS movements,
           (SELECT coalesce(jsonb_agg(to_jsonb(listed) ORDER BY expires_at, id), '[]') FROM listed) AS lots,
           (SELECT count(*) FROM lots WHERE closed <> 0) AS lots_open,
           (SELECT coalesce(jsonb_agg(to_jsonb(page) ORDER BY at, seq), '[]') FROM page) AS items
    FROM customer AS c WHERE c.id = :customer_id
    """
)


def statement_of(
    session: Session,
    *,
    customer_id: uuid.UUID,
    opening: datetime,
    closing: datetime,
    after: tuple[datetime, int] | None,
    limit: int,
    lots: int,
) -> Mapping[str, Any]:
    """Balances at two moments (both included), what moved in between and the lots at `closing`. One statement.

    ``opening`` and ``closing`` have `points` and what it consists of (available, pending, expired), held, owed; ``movements``
    sums all that lies between; ``items`` are at most `limit` of those after the transaction `after` (moment, sequence), each
    with the balance it left; ``lots`` at most `lots` of `lots_open`. All zero for a customer who never had points.

    Raises:
        NotFound: there is no such customer.
    """
    params = {
        "customer_id": customer_id,
        "opening": opening,
        "closing": closing,
        "after_at": after[0] if after else opening,
        "after_seq": after[1] if after else 0,
        "limit": limit,
        "lots": lots,
    }
    row = _STATEMENT.run(session, params).one_or_none()
    if row is None:
        raise NotFound("There is no such customer")
    return {
        "opening": row.opening,
        "closing": row.closing,
        "movements": row.movements,
        "lots": [_with_moments(one, "available_from", "expires_at") for one in row.lots],
        "lots_open": row.lots_open,
        "items": [_with_moments(one, "at") for one in row.items],
    }


def _with_moments(row: dict[str, Any], *names: str) -> dict[str, Any]:
    """What JSON made text of, as moments again."""
    return row | {name: datetime.fromisoformat(row[name]) for name in names}
