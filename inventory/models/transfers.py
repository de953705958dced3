"""Goods on their way from one location to another."""

import uuid
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from retail.kernel.db import Base


class Transfer(Base):
    """draft -> ready (allocated at the origin) -> in_transit -> partly_received -> received; cancelled from any but the last.
    Cancelled in transit, what is on its way either comes back (``return``) or is given up (``shrink``).

    `promised_to`: these very units were promised to an order before they left, and are promised to it where they arrive."""

    __tablename__ = "transfer"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    reference: Mapped[str] = mapped_column(unique=True)
    from_location_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("location.id"))
    to_location_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("location.id"))
    state: Mapped[str] = mapped_column(server_default="draft")
    due_at: Mapped[datetime | None]
    note: Mapped[str] = mapped_column(server_default="")
    cancel_choice: Mapped[str | None]
    promised_to: Mapped[uuid.UUID | None]
    version: Mapped[int] = mapped_column(server_default="1")
    created_by: Mapped[str]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    shipped_at: Mapped[datetime | None]
    closed_at: Mapped[datetime | None]
    __table_args__ = (
        CheckConstraint(
            "state IN ('draft', 'ready', 'in_transit', 'partly_received', 'received', 'cancelled')", name="state"
        ),
        CheckConstraint("(state IN ('received', 'cancelled')) = (closed_at IS NOT NULL)", name="closed"),
        CheckConstraint("from_location_id <> to_location_id", name="elsewhere"),
        CheckConstraint("cancel_choice IN ('return', 'shrink')", name="cancel_choice"),
        Index("ix_transfer_from_location_id", "from_location_id", "id"),
        Index("ix_transfer_to_location_id", "to_location_id", "id"),
    )


class TransferLine(Base):
    """One variant of a transfer. `outstanding` is on its way: shipped, and neither received (`damaged` of these unfit for
    sale), nor returned, nor shrunk. What was shrunk is the discrepancy."""

    __tablename__ = "transfer_line"
    transfer_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("transfer.id"), primary_key=True)
    variant_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("variant.id"), primary_key=True)
    position: Mapped[int]
    requested: Mapped[int]
    shipped: Mapped[int] = mapped_column(server_default="0")
    received: Mapped[int] = mapped_column(server_default="0")
    damaged: Mapped[int] = mapped_column(server_default="0")
    returned: Mapped[int] = mapped_column(server_default="0")
    shrunk: Mapped[int] = mapped_column(server_default="0")
    outstanding: Mapped[int] = mapped_column(
        sa.Integer, sa.Computed("shipped - received - returned - shrunk", persisted=True)
    )
    __table_args__ = (
        CheckConstraint("requested > 0", name="requested"),
        CheckConstraint("shipped BETWEEN 0 AND requested", name="shipped"),
        CheckConstraint("damaged >= 0 AND received >= damaged", name="received"),
        CheckConstraint("returned >= 0 AND shrunk >= 0", name="given_up"),
        CheckConstraint("received + returned + shrunk <= shipped", name="conserved"),
        Index("ix_transfer_line_outstanding", "variant_id", postgresql_where=sa.text("outstanding > 0")),
    )
