"""Earning rules as data, what they gave for each order line, and the baskets that they were asked about."""

import uuid
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from retail.kernel.db import Base


class EarningRule(Base):
    """One version of one rule, never edited: a change ends it (`to_at`) and adds the next version from that moment on.

    `basis` says what it counts:
        amount      `points` for every full `per_minor` of the eligible amount of the lines it is about
        unit        `points` for every unit of those lines
        order       `points` once
        multiplier  `factor_bp` / 10000 times what the amount rules give on those lines (the surplus is what this rule gives)
        referral    `points` to the referred member and `referrer_points` to her who brought her, after her first order
    It is about lines of `skus` or `categories` (empty: all), of orders in `channels` and at `locations` (empty: all), placed on
    `weekdays` (ISO, 1 = Monday; empty: all) and from `from_on` to `to_on` (days of the location's zone, both included), by
    members of `tiers` (empty: all), on her first purchase, in her birthday month or on her birthday, from
    `min_amount_minor` of eligible goods on. Of rules with one `stack_group` the best for the order counts; others add up.
    `cap_per_order` and `cap_per_member` (within `cap_days`, None: ever) bound what it gives. What it gave can be spent
    `pending_days` after the handover and for `lot_days` (None: the program's) from then on.
    """

    __tablename__ = "earning_rule"
    code: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    name_ja: Mapped[str | None]
    basis: Mapped[str]
    currency: Mapped[str | None]
    points: Mapped[int] = mapped_column(sa.BigInteger, server_default="0")
    referrer_points: Mapped[int] = mapped_column(sa.BigInteger, server_default="0")
    per_minor: Mapped[int] = mapped_column(sa.BigInteger, server_default="0")
    factor_bp: Mapped[int] = mapped_column(server_default="0")
    skus: Mapped[list[str]] = mapped_column(server_default="{}")
    categories: Mapped[list[str]] = mapped_column(server_default="{}")
    channels: Mapped[list[str]] = mapped_column(server_default="{}")
    locations: Mapped[list[uuid.UUID]] = mapped_column(sa.ARRAY(sa.UUID), server_default="{}")
    weekdays: Mapped[list[int]] = mapped_column(sa.ARRAY(sa.Integer), server_default="{}")
    tiers: Mapped[list[str]] = mapped_column(server_default="{}")
    from_on: Mapped[date | None]
    to_on: Mapped[date | None]
    first_purchase: Mapped[bool] = mapped_column(server_default="false")
    birthday: Mapped[str | None]
    min_amount_minor: Mapped[int] = mapped_column(sa.BigInteger, server_default="0")
    stack_group: Mapped[str | None]
    priority: Mapped[int] = mapped_column(server_default="100")
    cap_per_order: Mapped[int | None] = mapped_column(sa.BigInteger)
    cap_per_member: Mapped[int | None] = mapped_column(sa.BigInteger)
    cap_days: Mapped[int | None]
    pending_days: Mapped[int] = mapped_column(server_default="0")
    lot_days: Mapped[int | None]
    active: Mapped[bool] = mapped_column(server_default="true")
    from_at: Mapped[datetime]
    to_at: Mapped[datetime | None]
    actor: Mapped[str]
    __table_args__ = (
        CheckConstraint("basis IN ('amount', 'unit', 'order', 'multiplier', 'referral')", name="basis"),
        CheckConstraint("version > 0 AND (to_at IS NULL OR from_at <= to_at)", name="versions"),
        CheckConstraint("currency ~ '^[A-Z]{3}$'", name="currency"),
        CheckConstraint(
            "points >= 0 AND referrer_points >= 0 AND per_minor >= 0 AND factor_bp >= 0 AND min_amount_minor >= 0"
            " AND cap_per_order > 0 AND cap_per_member > 0 AND cap_days > 0 AND pending_days >= 0 AND lot_days > 0",
            name="figures",
        ),
        CheckConstraint("basis <> 'amount' OR (per_minor > 0 AND currency IS NOT NULL)", name="amount"),
        CheckConstraint("min_amount_minor = 0 OR currency IS NOT NULL", name="amounts"),
        CheckConstraint("birthday IN ('day', 'month')", name="birthday"),
        CheckConstraint("from_on <= to_on", name="days"),
        Index("uq_earning_rule_current", "code", unique=True, postgresql_where=sa.text("to_at IS NULL")),
    )


class PointsReason(Base):
    """Why one earning gave what it gave: `points` (never 0) by one rule's version for one order line; append-only.

    They sum to what the transaction took from `issued`. `basis_minor` is the eligible amount, minor units, or the units
    counted, as the rule's basis says; `order_line_id` is None for points that no line earned.
    """

    __tablename__ = "points_reason"
    transaction_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("points_transaction.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    order_line_id: Mapped[uuid.UUID | None]
    rule_code: Mapped[str]
    rule_version: Mapped[int]
    points: Mapped[int] = mapped_column(sa.BigInteger)
    basis: Mapped[int] = mapped_column(sa.BigInteger)
    __table_args__ = (CheckConstraint("points <> 0", name="points"),)


class EarningRecord(Base):
    """What an order looked like when it last earned (`loyalty.earning.Basket` as JSON): what previews of rules run on."""

    __tablename__ = "earning_record"
    order_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    customer_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("points_account.customer_id"))
    currency: Mapped[str]
    basket: Mapped[dict[str, Any]]
    points: Mapped[int] = mapped_column(sa.BigInteger)
    placed_at: Mapped[datetime]
    at: Mapped[datetime]
    __table_args__ = (Index("ix_earning_record_placed", "placed_at", "order_id"),)
