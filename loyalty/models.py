"""Points accounts, dated lots, holds with their slices, and the double entries that prove every balance."""

import uuid
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import CheckConstraint, ForeignKey, Identity, Index
from sqlalchemy.orm import Mapped, mapped_column

from retail.kernel.db import Base

LEDGER_ACCOUNTS = ("member", "issued", "held", "burned", "expired", "owed", "goodwill")


class PointsAccount(Base):
    """One customer's points, in points. A lockable cache of the ledger: `retail audit` rebuilds it.

    `available` is what the lots hold (those that have just expired too, until the job has booked it: what can be spent
    is read from the lots), `held` is put aside by open checkouts, `owed` was clawed back beyond the balance and is netted
    against future earning. Rules: available = sum of lots' remaining; held = sum of open holds.
    """

    __tablename__ = "points_account"
    customer_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("customer.id"), primary_key=True)
    available: Mapped[int] = mapped_column(sa.BigInteger, server_default="0")
    held: Mapped[int] = mapped_column(sa.BigInteger, server_default="0")
    owed: Mapped[int] = mapped_column(sa.BigInteger, server_default="0")
    opened_at: Mapped[datetime]
    __table_args__ = (
        CheckConstraint("available >= 0", name="available"),
        CheckConstraint("held >= 0", name="held"),
        CheckConstraint("owed >= 0", name="owed"),
        {"postgresql_with": {"fillfactor": "80"}},
    )


class PointsLot(Base):
    """Points earned at once: they expire together and remember their source. 0 <= remaining <= earned."""

    __tablename__ = "points_lot"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    customer_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("points_account.customer_id"))
    earned: Mapped[int] = mapped_column(sa.BigInteger)
    remaining: Mapped[int] = mapped_column(sa.BigInteger)
    source: Mapped[str]
    source_id: Mapped[uuid.UUID | None]
    available_from: Mapped[datetime]
    expires_at: Mapped[datetime]
    __table_args__ = (
        CheckConstraint("remaining >= 0 AND remaining <= earned AND earned > 0", name="remaining"),
        Index("ix_points_lot_open", "customer_id", "expires_at", "id", postgresql_where=sa.text("remaining > 0")),
        Index("ix_points_lot_source_id", "source_id"),
        Index("ix_points_lot_expiry", "expires_at", postgresql_where=sa.text("remaining > 0")),
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
    """Why entries exist: one per earn, hold, burn, release, refund, claw-back, expiry. `key` makes each happen once."""

    __tablename__ = "points_transaction"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(sa.BigInteger, Identity(always=True), unique=True)
    customer_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("points_account.customer_id"))
    kind: Mapped[str]
    key: Mapped[str] = mapped_column(unique=True)
    order_id: Mapped[uuid.UUID | None] = mapped_column(index=True)
    reason: Mapped[str] = mapped_column(server_default="")
    actor: Mapped[str]
    at: Mapped[datetime]
    __table_args__ = (
        CheckConstraint(
            "kind IN ('earn', 'hold', 'burn', 'release', 'refund', 'claw_back', 'expire', 'goodwill')", name="kind"
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
            "account IN ('member', 'issued', 'held', 'burned', 'expired', 'owed', 'goodwill')", name="account"
        ),
        CheckConstraint("points <> 0", name="points"),
        Index("ix_points_entry_customer_id", "customer_id"),
    )
