"""Outstanding points of all members by the month they run out in, and what the entries say they must be."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

# What was then is what is now, less what the entries moved since: reading every lot and every entry once, which a report of
# a million lots can. One statement, so that lots and entries are of one moment. A lot that runs out at midnight can be spent
# to the last moment of the day before: that is the day, and the month, it runs out.
_REPORT = text(
    """
    WITH since AS MATERIALIZED (
        SELECT e.account, e.lot_id, sum(e.points) AS points
        FROM points_transaction AS t JOIN points_entry AS e ON e.transaction_id = t.id
        WHERE t.at > :at GROUP BY e.account, e.lot_id
    ), sides AS (
        SELECT account, sum(points) AS points
        FROM (SELECT account, sum(points) AS points FROM points_entry GROUP BY account
              UNION ALL SELECT account, -points FROM since) AS side
        GROUP BY account
    ), outstanding AS (
        SELECT date_trunc('month', (lot.expires_at - interval '1 microsecond') AT TIME ZONE :zone) AS month,
               CASE WHEN lot.expires_at <= :at THEN 'expired' WHEN lot.available_from > :at THEN 'pending'
                    ELSE 'spendable' END AS state, sum(lot.remaining - coalesce(since.points, 0)) AS points
        FROM points_lot AS lot LEFT JOIN since ON since.lot_id = lot.id AND since.account = 'member'
        WHERE lot.remaining <> coalesce(since.points, 0) GROUP BY 1, 2
        UNION ALL
        SELECT date_trunc('month', (lot.expires_at - interval '1 microsecond') AT TIME ZONE :zone), 'held', sum(slice.points)
        FROM points_hold AS hold
        JOIN points_slice AS slice ON slice.hold_id = hold.id JOIN points_lot AS lot ON lot.id = slice.lot_id
        WHERE hold.created_at <= :at AND (hold.settled_at IS NULL OR hold.settled_at > :at) GROUP BY 1
    ), months AS (
        SELECT to_char(month, 'YYYY-MM') AS month,
               coalesce(sum(points) FILTER (WHERE state = 'spendable'), 0) AS spendable,
               coalesce(sum(points) FILTER (WHERE state = 'pending'), 0) AS pending,
               coalesce(sum(points) FILTER (WHERE state = 'held'), 0) AS held,
               coalesce(sum(points) FILTER (WHERE state = 'expired'), 0) AS expired, sum(points) AS points
        FROM outstanding GROUP BY 1
    )
    SELECT (SELECT coalesce(jsonb_agg(to_jsonb(months) ORDER BY month), '[]') FROM months) AS months,
           (SELECT coalesce(jsonb_object_agg(account, points), '{}') FROM sides) AS sides,
           CAST((SELECT coalesce(sum(owed), 0) FROM points_account)
                + (SELECT coalesce(sum(points), 0) FROM since WHERE account = 'owed') AS bigint) AS owed
    """
)


def outstanding(session: Session, *, at: datetime, zone: str) -> Mapping[str, Any]:
    """``months``: [{month, spendable, pending, held, expired, points}], by month of `zone`; ``sides``: the sum of each
    ledger account's entries; ``owed``. As they were at `at`. One statement; reads every lot and every entry."""
    return dict(session.execute(_REPORT, {"at": at, "zone": zone}).mappings().one())
