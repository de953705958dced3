"""Points accounts, dated lots, holds with their slices, and the double entries that prove every balance."""

import uuid
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import CheckConstraint, ForeignKey, Identity, Index
from sqlalchemy.orm import Mapped, mapped_column

from retail.kernel.db import Base

LEDGER_ACCOUNTS = ("member", "issued", "held", "burned", "expired", "owed", "goodwill", "merged", "transferred")


class PointsAccount(Base):
    """One customer's points, in points. A lockable cache of the ledger: `retail audit` rebuilds it.

    `available` is what the lots hold (those that have just expired too, until the job has booked it: what can be spent
    is read from the lots), `held` is put aside by open checkouts, `owed` was clawed back beyond the balance and is netted
    against future earning. Rules: available = sum of lots' remaining; held = sum of open holds.

    `state`: active, blocked (earns, but spends, gives and receives nothing; `blocked_reason` says why) or merged (her lots
    are another member's until the merge is undone; only holds made before may still be settled here). `birth_month` and
    `birth_day` are what a birthday rule looks at; no year is asked for.
    """

    __tablename__ = "points_account"
    customer_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("customer.id"), primary_key=True)
    available: Mapped[int] = mapped_column(sa.BigInteger, server_default="0")
    held: Mapped[int] = mapped_column(sa.BigInteger, server_default="0")
    owed: Mapped[int] = mapped_column(sa.BigInteger, server_default="0")
    state: Mapped[str] = mapped_column(server_default="active")
    blocked_reason: Mapped[str] = mapped_column(server_default="")
    birth_month: Mapped[int | None] = mapped_column(sa.SmallInteger)
    birth_day: Mapped[int | None] = mapped_column(sa.SmallInteger)
    opened_at: Mapped[datetime]
    __table_args__ = (
        CheckConstraint("available >= 0", name="available"),
        CheckConstraint("held >= 0", name="held"),
        CheckConstraint("owed >= 0", name="owed"),
        CheckConstraint("state IN ('active', 'blocked', 'merged')", name="state"),
        CheckConstraint(
            "(birth_month IS NULL) = (birth_day IS NULL) AND birth_month BETWEEN 1 AND 12 AND birth_day BETWEEN 1 AND 31",
            name="birthday",
        ),
        {"postgresql_with": {"fillfactor": "80"}},
    )


class PointsLot(Base):
    """Points earned at once: they expire together and remember their source. 0 <= remaining <= earned.

    `source` is order, grant, goodwill, referral or transfer, and `source_id` the order, gift, referral or transfer.
    `member_id` is set while the lot lies with another member because of a merge: whose it is when that is undone.
    """

    __tablename__ = "points_lot"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    customer_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("points_account.customer_id"))
    earned: Mapped[int] = mapped_column(sa.BigInteger)
    remaining: Mapped[int] = mapped_column(sa.BigInteger)
    source: Mapped[str]
    source_id: Mapped[uuid.UUID | None]
    member_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("points_account.customer_id"))
    available_from: Mapped[datetime]
    expires_at: Mapped[datetime]
    __table_args__ = (
        CheckConstraint("remaining >= 0 AND remaining <= earned AND earned > 0", name="remaining"),
        Index("ix_points_lot_open", "customer_id", "expires_at", "id", postgresql_where=sa.text("remaining > 0")),
        CheckConstraint("member_id <> customer_id", name="member"),
        CheckConstraint("available_from < expires_at", name="dates"),
        Index("ix_points_lot_member", "member_id", postgresql_where=sa.text("member_id IS NOT NULL")),
        Index("ix_points_lot_owner", "customer_id"),
        Index("ix_points_lot_source_id", "source_id"),
        Index("ix_points_lot_expiry", "expires_at", "id", postgresql_where=sa.text("remaining > 0")),
    )


class PointsHold(Base):
    """Points put aside for one order: open -> burned | released | expired; refunded counts what came back after a burn.

    `expired` is a release after which none of the points could be spent any more, since their lots had run out.
    """

    __tablename__ = "points_hold"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    customer_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("points_account.customer_id"), index=True)
    order_id: Mapped[uuid.UUID] = mapped_column(unique=True)
    points: Mapped[int] = mapped_column(sa.BigInteger)
    refunded: Mapped[int] = mapped_column(sa.BigInteger, server_default="0")
    state: Mapped[str]
    created_at: Mapped[datetime]
    settled_at: Mapped[datetime | None]
    __table_args__ = (
        CheckConstraint("points > 0 AND refunded >= 0 AND refunded <= points", name="points"),
        CheckConstraint("state IN ('open', 'burned', 'released', 'expired')", name="state"),
    )


class PointsSlice(Base):
    """What one hold took from one lot, so that a release or refund restores the same lots with their dates."""

    __tablename__ = "points_slice"
    hold_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("points_hold.id"), primary_key=True)
    lot_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("points_lot.id"), primary_key=True)
    points: Mapped[int] = mapped_column(sa.BigInteger)
    __table_args__ = (CheckConstraint("points > 0", name="points"),)


class PointsTransaction(Base):
    """Why entries exist: one per earn, hold, burn, release, refund, claw-back, expiry ... `key` makes each happen once.

    `customer_id` is whose history it is in; `member_id`, where it is not NULL, is the merged member through whom it came.
    `spend_minor` (signed) is what it adds to her qualifying spend, in minor units of the shop's currency; what an order adds
    without earning a point, or takes back without taking any, has no entries.
    """

    __tablename__ = "points_transaction"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(sa.BigInteger, Identity(always=True), unique=True)
    customer_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("points_account.customer_id"))
    member_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("points_account.customer_id"))
    kind: Mapped[str]
    key: Mapped[str] = mapped_column(unique=True)
    order_id: Mapped[uuid.UUID | None] = mapped_column(index=True)
    reason: Mapped[str] = mapped_column(server_default="")
    spend_minor: Mapped[int] = mapped_column(sa.BigInteger, server_default="0")
    actor: Mapped[str]
    at: Mapped[datetime]
    __table_args__ = (
        CheckConstraint(
            "kind IN ('earn', 'hold', 'burn', 'release', 'refund', 'claw_back', 'expire', 'goodwill', 'transfer', 'merge', 'unmerge')",
            name="kind",
        ),
        Index(
            "ix_points_transaction_member",
            sa.text("coalesce(member_id, customer_id)"),
            "at",
            postgresql_where=sa.text("kind IN ('earn', 'claw_back')"),
        ),
        Index("ix_points_transaction_customer", "customer_id", sa.text("seq DESC")),
    )


class PointsEntry(Base):
    """One side of a transaction: `points` (signed) booked on one ledger account; each transaction's entries sum to zero.

    A trigger checks the sum per inserting statement (migration 0001). `member` entries name the lot they changed.
    """

    __tablename__ = "points_entry"
    transaction_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("points_transaction.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    account: Mapped[str]
    customer_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("points_account.customer_id"))
    lot_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("points_lot.id"))
    points: Mapped[int] = mapped_column(sa.BigInteger)
    __table_args__ = (
        CheckConstraint(
            "account IN ('member', 'issued', 'held', 'burned', 'expired', 'owed', 'goodwill', 'merged', 'transferred')",
            name="account",
        ),
        CheckConstraint("points <> 0", name="points"),
        Index("ix_points_entry_customer_id", "customer_id"),
    )
