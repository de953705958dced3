"""Points that one member gives to another: they keep their dates."""

import json
import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from loyalty.ledger.holds import InsufficientPoints
from loyalty.ledger.members import Member, lock_members
from retail.kernel.errors import Invalid, NotFound
from retail.kernel.ids import new_id

_LOTS = text(
    """
    SELECT id, remaining FROM points_lot
    WHERE customer_id = :giver AND remaining > 0 AND expires_at > :now AND available_from <= :now ORDER BY expires_at, id
    """
)
_MOVE = text(
    """
    WITH pick AS MATERIALIZED (
        SELECT * FROM json_to_recordset(CAST(:picks AS json)) AS p (position integer, lot_id uuid, new_id uuid, points bigint)
    ), booked AS (
        INSERT INTO points_transaction (id, customer_id, member_id, kind, key, reason, actor, at)
        SELECT side.id, side.customer_id, side.member_id, 'transfer', side.key, CAST(CAST(:transfer_id AS uuid) AS text), :actor, :now
        FROM (VALUES (CAST(:out_id AS uuid), CAST(:giver AS uuid), CAST(:giver_member AS uuid), :out_key),
                     (CAST(:in_id AS uuid), CAST(:receiver AS uuid), CAST(:receiver_member AS uuid), :in_key))
             AS side (id, customer_id, member_id, key)
    ), taken AS (
        UPDATE points_lot AS lot SET remaining = lot.remaining - pick.points FROM pick WHERE lot.id = pick.lot_id
    ), made AS (
        INSERT INTO points_lot (id, customer_id, member_id, earned, remaining, source, source_id, available_from, expires_at)
        SELECT pick.new_id, CAST(:receiver AS uuid), CAST(:receiver_member AS uuid), pick.points, pick.points, 'transfer', CAST(:transfer_id AS uuid), lot.available_from, lot.expires_at
        FROM pick JOIN points_lot AS lot ON lot.id = pick.lot_id
    ), moved AS (
        UPDATE points_account AS a
        SET available = a.available + CASE WHEN a.customer_id = CAST(:receiver AS uuid) THEN CAST(:points AS bigint) ELSE -CAST(:points AS bigint) END
        WHERE a.customer_id IN (CAST(:giver AS uuid), CAST(:receiver AS uuid))
    )
    INSERT INTO points_entry (transaction_id, position, account, customer_id, lot_id, points)
    SELECT CAST(:out_id AS uuid), 1, 'transferred', CAST(:giver AS uuid), CAST(NULL AS uuid), CAST(:points AS bigint)
    UNION ALL SELECT CAST(:out_id AS uuid), 1 + position, 'member', CAST(:giver AS uuid), lot_id, -points FROM pick
    UNION ALL SELECT CAST(:in_id AS uuid), 1, 'transferred', CAST(:receiver AS uuid), NULL, -CAST(:points AS bigint)
    UNION ALL SELECT CAST(:in_id AS uuid), 1 + position, 'member', CAST(:receiver AS uuid), new_id, points FROM pick
    """
)


class GivenToHerself(Invalid):
    """Giver and receiver are one person."""

    code, title = "points_given_to_herself", "Nobody gives points to herself"


def transfer(
    session: Session,
    *,
    transfer_id: uuid.UUID,
    from_id: uuid.UUID,
    to_id: uuid.UUID,
    points: int,
    key: str,
    actor: str,
    now: datetime,
    members: dict[uuid.UUID, Member] | None = None,
) -> None:
    """Give `points` (> 0) on, those that expire first, with their dates. Two transactions of kind ``transfer``, one in each
    history, whose reason is the transfer's id. The receiver's debt is not netted: the points were earned before.

    `members`: both, locked by `lock_members` already. `key` must be new: the database refuses one used before.

    Raises:
        NotFound: one of them is no customer. AccountBlocked: either is blocked. InsufficientPoints.
        GivenToHerself: the two are one person, perhaps by a merge.
    """
    if points <= 0:
        raise ValueError("a transfer is of one point or more")
    members = members or lock_members(session, customer_ids=(from_id, to_id), now=now)
    if from_id not in members or to_id not in members:
        raise NotFound("There is no such customer")
    giver, receiver = members[from_id], members[to_id]
    for one in (giver, receiver):
        one.require_active()
    if giver.id == receiver.id:
        raise GivenToHerself
    lots = session.execute(_LOTS, {"giver": giver.id, "now": now}).all()
    available = sum(lot.remaining for lot in lots)
    if available < points:
        raise InsufficientPoints(
            f"{points:,} points are wanted, {available:,} are available", requested=points, available=available
        )
    picks: list[dict[str, Any]] = []
    rest = points
    for lot in lots:
        taken = min(rest, lot.remaining)
        if not taken:
            break
        rest -= taken
        picks.append({"position": len(picks) + 1, "lot_id": lot.id, "new_id": new_id(), "points": taken})
    params = {
        "picks": json.dumps(picks, default=str),
        "transfer_id": transfer_id,
        "giver": giver.id,
        "giver_member": giver.member_id,
        "receiver": receiver.id,
        "receiver_member": receiver.member_id,
        "points": points,
        "out_key": f"{key}:out",
        "in_key": f"{key}:in",
        "out_id": new_id(),
        "in_id": new_id(),
        "actor": actor,
        "now": now,
    }
    session.execute(_MOVE, params)
