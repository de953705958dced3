"""What members do besides buying: show a card, bring a friend, give points on, and are given some by an agent."""

import uuid
from datetime import date, datetime

import sqlalchemy as sa
from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from retail.kernel.db import Base


class MemberTokenUse(Base):
    """A rotating token of a member's card that a till has seen: each counts once. Swept when they have long run out."""

    __tablename__ = "member_token_use"
    token_hash: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("customer.id"))
    at: Mapped[datetime] = mapped_column(index=True)


class ReferralCode(Base):
    """The code with which a member brings others; one each."""

    __tablename__ = "referral_code"
    customer_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("points_account.customer_id"), primary_key=True)
    code: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[datetime]


class Referral(Base):
    """Somebody who was brought: pending until her first order is with her, then rewarded, or refused with a reason."""

    __tablename__ = "referral"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    referrer_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("points_account.customer_id"))
    referred_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("points_account.customer_id"), unique=True)
    state: Mapped[str] = mapped_column(server_default="pending")
    reason: Mapped[str] = mapped_column(server_default="")
    order_id: Mapped[uuid.UUID | None]
    at: Mapped[datetime]
    decided_at: Mapped[datetime | None]
    __table_args__ = (
        CheckConstraint("referrer_id <> referred_id", name="two"),
        CheckConstraint("state IN ('pending', 'rewarded', 'refused')", name="state"),
        CheckConstraint("(state = 'pending') = (decided_at IS NULL)", name="decided"),
        Index("ix_referral_referrer", "referrer_id", "at"),
    )


class PointsTransfer(Base):
    """Points that one member gave to another, with their dates. `to_hint` is the end of the card or reference she typed: all that
    she knows of the other."""

    __tablename__ = "points_transfer"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    from_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("points_account.customer_id"))
    to_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("points_account.customer_id"))
    points: Mapped[int] = mapped_column(sa.BigInteger)
    message: Mapped[str] = mapped_column(server_default="")
    to_hint: Mapped[str] = mapped_column(server_default="")
    actor: Mapped[str]
    at: Mapped[datetime]
    __table_args__ = (
        CheckConstraint("from_id <> to_id", name="two"),
        CheckConstraint("points > 0", name="points"),
        Index("ix_points_transfer_from", "from_id", "at"),
        Index("ix_points_transfer_to", "to_id", "at"),
    )


class GoodwillGift(Base):
    """Points given by an agent: given at once, or pending above her cap until a supervisor gives or declines them."""

    __tablename__ = "goodwill_gift"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    customer_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("points_account.customer_id"))
    points: Mapped[int] = mapped_column(sa.BigInteger)
    reason: Mapped[str]
    note: Mapped[str] = mapped_column(server_default="")
    order_id: Mapped[uuid.UUID | None]
    state: Mapped[str]
    asked_by: Mapped[str]
    asked_at: Mapped[datetime]
    decided_by: Mapped[str | None]
    decided_at: Mapped[datetime | None]
    decision_note: Mapped[str] = mapped_column(server_default="")
    version: Mapped[int] = mapped_column(server_default="1")
    __table_args__ = (
        CheckConstraint("points > 0", name="points"),
        CheckConstraint("state IN ('pending', 'given', 'declined')", name="state"),
        CheckConstraint(
            "(state = 'pending') = (decided_at IS NULL) AND (decided_at IS NULL) = (decided_by IS NULL)", name="decided"
        ),
        Index("ix_goodwill_gift_customer", "customer_id", "asked_at"),
        Index("ix_goodwill_gift_asker", "asked_by", "asked_at"),
        Index("ix_goodwill_gift_pending", "id", postgresql_where=sa.text("state = 'pending'")),
    )


class PointsReminder(Base):
    """A member was told that points run out on this day (of the shop's zone); once per day of expiry."""

    __tablename__ = "points_reminder"
    customer_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("points_account.customer_id"), primary_key=True)
    expires_on: Mapped[date] = mapped_column(primary_key=True)
    points: Mapped[int] = mapped_column(sa.BigInteger)
    at: Mapped[datetime]
    __table_args__ = (CheckConstraint("points > 0", name="points"),)
