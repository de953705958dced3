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
# An order that earns no point, or gives none back, may count towards a tier all the same: it has spend instead of entries. One
# that lost its entries is named for its reasons, its lots or its member's balances.
_TRANSACTIONS = text(
    """
    SELECT t.id, t.kind, t.key, coalesce(sum(e.points), 0) AS points, count(e.position) AS sides
    FROM points_transaction AS t LEFT JOIN points_entry AS e ON e.transaction_id = t.id
    GROUP BY t.id HAVING coalesce(sum(e.points), 0) <> 0 OR count(e.position) = 1
        OR (count(e.position) = 0 AND NOT (t.kind IN ('earn', 'claw_back') AND t.order_id IS NOT NULL AND t.spend_minor <> 0))
    ORDER BY t.id
    """
)
_PASSING = text(
    """
    SELECT account, CAST(sum(points) AS bigint) AS points FROM points_entry WHERE account IN ('merged', 'transferred')
    GROUP BY account HAVING sum(points) <> 0 ORDER BY account
    """
)
_REASONS = text(
    """
    SELECT t.kind, t.key, r.points, coalesce(e.points, 0) AS issued
    FROM (SELECT transaction_id, CAST(sum(points) AS bigint) AS points FROM points_reason GROUP BY transaction_id) AS r
    JOIN points_transaction AS t ON t.id = r.transaction_id
    LEFT JOIN (SELECT transaction_id, CAST(-sum(points) AS bigint) AS points FROM points_entry
               WHERE account = 'issued' GROUP BY transaction_id) AS e ON e.transaction_id = t.id
    WHERE r.points <> coalesce(e.points, 0) ORDER BY t.id
    """
)
_OWNERS = text(
    """
    SELECT lot.id, lot.customer_id, lot.member_id, a.state, member.merged_into
    FROM points_lot AS lot
    JOIN points_account AS a ON a.customer_id = lot.customer_id
    LEFT JOIN customer AS member ON member.id = lot.member_id
    WHERE a.state = 'merged' OR (lot.member_id IS NOT NULL AND member.merged_into IS DISTINCT FROM lot.customer_id)
    ORDER BY lot.id
    """
)
_TOMBSTONES = text(
    """
    SELECT a.customer_id, a.state, c.merged_into
    FROM points_account AS a JOIN customer AS c ON c.id = a.customer_id
    WHERE (a.state = 'merged') <> (c.merged_into IS NOT NULL) ORDER BY a.customer_id
    """
)
# Both sides of a transfer name it as their reason.
_TRANSFERS = text(
    """
    SELECT coalesce(pair.transfer, CAST(told.id AS text)) AS transfer, told.points,
           coalesce(pair.given, 0) AS given, coalesce(pair.received, 0) AS received
    FROM points_transfer AS told
    FULL JOIN (
        SELECT t.reason AS transfer, CAST(coalesce(-sum(e.points) FILTER (WHERE e.points < 0), 0) AS bigint) AS given,
               CAST(coalesce(sum(e.points) FILTER (WHERE e.points > 0), 0) AS bigint) AS received
        FROM points_transaction AS t JOIN points_entry AS e ON e.transaction_id = t.id AND e.account = 'member'
        WHERE t.kind = 'transfer' GROUP BY t.reason
    ) AS pair ON pair.transfer = CAST(told.id AS text)
    WHERE coalesce(pair.given, 0) <> coalesce(pair.received, 0) OR told.points <> coalesce(pair.given, 0)
    ORDER BY 1
    """
)
_GIFTS = text(
    """
    SELECT gift.id, gift.state, gift.points, coalesce(e.points, 0) AS given
    FROM goodwill_gift AS gift
    LEFT JOIN (
        SELECT t.key, CAST(-sum(e.points) AS bigint) AS points
        FROM points_transaction AS t JOIN points_entry AS e ON e.transaction_id = t.id AND e.account = 'goodwill'
        WHERE t.kind = 'goodwill' GROUP BY t.key
    ) AS e ON e.key = 'goodwill:' || gift.id
    WHERE coalesce(e.points, 0) <> CASE WHEN gift.state = 'given' THEN gift.points ELSE 0 END
    ORDER BY gift.id
    """
)
# Of several changes at one moment any may have been the last.
_TIERS = text(
    """
    SELECT coalesce(m.customer_id, last.customer_id) AS customer_id, m.tier_code, last.codes
    FROM member_tier AS m
    FULL JOIN (
        SELECT customer_id, array_agg(to_code ORDER BY to_code) AS codes
        FROM (SELECT customer_id, to_code, at, max(at) OVER (PARTITION BY customer_id) AS last_at FROM tier_change) AS change
        WHERE at = last_at GROUP BY customer_id
    ) AS last USING (customer_id)
    WHERE array_position(coalesce(last.codes, ARRAY[CAST(NULL AS text)]), m.tier_code) IS NULL
    ORDER BY 1
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
    """Balances, holds, lots and transactions that contradict the entries, and what else must agree with them: reasons,
    owners of lots, transfers, gifts, tiers. Ordered by ledger and key; a statement each.

    A figure is repaired when the rebuilt one is possible. Entries that do not balance, and holds whose state or slices
    tell another story than the entries, are left to a person: the ledger is append-only.
    """
    yield from _accounts(session)
    yield from _holds(session)
    yield from _lots(session)
    yield from _transactions(session)
    yield from _members(session)


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


def _members(session: Session) -> Iterator[Divergence]:
    """What only a person can put right."""
    for row in session.execute(_PASSING).all():
        yield Divergence("points_entry", row.account, f"sum {row.points}", "sum 0: points only pass through")
    for row in session.execute(_REASONS).all():
        yield Divergence("points_reason", f"{row.kind} {row.key}", f"explains {row.points}", f"issued {row.issued}")
    for row in session.execute(_OWNERS).all():
        yield Divergence(
            "points_lot",
            str(row.id),
            f"of {row.customer_id} ({row.state}), by right of {row.member_id}",
            f"merged into {row.merged_into}" if row.member_id else "a merged member owns no lot",
        )
    for row in session.execute(_TOMBSTONES).all():
        state = "active" if row.merged_into is None else f"merged into {row.merged_into}"
        yield Divergence("points_account", str(row.customer_id), row.state, f"the customer is {state}")
    for row in session.execute(_TRANSFERS).all():
        yield Divergence(
            "points_transfer", row.transfer, f"points {row.points}", f"given {row.given}, received {row.received}"
        )
    for row in session.execute(_GIFTS).all():
        yield Divergence("goodwill_gift", str(row.id), f"{row.state}, points {row.points}", f"booked {row.given}")
    for row in session.execute(_TIERS).all():
        codes = " or ".join(code or "none" for code in row.codes or [None])
        yield Divergence("member_tier", str(row.customer_id), row.tier_code or "none", f"last change: {codes}")


def _repair(statement: Any, **params: uuid.UUID | int) -> Repair:
    def repair(session: Session) -> None:
        session.execute(statement, params)

    return repair
