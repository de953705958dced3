"""Two members become one and two again: lots and debts move by paired entries; holds stay where they were made.

Whose a lot is by right stands in the lot (`member_id`), so undoing a merge needs no list of what moved, and what was earned
meanwhile through the merged record goes with it. What was spent meanwhile stays spent, of whichever lots it was.
"""

import uuid
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from loyalty import queries
from loyalty.ledger.members import AccountBlocked
from retail.kernel.ids import new_id

_OPEN = text(
    """
    INSERT INTO points_account (customer_id, opened_at)
    SELECT id, :now FROM unnest(CAST(:accounts AS uuid[])) AS id ORDER BY id ON CONFLICT (customer_id) DO NOTHING
    """
)
_LOCK = text(
    """
    SELECT customer_id, owed, state FROM points_account WHERE customer_id = ANY(CAST(:accounts AS uuid[]))
    ORDER BY customer_id = CAST(:last AS uuid), customer_id FOR NO KEY UPDATE
    """
)
# Run under the accounts' locks. Empty lots move too: what comes back to them later must come back to their owner. All the
# account rows are written in any case, for whoever waits to see that something changed.
_MOVE = text(
    """
    WITH lots AS (
        UPDATE points_lot SET customer_id = CAST(:to_id AS uuid),
               member_id = nullif(CASE WHEN CAST(:undo AS boolean) THEN member_id ELSE coalesce(member_id, CAST(:from_id AS uuid)) END, CAST(:to_id AS uuid))
        WHERE customer_id = CAST(:from_id AS uuid) AND (NOT CAST(:undo AS boolean) OR member_id = ANY(CAST(:members AS uuid[])))
        RETURNING id, remaining, expires_at
    ), open_lots AS (
        SELECT id, remaining, CAST(row_number() OVER (ORDER BY expires_at, id) AS integer) AS position
        FROM lots WHERE remaining > 0
    ), sums AS (
        SELECT CAST(coalesce(sum(remaining), 0) AS bigint) AS available, CAST(:owed AS bigint) AS owed FROM open_lots
    ), sides AS (
        SELECT side.transaction_id, side.customer_id, side.sign
        FROM sums CROSS JOIN (VALUES (CAST(:out_id AS uuid), CAST(:from_id AS uuid), -1),
                                     (CAST(:in_id AS uuid), CAST(:to_id AS uuid), 1)) AS side (transaction_id, customer_id, sign)
        WHERE sums.available > 0 OR sums.owed > 0
    ), moved AS (
        UPDATE points_account AS a
        SET available = a.available + side.sign * sums.available, owed = a.owed + side.sign * sums.owed,
            state = CASE WHEN a.customer_id = CAST(:gone_id AS uuid) THEN CASE WHEN CAST(:undo AS boolean) THEN 'active' ELSE 'merged' END ELSE a.state END
        FROM sums CROSS JOIN (SELECT CAST(:from_id AS uuid), -1 UNION ALL SELECT CAST(:to_id AS uuid), 1
                              UNION ALL SELECT also, 0 FROM unnest(CAST(:members AS uuid[])) AS also
                              WHERE also NOT IN (CAST(:from_id AS uuid), CAST(:to_id AS uuid))) AS side (customer_id, sign)
        WHERE a.customer_id = side.customer_id
    ), booked AS (
        INSERT INTO points_transaction (id, customer_id, kind, key, reason, actor, at)
        SELECT transaction_id, customer_id, :kind, CASE WHEN sign > 0 THEN :in_key ELSE :out_key END,
               CASE WHEN sign > 0 THEN CAST(CAST(:from_id AS uuid) AS text) ELSE CAST(CAST(:to_id AS uuid) AS text) END, :actor, :now
        FROM sides
    )
    INSERT INTO points_entry (transaction_id, position, account, customer_id, lot_id, points)
    SELECT transaction_id, 1, 'merged', customer_id, CAST(NULL AS uuid), -sign * (available - owed) FROM sides CROSS JOIN sums WHERE available <> owed
    UNION ALL
    SELECT transaction_id, 2, 'owed', customer_id, NULL, -sign * owed FROM sides CROSS JOIN sums WHERE owed > 0
    UNION ALL
    SELECT transaction_id, 2 + position, 'member', customer_id, id, sign * remaining FROM sides CROSS JOIN open_lots
    """
)


def merge(
    session: Session, *, gone_id: uuid.UUID, stays_id: uuid.UUID, merge_id: uuid.UUID, actor: str, now: datetime
) -> None:
    """Move the lots and the debt of `gone_id` to `stays_id`, whose account answers for both from now on.

    Two transactions of kind ``merge``, one in each history, with the other's id as their reason; none when there is nothing
    to move. Call it in the transaction that makes `gone_id` a tombstone, after that.

    Raises:
        AccountBlocked: one of the two is blocked: what was blocked must not become spendable by this.
    """
    locked = _lock(session, (gone_id, stays_id), None, now)
    for customer_id, (_, state) in locked.items():
        if state != "active":
            raise AccountBlocked(customer_id=str(customer_id))
    _move(
        session, gone_id=gone_id, from_id=gone_id, to_id=stays_id, owed=locked[gone_id][0],
        kind="merge", merge_id=merge_id, members=(), actor=actor, now=now,
    )  # fmt: skip


def unmerge(
    session: Session,
    *,
    gone_id: uuid.UUID,
    stays_id: uuid.UUID,
    also: Sequence[uuid.UUID],
    merge_id: uuid.UUID,
    merged_at: datetime,
    actor: str,
    now: datetime,
) -> None:
    """The inverse of `merge`: what is left of the lots that are by right hers (or of those in `also`, who had been merged
    into her before) goes back, and of the debt what she brought, plus what was clawed back from her and less what she
    earned against it since, as far as it is still owed. Two transactions of kind ``unmerge``.

    A blocked survivor keeps what is hers and gives the rest back all the same: it is not hers. Her account is locked last:
    see `queries.locking`.
    """
    locked = _lock(session, (gone_id, *also, stays_id), stays_id, now)
    brought = queries.debt_of_merged(session, member_ids=[gone_id, *also], key=f"merge:{merge_id}:in", since=merged_at)
    owed = max(0, min(brought, locked[stays_id][0]))
    _move(
        session, gone_id=gone_id, from_id=stays_id, to_id=gone_id, owed=owed,
        kind="unmerge", merge_id=merge_id, members=(gone_id, *also), actor=actor, now=now,
    )  # fmt: skip


def _lock(
    session: Session, customer_ids: Sequence[uuid.UUID], last: uuid.UUID | None, now: datetime
) -> dict[uuid.UUID, tuple[int, str]]:
    accounts = sorted(customer_ids)
    session.execute(_OPEN, {"accounts": accounts, "now": now})
    rows = session.execute(_LOCK, {"accounts": accounts, "last": last}).all()
    return {row.customer_id: (row.owed, row.state) for row in rows}


def _move(
    session: Session,
    *,
    gone_id: uuid.UUID,
    from_id: uuid.UUID,
    to_id: uuid.UUID,
    owed: int,
    kind: str,
    merge_id: uuid.UUID,
    members: Sequence[uuid.UUID],
    actor: str,
    now: datetime,
) -> None:
    params = {
        "gone_id": gone_id,
        "from_id": from_id,
        "to_id": to_id,
        "owed": owed,
        "undo": kind == "unmerge",
        "members": list(members),
        "out_id": new_id(),
        "in_id": new_id(),
        "kind": kind,
        "out_key": f"{kind}:{merge_id}:out",
        "in_key": f"{kind}:{merge_id}:in",
        "actor": actor,
        "now": now,
    }
    session.execute(_MOVE, params)
