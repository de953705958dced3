"""What may be changed of orders, what was, and how customers like to pay: read and locked."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from retail.queries import FAMILY


@dataclass(frozen=True, slots=True)
class PolicyFacts:
    """The rules of one channel (OrderPolicy has their meaning); `version` 0: nobody set any, these are the shop's own."""

    channel_code: str | None
    cancel_reasons: tuple[str, ...] | None
    goods_changes_most: int | None
    frozen_by_goods_change: bool
    same_product_only: bool
    payment_changes_most: int | None
    version: int


FREE = PolicyFacts(None, None, None, False, False, None, 0)

_COLUMNS = """channel_code, cancel_reasons, goods_changes_most, frozen_by_goods_change, same_product_only,
              payment_changes_most, version"""
_POLICY = text(
    f"""
    SELECT {_COLUMNS} FROM order_policy WHERE channel_code = :channel OR channel_code IS NULL
    ORDER BY channel_code NULLS LAST LIMIT 1
    """  # noqa: S608 - a constant of this module
)
_EXACT = text(
    f"SELECT {_COLUMNS} FROM order_policy WHERE channel_code IS NOT DISTINCT FROM CAST(:channel AS text)"  # noqa: S608
)


def policy_for(session: Session, *, channel: str) -> PolicyFacts:
    """The rules that hold for orders of this channel: its own, else the general ones, else none; one statement."""
    return _policy(session.execute(_POLICY, {"channel": channel}).one_or_none(), FREE)


def policy_set(session: Session, *, channel: str | None) -> PolicyFacts:
    """The rules as they were set for exactly this channel (None: the general ones)."""
    free = PolicyFacts(channel, None, None, False, False, None, 0)
    return _policy(session.execute(_EXACT, {"channel": channel}).one_or_none(), free)


def _policy(row: Any, otherwise: PolicyFacts) -> PolicyFacts:
    if row is None:
        return otherwise
    channel, reasons, *rest = row
    return PolicyFacts(channel, None if reasons is None else tuple(reasons), *rest)


@dataclass(frozen=True, slots=True)
class OrderLineFacts:
    """A line of a locked order, and the fulfillment that carries all of it (None: none, or several)."""

    id: UUID
    position: int
    kind: str
    variant_id: UUID | None
    product_id: UUID | None
    category: str
    sku: str
    title: str
    quantity: int
    cancelled_quantity: int
    refunded_quantity: int
    unit_price_minor: int
    discount_minor: int
    subtotal_minor: int
    tax_rate_bp: int
    tax_minor: int
    total_minor: int
    fulfillment_id: UUID | None
    location_id: UUID | None
    source_location_id: UUID | None
    method: str | None
    state: str | None
    parts: int

    @property
    def stock_location_id(self) -> UUID | None:
        """Where its units are promised."""
        return self.source_location_id or self.location_id


_LINES = text(
    """
    SELECT l.id, l.position, l.kind, l.variant_id, v.product_id, coalesce(p.category, ''), l.sku, l.title, l.quantity,
           l.cancelled_quantity, l.refunded_quantity, l.unit_price_minor, l.discount_minor, l.subtotal_minor, l.tax_rate_bp, l.tax_minor, l.total_minor,
           f.id AS fulfillment_id, f.location_id, f.source_location_id, f.method, f.state,
           (SELECT count(*) FROM fulfillment_line AS fl WHERE fl.order_line_id = l.id)::int AS parts
    FROM order_line AS l
    LEFT JOIN variant AS v ON v.id = l.variant_id
    LEFT JOIN product AS p ON p.id = v.product_id
    LEFT JOIN LATERAL (
        SELECT f.* FROM fulfillment_line AS fl JOIN fulfillment AS f ON f.id = fl.fulfillment_id
        WHERE fl.order_line_id = l.id ORDER BY f.id LIMIT 1
    ) AS f ON true
    WHERE l.order_id = :order_id ORDER BY l.position
    """
)


def order_lines(session: Session, *, order_id: UUID) -> list[OrderLineFacts]:
    """The lines of an order, in order; lock the order first."""
    return [OrderLineFacts(*row) for row in session.execute(_LINES, {"order_id": order_id}).all()]


_PRODUCTS = text("SELECT sku, product_id FROM variant WHERE sku = ANY(CAST(:skus AS text[]))")


def products_of(session: Session, *, skus: list[str]) -> dict[str, UUID]:
    """The product of each SKU; unknown ones are missing."""
    return {row.sku: row.product_id for row in session.execute(_PRODUCTS, {"skus": skus}).all()}


@dataclass(frozen=True, slots=True)
class OrderChangeFacts:
    """What decides about changing a locked order, besides its parts and payments."""

    channel_code: str
    changes: int
    version: int
    ship_to: dict[str, Any] | None
    contact_name: str
    contact_email: str | None
    contact_phone: str | None
    locale: str
    tax_inclusive: bool
    coupon_codes: list[str]
    discounts: list[dict[str, Any]]


_ORDER = text(
    """
    SELECT channel_code, changes, version, ship_to, contact_name, contact_email, contact_phone, locale, tax_inclusive,
           coupon_codes, discounts
    FROM "order" WHERE id = :order_id
    """
)


def change_facts(session: Session, *, order_id: UUID) -> OrderChangeFacts:
    """The order as it is; lock it first."""
    return OrderChangeFacts(*session.execute(_ORDER, {"order_id": order_id}).one())


_CHANGES = text(
    """
    SELECT id, kind, before, after, difference_minor, payment_method_id, actor, at FROM order_change
    WHERE order_id = :order_id AND (CAST(:after_id AS uuid) IS NULL OR id > :after_id) ORDER BY id LIMIT :limit
    """
)


def changes_of(session: Session, *, order_id: UUID, after_id: UUID | None, limit: int) -> list[dict[str, Any]]:
    """`limit` + 1 changes of an order, oldest first, after that id."""
    given = {"order_id": order_id, "after_id": after_id, "limit": limit + 1}
    return [dict(row) for row in session.execute(_CHANGES, given).mappings().all()]


_METHODS = """
    SELECT m.id, m.customer_id, m.kind, m.brand, m.label, m.provider_method, m.gift_card_id, m.external_reference,
           m.retired_at, m.created_at, g.balance_minor, g.currency, g.hint, g.state AS gift_card_state
    FROM payment_method AS m LEFT JOIN gift_card AS g ON g.id = m.gift_card_id
    WHERE """
_METHOD = text(_METHODS + "m.id = :method_id")
_METHODS_OF = text(_METHODS + f"m.customer_id IN {FAMILY} AND m.retired_at IS NULL ORDER BY m.created_at, m.id")


@dataclass(frozen=True, slots=True)
class MethodFacts:
    """A saved payment method; of a gift card with its balance (minor units) and currency."""

    id: UUID
    customer_id: UUID
    kind: str
    brand: str
    label: str
    provider_method: str | None
    gift_card_id: UUID | None
    external_reference: str | None
    retired_at: datetime | None
    created_at: datetime
    balance_minor: int | None
    currency: str | None
    hint: str | None
    gift_card_state: str | None


def method_facts(session: Session, *, method_id: UUID) -> MethodFacts | None:
    """One saved payment method, retired ones too."""
    row = session.execute(_METHOD, {"method_id": method_id}).one_or_none()
    return None if row is None else MethodFacts(*row)


def methods_of(session: Session, *, customer_id: UUID) -> list[MethodFacts]:
    """A customer's payment methods that she has not given up, oldest first; one statement."""
    return [MethodFacts(*row) for row in session.execute(_METHODS_OF, {"customer_id": customer_id}).all()]


def currency_of(session: Session, *, order_id: UUID) -> str:
    """The currency of an order that exists."""
    statement = text('SELECT currency FROM "order" WHERE id = :order_id')
    return str(session.execute(statement, {"order_id": order_id}).scalar_one())
