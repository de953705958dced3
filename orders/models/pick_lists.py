"""Lists by which somebody picks for several orders in one walk."""

import uuid
from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from retail.kernel.db import Base


class PickList(Base):
    """What one picker takes from the shelves of a location in one walk."""

    __tablename__ = "pick_list"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    location_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("location.id"))
    picker_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("staff.id"))
    created_by: Mapped[str]
    created_at: Mapped[datetime]


class PickListPart(Base):
    """A fulfillment on the list that picks it, and which `tote` of that walk its goods go into (from 1)."""

    __tablename__ = "pick_list_part"
    fulfillment_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("fulfillment.id"), primary_key=True)
    pick_list_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("pick_list.id"))
    tote: Mapped[int]
    __table_args__ = (UniqueConstraint("pick_list_id", "tote"), CheckConstraint("tote > 0", name="tote"))
