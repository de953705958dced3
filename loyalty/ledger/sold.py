"""Points of sales that have happened already: spent as far as they go, and earned once. A whole batch in two statements,
under its members' locks."""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from loyalty.ledger.granting import Grant, Reason, Record, earned_event, lots_of, lots_to_be
from loyalty.ledger.members import ACTIVE, Member
from retail.kernel import outbox
from retail.kernel.ids import new_id

_Side = tuple[str, uuid.UUID | None, int]  # account, lot, points


@dataclass(frozen=True, slots=True)
class Sold:
    """One order: points (>= 0) that it wants to spend and those that it earns, under `key`.

    `grants` are the lots it earns (none: one that lasts `earning.LOT_DAYS`), `reasons` explain all of them, `spend_minor`
    counts towards the member's tier, also without points; `record` is what previews of rules run on.
    """

    customer_id: uuid.UUID
    order_id: uuid.UUID
    spend: int
    earn: int
    key: str
    grants: Sequence[Grant] = ()
    reasons: Sequence[Reason] = ()
    spend_minor: int = 0
    record: Record | None = None


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
            id uuid, customer_id uuid, member_id uuid, order_id uuid, points bigint, netted bigint,
            available_from timestamptz, expires_at timestamptz)
    ), new_holds AS (
        INSERT INTO points_hold (id, customer_id, order_id, points, state, created_at, settled_at)
        SELECT id, customer_id, order_id, points, 'burned', :now, :now FROM hold
    ), new_slices AS (
        INSERT INTO points_slice (hold_id, lot_id, points) SELECT hold_id, lot_id, points FROM slice
    ), emptied AS (
        UPDATE points_lot AS lot SET remaining = lot.remaining - s.points
        FROM (SELECT lot_id, sum(points) AS points FROM slice GROUP BY lot_id) AS s WHERE lot.id = s.lot_id
    ), new_lots AS (
        INSERT INTO points_lot (id, customer_id, member_id, earned, remaining, source, source_id, available_from, expires_at)
        SELECT id, customer_id, member_id, points, points - netted, 'order', order_id, available_from, expires_at FROM earned
    ), moved AS (
        UPDATE points_account AS a SET available = a.available + sums.available, owed = a.owed - sums.netted
        FROM (SELECT customer_id, sum(available) AS available, sum(netted) AS netted
              FROM (SELECT customer_id, -points AS available, 0 AS netted FROM hold
                    UNION ALL SELECT customer_id, points - netted, netted FROM earned) AS each GROUP BY customer_id) AS sums
        WHERE a.customer_id = sums.customer_id
    ), booked AS (
        INSERT INTO points_transaction (id, customer_id, member_id, kind, key, order_id, reason, spend_minor, actor, at)
        SELECT t.id, t.customer_id, t.member_id, t.kind, t.key, t.order_id, t.reason, t.spend_minor, :actor, :now
        FROM json_to_recordset(CAST(:transactions AS json)) AS t (
            id uuid, customer_id uuid, member_id uuid, kind text, key text, order_id uuid, reason text, spend_minor bigint)
    ), entered AS (
        INSERT INTO points_entry (transaction_id, position, account, customer_id, lot_id, points)
        SELECT transaction_id, position, account, customer_id, lot_id, points
        FROM json_to_recordset(CAST(:entries AS json)) AS e (
            transaction_id uuid, position integer, account text, customer_id uuid, lot_id uuid, points bigint)
    ), explained AS (
        INSERT INTO points_reason (transaction_id, position, order_line_id, rule_code, rule_version, points, basis)
        SELECT transaction_id, position, order_line_id, rule_code, rule_version, points, basis
        FROM json_to_recordset(CAST(:reasons AS json)) AS r (
            transaction_id uuid, position integer, order_line_id uuid, rule_code text, rule_version integer, points bigint, basis bigint)
    ), recorded AS (
        INSERT INTO earning_record (order_id, customer_id, currency, basket, points, placed_at, at)
        SELECT order_id, customer_id, currency, basket, points, placed_at, :now
        FROM json_to_recordset(CAST(:records AS json)) AS r (
            order_id uuid, customer_id uuid, currency text, basket jsonb, points bigint, placed_at timestamptz)
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


def settle_sold(
    session: Session, *, sold: Sequence[Sold], members: Mapping[uuid.UUID, Member], actor: str, now: datetime
) -> dict[uuid.UUID, int]:
    """Spend and earn what sales of the past spent and earned; {order: points that could be spent}.

    Never more than is there, and nothing from a blocked account: the caller tells what was missing. What earlier orders of
    the same call have left is spent by the later ones; points earned here are spent by none of them. Orders must be new (a
    key used before is refused by the database). `members` are the customers' accounts, locked by `lock_members` (take
    stock locks before).

    Raises:
        TooManyPoints: one earns more than anybody does. Nothing was changed.
    """
    sold = [one for one in sold if one.spend or one.earn or one.spend_minor]
    if not sold:
        return {}
    grants = {
        one.order_id: lots_to_be(points=one.earn, grants=one.grants, reasons=one.reasons, now=now) for one in sold
    }
    accounts = {member.id: member for member in members.values()}
    owed = {account: member.owed for account, member in accounts.items()}
    lots: dict[uuid.UUID, list[list[Any]]] = {}
    spenders = sorted({members[one.customer_id].id for one in sold if one.spend})
    spenders = [account for account in spenders if accounts[account].state == ACTIVE]
    for row in session.execute(_LOTS, {"customers": spenders, "now": now}).all():
        lots.setdefault(row.customer_id, []).append([row.id, row.remaining])
    books = _Books(actor, now)
    burned = {}
    for one in sold:
        member = members[one.customer_id]
        burned[one.order_id] = books.spend(one, member, lots.get(member.id, []))
        if one.earn or one.spend_minor:
            owed[member.id] -= books.earn(one, member, grants[one.order_id], owed[member.id])
    given: dict[str, Any] = {name: json.dumps(listed, default=str) for name, listed in books.rows.items()}
    session.execute(_WRITE, given | {"actor": actor, "now": now})
    return burned


class _Books:
    """The rows of a batch, by the names of `_WRITE`."""

    def __init__(self, actor: str, now: datetime) -> None:
        self.actor, self.now = actor, now
        names = ("holds", "slices", "earned", "transactions", "entries", "reasons", "records", "events")
        self.rows: dict[str, list[dict[str, Any]]] = {name: [] for name in names}

    def spend(self, one: Sold, member: Member, lots: list[list[Any]]) -> int:
        """Take it from the lots [id, remaining], which are changed; returns the points taken."""
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
        self.rows["holds"].append({"id": hold_id, "customer_id": member.id, "order_id": one.order_id, "points": points})
        self.rows["slices"] += [{"hold_id": hold_id, "lot_id": lot_id, "points": part} for lot_id, part in picks]
        held: list[_Side] = [("held", None, points), *(("member", lot_id, -part) for lot_id, part in picks)]
        self._book(one, Member(member.id, None, 0, member.state), "hold", f"hold:{one.order_id}", held)
        burned: list[_Side] = [("held", None, -points), ("burned", None, points)]
        self._book(one, Member(member.id, None, 0, member.state), "burn", f"burn:{one.order_id}", burned)
        return points

    def earn(self, one: Sold, member: Member, grants: Sequence[Grant], owed: int) -> int:
        """Book its lots, or its spend alone; returns what of them is netted."""
        lots = lots_of(grants, owed)
        netted = sum(lot["netted"] for lot in lots)
        sides: list[_Side] = [("issued", None, -one.earn), ("owed", None, netted)]
        sides += [("member", lot["id"], lot["points"] - lot["netted"]) for lot in lots]
        booked = self._book(one, member, "earn", one.key, [side for side in sides if side[2]])
        whose = {"customer_id": member.id, "member_id": member.member_id, "order_id": one.order_id}
        self.rows["earned"] += [lot | whose for lot in lots]
        self.rows["reasons"] += [
            {"transaction_id": booked, "position": position, **asdict(reason)}
            for position, reason in enumerate(one.reasons, start=1)
        ]
        if one.record is not None and one.earn:
            whose_record = {"order_id": one.order_id, "customer_id": member.id, "points": one.earn}
            self.rows["records"].append(asdict(one.record) | whose_record)
        event = earned_event(member, order_id=one.order_id, points=one.earn, spend_minor=one.spend_minor)
        self.rows["events"].append(dict(outbox.row_of(event, actor=self.actor, now=self.now)))
        return int(netted)

    def _book(self, one: Sold, member: Member, kind: str, key: str, sides: Sequence[_Side]) -> uuid.UUID:
        made = new_id()
        earned = kind == "earn"
        self.rows["transactions"].append(
            {
                "id": made,
                "customer_id": member.id,
                "member_id": member.member_id,
                "kind": kind,
                "key": key,
                "order_id": one.order_id,
                "reason": "carry_out" if earned else "",
                "spend_minor": one.spend_minor if earned else 0,
            }
        )
        self.rows["entries"] += [
            {
                "transaction_id": made,
                "position": position,
                "account": account,
                "customer_id": member.id,
                "lot_id": lot_id,
                "points": points,
            }
            for position, (account, lot_id, points) in enumerate(sides, start=1)
        ]
        return made
