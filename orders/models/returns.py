"""Returns, and the bookkeeping of imported history."""

import uuid
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from retail.kernel.db import Base


class Return(Base):
    """Goods that came back. `order_id` is null when history does not say which order they belong to."""

    __tablename__ = "return"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    reference: Mapped[str] = mapped_column(unique=True)
    kind: Mapped[str] = mapped_column(server_default="live")
    order_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("order.id"), index=True)
    customer_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("customer.id"))
    location_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("location.id"))
    channel_code: Mapped[str] = mapped_column(ForeignKey("channel.code"))
    state: Mapped[str]
    currency: Mapped[str]
    amount_minor: Mapped[int] = mapped_column(sa.BigInteger)
    external_reference: Mapped[str | None]
    reason: Mapped[str] = mapped_column(server_default="")
    requested_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
    __table_args__ = (
        CheckConstraint("kind IN ('live', 'history')", name="kind"),
        CheckConstraint("state IN ('requested', 'approved', 'received', 'refunded', 'rejected')", name="state"),
        Index(
            "ix_return_customer",
            "customer_id",
            sa.text("requested_at DESC"),
            postgresql_where=sa.text("customer_id IS NOT NULL"),
        ),
        Index(
            "uq_return_external",
            "channel_code",
            "external_reference",
            unique=True,
            postgresql_where=sa.text("external_reference IS NOT NULL"),
        ),
    )


class ReturnLine(Base):
    """Units of one SKU that came back and what was paid for them (minor units, positive)."""

    __tablename__ = "return_line"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    return_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("return.id"))
    position: Mapped[int]
    order_line_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("order_line.id"))
    variant_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("variant.id"))
    sku: Mapped[str]
    title: Mapped[str]
    quantity: Mapped[int]
    unit_price_minor: Mapped[int] = mapped_column(sa.BigInteger)
    amount_minor: Mapped[int] = mapped_column(sa.BigInteger)
    __table_args__ = (Index("ix_return_line_return_id", "return_id", "position", unique=True),)


class HistoryImport(Base):
    """One file being imported: where it stands, so that a killed import goes on and a repeated one adds nothing."""

    __tablename__ = "history_import"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    format: Mapped[str]
    digest: Mapped[str]
    filename: Mapped[str]
    next_line: Mapped[int] = mapped_column(server_default="0")
    lines_total: Mapped[int | None]
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    __table_args__ = (Index("uq_history_import_file", "format", "digest", unique=True),)


class HistoryLine(Base):
    """What became of each line that is not a plain sale or return: kept with a note, or left out, and why."""

    __tablename__ = "history_line"
    import_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("history_import.id"), primary_key=True)
    line_number: Mapped[int] = mapped_column(primary_key=True)
    outcome: Mapped[str]
    reason: Mapped[str]
    amount_minor: Mapped[int] = mapped_column(sa.BigInteger, server_default="0")
    month: Mapped[str] = mapped_column(server_default="")
    raw: Mapped[str]
    __table_args__ = (
        CheckConstraint("outcome IN ('kept', 'reported')", name="outcome"),
        Index("ix_history_line_reason", "import_id", "reason"),
    )
