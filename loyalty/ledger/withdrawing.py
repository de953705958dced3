"""Points that were given for something which did not last: taken back while nobody could spend them yet."""

import uuid
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from loyalty.ledger.members import lock_members
from retail.kernel.ids import new_id

_PENDING = text(
    """
    SELECT id, customer_id FROM points_lot
    WHERE source = :source AND source_id = :source_id AND available_from > :now ORDER BY id
    """
)
# What of a lot is not there any more was netted with a debt, or taken by a claw-back: it is owed (again).
_WITHDRAW = text(
    """
    WITH lot AS (
        SELECT id, customer_id, member_id, earned, remaining FROM points_lot WHERE id = :lot_id
    ), booked AS (
        INSERT INTO points_transaction (id, customer_id, member_id, kind, key, reason, actor, at)
        SELECT :transaction_id, customer_id, member_id, 'claw_back', :key, :reason, :actor, :now FROM lot
        ON CONFLICT (key) DO NOTHING
        RETURNING id
    ), parts AS (
        SELECT lot.* FROM lot CROSS JOIN booked
    ), emptied AS (
        UPDATE points_lot SET remaining = 0 FROM parts WHERE points_lot.id = parts.id
    ), moved AS (
        UPDATE points_account AS a
        SET available = a.available - parts.remaining, owed = a.owed + parts.earned - parts.remaining
        FROM parts WHERE a.customer_id = parts.customer_id
    ), entered AS (
        INSERT INTO points_entry (transaction_id, position, account, customer_id, lot_id, points)
        SELECT :transaction_id, side.position, side.account, parts.customer_id, side.lot_id, side.points
        FROM parts CROSS JOIN LATERAL (VALUES
            (1, 'issued', CAST(NULL AS uuid), earned), (2, 'member', id, -remaining), (3, 'owed', NULL, remaining - earned)
        ) AS side (position, account, lot_id, points)
        WHERE side.points <> 0
    )
    SELECT earned FROM parts
    """
)


def withdraw(session: Session, *, source: str, source_id: uuid.UUID, reason: str, actor: str, now: datetime) -> int:
    """Take back, whole, the lots of this source that cannot be spent before `now`; each once, however often this is called.

    Kind ``claw_back``: issued +earned, member -what is left, and what is not is owed. Their owners' accounts are locked, by
    id. Returns the points taken back now.
    """
    given = {"source": source, "source_id": source_id, "now": now}
    owners = {row.customer_id for row in session.execute(_PENDING, given).all()}
    members = lock_members(session, customer_ids=owners, now=now)
    locked = {member.id for member in members.values()}
    # With fresh eyes: a merge that came first has moved the lots to an account that is locked by now.
    lots = [row.id for row in session.execute(_PENDING, given).all() if row.customer_id in locked]
    points = 0
    for lot_id in lots:
        key = {"lot_id": lot_id, "transaction_id": new_id(), "key": f"withdraw:{lot_id}"}
        points += session.execute(_WITHDRAW, key | {"reason": reason, "actor": actor, "now": now}).scalar() or 0
    return points
