"""Slots in which pickups are fetched, so that not everybody comes at once."""

import uuid
from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from retail.kernel.db import Base


class SlotPolicy(Base):
    """How long a store's slots are (minutes, from each opening on), and how many pickups each takes. Without a row it has none."""

    __tablename__ = "slot_policy"
    location_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("location.id"), primary_key=True)
    minutes: Mapped[int]
    capacity: Mapped[int]
    version: Mapped[int] = mapped_column(server_default="1")
    updated_by: Mapped[str]
    updated_at: Mapped[datetime]
    __table_args__ = (CheckConstraint("minutes BETWEEN 5 AND 480 AND capacity BETWEEN 0 AND 10000", name="limits"),)


class PickupSlot(Base):
    """A slot that somebody has asked for: the row that is locked while its pickups are counted. It keeps no count: a pickup
    that is called off, not fetched or moved has left its slot by that."""

    __tablename__ = "pickup_slot"
    location_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("location.id"), primary_key=True)
    starts_at: Mapped[datetime] = mapped_column(primary_key=True)
