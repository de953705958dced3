"""What goods had earned goes back with them."""

import uuid
from datetime import datetime

from sqlalchemy.orm import Session

from loyalty.ledger.books import booked_before, run_fresh
from loyalty.queries.locking import LOCKED_ACCOUNT, PARTED, STALE
from retail.events import PointsClawedBack, SpendCounted
from retail.kernel import outbox
from retail.kernel.hot import Hot
from retail.kernel.ids import new_id

# Of `due`, the lots give what they have, the order's own lots first, then those that expire first; the rest is owed. An order
# that earned nothing has no lots: whose it is says what it booked. Where spend alone goes back there are no entries, but the
# account is written, so that whoever waits for it looks again.
_CLAW_BACK_SQL = """
    WITH origin AS (
        SELECT c.owner AS customer_id, nullif(c.id, c.owner) AS member_id,
               (SELECT coalesce(sum(earned), 0) FROM points_lot WHERE source = 'order' AND source_id = :order_id) AS earned
        FROM points_transaction AS t
        JOIN (SELECT id, coalesce(merged_into, id) AS owner FROM customer) AS c ON c.id = coalesce(t.member_id, t.customer_id)
        WHERE t.order_id = :order_id AND t.kind = 'earn' ORDER BY t.seq LIMIT 1
    ), {locked_account}, before AS (
        SELECT coalesce(sum(e.points) FILTER (WHERE t.kind = 'claw_back'), 0) AS points
        FROM points_transaction AS t JOIN points_entry AS e ON e.transaction_id = t.id AND e.account = 'issued'
        WHERE t.order_id = :order_id AND t.kind = 'claw_back'
    ), spent AS (
        SELECT coalesce(sum(spend_minor) FILTER (WHERE kind = 'earn'), 0) AS minor,
               coalesce(sum(spend_minor) FILTER (WHERE kind = 'claw_back'), 0) AS before
        FROM points_transaction WHERE order_id = :order_id AND kind IN ('earn', 'claw_back')
    ), due AS (
        SELECT origin.customer_id, origin.member_id,
               CAST(greatest(0, div(origin.earned * CAST(:numerator AS bigint), CAST(:denominator AS bigint)) - before.points) AS bigint) AS points,
               CAST(div(spent.minor * CAST(:numerator AS bigint), CAST(:denominator AS bigint)) + spent.before AS bigint) AS spend
        FROM origin JOIN fresh ON fresh.customer_id = origin.customer_id CROSS JOIN before CROSS JOIN spent
    ), booked AS (
        INSERT INTO points_transaction (id, customer_id, member_id, kind, key, order_id, spend_minor, actor, at)
        SELECT :transaction_id, customer_id, member_id, 'claw_back', :key, :order_id, -spend, :actor, :now FROM due WHERE points > 0 OR spend > 0
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
        SELECT due.customer_id, due.points, due.spend, CAST(coalesce((SELECT sum(points) FROM picks), 0) AS bigint) AS taken
        FROM due CROSS JOIN booked
    ), taken AS (
        UPDATE points_lot AS lot SET remaining = lot.remaining - picks.points FROM picks WHERE lot.id = picks.id
    ), moved AS (
        UPDATE points_account AS a SET available = a.available - parts.taken, owed = a.owed + parts.points - parts.taken
        FROM parts WHERE a.customer_id = parts.customer_id
    ), entered AS (
        INSERT INTO points_entry (transaction_id, position, account, customer_id, lot_id, points)
        SELECT :transaction_id, 1, 'issued', customer_id, CAST(NULL AS uuid), points FROM parts WHERE points > 0
        UNION ALL
        SELECT :transaction_id, 2, 'owed', customer_id, NULL, taken - points FROM parts WHERE taken < points
        UNION ALL
        SELECT :transaction_id, 2 + picks.position, 'member', parts.customer_id, picks.id, -picks.points
        FROM parts CROSS JOIN picks
    ), told AS (
        INSERT INTO event (id, type, aggregate_id, party_id, actor, data, at)
        SELECT :event_id, CASE WHEN points > 0 THEN CAST(:event_type AS text) ELSE :spend_type END,
               CAST(:order_id AS uuid), customer_id, :actor,
               CASE WHEN points > 0
                    THEN CAST(:event_data AS jsonb) || jsonb_build_object('customer_id', customer_id, 'points', points, 'owed', points - taken)
                    ELSE CAST(:spend_data AS jsonb) || jsonb_build_object('customer_id', customer_id, 'spend_minor', -spend) END, :now
        FROM parts
    ), deliveries AS (
        INSERT INTO delivery (event_id, handler, next_at)
        SELECT :event_id, handler, :now FROM parts CROSS JOIN unnest(
            CASE WHEN points > 0 THEN CAST(:event_handlers AS text[]) ELSE CAST(:spend_handlers AS text[]) END) AS handler
    )
    SELECT {stale}, (SELECT points FROM parts) AS points
"""
_ORIGIN = LOCKED_ACCOUNT.format(
    gone="(SELECT member_id FROM origin)", customer="(SELECT customer_id FROM origin)", parted=PARTED
)
_CLAW_BACK = Hot(_CLAW_BACK_SQL.format(locked_account=_ORIGIN, stale=STALE))


def claw_back(
    session: Session, *, order_id: uuid.UUID, numerator: int, denominator: int, key: str, actor: str, now: datetime
) -> int:
    """Take back what the order earned for the part of it that has been returned. One statement, two after a wait.

    `numerator / denominator` is the share returned SO FAR, this refund included (e.g. money refunded in all of the
    order's total): afterwards floor(earned * share) is clawed back in all, so that parts never add up to more or less
    than the whole; its qualifying spend likewise, also where no point goes back. Taken from the order's own lots, then from
    those that expire first; what the balance lacks is owed. `PointsClawedBack` is published, of spend alone `SpendCounted`.
    Returns the points clawed back now; with a key used before, what it clawed back then.

    Raises:
        KeyReused: the key belongs to another transaction.
    """
    if not 0 <= numerator <= denominator or denominator == 0:
        raise ValueError("the returned share lies between 0 and 1")
    # whose, how many and what of it is owed is put in by the statement, which alone knows
    told = PointsClawedBack(customer_id=order_id, order_id=order_id, points=0, owed=0)
    event = outbox.row_of(told, actor=actor, now=now)
    spend = outbox.row_of(SpendCounted(customer_id=order_id, order_id=order_id, spend_minor=0), actor=actor, now=now)
    params = {
        "order_id": order_id,
        "event_id": event["id"],
        "event_type": event["type"],
        "event_data": event["data"],
        "event_handlers": event["handlers"],
        "spend_type": spend["type"],
        "spend_data": spend["data"],
        "spend_handlers": spend["handlers"],
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
