"""Parcels: what leaves a location by a carrier, and what is in each."""

import uuid
from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from retail.kernel.db import Base


class Parcel(Base):
    """packed -> shipped -> delivered. Carrier and tracking number are known once it is handed to the carrier."""

    __tablename__ = "parcel"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    fulfillment_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("fulfillment.id"))
    position: Mapped[int]
    weight_g: Mapped[int | None]
    state: Mapped[str] = mapped_column(server_default="packed")
    carrier: Mapped[str | None]
    tracking: Mapped[str | None]
    packed_at: Mapped[datetime]
    shipped_at: Mapped[datetime | None]
    delivered_at: Mapped[datetime | None]
    __table_args__ = (
        UniqueConstraint("fulfillment_id", "position"),
        Index("ix_parcel_tracking", "tracking"),
        CheckConstraint("state IN ('packed', 'shipped', 'delivered')", name="state"),
        CheckConstraint("(state = 'packed') = (shipped_at IS NULL)", name="shipped"),
        CheckConstraint("(state = 'delivered') = (delivered_at IS NOT NULL)", name="delivered"),
        CheckConstraint("(shipped_at IS NULL) = (carrier IS NULL)", name="carrier"),
        CheckConstraint("weight_g > 0", name="weight_g"),
    )


class ParcelLine(Base):
    """Units of an order line in a parcel."""

    __tablename__ = "parcel_line"
    parcel_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("parcel.id"), primary_key=True)
    order_line_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("order_line.id"), primary_key=True, index=True)
    quantity: Mapped[int]
    __table_args__ = (CheckConstraint("quantity > 0", name="quantity"),)
