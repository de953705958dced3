"""What was said to and by customers: messages sent, contacts noted."""

import uuid
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import CheckConstraint, ForeignKey, Identity, Index
from sqlalchemy.orm import Mapped, mapped_column

from retail.kernel.db import Base


class Message(Base):
    """One outbound message: queued -> sending -> sent | failed, never backwards. `client_key` makes it happen once.

    `params` fill the template when it is sent; secrets (pickup codes) are worked out then and masked in `body`.
    """

    __tablename__ = "message"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(sa.BigInteger, Identity(always=True), unique=True)
    client_key: Mapped[str] = mapped_column(unique=True)
    customer_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("customer.id"))
    order_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("order.id"), index=True)
    channel: Mapped[str]
    address: Mapped[str]
    template: Mapped[str]
    locale: Mapped[str]
    params: Mapped[dict[str, Any]]
    subject: Mapped[str] = mapped_column(server_default="")
    body: Mapped[str] = mapped_column(server_default="")
    state: Mapped[str] = mapped_column(server_default="queued")
    attempts: Mapped[int] = mapped_column(server_default="0")
    next_at: Mapped[datetime]
    last_error: Mapped[str | None]
    created_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]
    __table_args__ = (
        CheckConstraint("channel IN ('email')", name="channel"),
        CheckConstraint("state IN ('queued', 'sending', 'sent', 'failed')", name="state"),
        Index("ix_message_due", "next_at", postgresql_where=sa.text("state IN ('queued', 'sending')")),
        Index(
            "ix_message_customer",
            "customer_id",
            sa.text("seq DESC"),
            postgresql_where=sa.text("customer_id IS NOT NULL"),
        ),
    )


class Contact(Base):
    """A word between the customer and us, on any channel, noted so that the next agent reads it."""

    __tablename__ = "contact"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    customer_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("customer.id"))
    order_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("order.id"), index=True)
    staff_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("staff.id"))
    channel: Mapped[str]
    direction: Mapped[str]
    text: Mapped[str]
    at: Mapped[datetime]
    __table_args__ = (
        CheckConstraint("channel IN ('phone', 'email', 'store', 'web', 'app', 'line', 'letter')", name="channel"),
        CheckConstraint("direction IN ('inbound', 'outbound', 'internal')", name="direction"),
        CheckConstraint("customer_id IS NOT NULL OR order_id IS NOT NULL", name="about"),
        CheckConstraint("length(text) BETWEEN 1 AND 10000", name="text"),
        Index(
            "ix_contact_customer",
            "customer_id",
            sa.text("at DESC"),
            postgresql_where=sa.text("customer_id IS NOT NULL"),
        ),
    )
