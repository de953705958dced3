"""What was missing when it was picked, what became of it, and the substitutes that customers are asked about."""

import uuid
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from retail.kernel.db import Base

SETTLED = "('resourced', 'shipped', 'substituted', 'refunded', 'filled', 'cancelled')"


class Shortfall(Base):
    """Units of an order line that a fulfillment promised and that are missing: open -> what became of them.

    `proposed`: a substitute is offered and the customer has not answered. `filled`: they were found after all.
    `to_fulfillment_id` carries them instead (resourced, shipped, substituted). `cancelled`: the order was called off.
    """

    __tablename__ = "shortfall"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    order_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("order.id"), index=True)
    fulfillment_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("fulfillment.id"))
    order_line_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("order_line.id"))
    quantity: Mapped[int]
    cause: Mapped[str]
    state: Mapped[str] = mapped_column(server_default="open")
    to_fulfillment_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("fulfillment.id"))
    actor: Mapped[str]
    created_at: Mapped[datetime]
    settled_at: Mapped[datetime | None]
    settled_by: Mapped[str | None]
    __table_args__ = (
        CheckConstraint("quantity > 0", name="quantity"),
        CheckConstraint(f"state IN ('open', 'proposed') OR state IN {SETTLED}", name="state"),
        CheckConstraint("(state IN ('open', 'proposed')) = (settled_at IS NULL)", name="settled"),
        Index("ix_shortfall_fulfillment_id", "fulfillment_id"),
        Index("ix_shortfall_open", "created_at", postgresql_where=sa.text("state IN ('open', 'proposed')")),
    )


class SubstituteProposal(Base):
    """Another SKU in the place of missing units, at `unit_price_minor` each and never dearer; the customer says yes or no
    by a link, of whose token the fingerprint is kept. proposed -> accepted | declined | expired | withdrawn."""

    __tablename__ = "substitute_proposal"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    order_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("order.id"), index=True)
    fulfillment_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("fulfillment.id"))
    order_line_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("order_line.id"))
    quantity: Mapped[int]
    variant_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("variant.id"))
    sku: Mapped[str]
    title: Mapped[str]
    unit_price_minor: Mapped[int] = mapped_column(sa.BigInteger)
    tax_rate_bp: Mapped[int]
    token_hash: Mapped[str] = mapped_column(unique=True)
    state: Mapped[str] = mapped_column(server_default="proposed")
    expires_at: Mapped[datetime]
    proposed_by: Mapped[str]
    created_at: Mapped[datetime]
    answered_at: Mapped[datetime | None]
    new_line_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("order_line.id"))
    __table_args__ = (
        CheckConstraint("quantity > 0", name="quantity"),
        CheckConstraint("unit_price_minor >= 0", name="unit_price_minor"),
        CheckConstraint("state IN ('proposed', 'accepted', 'declined', 'expired', 'withdrawn')", name="state"),
        CheckConstraint("(state = 'proposed') = (answered_at IS NULL)", name="answered"),
        Index(
            "uq_substitute_proposal_open",
            "fulfillment_id",
            "order_line_id",
            unique=True,
            postgresql_where=sa.text("state = 'proposed'"),
        ),
        Index("ix_substitute_proposal_expiry", "expires_at", postgresql_where=sa.text("state = 'proposed'")),
    )
