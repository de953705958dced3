"""Orders and how they are fulfilled. An order's status is derived from its fulfillments and payments, never stored."""

import uuid
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column, relationship

from retail.kernel.db import Base


class Order(Base):
    """One purchase. Amounts in minor units of `currency`; total = what all tenders together pay, tax included.

    `confirmed_at` is set when payment is secured (at once without a card), `cancelled_at` when nothing of it will
    happen. `kind` is live or history (imported: moves no stock, money or points). `tax_lines` holds, per rate,
    ``{"rate_bp", "taxable_minor", "tax_minor"}``, rounded once per rate. `discounts` says which promotions applied and
    why, and which did not (pricing writes it); `discount_minor` is their sum, taken off the lines already. `ship_to` is
    where shipped lines go: ``{name, phone, postal_code, region, city, line1, line2, country}``. `changes` counts how
    often its goods were changed after it was placed.
    """

    __tablename__ = "order"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    reference: Mapped[str] = mapped_column(unique=True)
    kind: Mapped[str] = mapped_column(server_default="live")
    customer_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("customer.id"))
    channel_code: Mapped[str] = mapped_column(ForeignKey("channel.code"))
    currency: Mapped[str]
    tax_inclusive: Mapped[bool]
    subtotal_minor: Mapped[int] = mapped_column(sa.BigInteger)
    tax_minor: Mapped[int] = mapped_column(sa.BigInteger)
    total_minor: Mapped[int] = mapped_column(sa.BigInteger)
    tax_lines: Mapped[list[dict[str, Any]]]
    discount_minor: Mapped[int] = mapped_column(sa.BigInteger, server_default="0")
    discounts: Mapped[list[dict[str, Any]]] = mapped_column(server_default="[]")
    coupon_codes: Mapped[list[str]] = mapped_column(server_default="{}")
    ship_to: Mapped[dict[str, Any] | None]
    changes: Mapped[int] = mapped_column(server_default="0")
    contact_name: Mapped[str] = mapped_column(server_default="")
    contact_email: Mapped[str | None]
    contact_phone: Mapped[str | None]
    locale: Mapped[str] = mapped_column(server_default="ja")
    placed_by: Mapped[str]
    external_reference: Mapped[str | None]
    placed_at: Mapped[datetime]
    confirmed_at: Mapped[datetime | None]
    cancelled_at: Mapped[datetime | None]
    cancel_reason: Mapped[str | None]
    version: Mapped[int] = mapped_column(server_default="1")
    lines: Mapped[list["OrderLine"]] = relationship(order_by="OrderLine.position", lazy="raise")
    fulfillments: Mapped[list["Fulfillment"]] = relationship(order_by="Fulfillment.id", lazy="raise")
    __table_args__ = (
        CheckConstraint("kind IN ('live', 'history')", name="kind"),
        CheckConstraint(
            "kind = 'history' OR (subtotal_minor >= 0 AND tax_minor >= 0 AND total_minor >= 0)", name="amounts"
        ),
        Index(
            "ix_order_customer",
            "customer_id",
            sa.text("placed_at DESC"),
            sa.text("id DESC"),
            postgresql_where=sa.text("customer_id IS NOT NULL"),
        ),
        Index("ix_order_placed", sa.text("placed_at DESC"), sa.text("id DESC")),
        Index(
            "ix_order_contact_name",
            sa.func.lower(sa.column("contact_name")).label("lower_contact_name"),
            postgresql_ops={"lower_contact_name": "text_pattern_ops"},
            postgresql_where=sa.text("contact_name <> ''"),
        ),
        Index("ix_order_contact_email", "contact_email", postgresql_where=sa.text("contact_email IS NOT NULL")),
        Index("ix_order_contact_phone", "contact_phone", postgresql_where=sa.text("contact_phone IS NOT NULL")),
        Index(
            "ix_order_unconfirmed",
            "placed_at",
            postgresql_where=sa.text("confirmed_at IS NULL AND cancelled_at IS NULL"),
        ),
        Index(
            "uq_order_external",
            "channel_code",
            "external_reference",
            unique=True,
            postgresql_where=sa.text("external_reference IS NOT NULL"),
        ),
    )


class OrderLine(Base):
    """A SKU at the price it was sold for, or a fee. Amounts of the whole line after discounts; `tax_minor` is its share of
    the rounded tax, `discount_minor` what promotions took off.

    Of `quantity`, `cancelled_quantity` never went to the customer (called off, short, not fetched) and
    `refunded_quantity` came back; `returning_quantity` are in returns that are open. The amounts stay those of the whole
    quantity; `orders.value` says what a part is worth.
    `kind` is goods (with a variant), shipping, or gift_card.
    """

    __tablename__ = "order_line"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    order_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("order.id"))
    position: Mapped[int]
    kind: Mapped[str] = mapped_column(server_default="goods")
    variant_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("variant.id"))
    sku: Mapped[str]
    title: Mapped[str]
    quantity: Mapped[int]
    unit_price_minor: Mapped[int] = mapped_column(sa.BigInteger)
    subtotal_minor: Mapped[int] = mapped_column(sa.BigInteger)
    tax_rate_bp: Mapped[int]
    tax_minor: Mapped[int] = mapped_column(sa.BigInteger)
    total_minor: Mapped[int] = mapped_column(sa.BigInteger)
    discount_minor: Mapped[int] = mapped_column(sa.BigInteger, server_default="0")
    refunded_quantity: Mapped[int] = mapped_column(server_default="0")
    cancelled_quantity: Mapped[int] = mapped_column(server_default="0")
    returning_quantity: Mapped[int] = mapped_column(server_default="0")
    substitute_for: Mapped[uuid.UUID | None]
    __table_args__ = (
        Index("ix_order_line_order_id", "order_id", "position", unique=True),
        Index("ix_order_line_sku", "sku"),
        CheckConstraint(
            "refunded_quantity >= 0 AND cancelled_quantity >= 0"
            " AND refunded_quantity + cancelled_quantity <= greatest(quantity, 0)",
            name="refunded_quantity",
        ),
        CheckConstraint("kind IN ('goods', 'shipping', 'gift_card')", name="kind"),
        CheckConstraint("returning_quantity BETWEEN 0 AND greatest(quantity, 0)", name="returning_quantity"),
    )


class Fulfillment(Base):
    """Line quantities that leave ONE location by one method (`fulfillment.TRANSITIONS` has how each may move).

    `location_id` is where its stock is promised, save for ship_to_store: there it is the store the customer comes to,
    and `source_location_id` is where the goods come from; `transfer_id` brings them. carry_out is born collected.
    """

    __tablename__ = "fulfillment"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    order_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("order.id"), index=True)
    location_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("location.id"))
    source_location_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("location.id"))
    method: Mapped[str]
    state: Mapped[str]
    ready_by: Mapped[datetime | None]
    slot_at: Mapped[datetime | None]
    transfer_id: Mapped[uuid.UUID | None]
    picker_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("staff.id"))
    picking_at: Mapped[datetime | None]
    packed_at: Mapped[datetime | None]
    shipped_at: Mapped[datetime | None]
    arrived_at: Mapped[datetime | None]
    delivered_at: Mapped[datetime | None]
    ready_at: Mapped[datetime | None]
    collect_by: Mapped[datetime | None]
    extensions: Mapped[int] = mapped_column(server_default="0")
    reminded_at: Mapped[datetime | None]
    collected_at: Mapped[datetime | None]
    collected_proof: Mapped[str | None]
    closed_at: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(server_default="1")
    lines: Mapped[list["FulfillmentLine"]] = relationship(lazy="raise")
    __table_args__ = (
        CheckConstraint("method IN ('pickup', 'ship', 'ship_to_store', 'carry_out')", name="method"),
        CheckConstraint(
            "state IN ('pending', 'allocated', 'picking', 'packed', 'shipped', 'delivered', 'in_transit', 'arrived',"
            " 'ready', 'collected', 'short', 'expired', 'cancelled')",
            name="state",
        ),
        CheckConstraint("collected_proof IN ('code', 'token', 'identity', 'carry_out')", name="collected_proof"),
        CheckConstraint("(state = 'collected') = (collected_at IS NOT NULL)", name="collected"),
        Index(
            "ix_fulfillment_open",
            "location_id",
            "ready_by",
            "id",
            postgresql_where=sa.text(
                "method IN ('pickup', 'ship_to_store') AND state IN ('allocated', 'picking', 'arrived', 'ready')"
            ),
        ),
        Index(
            "ix_fulfillment_to_pick",
            sa.text("coalesce(source_location_id, location_id)"),
            "ready_by",
            "id",
            postgresql_where=sa.text("state IN ('allocated', 'picking')"),
        ),
        Index("ix_fulfillment_location", "location_id", "id"),
        Index("ix_fulfillment_slot", "location_id", "slot_at", postgresql_where=sa.text("slot_at IS NOT NULL")),
        Index("ix_fulfillment_collect_by", "collect_by", postgresql_where=sa.text("state = 'ready'")),
        CheckConstraint("extensions >= 0", name="extensions"),
        CheckConstraint("(method = 'ship_to_store') = (source_location_id IS NOT NULL)", name="source"),
    )


class FulfillmentLine(Base):
    """How much of an order line this fulfillment carries, and what became of it (units).

    `collected` has left with the customer (or the carrier); `short` was not found; `cancelled` was given up or moved to
    another fulfillment before it left. What is still to be done: quantity - short - cancelled - collected.
    """

    __tablename__ = "fulfillment_line"
    fulfillment_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("fulfillment.id"), primary_key=True)
    order_line_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("order_line.id"), primary_key=True)
    quantity: Mapped[int]
    picked: Mapped[int] = mapped_column(server_default="0")
    collected: Mapped[int] = mapped_column(server_default="0")
    short: Mapped[int] = mapped_column(server_default="0")
    cancelled: Mapped[int] = mapped_column(server_default="0")
    __table_args__ = (
        CheckConstraint(
            "quantity > 0 AND picked >= 0 AND collected >= 0 AND short >= 0 AND cancelled >= 0", name="quantity"
        ),
        CheckConstraint("picked + short + cancelled <= quantity AND collected <= picked", name="picked"),
        Index("ix_fulfillment_line_order_line_id", "order_line_id"),
    )


class PickupCode(Base):
    """The proof for a handover: fingerprints of a short code and a QR token; single use, limited attempts, rotated on re-issue."""

    __tablename__ = "pickup_code"
    fulfillment_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("fulfillment.id"), primary_key=True)
    rotation: Mapped[int] = mapped_column(server_default="1")
    code_hash: Mapped[str] = mapped_column(index=True)
    token_hash: Mapped[str] = mapped_column(unique=True)
    attempts: Mapped[int] = mapped_column(server_default="0")
    locked_at: Mapped[datetime | None]
    used_at: Mapped[datetime | None]
    issued_at: Mapped[datetime]
