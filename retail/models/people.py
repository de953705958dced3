"""Customers, what identifies them, and which records turned out to be one person."""

import uuid
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from retail.kernel.db import Base

ASSURANCES = ("claimed", "observed", "attested", "verified")  # weakest first
IDENTITY_KINDS = ("email", "phone", "card", "external")


class Customer(Base):
    """A person who buys. What identifies her are identities, bound by links with an assurance. `address` is where she
    likes to be sent things (the shape of ``order.ship_to``)."""

    __tablename__ = "customer"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    reference: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str] = mapped_column(server_default="")
    locale: Mapped[str] = mapped_column(server_default="ja")
    address: Mapped[dict[str, Any] | None]
    merged_into: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("customer.id"))
    version: Mapped[int] = mapped_column(server_default="1")
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    __table_args__ = (
        CheckConstraint("locale IN ('ja', 'en')", name="locale"),
        Index("ix_customer_merged_into", "merged_into", postgresql_where=sa.text("merged_into IS NOT NULL")),
    )


class Identity(Base):
    """An address or number that may name a customer, normalized; one row in the world per value."""

    __tablename__ = "identity"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    kind: Mapped[str]
    namespace: Mapped[str] = mapped_column(server_default="")
    value: Mapped[str]
    __table_args__ = (
        UniqueConstraint("kind", "namespace", "value"),
        CheckConstraint("kind IN ('email', 'phone', 'card', 'external')", name="kind"),
        CheckConstraint("value <> ''", name="value"),
    )


class IdentityLink(Base):
    """Binds an identity to a customer with an assurance, from when to when; one active link per identity."""

    __tablename__ = "identity_link"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    identity_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("identity.id"))
    customer_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("customer.id"), index=True)
    assurance: Mapped[str]
    from_at: Mapped[datetime]
    to_at: Mapped[datetime | None]
    actor: Mapped[str]
    __table_args__ = (
        Index("uq_identity_link_active", "identity_id", unique=True, postgresql_where=sa.text("to_at IS NULL")),
        CheckConstraint("assurance IN ('claimed', 'observed', 'attested', 'verified')", name="assurance"),
    )


class CustomerMerge(Base):
    """Two records that turned out to be one person: `gone_id` became a tombstone that redirects to `stays_id`.

    `repointed` are the tombstones that redirected to `gone_id` before, and to `stays_id` since. Nothing else moves: what
    names the tombstone (orders, identities) is read through it. An undone merge keeps its row.
    """

    __tablename__ = "customer_merge"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    gone_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("customer.id"), index=True)
    stays_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("customer.id"), index=True)
    repointed: Mapped[list[uuid.UUID]] = mapped_column(sa.ARRAY(sa.UUID), server_default="{}")
    reason: Mapped[str] = mapped_column(server_default="")
    actor: Mapped[str]
    at: Mapped[datetime]
    undone_at: Mapped[datetime | None]
    undone_by: Mapped[str | None]
    __table_args__ = (
        CheckConstraint("gone_id <> stays_id", name="two"),
        CheckConstraint("(undone_at IS NULL) = (undone_by IS NULL)", name="undone"),
        Index("uq_customer_merge_active", "gone_id", unique=True, postgresql_where=sa.text("undone_at IS NULL")),
    )
