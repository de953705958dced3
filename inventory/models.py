"""Stock levels, the movements that explain them, and reservations (holds and allocations)."""

import uuid
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import CheckConstraint, ForeignKey, Identity, Index
from sqlalchemy.orm import Mapped, mapped_column

from retail.kernel.db import Base


class StockLevel(Base):
    """One variant at one location, in units. `available = on_hand - allocated - held - unavailable - safety`.

    A cache of `stock_movement` that a guarded UPDATE can lock; `retail audit` rebuilds it. `held` counts reservations
    in state held, also expired ones that no sweep has met yet: readers subtract those (availability.py).
    """

    __tablename__ = "stock_level"
    variant_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("variant.id"), primary_key=True)
    location_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("location.id"), primary_key=True)
    on_hand: Mapped[int] = mapped_column(server_default="0")
    allocated: Mapped[int] = mapped_column(server_default="0")
    held: Mapped[int] = mapped_column(server_default="0")
    unavailable: Mapped[int] = mapped_column(server_default="0")
    safety: Mapped[int] = mapped_column(server_default="0")
    backorder_limit: Mapped[int] = mapped_column(server_default="0")
    version: Mapped[int] = mapped_column(server_default="1")
    updated_at: Mapped[datetime]
    __table_args__ = (
        CheckConstraint("on_hand >= 0", name="on_hand"),
        CheckConstraint("allocated >= 0", name="allocated"),
        CheckConstraint("held >= 0", name="held"),
        CheckConstraint("unavailable >= 0", name="unavailable"),
        CheckConstraint("safety >= 0", name="safety"),
        CheckConstraint("backorder_limit >= 0", name="backorder_limit"),
        CheckConstraint("allocated + held + unavailable <= on_hand + backorder_limit", name="promised"),
        Index("ix_stock_level_location_id", "location_id", "variant_id"),
        {"postgresql_with": {"fillfactor": "70"}},
    )


class StockMovement(Base):
    """Append-only: `quantity` units went from one bucket to another at one place, because of one cause.

    Buckets: outside, available, held, allocated, unavailable. on_hand is all but outside; what a level says is the sum
    of its movements.
    """

    __tablename__ = "stock_movement"
    seq: Mapped[int] = mapped_column(sa.BigInteger, Identity(always=True), primary_key=True)
    variant_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("variant.id"))
    location_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("location.id"))
    from_bucket: Mapped[str]
    to_bucket: Mapped[str]
    quantity: Mapped[int]
    cause: Mapped[str]
    cause_id: Mapped[uuid.UUID | None]
    reason: Mapped[str | None]
    actor: Mapped[str]
    idempotency_key: Mapped[str | None]
    at: Mapped[datetime]
    __table_args__ = (
        CheckConstraint(
            "from_bucket IN ('outside', 'available', 'held', 'allocated', 'unavailable')", name="from_bucket"
        ),
        CheckConstraint("to_bucket IN ('outside', 'available', 'held', 'allocated', 'unavailable')", name="to_bucket"),
        CheckConstraint("from_bucket <> to_bucket AND quantity > 0", name="moved"),
        Index(
            "uq_stock_movement_idempotency_key",
            "idempotency_key",
            unique=True,
            postgresql_where=sa.text("idempotency_key IS NOT NULL"),
        ),
        Index("ix_stock_movement_key", "variant_id", "location_id", "seq"),
    )


class Reservation(Base):
    """Units promised to somebody: held (timed) -> allocated -> consumed | released | expired | short.

    `owner_id` is the cart or order it was made for, `line_id` the order line (plain ids: they lie above this package).
    """

    __tablename__ = "reservation"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    variant_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("variant.id"))
    location_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("location.id"))
    quantity: Mapped[int]
    state: Mapped[str]
    owner_id: Mapped[uuid.UUID]
    line_id: Mapped[uuid.UUID | None]
    expires_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    settled_at: Mapped[datetime | None]
    __table_args__ = (
        CheckConstraint("quantity > 0", name="quantity"),
        CheckConstraint("state IN ('held', 'allocated', 'consumed', 'released', 'expired', 'short')", name="state"),
        CheckConstraint("(state <> 'held') OR (expires_at IS NOT NULL)", name="timed"),
        Index("ix_reservation_owner_id", "owner_id"),
        Index(
            "ix_reservation_held", "variant_id", "location_id", "expires_at", postgresql_where=sa.text("state = 'held'")
        ),
        Index("ix_reservation_expiry", "expires_at", postgresql_where=sa.text("state = 'held'")),
        {"postgresql_with": {"fillfactor": "85"}},
    )
