"""Whether every points balance is what its ledger says. The entries are the truth; everything else is rebuilt from them."""

import uuid
from collections.abc import Iterator
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from retail.audit import Divergence, Repair

_ACCOUNTS = text(
    """
    SELECT customer_id, a.available, a.held, a.owed,
           coalesce(e.available, 0) AS entry_available, coalesce(e.held, 0) AS entry_held, coalesce(e.owed, 0) AS entry_owed
    FROM points_account AS a
    LEFT JOIN (
        SELECT customer_id, CAST(coalesce(sum(points) FILTER (WHERE account = 'member'), 0) AS bigint) AS available,
               CAST(coalesce(sum(points) FILTER (WHERE account = 'held'), 0) AS bigint) AS held,
               CAST(coalesce(-sum(points) FILTER (WHERE account = 'owed'), 0) AS bigint) AS owed
        FROM points_entry GROUP BY customer_id
    ) AS e USING (customer_id)
    WHERE (a.available, a.held, a.owed) IS DISTINCT FROM (coalesce(e.available, 0), coalesce(e.held, 0), coalesce(e.owed, 0))
    ORDER BY customer_id
    """
)
_HOLDS = text(
    """
    SELECT order_id, hold.state, hold.points, hold.refunded, coalesce(e.held, 0) AS entry_held,
           coalesce(e.burned, 0) AS entry_burned, coalesce(e.refunded, 0) AS entry_refunded, coalesce(s.points, 0) AS slices
    FROM points_hold AS hold
    LEFT JOIN (
        SELECT t.order_id, CAST(coalesce(sum(e.points) FILTER (WHERE e.account = 'held'), 0) AS bigint) AS held,
               CAST(coalesce(sum(e.points) FILTER (WHERE e.account = 'burned' AND t.kind = 'burn'), 0) AS bigint) AS burned,
               CAST(coalesce(-sum(e.points) FILTER (WHERE e.account = 'burned' AND t.kind = 'refund'), 0) AS bigint) AS refunded
        FROM points_transaction AS t JOIN points_entry AS e ON e.transaction_id = t.id
        WHERE t.kind IN ('hold', 'burn', 'release', 'refund')
        GROUP BY t.order_id
    ) AS e USING (order_id)
    LEFT JOIN (SELECT hold_id, CAST(sum(points) AS bigint) AS points FROM points_slice GROUP BY hold_id) AS s ON s.hold_id = hold.id
    WHERE hold.refunded <> coalesce(e.refunded, 0)
       OR hold.points <> coalesce(s.points, 0)
       OR coalesce(e.held, 0) <> CASE WHEN hold.state = 'open' THEN hold.points ELSE 0 END
       OR coalesce(e.burned, 0) <> CASE WHEN hold.state = 'burned' THEN hold.points ELSE 0 END
    ORDER BY order_id
    """
)
_LOTS = text(
    """
    SELECT lot.id, lot.customer_id, lot.earned, lot.remaining, coalesce(e.points, 0) AS entry_points
    FROM points_lot AS lot
    LEFT JOIN (SELECT lot_id, CAST(sum(points) AS bigint) AS points FROM points_entry
               WHERE account = 'member' GROUP BY lot_id) AS e ON e.lot_id = lot.id
    WHERE lot.remaining <> coalesce(e.points, 0)
    ORDER BY lot.id
    """
)
_TRANSACTIONS = text(
    """
    SELECT t.id, t.kind, t.key, coalesce(sum(e.points), 0) AS points, count(e.position) AS sides
    FROM points_transaction AS t LEFT JOIN points_entry AS e ON e.transaction_id = t.id
    GROUP BY t.id HAVING coalesce(sum(e.points), 0) <> 0 OR count(e.position) < 2
    ORDER BY t.id
    """
)
_SET_ACCOUNT = text(
    "UPDATE points_account SET available = :available, held = :held, owed = :owed WHERE customer_id = :customer_id"
)
# The account's row is written too: whoever changes lots does, so that nobody works on lots seen before (see the ledger).
_SET_LOT = text(
    """
    WITH touched AS (
        UPDATE points_account SET available = available WHERE customer_id = :customer_id RETURNING customer_id
    )
    UPDATE points_lot AS lot SET remaining = :remaining FROM touched WHERE lot.customer_id = touched.customer_id AND lot.id = :id
    """
)
_SET_REFUNDED = text("UPDATE points_hold SET refunded = :refunded WHERE order_id = :order_id")


def divergences(session: Session) -> Iterator[Divergence]:
    """Balances, holds, lots and transactions that contradict the entries, ordered by ledger and key; four statements.

    A figure is repaired when the rebuilt one is possible. Entries that do not balance, and holds whose state or slices
    tell another story than the entries, are left to a person: the ledger is append-only.
    """
    yield from _accounts(session)
    yield from _holds(session)
    yield from _lots(session)
    yield from _transactions(session)


def _accounts(session: Session) -> Iterator[Divergence]:
    for row in session.execute(_ACCOUNTS).all():
        rebuilt = {"available": row.entry_available, "held": row.entry_held, "owed": row.entry_owed}
        yield Divergence(
            "points_account",
            str(row.customer_id),
            f"available {row.available}, held {row.held}, owed {row.owed}",
            f"available {row.entry_available}, held {row.entry_held}, owed {row.entry_owed}",
            _repair(_SET_ACCOUNT, customer_id=row.customer_id, **rebuilt) if min(rebuilt.values()) >= 0 else None,
        )


def _holds(session: Session) -> Iterator[Divergence]:
    for row in session.execute(_HOLDS).all():
        held = row.points if row.state == "open" else 0
        burned = row.points if row.state == "burned" else 0
        only_refunded = (held, burned, row.points) == (row.entry_held, row.entry_burned, row.slices)
        yield Divergence(
            "points_hold",
            str(row.order_id),
            f"{row.state}: slices {row.points}, held {held}, burned {burned}, refunded {row.refunded}",
            f"slices {row.slices}, held {row.entry_held}, burned {row.entry_burned}, refunded {row.entry_refunded}",
            _repair(_SET_REFUNDED, order_id=row.order_id, refunded=row.entry_refunded)
            if only_refunded and 0 <= row.entry_refunded <= row.points
            else None,
        )


def _lots(session: Session) -> Iterator[Divergence]:
    for row in session.execute(_LOTS).all():
        yield Divergence(
            "points_lot",
            str(row.id),
            f"remaining {row.remaining}",
            f"remaining {row.entry_points}",
            _repair(_SET_LOT, id=row.id, customer_id=row.customer_id, remaining=row.entry_points)
            if 0 <= row.entry_points <= row.earned
            else None,
        )


def _transactions(session: Session) -> Iterator[Divergence]:
    for row in session.execute(_TRANSACTIONS).all():
        yield Divergence(
            "points_transaction",
            f"{row.kind} {row.key}",
            f"{row.sides} entries, sum {row.points}",
            "2 entries or more, sum 0",
        )


def _repair(statement: Any, **params: uuid.UUID | int) -> Repair:
    def repair(session: Session) -> None:
        session.execute(statement, params)

    return repair
