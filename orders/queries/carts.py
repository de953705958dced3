"""Carts, read."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class CartLineFacts:
    """One line of a cart."""

    id: UUID
    position: int
    variant_id: UUID
    quantity: int
    sku: str
    title: str
    title_ja: str | None


@dataclass(frozen=True, slots=True)
class CartFacts:
    """A cart with its lines, as one statement saw it; `version` guards whatever is decided from it."""

    id: UUID
    owner: str
    customer_id: UUID | None
    channel_code: str
    location_id: UUID | None
    method: str
    ship_to: dict[str, Any] | None
    points_to_spend: int
    coupon_codes: tuple[str, ...]
    state: str
    order_id: UUID | None
    version: int
    created_at: datetime
    updated_at: datetime
    lines: tuple[CartLineFacts, ...]


_CART = text(
    """
    SELECT c.id, c.owner, c.customer_id, c.channel_code, c.location_id, c.method, c.ship_to, c.points_to_spend,
           c.coupon_codes, c.state, c.order_id, c.version, c.created_at, c.updated_at,
           (SELECT json_agg(json_build_array(l.id, l.position, l.variant_id, l.quantity, v.sku, v.title, v.title_ja)
                            ORDER BY l.position)
            FROM cart_line AS l JOIN variant AS v ON v.id = l.variant_id WHERE l.cart_id = c.id) AS lines
    FROM cart AS c WHERE c.id = :cart_id
    """
)
_OPEN_CARTS = text("SELECT count(*) FROM cart WHERE owner = :owner AND state = 'open'")


def cart_facts(session: Session, *, cart_id: UUID) -> CartFacts | None:
    """One cart with its lines in order; one statement. None when unknown."""
    row = session.execute(_CART, {"cart_id": cart_id}).mappings().one_or_none()
    if row is None:
        return None
    values = dict(row)
    values["coupon_codes"] = tuple(values["coupon_codes"])
    values["lines"] = tuple(_line(line) for line in values["lines"] or ())
    return CartFacts(**values)


def open_carts(session: Session, *, owner: str) -> int:
    """How many open carts this actor has."""
    return int(session.execute(_OPEN_CARTS, {"owner": owner}).scalar_one())


def _line(values: list[Any]) -> CartLineFacts:
    line_id, position, variant_id, quantity, sku, title, title_ja = values
    return CartLineFacts(UUID(line_id), position, UUID(variant_id), quantity, sku, title, title_ja)
