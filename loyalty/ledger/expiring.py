"""Points whose time has passed, booked as expired."""

from datetime import datetime

from sqlalchemy.orm import Session

from loyalty import queries
from retail.kernel import outbox
from retail.kernel.hot import Hot
from retail.kernel.ids import new_id

_EXPIRE = Hot(
    """
    WITH batch AS (
        SELECT * FROM unnest(CAST(:customers AS uuid[]), CAST(:transactions AS uuid[])) AS batch (customer_id, id)
    ), due AS (
        SELECT lot.id, lot.customer_id, lot.remaining, batch.id AS transaction_id,
               CAST(row_number() OVER (PARTITION BY lot.customer_id ORDER BY lot.expires_at, lot.id) AS integer) AS position
        FROM batch JOIN points_lot AS lot ON lot.customer_id = batch.customer_id
        WHERE lot.remaining > 0 AND lot.expires_at <= :now
    ), totals AS (
        SELECT customer_id, transaction_id, CAST(sum(remaining) AS bigint) AS points FROM due GROUP BY 1, 2
    ), emptied AS (
        UPDATE points_lot AS lot SET remaining = 0 FROM due WHERE lot.id = due.id
    ), moved AS (
        UPDATE points_account AS a SET available = a.available - totals.points
        FROM totals WHERE a.customer_id = totals.customer_id
    ), booked AS (
        INSERT INTO points_transaction (id, customer_id, kind, key, actor, at)
        SELECT transaction_id, customer_id, 'expire', 'expire:' || transaction_id, :actor, :now FROM totals
    ), entered AS (
        INSERT INTO points_entry (transaction_id, position, account, customer_id, lot_id, points)
        SELECT transaction_id, 1, 'expired', customer_id, CAST(NULL AS uuid), points FROM totals
        UNION ALL
        SELECT transaction_id, 1 + position, 'member', customer_id, id, -remaining FROM due
    )
    SELECT count(*) FROM totals
    """
)


def expire_due(session: Session, *, now: datetime, limit: int) -> int:
    """Book what has expired by `now`, of at most `limit` lots' owners; one transaction of the ledger per customer.

    The accounts are locked by a statement of their own, so that the second sees their lots as they are. Expired lots
    have not counted since their moment passed; this only tidies. Returns how many customers lost points (0: all done).
    """
    customers = queries.lock_accounts_with_expired(session, now=now, limit=limit)
    if not customers:
        return 0
    params = {
        "customers": customers,
        "transactions": [new_id() for _ in customers],
        "actor": outbox.SYSTEM,
        "now": now,
    }
    return int(_EXPIRE.run(session, params).scalar_one())
