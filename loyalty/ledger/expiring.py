"""Points whose time has passed, booked as expired."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from loyalty.queries import expiring as queries
from loyalty.queries.expiring import Place
from retail.kernel import db, outbox
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


BATCH_LOTS = 100  # few, since their owners' accounts stay locked until the batch commits


@dataclass(frozen=True, slots=True)
class Swept:
    """What one batch of expiry did.

    Attributes:
        customers: how many lost points. busy: how many were left for another time, since somebody is at their account.
        reached: the last lot looked at, for the next batch's `after`; None when no expired lot was left.
    """

    customers: int
    busy: int
    reached: Place | None


def expire_due(session: Session, *, now: datetime, limit: int, after: Place | None = None) -> Swept:
    """Book what has expired by `now`, of at most `limit` lots' owners; one transaction of the ledger per customer.

    The accounts are locked by a statement of their own, so that the second sees their lots as they are; an account that is
    in use is left out. Expired lots have not counted since their moment passed; this only tidies. A run goes on `after` the
    lot that its last batch reached: it looks at each lot once, whatever it left behind, and ends.
    """
    found = queries.lock_accounts_with_expired(session, now=now, limit=limit, after=after)
    if not found.customers:
        return Swept(0, found.busy, found.reached)
    params = {
        "customers": found.customers,
        "transactions": [new_id() for _ in found.customers],
        "actor": outbox.SYSTEM,
        "now": now,
    }
    return Swept(_EXPIRE.run(session, params).scalar_one(), found.busy, found.reached)


def expire_all(*, now: datetime) -> Swept:
    """Expire the lots whose time has passed by `now`, batch by batch, each in a transaction of its own; the sums of all."""
    customers = busy = 0
    reached: Place | None = None
    while True:
        with db.transaction() as session:
            swept = expire_due(session, now=now, limit=BATCH_LOTS, after=reached)
        customers, busy = customers + swept.customers, busy + swept.busy
        if swept.reached is None:
            return Swept(customers, busy, reached)
        reached = swept.reached
