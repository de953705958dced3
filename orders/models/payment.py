"""Payments: one row per tender of an order, a ledger of what happened to it, refunds, and the provider's messages."""

import uuid
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import CheckConstraint, ForeignKey, Identity, Index
from sqlalchemy.orm import Mapped, mapped_column

from retail.kernel.db import Base


class Payment(Base):
    """One tender's part of an order, minor units. The sums are a lockable cache of `payment_entry`.

    card: pending -> (requires_action) -> authorized -> captured | voided | failed; points, cash: captured at once or at
    handover; pay_at_pickup: pending until handover names the real tender; gift_card: captured when the order is placed;
    external: taken by another system (an imported order), captured from the start, refunds are recorded.

    `released_minor` was given up before it was captured: a capture takes amount - released. `replaces` names the
    authorization that this one took the place of (re-authorization, another method chosen). While a card that is to take
    another's place does not hold, all of it counts as released: it stands for nothing yet. `warned_at`: when it was told that
    the authorization lapses soon.
    """

    __tablename__ = "payment"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    order_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("order.id"), index=True)
    tender: Mapped[str]
    state: Mapped[str]
    amount_minor: Mapped[int] = mapped_column(sa.BigInteger)
    authorized_minor: Mapped[int] = mapped_column(sa.BigInteger, server_default="0")
    captured_minor: Mapped[int] = mapped_column(sa.BigInteger, server_default="0")
    refunded_minor: Mapped[int] = mapped_column(sa.BigInteger, server_default="0")
    released_minor: Mapped[int] = mapped_column(sa.BigInteger, server_default="0")
    currency: Mapped[str]
    points: Mapped[int | None] = mapped_column(sa.BigInteger)
    provider_id: Mapped[str | None] = mapped_column(unique=True)
    provider_method: Mapped[str | None]
    gift_card_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("gift_card.id"), index=True)
    payment_method_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("payment_method.id"))
    replaces: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("payment.id"))
    capture_before: Mapped[datetime | None]
    warned_at: Mapped[datetime | None]
    failure_code: Mapped[str | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    __table_args__ = (
        CheckConstraint(
            "tender IN ('card', 'points', 'cash', 'card_terminal', 'pay_at_pickup', 'gift_card', 'external')",
            name="tender",
        ),
        CheckConstraint("(tender = 'gift_card') = (gift_card_id IS NOT NULL)", name="gift_card"),
        CheckConstraint("released_minor >= 0 AND released_minor + captured_minor <= amount_minor", name="released"),
        CheckConstraint(
            "state IN ('pending', 'requires_action', 'authorized', 'captured', 'voided', 'failed')", name="state"
        ),
        CheckConstraint("amount_minor > 0", name="amount_minor"),
        CheckConstraint("authorized_minor >= 0 AND authorized_minor <= amount_minor", name="authorized"),
        CheckConstraint("captured_minor >= 0 AND captured_minor <= authorized_minor", name="captured"),
        CheckConstraint("refunded_minor >= 0 AND refunded_minor <= captured_minor", name="refunded"),
        Index(
            "ix_payment_unsettled",
            "updated_at",
            postgresql_where=sa.text("tender = 'card' AND state IN ('pending', 'requires_action', 'authorized')"),
        ),
    )


class PaymentEntry(Base):
    """Append-only ledger and attempt log: what was asked of the provider under which key, and what came of it.

    started -> succeeded | failed is written once; the amounts of succeeded rows add up to the payment's sums. A started
    row without outcome is what the settle job repeats with the same idempotency key.
    """

    __tablename__ = "payment_entry"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(sa.BigInteger, Identity(always=True), unique=True)
    payment_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("payment.id"), index=True)
    kind: Mapped[str]
    amount_minor: Mapped[int] = mapped_column(sa.BigInteger)
    state: Mapped[str]
    idempotency_key: Mapped[str] = mapped_column(unique=True)
    provider_id: Mapped[str | None]
    refund_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("refund.id"), index=True)
    error: Mapped[str | None]
    actor: Mapped[str]
    started_at: Mapped[datetime]
    settled_at: Mapped[datetime | None]
    __table_args__ = (
        CheckConstraint("kind IN ('authorize', 'capture', 'void', 'refund')", name="kind"),
        CheckConstraint("state IN ('started', 'succeeded', 'failed')", name="state"),
        CheckConstraint("amount_minor >= 0", name="amount_minor"),
        CheckConstraint("(state = 'started') = (settled_at IS NULL)", name="settled"),
        Index("ix_payment_entry_started", "started_at", postgresql_where=sa.text("state = 'started'")),
    )


class Refund(Base):
    """Money (and points) going back for one order: pending -> done | failed; split over the tenders by payment entries.

    `destination` is original (the tenders it came from), gift_card (all of its money was put on `gift_card_id`) or
    payment_method (another system pays it to that saved method). `whole`: of the whole order, so that all its lines count as
    given back. `kept_minor` of what the returned lines are worth was kept (a fee); `goodwill`: for no goods at all.
    """

    __tablename__ = "refund"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    order_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("order.id"), index=True)
    amount_minor: Mapped[int] = mapped_column(sa.BigInteger)
    points: Mapped[int] = mapped_column(sa.BigInteger, server_default="0")
    currency: Mapped[str]
    reason: Mapped[str]
    restock: Mapped[bool]
    destination: Mapped[str] = mapped_column(server_default="original")
    gift_card_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("gift_card.id"))
    payment_method_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("payment_method.id"))
    return_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("return.id"), index=True)
    whole: Mapped[bool] = mapped_column(server_default="false")
    goodwill: Mapped[bool] = mapped_column(server_default="false")
    kept_minor: Mapped[int] = mapped_column(sa.BigInteger, server_default="0")
    state: Mapped[str]
    actor: Mapped[str]
    created_at: Mapped[datetime]
    done_at: Mapped[datetime | None]
    __table_args__ = (
        CheckConstraint("amount_minor >= 0 AND points >= 0", name="amounts"),
        CheckConstraint("destination IN ('original', 'gift_card', 'payment_method')", name="destination"),
        CheckConstraint("(destination = 'payment_method') = (payment_method_id IS NOT NULL)", name="payment_method"),
        CheckConstraint("kept_minor >= 0 AND NOT (whole AND goodwill)", name="kept"),
        CheckConstraint("(destination = 'gift_card') = (gift_card_id IS NOT NULL)", name="gift_card"),
        CheckConstraint("state IN ('pending', 'done', 'failed')", name="state"),
    )


class WebhookInbox(Base):
    """An event a provider sent us, kept before it is understood. The key makes a repeat a no-op."""

    __tablename__ = "webhook_inbox"
    provider: Mapped[str] = mapped_column(primary_key=True)
    event_id: Mapped[str] = mapped_column(primary_key=True)
    type: Mapped[str]
    object_id: Mapped[str | None]
    payload: Mapped[dict[str, Any]]
    received_at: Mapped[datetime]
    processed_at: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(server_default="0")
    next_at: Mapped[datetime]
    last_error: Mapped[str | None]
    __table_args__ = (Index("ix_webhook_inbox_due", "next_at", postgresql_where=sa.text("processed_at IS NULL")),)


class RefundLine(Base):
    """Units of an order line that a refund pays for, and their worth (minor units, tax included): `cancelled` before they
    left, or `returned`."""

    __tablename__ = "refund_line"
    refund_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("refund.id"), primary_key=True)
    order_line_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("order_line.id"), primary_key=True, index=True)
    quantity: Mapped[int]
    amount_minor: Mapped[int] = mapped_column(sa.BigInteger)
    because: Mapped[str]
    __table_args__ = (
        CheckConstraint("quantity > 0 AND amount_minor >= 0", name="quantity"),
        CheckConstraint("because IN ('cancelled', 'returned')", name="because"),
    )
