"""Tills, and the sales that they made without us and told us later."""

import uuid
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from retail.kernel.db import Base


class Till(Base):
    """A register of a store. `code` is what it calls itself; unique over all stores."""

    __tablename__ = "till"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str] = mapped_column(server_default="")
    location_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("location.id"), index=True)
    created_by: Mapped[str]
    created_at: Mapped[datetime]
    __table_args__ = (CheckConstraint("code <> '' AND length(code) <= 64", name="code"),)


class TillSale(Base):
    """A sale of an offline till, once per its own id: the order it became, and what did not fit.

    `fingerprint` is of its content. `sold_at` is by the till's clock, right or wrong. `flags` lists what staff should look at,
    ``{"code", "line" (from 1), "sku", ...}``; `seen_at` when somebody did.
    """

    __tablename__ = "till_sale"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    till_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("till.id"))
    sale_id: Mapped[str]
    order_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("order.id"), unique=True)
    fingerprint: Mapped[str]
    flags: Mapped[list[dict[str, Any]]] = mapped_column(server_default="[]")
    sold_at: Mapped[datetime]
    recorded_at: Mapped[datetime]
    seen_by: Mapped[str | None]
    seen_at: Mapped[datetime | None]
    __table_args__ = (
        UniqueConstraint("till_id", "sale_id"),
        CheckConstraint("(seen_by IS NULL) = (seen_at IS NULL)", name="seen"),
        Index("ix_till_sale_flagged", "id", postgresql_where=sa.text("flags <> '[]'::jsonb")),
    )
