"""Whose a purchase is, and what decides whether a receipt makes it somebody's."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

PURCHASE = """o.id AS order_id, o.reference, o.kind AS order_kind, o.customer_id, o.placed_at,
           concat(o.contact_email, o.contact_phone) <> '' OR o.ship_to IS NOT NULL AS addressed"""


@dataclass(frozen=True, slots=True)
class Purchase:
    """An order and whose it is (`customer_id`: None, a guest's). `addressed`: it names an email, a phone or a place to send to."""

    order_id: UUID
    reference: str
    kind: str
    customer_id: UUID | None
    placed_at: datetime
    addressed: bool

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """What a row with the columns of PURCHASE says."""
        return cls(
            row["order_id"],
            row["reference"],
            row["order_kind"],
            row["customer_id"],
            row["placed_at"],
            row["addressed"],
        )


_LOCK = text(
    f'SELECT {PURCHASE} FROM "order" AS o WHERE o.id = :order_id FOR UPDATE'  # noqa: S608 - a constant of this module
)


def lock_purchase(session: Session, *, order_id: UUID) -> Purchase | None:
    """Whose an order is, locked until the transaction ends."""
    row = session.execute(_LOCK, {"order_id": order_id}).mappings().one_or_none()
    return None if row is None else Purchase.of(dict(row))
