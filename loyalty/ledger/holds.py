"""Points put aside for an order: hold, burn, release, and the refund of what was burned."""

import uuid
from datetime import datetime

from sqlalchemy.orm import Session

from loyalty import queries
from loyalty.ledger.books import LOCKED_ACCOUNT, STALE, booked_before, run_fresh
from retail.kernel.errors import Conflict
from retail.kernel.hot import Hot
from retail.kernel.ids import new_id


class InsufficientPoints(Conflict):
    """The customer has fewer points than she wants to spend; `available` says how many. Nothing was put aside."""

    code, title = "insufficient_points", "Not enough points"


class HoldExists(Conflict):
    """The order holds points already, of another number or customer, or its hold has been given back."""

    code, title = "points_hold_exists", "This order has a hold on points already"


_HOLD_SQL = """
    WITH {locked_account}, lots AS (
        SELECT id, remaining, CAST(sum(remaining) OVER (ORDER BY expires_at, id) AS bigint) AS upto,
               CAST(sum(remaining) OVER () AS bigint) AS total
        FROM points_lot
        WHERE customer_id = (SELECT customer_id FROM fresh)
          AND remaining > 0 AND expires_at > :now AND available_from <= :now
    ), picks AS (
        SELECT id, least(remaining, CAST(:points AS bigint) - upto + remaining) AS points,
               CAST(row_number() OVER (ORDER BY upto) AS integer) AS position
        FROM lots WHERE upto - remaining < CAST(:points AS bigint) AND total >= CAST(:points AS bigint)
    ), hold AS (
        INSERT INTO points_hold (id, customer_id, order_id, points, state, created_at)
        SELECT :hold_id, :customer_id, :order_id, CAST(:points AS bigint), 'open', :now
        WHERE EXISTS (SELECT FROM picks)
        ON CONFLICT (order_id) DO NOTHING
        RETURNING id, customer_id, points
    ), slices AS (
        INSERT INTO points_slice (hold_id, lot_id, points)
        SELECT hold.id, picks.id, picks.points FROM hold CROSS JOIN picks
    ), taken AS (
        UPDATE points_lot AS lot SET remaining = lot.remaining - picks.points
        FROM hold CROSS JOIN picks WHERE lot.id = picks.id
    ), moved AS (
        UPDATE points_account AS a SET available = a.available - hold.points, held = a.held + hold.points
        FROM hold WHERE a.customer_id = hold.customer_id
    ), booked AS (
        INSERT INTO points_transaction (id, customer_id, kind, key, order_id, actor, at)
        SELECT :transaction_id, customer_id, 'hold', :key, :order_id, :actor, :now FROM hold
    ), entered AS (
        INSERT INTO points_entry (transaction_id, position, account, customer_id, lot_id, points)
        SELECT :transaction_id, 1, 'held', customer_id, CAST(NULL AS uuid), points FROM hold
        UNION ALL
        SELECT :transaction_id, 1 + picks.position, 'member', hold.customer_id, picks.id, -picks.points
        FROM hold CROSS JOIN picks
    )
    SELECT {stale}, EXISTS (SELECT FROM hold) AS done, coalesce((SELECT max(total) FROM lots), 0) AS available
"""
_HOLD = Hot(_HOLD_SQL.format(locked_account=LOCKED_ACCOUNT.format(customer=":customer_id"), stale=STALE))


def hold(
    session: Session,
    *,
    customer_id: uuid.UUID,
    order_id: uuid.UUID,
    points: int,
    actor: str,
    now: datetime,
) -> None:
    """Put `points` (> 0) aside for an order, from the lots that expire first. One statement, two after a wait.

    Repeating it for the same order, customer and number changes nothing.

    Raises:
        InsufficientPoints: fewer are available at `now`.
        HoldExists: the order holds another number, another customer's, or gave its hold back.
    """
    if points <= 0:
        raise ValueError("a hold is of one point or more")
    params = {
        "customer_id": customer_id,
        "order_id": order_id,
        "points": points,
        "hold_id": new_id(),
        "transaction_id": new_id(),
        "key": f"hold:{order_id}",
        "actor": actor,
        "now": now,
    }
    row = run_fresh(session, statement=_HOLD, params=params)
    if row.done:
        return
    existing = queries.hold_of(session, order_id=order_id)
    if existing is None:
        raise InsufficientPoints(
            f"{points:,} points are wanted, {row.available:,} are available", requested=points, available=row.available
        )
    if (existing.customer_id, existing.points) != (customer_id, points) or existing.state not in ("open", "burned"):
        raise HoldExists


_BURN = Hot(
    """
    WITH settled AS (
        UPDATE points_hold SET state = 'burned', settled_at = :now
        WHERE order_id = :order_id AND state = 'open'
        RETURNING customer_id, points
    ), moved AS (
        UPDATE points_account AS a SET held = a.held - settled.points
        FROM settled WHERE a.customer_id = settled.customer_id
    ), booked AS (
        INSERT INTO points_transaction (id, customer_id, kind, key, order_id, actor, at)
        SELECT :transaction_id, customer_id, 'burn', :key, :order_id, :actor, :now FROM settled
    ), entered AS (
        INSERT INTO points_entry (transaction_id, position, account, customer_id, points)
        SELECT :transaction_id, side.position, side.account, settled.customer_id, side.sign * settled.points
        FROM settled CROSS JOIN (VALUES (1, 'held', -1), (2, 'burned', 1)) AS side (position, account, sign)
    )
    SELECT points FROM settled
    """
)


def burn(session: Session, *, order_id: uuid.UUID, actor: str, now: datetime) -> int:
    """Spend the order's held points for good (the goods are handed over). One statement.

    Returns the points burned; 0 when there is no open hold (none was made, or it was settled before).
    """
    return _settle(session, statement=_BURN, kind="burn", order_id=order_id, actor=actor, now=now)


# What a hold took from its lots never changes, and a lot's dates neither: the slices need no fresh look.
_RELEASE = Hot(
    """
    WITH settled AS (
        UPDATE points_hold AS hold
        SET settled_at = :now,
            state = CASE WHEN EXISTS (SELECT FROM points_slice AS slice JOIN points_lot AS lot ON lot.id = slice.lot_id
                                      WHERE slice.hold_id = hold.id AND lot.expires_at > :now)
                         THEN 'released' ELSE 'expired' END
        WHERE hold.order_id = :order_id AND hold.state = 'open'
        RETURNING hold.id, hold.customer_id, hold.points
    ), moved AS (
        UPDATE points_account AS a SET available = a.available + settled.points, held = a.held - settled.points
        FROM settled WHERE a.customer_id = settled.customer_id
        RETURNING a.customer_id
    ), back AS (
        SELECT slice.lot_id, slice.points, CAST(row_number() OVER (ORDER BY lot.expires_at, lot.id) AS integer) AS position
        FROM settled
        JOIN moved ON moved.customer_id = settled.customer_id
        JOIN points_slice AS slice ON slice.hold_id = settled.id
        JOIN points_lot AS lot ON lot.id = slice.lot_id
    ), restored AS (
        UPDATE points_lot AS lot SET remaining = lot.remaining + back.points FROM back WHERE lot.id = back.lot_id
    ), booked AS (
        INSERT INTO points_transaction (id, customer_id, kind, key, order_id, actor, at)
        SELECT :transaction_id, customer_id, 'release', :key, :order_id, :actor, :now FROM settled
    ), entered AS (
        INSERT INTO points_entry (transaction_id, position, account, customer_id, lot_id, points)
        SELECT :transaction_id, 1, 'held', customer_id, CAST(NULL AS uuid), -points FROM settled
        UNION ALL
        SELECT :transaction_id, 1 + back.position, 'member', settled.customer_id, back.lot_id, back.points
        FROM settled CROSS JOIN back
    )
    SELECT points FROM settled
    """
)


def release(session: Session, *, order_id: uuid.UUID, actor: str, now: datetime) -> int:
    """Give the order's held points back to the lots they came from, with their dates. One statement.

    Returns the points given back; 0 when there is no open hold (none was made, or it was settled before).
    """
    return _settle(session, statement=_RELEASE, kind="release", order_id=order_id, actor=actor, now=now)


def _settle(session: Session, *, statement: Hot, kind: str, order_id: uuid.UUID, actor: str, now: datetime) -> int:
    params = {
        "order_id": order_id,
        "transaction_id": new_id(),
        "key": f"{kind}:{order_id}",
        "actor": actor,
        "now": now,
    }
    return int(statement.run(session, params).scalar_one_or_none() or 0)


# The hold's row is locked in its newest version, so `refunded` is current. Laid end to end, oldest expiry first, the
# slices are a line from 0 to the hold's points; this refund restores the stretch from `refunded` to `refunded + amount`.
_REFUND = Hot(
    """
    WITH hold AS (
        SELECT id, customer_id, refunded, least(CAST(:points AS bigint), points - refunded) AS amount
        FROM points_hold WHERE order_id = :order_id AND state = 'burned' FOR NO KEY UPDATE
    ), booked AS (
        INSERT INTO points_transaction (id, customer_id, kind, key, order_id, actor, at)
        SELECT :transaction_id, customer_id, 'refund', :key, :order_id, :actor, :now FROM hold WHERE amount > 0
        ON CONFLICT (key) DO NOTHING
        RETURNING id
    ), due AS (
        SELECT hold.id, hold.customer_id, hold.refunded, hold.amount FROM hold CROSS JOIN booked
    ), marked AS (
        UPDATE points_hold AS h SET refunded = h.refunded + due.amount FROM due WHERE h.id = due.id
    ), moved AS (
        UPDATE points_account AS a SET available = a.available + due.amount
        FROM due WHERE a.customer_id = due.customer_id
        RETURNING a.customer_id
    ), slices AS (
        SELECT slice.lot_id, slice.points, due.refunded, due.amount,
               CAST(sum(slice.points) OVER (ORDER BY lot.expires_at, lot.id) AS bigint) AS upto
        FROM due
        JOIN moved ON moved.customer_id = due.customer_id
        JOIN points_slice AS slice ON slice.hold_id = due.id
        JOIN points_lot AS lot ON lot.id = slice.lot_id
    ), back AS (
        SELECT lot_id, least(upto, refunded + amount) - greatest(upto - points, refunded) AS points,
               CAST(row_number() OVER (ORDER BY upto) AS integer) AS position
        FROM slices WHERE upto > refunded AND upto - points < refunded + amount
    ), restored AS (
        UPDATE points_lot AS lot SET remaining = lot.remaining + back.points FROM back WHERE lot.id = back.lot_id
    ), entered AS (
        INSERT INTO points_entry (transaction_id, position, account, customer_id, lot_id, points)
        SELECT :transaction_id, 1, 'burned', customer_id, CAST(NULL AS uuid), -amount FROM due
        UNION ALL
        SELECT :transaction_id, 1 + back.position, 'member', due.customer_id, back.lot_id, back.points
        FROM due CROSS JOIN back
    )
    SELECT amount FROM due
    """
)


def refund(session: Session, *, order_id: uuid.UUID, points: int, key: str, actor: str, now: datetime) -> int:
    """Give back up to `points` (>= 0) of what the order burned, to the same lots, those that expire first. One statement.

    All refunds of an order together never give back more than it burned. Call it before `claw_back`, so that what comes
    back can pay for what is clawed back. Returns the points restored; with a key used before, what it restored then;
    0 when nothing (more) was burned.

    Raises:
        KeyReused: the key belongs to another transaction.
    """
    if points < 0:
        raise ValueError("points to refund are zero or more")
    params = {
        "order_id": order_id,
        "points": points,
        "transaction_id": new_id(),
        "key": key,
        "actor": actor,
        "now": now,
    }
    amount = _REFUND.run(session, params).scalar_one_or_none()
    if amount is None:
        amount = booked_before(session, key=key, kind="refund", order_id=order_id)
    return int(amount or 0)
