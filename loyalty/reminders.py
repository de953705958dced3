"""Members are told that points will run out: once for each day on which some do, ahead of it."""

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from loyalty import days
from loyalty.queries.expiring import Place
from retail import limits
from retail.events import PointsExpiring
from retail.kernel import outbox
from retail.kernel.hot import Hot
from retail.kernel.ids import new_id

# Lots are looked at in the order of expiry, each once a run. Whose reminder is new is decided by the key of points_reminder,
# for which a second worker waits; what is told is the whole day's sum, of whichever of its lots was looked at first.
# A blocked member is not told: she could do nothing about it. She is when she can, if there is still time.
_REMIND = Hot(
    """
    WITH page AS MATERIALIZED (
        SELECT customer_id, expires_at, id FROM points_lot
        WHERE remaining > 0 AND expires_at <= :until AND (expires_at, id) > (:after_at, CAST(:after_id AS uuid))
        ORDER BY expires_at, id LIMIT :limit
    ), unsaid AS (
        SELECT DISTINCT customer_id, CAST((expires_at - interval '1 microsecond') AT TIME ZONE :zone AS date) AS expires_on
        FROM page
        EXCEPT SELECT customer_id, expires_on FROM points_reminder WHERE customer_id IN (SELECT customer_id FROM page)
    ), due AS (
        SELECT unsaid.customer_id, unsaid.expires_on, CAST(sum(lot.remaining) AS bigint) AS points
        FROM unsaid
        JOIN points_account AS a ON a.customer_id = unsaid.customer_id AND a.state = 'active'
        JOIN points_lot AS lot ON lot.customer_id = unsaid.customer_id AND lot.remaining > 0 AND lot.expires_at > :now
         AND lot.expires_at > CAST(unsaid.expires_on AS timestamp) AT TIME ZONE :zone
         AND lot.expires_at <= CAST(unsaid.expires_on + 1 AS timestamp) AT TIME ZONE :zone
        GROUP BY unsaid.customer_id, unsaid.expires_on
    ), marked AS (
        INSERT INTO points_reminder (customer_id, expires_on, points, at)
        SELECT customer_id, expires_on, points, :now FROM due ORDER BY customer_id, expires_on
        ON CONFLICT DO NOTHING
        RETURNING customer_id, expires_on, points
    ), numbered AS MATERIALIZED (
        SELECT event.id, marked.* FROM (SELECT *, row_number() OVER () AS number FROM marked) AS marked
        JOIN unnest(CAST(:event_ids AS uuid[])) WITH ORDINALITY AS event (id, number) USING (number)
    ), told AS (
        INSERT INTO event (id, type, aggregate_id, party_id, actor, data, at)
        SELECT id, :event_type, customer_id, customer_id, :actor,
               jsonb_build_object('customer_id', customer_id, 'points', points, 'expires_on', expires_on), :now FROM numbered
    ), deliveries AS (
        INSERT INTO delivery (event_id, handler, next_at)
        SELECT id, handler, :now FROM numbered CROSS JOIN unnest(CAST(:event_handlers AS text[])) AS handler
    )
    SELECT (SELECT count(*) FROM marked) AS told, last.expires_at AS reached_at, last.id AS reached_id
    FROM (VALUES (1)) AS always (one) LEFT JOIN (SELECT expires_at, id FROM page ORDER BY expires_at DESC, id DESC LIMIT 1) AS last ON true
    """
)


@dataclass(frozen=True, slots=True)
class Reminded:
    """How many events one batch wrote, and the last lot it looked at; None when there was none."""

    told: int
    reached: Place | None


def remind_due(session: Session, *, now: datetime, limit: int, after: Place | None = None) -> Reminded:
    """Tell of the points that run out within limits.REMIND_EXPIRY_DAYS: one `PointsExpiring` per member and day of the shop's
    zone, ever. Looks at `limit` lots, in the order of expiry, `after` the one an earlier call reached. One statement."""
    after_at, after_id = after or (now, uuid.UUID(int=2**128 - 1))
    sample = outbox.row_of(
        PointsExpiring(customer_id=uuid.UUID(int=0), points=1, expires_on=""), actor=outbox.SYSTEM, now=now
    )
    params = {
        "now": now,
        "until": now + timedelta(days=limits.REMIND_EXPIRY_DAYS),
        "zone": days.zone().key,
        "limit": limit,
        "after_at": after_at,
        "after_id": after_id,
        "event_ids": [new_id() for _ in range(limit)],
        "event_type": sample["type"],
        "event_handlers": sample["handlers"],
        "actor": outbox.SYSTEM,
    }
    row = _REMIND.run(session, params).one()
    return Reminded(row.told, None if row.reached_at is None else (row.reached_at, row.reached_id))
