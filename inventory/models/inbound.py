"""Deliveries that suppliers have announced, and what came of them."""

import uuid
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from retail.kernel.db import Base


class InboundShipment(Base):
    """Goods a supplier is expected to bring to one location: expected -> partly_received -> received | cancelled."""

    __tablename__ = "inbound_shipment"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    reference: Mapped[str] = mapped_column(unique=True)
    location_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("location.id"))
    supplier: Mapped[str] = mapped_column(server_default="")
    note: Mapped[str] = mapped_column(server_default="")
    state: Mapped[str] = mapped_column(server_default="expected")
    due_at: Mapped[datetime]
    version: Mapped[int] = mapped_column(server_default="1")
    created_by: Mapped[str]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
    __table_args__ = (
        CheckConstraint("state IN ('expected', 'partly_received', 'received', 'cancelled')", name="state"),
        CheckConstraint("(state IN ('received', 'cancelled')) = (closed_at IS NOT NULL)", name="closed"),
        Index("ix_inbound_shipment_location_id", "location_id", "id"),
    )


class InboundLine(Base):
    """One variant of a delivery: announced, and come in so far (`damaged` of these unfit for sale). A line nobody announced
    has `expected` 0. `outstanding` is what is still to come."""

    __tablename__ = "inbound_line"
    shipment_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("inbound_shipment.id"), primary_key=True)
    variant_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("variant.id"), primary_key=True)
    position: Mapped[int]
    expected: Mapped[int]
    received: Mapped[int] = mapped_column(server_default="0")
    damaged: Mapped[int] = mapped_column(server_default="0")
    closed: Mapped[bool] = mapped_column(server_default="false")
    outstanding: Mapped[int] = mapped_column(
        sa.Integer, sa.Computed("CASE WHEN closed THEN 0 ELSE greatest(expected - received, 0) END", persisted=True)
    )
    __table_args__ = (
        CheckConstraint("expected >= 0", name="expected"),
        CheckConstraint("damaged >= 0 AND received >= damaged", name="received"),
        Index("ix_inbound_line_outstanding", "variant_id", postgresql_where=sa.text("outstanding > 0")),
    )
