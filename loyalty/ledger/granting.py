"""Points that come: earned, or given as goodwill. In lots with their dates, with what is owed netted first."""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from loyalty import earning
from loyalty.ledger.books import booked_before
from loyalty.ledger.members import Member, lock_member
from retail import limits
from retail.events import PointsEarned, SpendCounted
from retail.kernel import outbox
from retail.kernel.errors import Invalid
from retail.kernel.hot import Hot
from retail.kernel.ids import new_id


class TooManyPoints(Invalid):
    """More points at once than anybody earns: somebody mistyped."""

    code, title = "too_many_points", "These are too many points at once"


@dataclass(frozen=True, slots=True)
class Grant:
    """One lot to be: points (> 0) that can be spent from `available_from` until just before `expires_at`."""

    points: int
    available_from: datetime
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Reason:
    """Points (not 0) that one version of a rule gave for one order line, and the amount (minor units) or units it counted."""

    order_line_id: uuid.UUID | None
    rule_code: str
    rule_version: int
    points: int
    basis: int


@dataclass(frozen=True, slots=True)
class Record:
    """What an order looked like when it earned (`loyalty.models.EarningRecord`)."""

    currency: str
    placed_at: datetime
    basket: Mapping[str, Any]


# The key is taken first: of two calls with one key the second finds nothing to do. The account is locked already, so
# `netted` was worked out from what is owed. Spend without points has no entries; the account is written all the same, so that
# whoever waits for it looks again.
_CREDIT = Hot(
    """
    WITH booked AS (
        INSERT INTO points_transaction (id, customer_id, member_id, kind, key, order_id, reason, spend_minor, actor, at)
        VALUES (:transaction_id, :customer_id, CAST(:member_id AS uuid), :kind, :key, CAST(:order_id AS uuid), :reason,
                :spend_minor, :actor, :now)
        ON CONFLICT (key) DO NOTHING
        RETURNING customer_id, member_id
    ), granted AS MATERIALIZED (
        SELECT booked.customer_id, booked.member_id, g.*
        FROM booked CROSS JOIN json_to_recordset(CAST(:grants AS json)) AS g (
            id uuid, position integer, points bigint, netted bigint, available_from timestamptz, expires_at timestamptz)
    ), sums AS (
        SELECT booked.customer_id, CAST(coalesce(sum(points), 0) AS bigint) AS points, CAST(coalesce(sum(netted), 0) AS bigint) AS netted
        FROM booked LEFT JOIN granted ON true GROUP BY booked.customer_id
    ), moved AS (
        UPDATE points_account AS a SET available = a.available + sums.points - sums.netted, owed = a.owed - sums.netted
        FROM sums WHERE a.customer_id = sums.customer_id
    ), lots AS (
        INSERT INTO points_lot (id, customer_id, member_id, earned, remaining, source, source_id, available_from, expires_at)
        SELECT id, customer_id, member_id, points, points - netted, :source, CAST(:source_id AS uuid), available_from, expires_at
        FROM granted
    ), entered AS (
        INSERT INTO points_entry (transaction_id, position, account, customer_id, lot_id, points)
        SELECT :transaction_id, 1, :account, customer_id, CAST(NULL AS uuid), -points FROM sums WHERE points > 0
        UNION ALL
        SELECT :transaction_id, 2, 'owed', customer_id, NULL, netted FROM sums WHERE netted > 0
        UNION ALL
        SELECT :transaction_id, 2 + position, 'member', customer_id, id, points - netted FROM granted WHERE points > netted
    ), explained AS (
        INSERT INTO points_reason (transaction_id, position, order_line_id, rule_code, rule_version, points, basis)
        SELECT :transaction_id, r.position, r.order_line_id, r.rule_code, r.rule_version, r.points, r.basis
        FROM booked CROSS JOIN json_to_recordset(CAST(:reasons AS json)) AS r (
            position integer, order_line_id uuid, rule_code text, rule_version integer, points bigint, basis bigint)
    ), recorded AS (
        INSERT INTO earning_record AS r (order_id, customer_id, currency, basket, points, placed_at, at)
        SELECT CAST(:order_id AS uuid), booked.customer_id, seen.currency, seen.basket, CAST(:points AS bigint), seen.placed_at, :now
        FROM booked CROSS JOIN json_to_recordset(CAST(:record AS json)) AS seen (currency text, basket jsonb, placed_at timestamptz)
        ON CONFLICT (order_id) DO UPDATE
        SET customer_id = excluded.customer_id, basket = excluded.basket, points = r.points + excluded.points, at = excluded.at
    ), told AS (
        INSERT INTO event (id, type, aggregate_id, party_id, actor, data, at)
        SELECT CAST(:event_id AS uuid), :event_type, CAST(:order_id AS uuid), customer_id, :actor, CAST(:event_data AS jsonb), :now
        FROM booked WHERE CAST(:event_id AS uuid) IS NOT NULL
    ), deliveries AS (
        INSERT INTO delivery (event_id, handler, next_at)
        SELECT CAST(:event_id AS uuid), handler, :now FROM booked CROSS JOIN unnest(CAST(:event_handlers AS text[])) AS handler
    )
    SELECT points FROM sums
    """
)


def earn(
    session: Session,
    *,
    customer_id: uuid.UUID,
    order_id: uuid.UUID | None,
    points: int,
    key: str,
    reason: str,
    actor: str,
    now: datetime,
    grants: Sequence[Grant] = (),
    reasons: Sequence[Reason] = (),
    spend_minor: int = 0,
    source: str | None = None,
    source_id: uuid.UUID | None = None,
    member: Member | None = None,
    record: Record | None = None,
) -> int:
    """Credit `points` (>= 0): as `grants` say, or in one lot that lasts `earning.LOT_DAYS` from now.

    What the member owes is netted first, from the first grants; her account is opened when she has none; `PointsEarned` is
    published. `order_id` is None for points that no order earned (a welcome gift). `reasons`, when given, explain all of
    the points, `record` is what previews will run on. `spend_minor` (of an order) counts towards her tier, also without points:
    then nothing else is booked, and `SpendCounted` is published; without either nothing happens. A blocked member earns all the
    same: the goods are hers. Two statements; one with `member`, who is locked already and whose `owed` is of that moment: not to
    be passed twice. Returns the points earned, netted ones included; with a key used before, what it earned then.

    Raises:
        NotFound: no such customer. TooManyPoints. KeyReused: the key belongs to another transaction.
    """
    if points == 0 and spend_minor == 0:
        return 0
    made = lots_to_be(points=points, grants=grants, reasons=reasons, now=now)
    member = member or lock_member(session, customer_id=customer_id, now=now)
    event = earned_event(member, order_id=order_id, points=points, spend_minor=spend_minor)
    earned = _credit(
        session,
        member=member,
        grants=made,
        points=points,
        booking={
            "kind": "earn",
            "account": "issued",
            "key": key,
            "order_id": order_id,
            "reason": reason,
            "spend_minor": spend_minor,
            "source": source or ("order" if order_id is not None else "grant"),
            "source_id": source_id or order_id,
            "actor": actor,
            "now": now,
        },
        reasons=reasons,
        event=outbox.row_of(event, actor=actor, now=now),
        record=record if points else None,
    )
    if earned is None:
        earned = booked_before(session, key=key, kind="earn", order_id=order_id)
    return earned or 0


def give(
    session: Session,
    *,
    customer_id: uuid.UUID,
    points: int,
    gift_id: uuid.UUID,
    key: str,
    reason: str,
    actor: str,
    now: datetime,
    order_id: uuid.UUID | None = None,
    expires_at: datetime | None = None,
    member: Member | None = None,
) -> int:
    """Give `points` (> 0) of goodwill, in one lot that can be spent at once; what is owed is not netted by a gift.

    Returns the points given; with a key used before, what it gave then.

    Raises:
        NotFound, AccountBlocked, TooManyPoints. KeyReused: the key belongs to another transaction.
    """
    if points <= 0:
        raise ValueError("a gift is of one point or more")
    member = member or lock_member(session, customer_id=customer_id, now=now)
    member.require_active()
    grant = Grant(points, now, expires_at or now + timedelta(days=earning.LOT_DAYS))
    made = lots_to_be(points=points, grants=(grant,), reasons=(), now=now)
    given = _credit(
        session,
        member=Member(member.id, member.member_id, 0, member.state),
        grants=made,
        points=points,
        booking={
            "kind": "goodwill",
            "account": "goodwill",
            "key": key,
            "order_id": order_id,
            "reason": reason,
            "spend_minor": 0,
            "source": "goodwill",
            "source_id": gift_id,
            "actor": actor,
            "now": now,
        },
    )
    if given is None:
        given = booked_before(session, key=key, kind="goodwill", order_id=order_id)
    return given or 0


def _credit(
    session: Session,
    *,
    member: Member,
    grants: Sequence[Grant],
    points: int,
    booking: Mapping[str, Any],
    reasons: Sequence[Reason] = (),
    event: Mapping[str, Any] | None = None,
    record: Record | None = None,
) -> int | None:
    """Book it; None when the key was used before."""
    told = event or {"id": None, "type": "", "data": "{}", "handlers": []}
    params = {
        **booking,
        "transaction_id": new_id(),
        "customer_id": member.id,
        "member_id": member.member_id,
        "grants": json.dumps(lots_of(grants, member.owed), default=str),
        "reasons": json.dumps([{"position": at, **asdict(one)} for at, one in enumerate(reasons, 1)], default=str),
        "points": points,
        "record": json.dumps([asdict(record)] if record is not None else [], default=str, ensure_ascii=False),
        "event_id": told["id"],
        "event_type": told["type"],
        "event_data": told["data"],
        "event_handlers": told["handlers"],
    }
    booked = _CREDIT.run(session, params).scalar_one_or_none()
    return None if booked is None else int(booked)


def lots_to_be(*, points: int, grants: Sequence[Grant], reasons: Sequence[Reason], now: datetime) -> Sequence[Grant]:
    """What is granted: `grants`, or one lot that lasts `earning.LOT_DAYS`; none of no points.

    Raises:
        TooManyPoints. ValueError: the caller's figures do not add up.
    """
    if points < 0:
        raise ValueError("points to earn are zero or more")
    if points > limits.POINTS_PER_EARNING:
        raise TooManyPoints(f"At most {limits.POINTS_PER_EARNING:,} at once")
    if reasons and sum(one.points for one in reasons) != points:
        raise ValueError("the reasons do not explain all of the points")
    if points and not grants:
        return (Grant(points, now, now + timedelta(days=earning.LOT_DAYS)),)
    if sum(one.points for one in grants) != points or any(one.points <= 0 for one in grants):
        raise ValueError("the grants do not add up to the points")
    return grants


def earned_event(
    member: Member, *, order_id: uuid.UUID | None, points: int, spend_minor: int
) -> PointsEarned | SpendCounted:
    """What is told of it.

    Raises:
        ValueError: spend without points that is no order's.
    """
    if points:
        return PointsEarned(customer_id=member.id, order_id=order_id, points=points)
    if order_id is None or spend_minor <= 0:
        raise ValueError("spend is that of an order")
    return SpendCounted(customer_id=member.id, order_id=order_id, spend_minor=spend_minor)


def lots_of(grants: Sequence[Grant], owed: int) -> list[dict[str, Any]]:
    """The grants as lots: id, position, points, dates, and what of each is `netted` with `owed` points, the first first."""
    made = []
    for position, one in enumerate(grants, start=1):
        netted = min(owed, one.points)
        owed -= netted
        made.append({"id": new_id(), "position": position, "netted": netted, **asdict(one)})
    return made
