"""Returns and exchanges with their policies, and the bookkeeping of imported history."""

import uuid
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from retail.kernel.db import Base


class ReturnPolicy(Base):
    """What may come back, until when and for what, as data: of the whole company, a category or one SKU; the most specific
    one that exists is the one that counts. Where none does, `return_policies.DEFAULT` speaks.

    `window_days` counts from the handover or delivery (null: for ever); `conditions` are those that are paid back;
    `destinations` where the money may go; `requests_per_order` how many returns and exchanges one order may see (null: any
    number); `approval` automatic, or by a person.
    """

    __tablename__ = "return_policy"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    scope: Mapped[str]
    scope_key: Mapped[str] = mapped_column(server_default="")
    window_days: Mapped[int | None]
    conditions: Mapped[list[str]]
    destinations: Mapped[list[str]]
    restocking_fee_bp: Mapped[int] = mapped_column(server_default="0")
    final_sale: Mapped[bool] = mapped_column(server_default="false")
    exchange_allowed: Mapped[bool] = mapped_column(server_default="true")
    same_product_only: Mapped[bool] = mapped_column(server_default="false")
    requests_per_order: Mapped[int | None]
    approval: Mapped[str] = mapped_column(server_default="automatic")
    version: Mapped[int] = mapped_column(server_default="1")
    updated_by: Mapped[str]
    updated_at: Mapped[datetime]
    __table_args__ = (
        CheckConstraint("scope IN ('company', 'category', 'sku')", name="scope"),
        CheckConstraint("(scope = 'company') = (scope_key = '')", name="scope_key"),
        CheckConstraint("window_days >= 0 AND requests_per_order >= 0", name="limits"),
        CheckConstraint("restocking_fee_bp BETWEEN 0 AND 10000", name="restocking_fee_bp"),
        CheckConstraint("approval IN ('automatic', 'by_hand')", name="approval"),
        Index("uq_return_policy_scope", "scope", "scope_key", unique=True),
    )


class Return(Base):
    """Goods that come back, for money or (purpose exchange) for other goods.

    requested -> approved -> received -> (inspection) -> refunded | exchanged; exits rejected and cancelled. An open one keeps
    its units in `order_line.returning_quantity`, so that nobody returns one unit twice. `amount_minor` is what the goods
    are worth while it is open, and what was given back in the end; `fee_minor` what was kept. `findings` is what the policy
    said of each line when it was asked for. `difference_minor` is what an exchange costs more (negative: less), settled by
    `payment_method_id` or `gift_card_id`, at the counter, or with the tenders of the order.
    `order_id` is null when history does not say which order they belong to.
    """

    __tablename__ = "return"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    reference: Mapped[str] = mapped_column(unique=True)
    kind: Mapped[str] = mapped_column(server_default="live")
    order_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("order.id"), index=True)
    customer_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("customer.id"))
    location_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("location.id"))
    channel_code: Mapped[str] = mapped_column(ForeignKey("channel.code"))
    purpose: Mapped[str] = mapped_column(server_default="refund")
    state: Mapped[str]
    currency: Mapped[str]
    amount_minor: Mapped[int] = mapped_column(sa.BigInteger)
    fee_minor: Mapped[int] = mapped_column(sa.BigInteger, server_default="0")
    refund_to: Mapped[str] = mapped_column(server_default="original")
    gift_card_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("gift_card.id"))
    payment_method_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("payment_method.id"))
    difference_minor: Mapped[int | None] = mapped_column(sa.BigInteger)
    findings: Mapped[list[dict[str, Any]]] = mapped_column(server_default="[]")
    gift_receipt_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("gift_receipt.id"))
    external_reference: Mapped[str | None]
    reason: Mapped[str] = mapped_column(server_default="")
    requested_by: Mapped[str] = mapped_column(server_default="system")
    requested_at: Mapped[datetime]
    decided_by: Mapped[str | None]
    decided_at: Mapped[datetime | None]
    received_at: Mapped[datetime | None]
    inspected_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
    close_reason: Mapped[str | None]
    version: Mapped[int] = mapped_column(server_default="1")
    __table_args__ = (
        CheckConstraint("kind IN ('live', 'history')", name="kind"),
        CheckConstraint("purpose IN ('refund', 'exchange')", name="purpose"),
        CheckConstraint(
            "state IN ('requested', 'approved', 'received', 'refunded', 'exchanged', 'rejected', 'cancelled')",
            name="state",
        ),
        CheckConstraint("refund_to IN ('original', 'gift_card', 'store_credit')", name="refund_to"),
        CheckConstraint("refund_to <> 'gift_card' OR gift_card_id IS NOT NULL", name="gift_card"),
        CheckConstraint("fee_minor >= 0", name="fee"),
        CheckConstraint(
            "kind = 'history'"
            " OR (closed_at IS NOT NULL) = (state IN ('refunded', 'exchanged', 'rejected', 'cancelled'))",
            name="closed",
        ),
        Index(
            "ix_return_customer",
            "customer_id",
            sa.text("requested_at DESC"),
            postgresql_where=sa.text("customer_id IS NOT NULL"),
        ),
        Index(
            "ix_return_live",
            sa.text("requested_at DESC"),
            sa.text("id DESC"),
            postgresql_where=sa.text("kind = 'live'"),
        ),
        Index(
            "uq_return_external",
            "channel_code",
            "external_reference",
            unique=True,
            postgresql_where=sa.text("external_reference IS NOT NULL"),
        ),
    )


class GiftReceipt(Base):
    """A paper for who was given an order's goods: a reference and a link, no prices. Returns by it become store credit.

    The link's token is not stored: `token_hash` is its fingerprint.
    """

    __tablename__ = "gift_receipt"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    reference: Mapped[str] = mapped_column(unique=True)
    token_hash: Mapped[str] = mapped_column(unique=True)
    order_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("order.id"), unique=True)
    created_by: Mapped[str]
    created_at: Mapped[datetime]


class ReturnLine(Base):
    """Units of one SKU that came back and what was paid for them (minor units, positive).

    `condition` is what was said when it was asked for, `outcomes` what inspection found: units by condition.
    `accepted_quantity` of them are paid back.
    """

    __tablename__ = "return_line"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    return_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("return.id"))
    position: Mapped[int]
    order_line_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("order_line.id"))
    variant_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("variant.id"))
    sku: Mapped[str]
    title: Mapped[str]
    quantity: Mapped[int]
    unit_price_minor: Mapped[int] = mapped_column(sa.BigInteger)
    amount_minor: Mapped[int] = mapped_column(sa.BigInteger)
    reason: Mapped[str] = mapped_column(server_default="")
    condition: Mapped[str | None]
    received_quantity: Mapped[int] = mapped_column(server_default="0")
    accepted_quantity: Mapped[int] = mapped_column(server_default="0")
    outcomes: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    __table_args__ = (
        Index("ix_return_line_return_id", "return_id", "position", unique=True),
        CheckConstraint(
            "received_quantity >= 0 AND accepted_quantity >= 0 AND accepted_quantity <= greatest(quantity, 0)"
            " AND received_quantity <= greatest(quantity, 0)",
            name="quantities",
        ),
    )


class ExchangeLine(Base):
    """What somebody gets in the place of a returned line, at the price it was offered for: the order line it will become
    has its id already, and its stock is allocated to that. Amounts of the whole quantity, minor units."""

    __tablename__ = "exchange_line"
    return_line_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("return_line.id"), primary_key=True)
    order_line_id: Mapped[uuid.UUID] = mapped_column(unique=True)
    location_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("location.id"))
    variant_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("variant.id"))
    sku: Mapped[str]
    title: Mapped[str]
    quantity: Mapped[int]
    unit_price_minor: Mapped[int] = mapped_column(sa.BigInteger)
    tax_rate_bp: Mapped[int]
    subtotal_minor: Mapped[int] = mapped_column(sa.BigInteger)
    tax_minor: Mapped[int] = mapped_column(sa.BigInteger)
    total_minor: Mapped[int] = mapped_column(sa.BigInteger)
    __table_args__ = (CheckConstraint("quantity > 0", name="quantity"),)


class HistoryImport(Base):
    """One file being imported: where it stands, so that a killed import goes on and a repeated one adds nothing."""

    __tablename__ = "history_import"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    format: Mapped[str]
    digest: Mapped[str]
    filename: Mapped[str]
    next_line: Mapped[int] = mapped_column(server_default="0")
    lines_total: Mapped[int | None]
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    __table_args__ = (Index("uq_history_import_file", "format", "digest", unique=True),)


class HistoryLine(Base):
    """What became of each line that is not a plain sale or return: kept with a note, or left out, and why."""

    __tablename__ = "history_line"
    import_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("history_import.id"), primary_key=True)
    line_number: Mapped[int] = mapped_column(primary_key=True)
    outcome: Mapped[str]
    reason: Mapped[str]
    amount_minor: Mapped[int] = mapped_column(sa.BigInteger, server_default="0")
    month: Mapped[str] = mapped_column(server_default="")
    raw: Mapped[str]
    __table_args__ = (
        CheckConstraint("outcome IN ('kept', 'reported')", name="outcome"),
        Index("ix_history_line_reason", "import_id", "reason"),
    )
