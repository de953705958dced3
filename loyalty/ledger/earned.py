"""Points that come and go with the goods: earn, claw back with what is returned."""

import uuid
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from loyalty import earning
from loyalty.ledger.books import LOCKED_ACCOUNT, STALE, booked_before, run_fresh
from retail.events import PointsEarned
from retail.kernel import outbox
from retail.kernel.hot import Hot
from retail.kernel.ids import new_id

# The key is taken first: of two calls with one key the second waits here, then finds nothing to do. The account is made
# when it is missing; `owed` is read under its lock.
_EARN = Hot(
    """
    WITH booked AS (
        INSERT INTO points_transaction (id, customer_id, kind, key, order_id, reason, actor, at)
        VALUES (:transaction_id, :customer_id, 'earn', :key, CAST(:order_id AS uuid), :reason, :actor, :now)
        ON CONFLICT (key) DO NOTHING
        RETURNING customer_id
    ), debt AS (
        SELECT least(owed, CAST(:points AS bigint)) AS netted FROM points_account
        WHERE customer_id = (SELECT customer_id FROM booked) FOR NO KEY UPDATE
    ), share AS (
        SELECT booked.customer_id, CAST(:points AS bigint) AS points, coalesce((SELECT netted FROM debt), 0) AS netted
        FROM booked
    ), moved AS (
        INSERT INTO points_account AS a (customer_id, available, opened_at)
        SELECT customer_id, points - netted, :now FROM share
        ON CONFLICT (customer_id) DO UPDATE
        SET available = a.available + excluded.available, owed = a.owed - CAST(:points AS bigint) + excluded.available
    ), lot AS (
        INSERT INTO points_lot (id, customer_id, earned, remaining, source, source_id, available_from, expires_at)
        SELECT :lot_id, customer_id, points, points - netted, :source, CAST(:order_id AS uuid), :now, :expires_at FROM share
    ), entered AS (
        INSERT INTO points_entry (transaction_id, position, account, customer_id, lot_id, points)
        SELECT :transaction_id, side.position, side.account, share.customer_id, side.lot_id, side.points
        FROM share CROSS JOIN LATERAL (VALUES
            (1, 'issued', CAST(NULL AS uuid), -points), (2, 'member', :lot_id, points - netted), (3, 'owed', NULL, netted)
        ) AS side (position, account, lot_id, points)
        WHERE side.points <> 0
    ), told AS (
        INSERT INTO event (id, type, aggregate_id, party_id, actor, data, at)
        SELECT :event_id, :event_type, CAST(:order_id AS uuid), customer_id, :actor, CAST(:event_data AS jsonb), :now FROM booked
    ), deliveries AS (
        INSERT INTO delivery (event_id, handler, next_at)
        SELECT :event_id, handler, :now FROM booked CROSS JOIN unnest(CAST(:event_handlers AS text[])) AS handler
    )
    SELECT points FROM share
    """
)


def earn(
    session: Session,
    *,
    customer_id: uuid.UUID,
    order_id: uuid.UUID | None,
    points: int,
    key: str,
    reason: str,
    actor: str,
    now: datetime,
) -> int:
    """Credit `points` (>= 0; zero does nothing), in a new lot that lasts `earning.LOT_DAYS`. One statement.

    What the customer owes is netted first; her account is opened when she has none; `PointsEarned` is published.
    `order_id` is None for points that no order earned (a welcome gift). Returns the points earned, netted ones
    included; with a key used before, what it earned then.

    Raises:
        KeyReused: the key belongs to another transaction.
    """
    if points < 0:
        raise ValueError("points to earn are zero or more")
    if points == 0:
        return 0
    event = outbox.row_of(PointsEarned(customer_id=customer_id, order_id=order_id, points=points), actor=actor, now=now)
    params = {
        "customer_id": customer_id,
        "order_id": order_id,
        "points": points,
        "key": key,
        "reason": reason,
        "source": "order" if order_id is not None else "grant",
        "transaction_id": new_id(),
        "lot_id": new_id(),
        "expires_at": now + timedelta(days=earning.LOT_DAYS),
        "actor": actor,
        "now": now,
        "event_id": event["id"],
        "event_type": event["type"],
        "event_data": event["data"],
        "event_handlers": event["handlers"],
    }
    earned = _EARN.run(session, params).scalar_one_or_none()
    if earned is None:
        earned = booked_before(session, key=key, kind="earn", order_id=order_id)
    return int(earned or 0)


# Of `due`, the lots give what they have, the order's own lots first, then those that expire first; the rest is owed.
_CLAW_BACK_SQL = """
    WITH origin AS (
        SELECT customer_id, sum(earned) AS earned FROM points_lot
        WHERE source = 'order' AND source_id = :order_id GROUP BY customer_id
    ), {locked_account}, due AS (
        SELECT origin.customer_id,
               CAST(div(origin.earned * CAST(:numerator AS bigint), CAST(:denominator AS bigint)) - (
                   SELECT coalesce(sum(e.points), 0)
                   FROM points_transaction AS t JOIN points_entry AS e ON e.transaction_id = t.id
                   WHERE t.order_id = :order_id AND t.kind = 'claw_back' AND e.account = 'issued'
               ) AS bigint) AS points
        FROM origin JOIN fresh ON fresh.customer_id = origin.customer_id
    ), booked AS (
        INSERT INTO points_transaction (id, customer_id, kind, key, order_id, actor, at)
        SELECT :transaction_id, customer_id, 'claw_back', :key, :order_id, :actor, :now FROM due WHERE points > 0
        ON CONFLICT (key) DO NOTHING
        RETURNING id
    ), lots AS (
        SELECT lot.id, lot.remaining, due.points AS due, CAST(sum(lot.remaining) OVER (
                   ORDER BY lot.source_id IS DISTINCT FROM :order_id, lot.expires_at, lot.id) AS bigint) AS upto
        FROM due CROSS JOIN booked JOIN points_lot AS lot ON lot.customer_id = due.customer_id
        WHERE lot.remaining > 0 AND lot.expires_at > :now
    ), picks AS (
        SELECT id, least(remaining, due - upto + remaining) AS points,
               CAST(row_number() OVER (ORDER BY upto) AS integer) AS position
        FROM lots WHERE upto - remaining < due
    ), parts AS (
        SELECT due.customer_id, due.points, CAST(coalesce((SELECT sum(points) FROM picks), 0) AS bigint) AS taken
        FROM due CROSS JOIN booked
    ), taken AS (
        UPDATE points_lot AS lot SET remaining = lot.remaining - picks.points FROM picks WHERE lot.id = picks.id
    ), moved AS (
        UPDATE points_account AS a SET available = a.available - parts.taken, owed = a.owed + parts.points - parts.taken
        FROM parts WHERE a.customer_id = parts.customer_id
    ), entered AS (
        INSERT INTO points_entry (transaction_id, position, account, customer_id, lot_id, points)
        SELECT :transaction_id, 1, 'issued', customer_id, CAST(NULL AS uuid), points FROM parts
        UNION ALL
        SELECT :transaction_id, 2, 'owed', customer_id, NULL, taken - points FROM parts WHERE taken < points
        UNION ALL
        SELECT :transaction_id, 2 + picks.position, 'member', parts.customer_id, picks.id, -picks.points
        FROM parts CROSS JOIN picks
    )
    SELECT {stale}, (SELECT points FROM parts) AS points
"""
_OWNER = "(SELECT customer_id FROM origin)"
_CLAW_BACK = Hot(_CLAW_BACK_SQL.format(locked_account=LOCKED_ACCOUNT.format(customer=_OWNER), stale=STALE))


def claw_back(
    session: Session, *, order_id: uuid.UUID, numerator: int, denominator: int, key: str, actor: str, now: datetime
) -> int:
    """Take back what the order earned for the part of it that has been returned. One statement, two after a wait.

    `numerator / denominator` is the share returned SO FAR, this refund included (e.g. money refunded in all of the
    order's total): afterwards floor(earned * share) is clawed back in all, so that parts never add up to more or less
    than the whole. Taken from the order's own lots, then from those that expire first; what the balance lacks is owed.
    Returns the points clawed back now; with a key used before, what it clawed back then.

    Raises:
        KeyReused: the key belongs to another transaction.
    """
    if not 0 <= numerator <= denominator or denominator == 0:
        raise ValueError("the returned share lies between 0 and 1")
    params = {
        "order_id": order_id,
        "numerator": numerator,
        "denominator": denominator,
        "transaction_id": new_id(),
        "key": key,
        "actor": actor,
        "now": now,
    }
    points = run_fresh(session, statement=_CLAW_BACK, params=params).points
    if points is None:
        points = booked_before(session, key=key, kind="claw_back", order_id=order_id)
    return int(points or 0)
