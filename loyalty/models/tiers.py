"""Tiers: what they ask for and give, who is in which, and every change with its moment and reason."""

import uuid
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import CheckConstraint, ForeignKey, Identity, Index
from sqlalchemy.orm import Mapped, mapped_column

from retail.kernel.db import Base


class TierProgram(Base):
    """How tiers are computed; one row. `basis`: spend (minor units of `currency`) or points earned, less what came back.

    window: ``rolling`` (the last `window_days`) or ``calendar`` (since January 1st of the year before, in `zone`: what was
    reached counts until the end of the next year). Below its threshold a member keeps her tier for `grace_days`; then she
    falls to what she qualifies for, with `soft_landing` one tier at most at a time.

    After every change of the program or a tier all members are evaluated, in the order of their ids: `walk_after` is how far
    that has come (None: it is done).
    """

    __tablename__ = "tier_program"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    basis: Mapped[str] = mapped_column(server_default="spend")
    currency: Mapped[str] = mapped_column(server_default="JPY")
    window: Mapped[str] = mapped_column(server_default="rolling")
    window_days: Mapped[int] = mapped_column(server_default="365")
    zone: Mapped[str] = mapped_column(server_default="Asia/Tokyo")
    grace_days: Mapped[int] = mapped_column(server_default="30")
    soft_landing: Mapped[bool] = mapped_column(server_default="true")
    walk_after: Mapped[uuid.UUID | None]
    version: Mapped[int] = mapped_column(server_default="1")
    updated_at: Mapped[datetime]
    __table_args__ = (
        CheckConstraint("id = 1", name="one"),
        CheckConstraint("basis IN ('spend', 'points')", name="basis"),
        CheckConstraint("\"window\" IN ('rolling', 'calendar')", name="window"),
        CheckConstraint("window_days BETWEEN 1 AND 3660 AND grace_days BETWEEN 0 AND 3660", name="days"),
    )


class Tier(Base):
    """One tier: reached with `threshold` of the program's basis. Benefits: `multiplier_bp` / 10000 times the points that
    amount rules give, and shipping at no charge. `rank` orders them; higher is better."""

    __tablename__ = "tier"
    code: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    name_ja: Mapped[str | None]
    rank: Mapped[int] = mapped_column(unique=True)
    threshold: Mapped[int] = mapped_column(sa.BigInteger)
    multiplier_bp: Mapped[int] = mapped_column(server_default="10000")
    free_shipping: Mapped[bool] = mapped_column(server_default="false")
    active: Mapped[bool] = mapped_column(server_default="true")
    version: Mapped[int] = mapped_column(server_default="1")
    updated_at: Mapped[datetime]
    __table_args__ = (
        CheckConstraint("rank > 0 AND threshold > 0", name="figures"),
        CheckConstraint("multiplier_bp BETWEEN 10000 AND 100000", name="multiplier_bp"),
    )


class MemberTier(Base):
    """The tier a member is in now; no row: none. `below_since` is when she was first seen below its threshold.

    `due_at` is the next moment at which time alone changes something: what she earned leaves the window and she is below,
    or her grace ends. A merged member's row stays as it was until the merge is undone.
    """

    __tablename__ = "member_tier"
    customer_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("points_account.customer_id"), primary_key=True)
    tier_code: Mapped[str] = mapped_column(ForeignKey("tier.code"))
    since: Mapped[datetime]
    below_since: Mapped[datetime | None]
    due_at: Mapped[datetime | None]
    __table_args__ = (
        Index("ix_member_tier_due", "due_at", postgresql_where=sa.text("due_at IS NOT NULL")),
        Index("ix_member_tier_code", "tier_code"),
    )


class TierChange(Base):
    """One change of one member's tier, append-only: from what (None: none) to what, when, why, and by which figure.

    reason: qualified, lapsed, program (the tiers were changed), staff, merge, unmerge. `figure` is the qualifying spend or points
    then, `detail` the window and thresholds it was held against. A merge that only ended or began a grace leaves its row, too
    (`from_code` = `to_code`): undoing it needs to know what was before.
    """

    __tablename__ = "tier_change"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(sa.BigInteger, Identity(always=True), unique=True)
    customer_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("points_account.customer_id"))
    from_code: Mapped[str | None]
    to_code: Mapped[str | None]
    reason: Mapped[str]
    figure: Mapped[int] = mapped_column(sa.BigInteger)
    detail: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    actor: Mapped[str]
    at: Mapped[datetime]
    __table_args__ = (
        CheckConstraint("from_code IS DISTINCT FROM to_code OR reason = 'merge'", name="change"),
        CheckConstraint("reason IN ('qualified', 'lapsed', 'program', 'staff', 'merge', 'unmerge')", name="reason"),
        Index("ix_tier_change_customer", "customer_id", "at"),
    )
