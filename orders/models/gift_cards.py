"""Gift cards with their ledger, and the payment methods that a customer keeps with us."""

import uuid
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import CheckConstraint, ForeignKey, Identity, Index
from sqlalchemy.orm import Mapped, mapped_column

from retail.kernel.db import Base


class GiftCard(Base):
    """Money paid beforehand, or store credit. `balance_minor` is a lockable cache of its entries' sum; never negative.

    The number that its holder shows is not stored: `code_hash` is its fingerprint, `hint` its last characters.
    """

    __tablename__ = "gift_card"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(server_default="gift_card")
    code_hash: Mapped[str] = mapped_column(unique=True)
    hint: Mapped[str]
    customer_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("customer.id"))
    currency: Mapped[str]
    balance_minor: Mapped[int] = mapped_column(sa.BigInteger, server_default="0")
    state: Mapped[str] = mapped_column(server_default="active")
    expires_at: Mapped[datetime | None]
    external_reference: Mapped[str | None] = mapped_column(unique=True)
    version: Mapped[int] = mapped_column(server_default="1")
    created_at: Mapped[datetime]
    __table_args__ = (
        CheckConstraint("kind IN ('gift_card', 'store_credit')", name="kind"),
        CheckConstraint("state IN ('active', 'blocked')", name="state"),
        CheckConstraint("balance_minor >= 0", name="balance"),
        CheckConstraint("currency ~ '^[A-Z]{3}$'", name="currency"),
        Index("ix_gift_card_customer_id", "customer_id", postgresql_where=sa.text("customer_id IS NOT NULL")),
    )


class GiftCardEntry(Base):
    """One change of a card's balance, signed, minor units: `+` issue and refund, `-` spend, either adjust. Append-only."""

    __tablename__ = "gift_card_entry"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(sa.BigInteger, Identity(always=True), unique=True)
    gift_card_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("gift_card.id"), index=True)
    kind: Mapped[str]
    amount_minor: Mapped[int] = mapped_column(sa.BigInteger)
    key: Mapped[str] = mapped_column(unique=True)
    order_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("order.id"), index=True)
    reason: Mapped[str] = mapped_column(server_default="")
    actor: Mapped[str]
    at: Mapped[datetime]
    __table_args__ = (
        CheckConstraint("kind IN ('issue', 'spend', 'refund', 'adjust')", name="kind"),
        CheckConstraint(
            "amount_minor <> 0 AND (kind <> 'spend' OR amount_minor < 0) AND (kind NOT IN ('issue', 'refund') OR amount_minor > 0)",
            name="sign",
        ),
    )


class PaymentMethod(Base):
    """How a customer likes to pay: a card or wallet by the provider's token, or a gift card of hers. `external_reference` is
    another system's name for it; a method without token is charged and refunded there (tender external)."""

    __tablename__ = "payment_method"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    customer_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("customer.id"))
    kind: Mapped[str]
    brand: Mapped[str] = mapped_column(server_default="")
    label: Mapped[str] = mapped_column(server_default="")
    provider_method: Mapped[str | None]
    gift_card_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("gift_card.id"))
    external_reference: Mapped[str | None]
    retired_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    __table_args__ = (
        CheckConstraint("kind IN ('card', 'wallet', 'gift_card')", name="kind"),
        CheckConstraint("(kind = 'gift_card') = (gift_card_id IS NOT NULL)", name="gift_card"),
        Index("uq_payment_method_external", "customer_id", "external_reference", unique=True),
    )
