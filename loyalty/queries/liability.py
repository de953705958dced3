"""Outstanding points of all members by the month they run out in, and what the entries say they must be."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

# Lots and holds as they stand beside the entries as they stand, or both as they were: lots by their entries, holds by their
# dates. One statement either way, so that both halves see the same moment.
_LOTS_NOW = "SELECT id AS lot_id, remaining AS points FROM points_lot WHERE remaining > 0"
_LOTS_THEN = """
    SELECT e.lot_id, CAST(sum(e.points) AS bigint) AS points
    FROM points_entry AS e JOIN points_transaction AS t ON t.id = e.transaction_id
    WHERE e.account = 'member' AND t.at <= :at GROUP BY e.lot_id HAVING sum(e.points) <> 0
"""
_OPEN_NOW = "hold.state = 'open'"
_OPEN_THEN = "hold.created_at <= :at AND (hold.settled_at IS NULL OR hold.settled_at > :at)"
_OWED_NOW = "SELECT coalesce(sum(owed), 0) FROM points_account"
_OWED_THEN = "SELECT -sum(points) FROM sides WHERE account = 'owed'"
_SIDES_NOW = "SELECT account, sum(points) AS points FROM points_entry GROUP BY account"
_SIDES_THEN = """
    SELECT e.account, sum(e.points) AS points
    FROM points_entry AS e JOIN points_transaction AS t ON t.id = e.transaction_id
    WHERE t.at <= :at GROUP BY e.account
"""
# A lot that runs out at midnight can be spent to the last moment of the day before: that is the day, and month, it runs out.
_REPORT = """
    WITH sides AS MATERIALIZED ({sides}), lots AS ({lots}), outstanding AS (
        SELECT date_trunc('month', (lot.expires_at - interval '1 microsecond') AT TIME ZONE :zone) AS month,
               CASE WHEN lot.expires_at <= :at THEN 'expired' WHEN lot.available_from > :at THEN 'pending'
                    ELSE 'spendable' END AS state, sum(lots.points) AS points
        FROM lots JOIN points_lot AS lot ON lot.id = lots.lot_id GROUP BY 1, 2
        UNION ALL
        SELECT date_trunc('month', (lot.expires_at - interval '1 microsecond') AT TIME ZONE :zone), 'held', sum(slice.points)
        FROM points_hold AS hold
        JOIN points_slice AS slice ON slice.hold_id = hold.id JOIN points_lot AS lot ON lot.id = slice.lot_id
        WHERE {open} GROUP BY 1
    ), months AS (
        SELECT to_char(month, 'YYYY-MM') AS month,
               coalesce(sum(points) FILTER (WHERE state = 'spendable'), 0) AS spendable,
               coalesce(sum(points) FILTER (WHERE state = 'pending'), 0) AS pending,
               coalesce(sum(points) FILTER (WHERE state = 'held'), 0) AS held,
               coalesce(sum(points) FILTER (WHERE state = 'expired'), 0) AS expired, sum(points) AS points
        FROM outstanding GROUP BY 1
    )
    SELECT (SELECT coalesce(jsonb_agg(to_jsonb(months) ORDER BY month), '[]') FROM months) AS months,
           (SELECT coalesce(jsonb_object_agg(account, points), '{{}}') FROM sides) AS sides,
           CAST(coalesce(({owed}), 0) AS bigint) AS owed
"""
_NOW = text(_REPORT.format(sides=_SIDES_NOW, lots=_LOTS_NOW, open=_OPEN_NOW, owed=_OWED_NOW))
_THEN = text(_REPORT.format(sides=_SIDES_THEN, lots=_LOTS_THEN, open=_OPEN_THEN, owed=_OWED_THEN))


def outstanding(session: Session, *, at: datetime, past: bool, zone: str) -> Mapping[str, Any]:
    """``months``: [{month, spendable, pending, held, expired, points}], by month of `zone`; ``sides``: the sum of each
    ledger account's entries; ``owed``. As things stand, judged at `at`; with `past` as they were then. One statement."""
    return dict(session.execute(_THEN if past else _NOW, {"at": at, "zone": zone}).mappings().one())
