"""Rules for tests that earn, and why points were given, as plain values."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from loyalty import rules
from retail.kernel import clock

_EMPTY = ("skus", "categories", "channels", "locations", "weekdays", "tiers")
_ZERO = ("points", "referrer_points", "per_minor", "factor_bp", "min_amount_minor", "pending_days")
_NONE = (
    "name_ja",
    "currency",
    "from_on",
    "to_on",
    "birthday",
    "stack_group",
    "cap_per_order",
    "cap_per_member",
    "cap_days",
)


def make_rule(session: Session, code: str, basis: str = "order", *, now: datetime | None = None, **facts: Any) -> None:
    """10 points once, 1 per 100 yen, or a doubling, from `now` on, unless told."""
    given: dict[str, Any] = {name: [] for name in _EMPTY} | dict.fromkeys(_ZERO, 0) | dict.fromkeys(_NONE)
    given |= {"lot_days": None, "first_purchase": False, "priority": 100, "active": True}
    given |= {"factor_bp": 20_000} if basis == "multiplier" else {"points": 10}
    if basis == "amount":
        given |= {"per_minor": 1000, "currency": "JPY"}
    given |= {"code": code, "name": code.title(), "basis": basis} | facts
    rules.create(session, facts=given, actor="system", now=now or clock.now())


def change_rule(session: Session, code: str, version: int, *, now: datetime | None = None, **changes: Any) -> None:
    """From `now` on."""
    rules.change(session, code=code, version=version, changes=changes, actor="system", now=now or clock.now())


def reasons(session: Session, customer_id: UUID) -> list[tuple[str, int, int, int]]:
    """(rule, version, points, basis) of all that orders earned her, in the order in which it was booked."""
    statement = text(
        """
        SELECT r.rule_code, r.rule_version, r.points, r.basis
        FROM points_reason AS r JOIN points_transaction AS t ON t.id = r.transaction_id
        WHERE t.customer_id = :id ORDER BY t.seq, r.position
        """
    )
    return [tuple(row) for row in session.execute(statement, {"id": customer_id})]  # type: ignore[misc]


def records(session: Session) -> list[tuple[int, str, int]]:
    """(points, channel, lines) of every basket that was kept."""
    found = session.execute(text("SELECT points, basket FROM earning_record ORDER BY at, order_id")).all()
    return [(row.points, row.basket["channel"], len(row.basket["lines"])) for row in found]
