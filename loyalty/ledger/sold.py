"""Points of sales that have happened already: spent as far as they go, and earned once. A whole batch in four statements."""

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from loyalty import earning
from retail.events import PointsEarned
from retail.kernel import outbox
from retail.kernel.ids import new_id


@dataclass(frozen=True, slots=True)
class Sold:
    """One order: points (>= 0) that it wants to spend and those that it earns, under `key`."""

    customer_id: uuid.UUID
    order_id: uuid.UUID
    spend: int
    earn: int
    key: str


_OPEN = text(
    """
    INSERT INTO points_account (customer_id, opened_at)
    SELECT id, :now FROM unnest(CAST(:customers AS uuid[])) AS id ORDER BY id ON CONFLICT (customer_id) DO NOTHING
    """
)
_LOCK = text(
    """
    SELECT customer_id, owed FROM points_account WHERE customer_id = ANY(CAST(:customers AS uuid[]))
    ORDER BY customer_id FOR NO KEY UPDATE
    """
)
# In a statement of its own, under the locks: lots as they are now.
_LOTS = text(
    """
    SELECT id, customer_id, remaining FROM points_lot
    WHERE customer_id = ANY(CAST(:customers AS uuid[])) AND remaining > 0 AND expires_at > :now AND available_from <= :now
    ORDER BY customer_id, expires_at, id
    """
)
_WRITE = text(
    """
    WITH hold AS MATERIALIZED (
        SELECT * FROM json_to_recordset(CAST(:holds AS json)) AS h (id uuid, customer_id uuid, order_id uuid, points bigint)
    ), slice AS MATERIALIZED (
        SELECT * FROM json_to_recordset(CAST(:slices AS json)) AS s (hold_id uuid, lot_id uuid, points bigint)
    ), earned AS MATERIALIZED (
        SELECT * FROM json_to_recordset(CAST(:earned AS json)) AS e (
            id uuid, customer_id uuid, order_id uuid, key text, points bigint, netted bigint, lot_id uuid)
    ), new_holds AS (
        INSERT INTO points_hold (id, customer_id, order_id, points, state, created_at, settled_at)
        SELECT id, customer_id, order_id, points, 'burned', :now, :now FROM hold
    ), new_slices AS (
        INSERT INTO points_slice (hold_id, lot_id, points) SELECT hold_id, lot_id, points FROM slice
    ), emptied AS (
        UPDATE points_lot AS lot SET remaining = lot.remaining - s.points
        FROM (SELECT lot_id, sum(points) AS points FROM slice GROUP BY lot_id) AS s WHERE lot.id = s.lot_id
    ), new_lots AS (
        INSERT INTO points_lot (id, customer_id, earned, remaining, source, source_id, available_from, expires_at)
        SELECT lot_id, customer_id, points, points - netted, 'order', order_id, :now, :expires_at FROM earned
    ), moved AS (
        UPDATE points_account AS a SET available = a.available + sums.available, owed = a.owed - sums.netted
        FROM (SELECT customer_id, sum(available) AS available, sum(netted) AS netted
              FROM (SELECT customer_id, -points AS available, 0 AS netted FROM hold
                    UNION ALL SELECT customer_id, points - netted, netted FROM earned) AS each GROUP BY customer_id) AS sums
        WHERE a.customer_id = sums.customer_id
    ), booked AS (
        INSERT INTO points_transaction (id, customer_id, kind, key, order_id, reason, actor, at)
        SELECT t.id, t.customer_id, t.kind, t.key, t.order_id, t.reason, :actor, :now
        FROM json_to_recordset(CAST(:transactions AS json)) AS t (id uuid, customer_id uuid, kind text, key text, order_id uuid, reason text)
    ), entered AS (
        INSERT INTO points_entry (transaction_id, position, account, customer_id, lot_id, points)
        SELECT transaction_id, position, account, customer_id, lot_id, points
        FROM json_to_recordset(CAST(:entries AS json)) AS e (
            transaction_id uuid, position integer, account text, customer_id uuid, lot_id uuid, points bigint)
    ), happened AS MATERIALIZED (
        SELECT * FROM json_to_recordset(CAST(:events AS json)) AS e (
            id uuid, type text, aggregate_id uuid, party_id uuid, actor text, data text, at timestamptz, handlers text[])
    ), told AS (
        INSERT INTO event (id, type, aggregate_id, party_id, actor, data, at)
        SELECT id, type, aggregate_id, party_id, actor, CAST(data AS jsonb), at FROM happened
    )
    INSERT INTO delivery (event_id, handler, next_at)
    SELECT id, handler, at FROM happened CROSS JOIN LATERAL unnest(handlers) AS handler
    """
)


def settle_sold(session: Session, *, sold: Sequence[Sold], actor: str, now: datetime) -> dict[uuid.UUID, int]:
    """Spend and earn what sales of the past spent and earned; {order: points that could be spent}.

    Never more than is there: the caller tells what was missing. What earlier orders of the same call have left is spent by
    the later ones; points earned here are spent by none of them. Orders must be new (a key used before is refused by the
    database). Accounts are locked in one order; take stock locks before.
    """
    sold = [one for one in sold if one.spend or one.earn]
    if not sold:
        return {}
    customers = sorted({one.customer_id for one in sold})
    session.execute(_OPEN, {"customers": customers, "now": now})
    owed = {row.customer_id: row.owed for row in session.execute(_LOCK, {"customers": customers}).all()}
    lots: dict[uuid.UUID, list[list[Any]]] = {}
    for row in session.execute(_LOTS, {"customers": customers, "now": now}).all():
        lots.setdefault(row.customer_id, []).append([row.id, row.remaining])
    rows: dict[str, list[dict[str, Any]]] = {
        name: [] for name in ("holds", "slices", "earned", "transactions", "entries", "events")
    }
    burned = {}
    for one in sold:
        burned[one.order_id] = _spend(rows, one, lots.get(one.customer_id, []))
        if one.earn:
            netted = min(owed[one.customer_id], one.earn)
            owed[one.customer_id] -= netted
            _earn(rows, one, netted, actor, now)
    given: dict[str, Any] = {name: json.dumps(listed, default=str) for name, listed in rows.items()}
    given |= {"actor": actor, "now": now, "expires_at": now + timedelta(days=earning.LOT_DAYS)}
    session.execute(_WRITE, given)
    return burned


def _spend(rows: dict[str, list[dict[str, Any]]], one: Sold, lots: list[list[Any]]) -> int:
    picks = []
    rest = one.spend
    for lot in lots:
        points = min(rest, lot[1])
        if points:
            picks.append((lot[0], points))
            lot[1] -= points
            rest -= points
    points = one.spend - rest
    if not points:
        return 0
    hold_id = new_id()
    rows["holds"].append({"id": hold_id, "customer_id": one.customer_id, "order_id": one.order_id, "points": points})
    rows["slices"] += [{"hold_id": hold_id, "lot_id": lot_id, "points": part} for lot_id, part in picks]
    held: list[tuple[str, uuid.UUID | None, int]] = [("held", None, points)]
    held += [("member", lot_id, -part) for lot_id, part in picks]
    _book(rows, one, "hold", f"hold:{one.order_id}", held)
    _book(rows, one, "burn", f"burn:{one.order_id}", [("held", None, -points), ("burned", None, points)])
    return points


def _earn(rows: dict[str, list[dict[str, Any]]], one: Sold, netted: int, actor: str, now: datetime) -> None:
    lot_id = new_id()
    sides: list[tuple[str, uuid.UUID | None, int]] = [
        ("issued", None, -one.earn),
        ("member", lot_id, one.earn - netted),
        ("owed", None, netted),
    ]
    booked = _book(rows, one, "earn", one.key, [side for side in sides if side[2]])
    rows["earned"].append(
        {
            "id": booked,
            "customer_id": one.customer_id,
            "order_id": one.order_id,
            "key": one.key,
            "points": one.earn,
            "netted": netted,
            "lot_id": lot_id,
        }
    )
    event = PointsEarned(customer_id=one.customer_id, order_id=one.order_id, points=one.earn)
    rows["events"].append(dict(outbox.row_of(event, actor=actor, now=now)))


def _book(
    rows: dict[str, list[dict[str, Any]]],
    one: Sold,
    kind: str,
    key: str,
    sides: Sequence[tuple[str, uuid.UUID | None, int]],
) -> uuid.UUID:
    made = new_id()
    reason = "carry_out" if kind == "earn" else ""
    rows["transactions"].append(
        {
            "id": made,
            "customer_id": one.customer_id,
            "kind": kind,
            "key": key,
            "order_id": one.order_id,
            "reason": reason,
        }
    )
    rows["entries"] += [
        {
            "transaction_id": made,
            "position": position,
            "account": account,
            "customer_id": one.customer_id,
            "lot_id": lot_id,
            "points": points,
        }
        for position, (account, lot_id, points) in enumerate(sides, start=1)
    ]
    return made
