"""What is kept back from sale, when goods may be promised before they are here, and the feed's generation."""

import uuid
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from retail.kernel.db import Base


class StockRule(Base):
    """Units kept back, per level that the rule speaks of. Without a channel: safety stock, kept from everybody. With one: a
    buffer, kept from this channel on top of the safety stock. An empty location, category or variant means all.

    Of the rules that fit, the most specific wins: variant before category before location before the whole company
    (`specificity` = 4 variant + 2 category + 1 location). Rules are retired, not deleted. `applied_at` is empty until
    every level in scope says what the rule says (rules.py).
    """

    __tablename__ = "stock_rule"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    location_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("location.id"))
    category: Mapped[str | None]
    variant_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("variant.id"))
    channel_code: Mapped[str | None] = mapped_column(ForeignKey("channel.code"))
    quantity: Mapped[int]
    specificity: Mapped[int] = mapped_column(
        sa.Integer,
        sa.Computed(
            "CASE WHEN variant_id IS NULL THEN 0 ELSE 4 END + CASE WHEN category IS NULL THEN 0 ELSE 2 END"
            " + CASE WHEN location_id IS NULL THEN 0 ELSE 1 END",
            persisted=True,
        ),
    )
    version: Mapped[int] = mapped_column(server_default="1")
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    applied_at: Mapped[datetime | None]
    retired_at: Mapped[datetime | None]
    __table_args__ = (
        CheckConstraint("quantity >= 0", name="quantity"),
        CheckConstraint("category IS NULL OR variant_id IS NULL", name="scope"),
        Index(
            "uq_stock_rule_scope",
            "channel_code",
            "variant_id",
            "category",
            "location_id",
            unique=True,
            postgresql_nulls_not_distinct=True,
            postgresql_where=sa.text("retired_at IS NULL"),
        ),
    )


class SupplyPolicy(Base):
    """How one variant may be promised before it is here: not handed over before `releases_at` (pre-order), and expected
    `lead_days` after the order when nothing is on its way (backorder)."""

    __tablename__ = "supply_policy"
    variant_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("variant.id"), primary_key=True)
    releases_at: Mapped[datetime | None]
    lead_days: Mapped[int | None]
    version: Mapped[int] = mapped_column(server_default="1")
    updated_at: Mapped[datetime]
    __table_args__ = (CheckConstraint("lead_days BETWEEN 0 AND 730", name="lead_days"),)


class StockFeed(Base):
    """The generation of the feed of changes, one row or none (then 1). Transaction numbers start over in another cluster:
    whoever restores a dump there begins a new generation, and followers are told to load everything anew (changes.py)."""

    __tablename__ = "stock_feed"
    singleton: Mapped[bool] = mapped_column(primary_key=True, server_default="true")
    generation: Mapped[int]
    __table_args__ = (CheckConstraint("singleton", name="singleton"),)
