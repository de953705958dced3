"""Promotions, the coupons that are shown for them, and the orders that used one."""

import uuid
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from retail.kernel.db import Base


class Promotion(Base):
    """One rule that takes something off (`orders.discounts.Promotion` says what its figures mean).

    It counts in `channels` and at `locations` (empty: all), from `valid_from` until just before `valid_to`, while it is
    `active`. Its figures are fixed from the moment it has begun: orders are priced anew by what they were placed with.
    `activated_at` is when it was first made active. `currency` is that of its amounts; without any it counts in all.
    """

    __tablename__ = "promotion"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    name_ja: Mapped[str | None]
    kind: Mapped[str]
    currency: Mapped[str | None]
    percent_bp: Mapped[int] = mapped_column(server_default="0")
    amount_minor: Mapped[int] = mapped_column(sa.BigInteger, server_default="0")
    per_unit: Mapped[bool] = mapped_column(server_default="false")
    buy_quantity: Mapped[int] = mapped_column(server_default="0")
    get_quantity: Mapped[int] = mapped_column(server_default="0")
    times: Mapped[int | None]
    steps: Mapped[list[dict[str, Any]]] = mapped_column(server_default="[]")
    channels: Mapped[list[str]] = mapped_column(server_default="{}")
    locations: Mapped[list[uuid.UUID]] = mapped_column(sa.ARRAY(sa.UUID), server_default="{}")
    skus: Mapped[list[str]] = mapped_column(server_default="{}")
    categories: Mapped[list[str]] = mapped_column(server_default="{}")
    min_quantity: Mapped[int] = mapped_column(server_default="0")
    min_amount_minor: Mapped[int] = mapped_column(sa.BigInteger, server_default="0")
    valid_from: Mapped[datetime]
    valid_to: Mapped[datetime | None]
    priority: Mapped[int] = mapped_column(server_default="100")
    stackable: Mapped[bool] = mapped_column(server_default="true")
    exclusive_group: Mapped[str | None]
    needs_coupon: Mapped[bool] = mapped_column(server_default="false")
    active: Mapped[bool] = mapped_column(server_default="true")
    activated_at: Mapped[datetime | None]
    version: Mapped[int] = mapped_column(server_default="1")
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    __table_args__ = (
        CheckConstraint("kind IN ('percentage', 'amount', 'buy_x_get_y', 'threshold')", name="kind"),
        CheckConstraint("currency ~ '^[A-Z]{3}$'", name="currency"),
        CheckConstraint("percent_bp BETWEEN 0 AND 10000", name="percent_bp"),
        CheckConstraint(
            "amount_minor >= 0 AND buy_quantity >= 0 AND get_quantity >= 0 AND times > 0"
            " AND min_quantity >= 0 AND min_amount_minor >= 0",
            name="figures",
        ),
        CheckConstraint(
            "currency IS NOT NULL OR (amount_minor = 0 AND min_amount_minor = 0 AND kind <> 'threshold')",
            name="amounts",
        ),
        CheckConstraint("valid_from < valid_to", name="period"),
        Index("ix_promotion_automatic", "valid_from", postgresql_where=sa.text("active AND NOT needs_coupon")),
    )


class Coupon(Base):
    """A code that makes one promotion count. `code` is as `coupons.normal` writes it; `used` counts the orders that hold a
    use of it, at most `total_limit` (None: any number), of one customer at most `per_customer_limit`."""

    __tablename__ = "coupon"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    promotion_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("promotion.id"))
    code: Mapped[str] = mapped_column(unique=True)
    total_limit: Mapped[int | None]
    per_customer_limit: Mapped[int | None]
    valid_from: Mapped[datetime | None]
    valid_to: Mapped[datetime | None]
    used: Mapped[int] = mapped_column(server_default="0")
    active: Mapped[bool] = mapped_column(server_default="true")
    version: Mapped[int] = mapped_column(server_default="1")
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    __table_args__ = (
        CheckConstraint("used >= 0 AND (total_limit IS NULL OR used <= total_limit)", name="used"),
        CheckConstraint("total_limit > 0 AND per_customer_limit > 0", name="limits"),
        CheckConstraint("valid_from < valid_to", name="period"),
        CheckConstraint("code <> '' AND code = upper(code)", name="code"),
        Index("ix_coupon_promotion", "promotion_id", "id"),
    )


class CouponUse(Base):
    """An order has used a coupon, until `released_at` (the order came to nothing). Whose it is, the order says."""

    __tablename__ = "coupon_use"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    coupon_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("coupon.id"))
    order_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("order.id"), index=True)
    used_at: Mapped[datetime]
    released_at: Mapped[datetime | None]
    __table_args__ = (Index("uq_coupon_use_order", "coupon_id", "order_id", unique=True),)
