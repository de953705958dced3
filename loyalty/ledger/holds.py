"""Points put aside for an order: hold, burn, release, and the refund of what was burned."""

import uuid
from datetime import datetime

from sqlalchemy.orm import Session

from loyalty import queries
from loyalty.ledger.books import booked_before, run_anew, run_fresh
from loyalty.ledger.members import BLOCKED, AccountBlocked
from loyalty.queries.locking import NAMED, NAMED_ACCOUNT, PARTED, STALE
from retail.kernel.errors import Conflict
from retail.kernel.hot import Hot
from retail.kernel.ids import new_id


class InsufficientPoints(Conflict):
    """The customer has fewer points than she wants to spend; `available` says how many. Nothing was put aside."""

    code, title = "insufficient_points", "Not enough points"


class HoldExists(Conflict):
    """The order holds points already, of another number or customer, or its hold has been given back."""

    code, title = "points_hold_exists", "This order has a hold on points already"


# {held}: what the hold adds to the account's held points; {state}, {settled}: how it stands; {more}: entries of the burn.
_TAKE_SQL = """
    WITH {named}, {locked_account}, lots AS (
        SELECT id, remaining, CAST(sum(remaining) OVER (ORDER BY expires_at, id) AS bigint) AS upto,
               CAST(sum(remaining) OVER () AS bigint) AS total
        FROM points_lot
        WHERE customer_id = (SELECT customer_id FROM fresh WHERE state = 'active')
          AND remaining > 0 AND expires_at > :now AND available_from <= :now
    ), picks AS (
        SELECT id, least(remaining, CAST(:points AS bigint) - upto + remaining) AS points,
               CAST(row_number() OVER (ORDER BY upto) AS integer) AS position
        FROM lots WHERE upto - remaining < CAST(:points AS bigint) AND total >= CAST(:points AS bigint)
    ), hold AS (
        INSERT INTO points_hold (id, customer_id, order_id, points, state, created_at, settled_at)
        SELECT :hold_id, fresh.customer_id, :order_id, CAST(:points AS bigint), '{state}', :now, {settled_at}
        FROM fresh WHERE EXISTS (SELECT FROM picks)
        ON CONFLICT (order_id) DO NOTHING
        RETURNING id, customer_id, points
    ), slices AS (
        INSERT INTO points_slice (hold_id, lot_id, points)
        SELECT hold.id, picks.id, picks.points FROM hold CROSS JOIN picks
    ), taken AS (
        UPDATE points_lot AS lot SET remaining = lot.remaining - picks.points
        FROM hold CROSS JOIN picks WHERE lot.id = picks.id
    ), moved AS (
        UPDATE points_account AS a SET available = a.available - hold.points, held = a.held + {held}
        FROM hold WHERE a.customer_id = hold.customer_id
    ), booked AS (
        INSERT INTO points_transaction (id, customer_id, kind, key, order_id, actor, at)
        SELECT side.id, customer_id, side.kind, side.kind || ':' || :order_ref, :order_id, :actor, :now
        FROM hold CROSS JOIN (VALUES {transactions}) AS side (id, kind)
    ), entered AS (
        INSERT INTO points_entry (transaction_id, position, account, customer_id, lot_id, points)
        SELECT CAST(:transaction_id AS uuid), 1, 'held', customer_id, CAST(NULL AS uuid), points FROM hold
        UNION ALL
        SELECT CAST(:transaction_id AS uuid), 1 + picks.position, 'member', hold.customer_id, picks.id, -picks.points
        FROM hold CROSS JOIN picks{entries}
    )
    SELECT {stale}, (SELECT state FROM account) AS state, (SELECT owner FROM named) AS owner, EXISTS (SELECT FROM hold) AS done,
           coalesce((SELECT max(total) FROM lots), 0) AS available
"""
_OWN = {"named": NAMED, "locked_account": NAMED_ACCOUNT, "stale": STALE}
_HOLD = Hot(
    _TAKE_SQL.format(
        **_OWN,
        state="open",
        settled_at="NULL",
        held="hold.points",
        transactions="(CAST(:transaction_id AS uuid), 'hold')",
        entries="",
    )
)
_SPEND = Hot(
    _TAKE_SQL.format(
        **_OWN,
        state="burned",
        settled_at=":now",
        held="0",
        transactions="(CAST(:transaction_id AS uuid), 'hold'), (CAST(:burn_id AS uuid), 'burn')",
        entries="""
        UNION ALL
        SELECT CAST(:burn_id AS uuid), side.position, side.account, hold.customer_id, NULL, side.sign * hold.points
        FROM hold CROSS JOIN (VALUES (1, 'held', -1), (2, 'burned', 1)) AS side (position, account, sign)""",
    )
)


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

    A merged member's are taken from who she was merged into. Repeating it for the same order, customer and number changes
    nothing.

    Raises:
        InsufficientPoints: fewer are available at `now`. AccountBlocked.
        HoldExists: the order holds another number, another customer's, or gave its hold back.
    """
    _take(session, statement=_HOLD, customer_id=customer_id, order_id=order_id, points=points, actor=actor, now=now)


def spend(
    session: Session, *, customer_id: uuid.UUID, order_id: uuid.UUID, points: int, actor: str, now: datetime
) -> None:
    """`hold` and `burn` in one statement, for goods that leave with the customer at once. Raises like `hold`."""
    _take(session, statement=_SPEND, customer_id=customer_id, order_id=order_id, points=points, actor=actor, now=now)


def _take(
    session: Session,
    *,
    statement: Hot,
    customer_id: uuid.UUID,
    order_id: uuid.UUID,
    points: int,
    actor: str,
    now: datetime,
) -> None:
    if points <= 0:
        raise ValueError("a hold is of one point or more")
    params = {
        "customer_id": customer_id,
        "order_id": order_id,
        "order_ref": str(order_id),
        "points": points,
        "hold_id": new_id(),
        "transaction_id": new_id(),
        "burn_id": new_id(),
        "actor": actor,
        "now": now,
    }
    row = run_fresh(session, statement=statement, params=params)
    if row.done:
        return
    existing = queries.hold_of(session, order_id=order_id)
    if existing is None:
        if row.state == BLOCKED:
            raise AccountBlocked(customer_id=str(customer_id))
        raise InsufficientPoints(
            f"{points:,} points are wanted, {row.available:,} are available", requested=points, available=row.available
        )
    same = existing.points == points and existing.customer_id in (customer_id, row.owner)
    if not same or existing.state not in ("open", "burned"):
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
    params = {
        "order_id": order_id,
        "transaction_id": new_id(),
        "key": f"burn:{order_id}",
        "actor": actor,
        "now": now,
    }
    return int(_BURN.run(session, params).scalar_one_or_none() or 0)


# The accounts whose lots get points back, and the holder's own. Who owns a lot may have changed with a merge since the hold
# was made, so they are locked and looked at with fresh eyes like everybody's, the merged ones first.
_OWNERS_SQL = """
    owners AS (
        SELECT customer_id, state = 'merged' AS merged FROM points_account WHERE customer_id IN (
            {holder}
            SELECT unnest(ARRAY[lot.customer_id, lot.member_id]) FROM hold JOIN points_slice AS slice ON slice.hold_id = hold.id
            JOIN points_lot AS lot ON lot.id = slice.lot_id)
    ), gone AS (
        SELECT customer_id, ctid AS version FROM points_account
        WHERE customer_id IN (SELECT customer_id FROM owners WHERE merged) ORDER BY customer_id FOR NO KEY UPDATE
    ), {parted}, account AS (
        SELECT customer_id, ctid AS version FROM points_account
        WHERE customer_id IN (SELECT customer_id FROM owners WHERE NOT merged) AND NOT EXISTS (SELECT FROM parted)
        ORDER BY customer_id FOR NO KEY UPDATE
    ), changed AS (
        SELECT FROM parted UNION ALL
        SELECT FROM account WHERE NOT EXISTS (SELECT FROM points_account AS seen
                                              WHERE seen.customer_id = account.customer_id AND seen.ctid = account.version)
    )"""
_RELEASE_SQL = """
    WITH hold AS (
        SELECT id, customer_id, points FROM points_hold WHERE order_id = :order_id AND state = 'open' FOR NO KEY UPDATE
    ), {owners}, settled AS (
        UPDATE points_hold AS h
        SET settled_at = :now,
            state = CASE WHEN EXISTS (SELECT FROM points_slice AS slice JOIN points_lot AS lot ON lot.id = slice.lot_id
                                      WHERE slice.hold_id = h.id AND lot.expires_at > :now)
                         THEN 'released' ELSE 'expired' END
        FROM hold WHERE h.id = hold.id AND NOT EXISTS (SELECT FROM changed)
        RETURNING h.id, h.customer_id, h.points
    ), back AS (
        SELECT slice.lot_id, lot.customer_id, slice.points,
               CAST(row_number() OVER (ORDER BY lot.expires_at, lot.id) AS integer) AS position
        FROM settled
        JOIN points_slice AS slice ON slice.hold_id = settled.id
        JOIN points_lot AS lot ON lot.id = slice.lot_id
    ), moved AS (
        UPDATE points_account AS a SET available = a.available + sums.available, held = a.held - sums.held
        FROM (SELECT customer_id, sum(available) AS available, sum(held) AS held
              FROM (SELECT customer_id, points AS available, 0 AS held FROM back
                    UNION ALL SELECT customer_id, 0, points FROM settled) AS each GROUP BY customer_id) AS sums
        WHERE a.customer_id = sums.customer_id
    ), restored AS (
        UPDATE points_lot AS lot SET remaining = lot.remaining + back.points FROM back WHERE lot.id = back.lot_id
    ), booked AS (
        INSERT INTO points_transaction (id, customer_id, kind, key, order_id, actor, at)
        SELECT :transaction_id, customer_id, 'release', :key, :order_id, :actor, :now FROM settled
    ), entered AS (
        INSERT INTO points_entry (transaction_id, position, account, customer_id, lot_id, points)
        SELECT :transaction_id, 1, 'held', customer_id, CAST(NULL AS uuid), -points FROM settled
        UNION ALL
        SELECT :transaction_id, 1 + position, 'member', customer_id, lot_id, points FROM back
    )
    SELECT EXISTS (SELECT FROM changed) AS stale, (SELECT points FROM settled) AS points
"""
_RELEASE = Hot(
    _RELEASE_SQL.format(owners=_OWNERS_SQL.format(holder="SELECT customer_id FROM hold UNION", parted=PARTED))
)


def release(session: Session, *, order_id: uuid.UUID, actor: str, now: datetime) -> int:
    """Give the order's held points back to the lots they came from, with their dates. One statement, two after a wait.

    Returns the points given back; 0 when there is no open hold (none was made, or it was settled before).
    """
    params = {
        "order_id": order_id,
        "transaction_id": new_id(),
        "key": f"release:{order_id}",
        "actor": actor,
        "now": now,
    }
    return int(run_anew(session, statement=_RELEASE, params=params).points or 0)


# The hold's row is locked in its newest version, so `refunded` is current. Laid end to end, oldest expiry first, the
# slices are a line from 0 to the hold's points; this refund restores the stretch from `refunded` to `refunded + amount`.
_REFUND_SQL = """
    WITH hold AS (
        SELECT id, customer_id, refunded, least(CAST(:points AS bigint), points - refunded) AS amount
        FROM points_hold WHERE order_id = :order_id AND state = 'burned' FOR NO KEY UPDATE
    ), {owners}, booked AS (
        INSERT INTO points_transaction (id, customer_id, kind, key, order_id, actor, at)
        SELECT :transaction_id, customer_id, 'refund', :key, :order_id, :actor, :now
        FROM hold WHERE amount > 0 AND NOT EXISTS (SELECT FROM changed)
        ON CONFLICT (key) DO NOTHING
        RETURNING id
    ), due AS (
        SELECT hold.id, hold.customer_id, hold.refunded, hold.amount FROM hold CROSS JOIN booked
    ), marked AS (
        UPDATE points_hold AS h SET refunded = h.refunded + due.amount FROM due WHERE h.id = due.id
    ), slices AS (
        SELECT slice.lot_id, lot.customer_id, slice.points, due.refunded, due.amount,
               CAST(sum(slice.points) OVER (ORDER BY lot.expires_at, lot.id) AS bigint) AS upto
        FROM due
        JOIN points_slice AS slice ON slice.hold_id = due.id
        JOIN points_lot AS lot ON lot.id = slice.lot_id
    ), back AS (
        SELECT lot_id, customer_id, least(upto, refunded + amount) - greatest(upto - points, refunded) AS points,
               CAST(row_number() OVER (ORDER BY upto) AS integer) AS position
        FROM slices WHERE upto > refunded AND upto - points < refunded + amount
    ), moved AS (
        UPDATE points_account AS a SET available = a.available + sums.points
        FROM (SELECT customer_id, sum(points) AS points FROM back GROUP BY customer_id) AS sums
        WHERE a.customer_id = sums.customer_id
    ), restored AS (
        UPDATE points_lot AS lot SET remaining = lot.remaining + back.points FROM back WHERE lot.id = back.lot_id
    ), entered AS (
        INSERT INTO points_entry (transaction_id, position, account, customer_id, lot_id, points)
        SELECT :transaction_id, 1, 'burned', customer_id, CAST(NULL AS uuid), -amount FROM due
        UNION ALL
        SELECT :transaction_id, 1 + position, 'member', customer_id, lot_id, points FROM back
    )
    SELECT EXISTS (SELECT FROM changed) AS stale, (SELECT amount FROM due) AS amount
"""
_REFUND = Hot(_REFUND_SQL.format(owners=_OWNERS_SQL.format(holder="", parted=PARTED)))


def refund(session: Session, *, order_id: uuid.UUID, points: int, key: str, actor: str, now: datetime) -> int:
    """Give back up to `points` (>= 0) of what the order burned, to the same lots, those that expire first. One statement, two
    after a wait.

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
    amount = run_anew(session, statement=_REFUND, params=params).amount
    if amount is None:
        amount = booked_before(session, key=key, kind="refund", order_id=order_id)
    return int(amount or 0)
