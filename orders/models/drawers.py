"""The cash in a till: sessions of its drawer, and every movement of cash in one."""

import uuid
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from retail.kernel.db import Base


class Drawer(Base):
    """One session of a till's cash drawer, minor units: opened with a count, closed with another; never edited after that.

    What is expected follows from the entries; `expected_minor` and `difference_minor` keep what closing found. One open
    session per till.
    """

    __tablename__ = "drawer"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    till_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("till.id"), index=True)
    currency: Mapped[str]
    opening_minor: Mapped[int] = mapped_column(sa.BigInteger)
    opened_by: Mapped[str]
    opened_at: Mapped[datetime]
    expected_minor: Mapped[int | None] = mapped_column(sa.BigInteger)
    counted_minor: Mapped[int | None] = mapped_column(sa.BigInteger)
    difference_minor: Mapped[int | None] = mapped_column(sa.BigInteger)
    closed_by: Mapped[str | None]
    closed_at: Mapped[datetime | None]
    __table_args__ = (
        CheckConstraint("opening_minor >= 0 AND counted_minor >= 0", name="counts"),
        CheckConstraint("num_nonnulls(expected_minor, counted_minor, closed_by, closed_at) IN (0, 4)", name="closed"),
        CheckConstraint("difference_minor IS NOT DISTINCT FROM counted_minor - expected_minor", name="difference"),
        Index("uq_drawer_open", "till_id", unique=True, postgresql_where=sa.text("closed_at IS NULL")),
    )


class DrawerEntry(Base):
    """Cash that went in (sale, pay_in) or out (refund, pay_out) of a drawer, minor units, always positive.

    A cash payment is in one drawer at most, a refund too: their ids are unique here.
    """

    __tablename__ = "drawer_entry"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    drawer_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("drawer.id"), index=True)
    kind: Mapped[str]
    amount_minor: Mapped[int] = mapped_column(sa.BigInteger)
    payment_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("payment.id"), unique=True)
    refund_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("refund.id"), unique=True)
    reason: Mapped[str] = mapped_column(server_default="")
    actor: Mapped[str]
    at: Mapped[datetime]
    __table_args__ = (
        CheckConstraint("kind IN ('sale', 'refund', 'pay_in', 'pay_out')", name="kind"),
        CheckConstraint("amount_minor > 0", name="amount_minor"),
        CheckConstraint(
            "(kind = 'sale') = (payment_id IS NOT NULL) AND (kind = 'refund') = (refund_id IS NOT NULL)", name="cause"
        ),
    )
