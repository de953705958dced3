"""Drawers of tills, open and closed, with what their entries add up to."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, text
from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class OpenDrawer:
    """A till's open drawer, locked."""

    id: UUID
    currency: str


# Who books shares the lock, who closes takes it alone: nothing is booked while a drawer is being closed, nor after.
_SHARE = text("SELECT id, currency FROM drawer WHERE till_id = :till_id AND closed_at IS NULL FOR SHARE")
_LOCK = text("SELECT id, currency FROM drawer WHERE till_id = :till_id AND closed_at IS NULL FOR UPDATE")
_SHOWN = """
    SELECT d.id, t.code AS till, d.currency, d.opening_minor, d.expected_minor, d.counted_minor, d.difference_minor,
           d.opened_by, d.opened_at, d.closed_by, d.closed_at,
           e.sales, e.refunds, e.paid_in, e.paid_out, e.movements
    FROM drawer AS d JOIN till AS t ON t.id = d.till_id CROSS JOIN LATERAL (
        SELECT coalesce(sum(amount_minor) FILTER (WHERE kind = 'sale'), 0) AS sales,
               coalesce(sum(amount_minor) FILTER (WHERE kind = 'refund'), 0) AS refunds,
               coalesce(sum(amount_minor) FILTER (WHERE kind = 'pay_in'), 0) AS paid_in,
               coalesce(sum(amount_minor) FILTER (WHERE kind = 'pay_out'), 0) AS paid_out,
               coalesce(json_agg(json_build_object('kind', kind, 'amount_minor', amount_minor, 'reason', reason,
                                                   'actor', actor, 'at', at) ORDER BY at, id)
                        FILTER (WHERE kind IN ('pay_in', 'pay_out')), '[]') AS movements
        FROM drawer_entry WHERE drawer_id = d.id
    ) AS e
"""
_ONE = text(f"{_SHOWN} WHERE d.id = :id")
_OPEN = text(f"{_SHOWN} WHERE d.till_id = :till_id AND d.closed_at IS NULL")
_CLOSED = text(
    f"""
    {_SHOWN}
    WHERE d.till_id = :till_id AND d.closed_at IS NOT NULL AND (CAST(:before AS uuid) IS NULL OR d.id < :before)
    ORDER BY d.id DESC LIMIT :limit
    """
)
_CASH_BACK = text(
    """
    SELECT r.currency, coalesce(
        (SELECT sum(e.amount_minor) FROM payment_entry AS e JOIN payment AS p ON p.id = e.payment_id
         WHERE e.refund_id = r.id AND e.kind = 'refund' AND e.state = 'succeeded' AND p.tender = 'cash'), 0) AS cash
    FROM refund AS r WHERE r.id = :refund_id
    """
)
_WRONG = text(
    """
    SELECT t.code AS till, d.id, d.expected_minor AS stored, d.opening_minor + e.moved AS rebuilt
    FROM drawer AS d JOIN till AS t ON t.id = d.till_id CROSS JOIN LATERAL (
        SELECT coalesce(sum(CASE WHEN kind IN ('sale', 'pay_in') THEN amount_minor ELSE -amount_minor END), 0) AS moved
        FROM drawer_entry WHERE drawer_id = d.id
    ) AS e
    WHERE d.closed_at IS NOT NULL AND d.expected_minor <> d.opening_minor + e.moved ORDER BY t.code, d.id
    """
)


def share_open(session: Session, *, till_id: UUID) -> OpenDrawer | None:
    """The till's open drawer, which stays open until this transaction ends."""
    row = session.execute(_SHARE, {"till_id": till_id}).one_or_none()
    return None if row is None else OpenDrawer(*row)


def lock_open(session: Session, *, till_id: UUID) -> OpenDrawer | None:
    """The till's open drawer, locked for closing: whoever is booking has finished."""
    row = session.execute(_LOCK, {"till_id": till_id}).one_or_none()
    return None if row is None else OpenDrawer(*row)


def cash_back(session: Session, *, refund_id: UUID) -> tuple[int, str]:
    """How much of a refund went back in cash: minor units, currency."""
    row = session.execute(_CASH_BACK, {"refund_id": refund_id}).one()
    return int(row.cash), row.currency


def drawer_dict(session: Session, *, drawer_id: UUID) -> dict[str, Any] | None:
    """One drawer (DrawerSchema)."""
    row = session.execute(_ONE, {"id": drawer_id}).mappings().one_or_none()
    return None if row is None else _shown(row)


def open_dict(session: Session, *, till_id: UUID) -> dict[str, Any] | None:
    """The open drawer of a till (DrawerSchema)."""
    row = session.execute(_OPEN, {"till_id": till_id}).mappings().one_or_none()
    return None if row is None else _shown(row)


def closed(session: Session, *, till_id: UUID, before: UUID | None, limit: int) -> list[dict[str, Any]]:
    """Closed drawers of a till, newest first, one more than `limit`."""
    rows = session.execute(_CLOSED, {"till_id": till_id, "before": before, "limit": limit + 1}).mappings().all()
    return [_shown(row) for row in rows]


def wrong_expected(session: Session) -> list[tuple[str, UUID, int, int]]:
    """(till, drawer, stored, rebuilt) of closed drawers whose expected cash is not what their entries add up to."""
    return [(row.till, row.id, row.stored, int(row.rebuilt)) for row in session.execute(_WRONG).all()]


def _shown(row: RowMapping) -> dict[str, Any]:
    currency = row["currency"]

    def money(amount: int | None) -> Mapping[str, Any] | None:
        return None if amount is None else {"amount_minor": int(amount), "currency": currency}

    expected = row["opening_minor"] + row["sales"] - row["refunds"] + row["paid_in"] - row["paid_out"]
    return {
        "id": row["id"],
        "till": row["till"],
        "state": "open" if row["closed_at"] is None else "closed",
        "opening": money(row["opening_minor"]),
        "sales": money(row["sales"]),
        "refunds": money(row["refunds"]),
        "paid_in": money(row["paid_in"]),
        "paid_out": money(row["paid_out"]),
        "expected": money(expected if row["closed_at"] is None else row["expected_minor"]),
        "counted": money(row["counted_minor"]),
        "difference": money(row["difference_minor"]),
        "movements": [one | {"amount": money(one["amount_minor"])} for one in row["movements"]],
        "opened_by": row["opened_by"],
        "opened_at": row["opened_at"],
        "closed_by": row["closed_by"],
        "closed_at": row["closed_at"],
    }
