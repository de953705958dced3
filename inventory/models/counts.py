"""Cycle counts: what somebody found on the shelf, beside what the books said at that moment."""

import uuid
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from retail.kernel.db import Base


class StockCount(Base):
    """A count of some variants at one location: open -> approval -> applied | cancelled.

    `blind`: who counts does not see what the books say. A difference of more than `approval_above` units on a line waits
    for somebody with the right to approve who has not counted it.
    """

    __tablename__ = "stock_count"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    reference: Mapped[str] = mapped_column(unique=True)
    location_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("location.id"))
    shelf: Mapped[str | None]
    state: Mapped[str] = mapped_column(server_default="open")
    blind: Mapped[bool] = mapped_column(server_default="true")
    approval_above: Mapped[int]
    note: Mapped[str] = mapped_column(server_default="")
    version: Mapped[int] = mapped_column(server_default="1")
    created_by: Mapped[str]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
    __table_args__ = (
        CheckConstraint("state IN ('open', 'approval', 'applied', 'cancelled')", name="state"),
        CheckConstraint("(state IN ('applied', 'cancelled')) = (closed_at IS NOT NULL)", name="closed"),
        CheckConstraint("approval_above >= 0", name="approval_above"),
        Index("ix_stock_count_location_id", "location_id", "id"),
    )


class StockCountLine(Base):
    """One variant to count: open -> (recount ->) (approval ->) applied | rejected. `expected` and `recount_expected` are
    what the books said in the moment of each entry; the difference of the entry that counts is applied as a change, so
    that sales between counting and applying stay."""

    __tablename__ = "stock_count_line"
    count_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("stock_count.id"), primary_key=True)
    variant_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("variant.id"), primary_key=True)
    position: Mapped[int]
    state: Mapped[str] = mapped_column(server_default="open")
    counted: Mapped[int | None]
    expected: Mapped[int | None]
    counted_by: Mapped[str | None]
    counted_at: Mapped[datetime | None]
    recounted: Mapped[int | None]
    recount_expected: Mapped[int | None]
    recounted_by: Mapped[str | None]
    recounted_at: Mapped[datetime | None]
    difference: Mapped[int | None]
    settled_by: Mapped[str | None]
    settled_at: Mapped[datetime | None]
    __table_args__ = (
        CheckConstraint("state IN ('open', 'recount', 'approval', 'applied', 'rejected')", name="state"),
        CheckConstraint("counted >= 0 AND recounted >= 0", name="counted"),
        CheckConstraint("(state IN ('applied', 'rejected')) = (settled_at IS NOT NULL)", name="settled"),
        Index(
            "ix_stock_count_line_open",
            "variant_id",
            postgresql_where=sa.text("state IN ('open', 'recount', 'approval')"),
        ),
    )
