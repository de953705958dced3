"""Stock levels, the movements that explain them, and reservations (holds and allocations)."""

import uuid
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import CheckConstraint, ForeignKey, Identity, Index
from sqlalchemy.orm import Mapped, mapped_column

from retail.kernel.db import Base

BUCKETS = "('outside', 'available', 'held', 'allocated', 'backordered', 'unavailable')"


class StockLevel(Base):
    """One variant at one location, in units. `available = on_hand - allocated - held - unavailable - safety`.

    A cache of `stock_movement` that a guarded UPDATE can lock; `retail audit` rebuilds it. `held` counts reservations
    in state held, also expired ones that no sweep has met yet: readers subtract those (availability).

    `allocated` is all that is promised to orders; `backordered` of these wait for goods that are not here yet.
    `safety` is what the most specific rule says (stock_rule), unless `safety_by_hand`. `low_stock_threshold`: an event
    when what is left to sell falls to it. `shelf`: where pickers and counters find it. `source_versions`: the newest
    absolute write of each outside system, ``{source: version}``.
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
    backordered: Mapped[int] = mapped_column(server_default="0")
    safety_by_hand: Mapped[bool] = mapped_column(server_default="false")
    low_stock_threshold: Mapped[int | None]
    shelf: Mapped[str | None]
    source_versions: Mapped[dict[str, Any] | None]
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
        CheckConstraint("backordered BETWEEN 0 AND allocated", name="backordered"),
        CheckConstraint("allocated - backordered + unavailable <= on_hand", name="here"),
        CheckConstraint("low_stock_threshold >= 0", name="low_stock_threshold"),
        Index("ix_stock_level_location_id", "location_id", "variant_id"),
        Index("ix_stock_level_shelf", "location_id", "shelf", postgresql_where=sa.text("shelf IS NOT NULL")),
        {"postgresql_with": {"fillfactor": "70"}},
    )


class StockMovement(Base):
    """Append-only: `quantity` units went from one bucket to another at one place, because of one cause.

    Buckets: outside, available, held, allocated, backordered, unavailable. on_hand is all but outside; what a level
    says is the sum of its movements (`allocated` of allocated and backordered; promising what is not here yet takes
    `available` below zero). A row of cause ``limits`` moves nothing: safety, limits or a rule changed, and `reason` says how.

    `xid` is the transaction that wrote it. Numbers of a sequence become visible out of order; transactions below the
    oldest running one are all over, so (xid, seq) is an order that a reader can follow without missing a row (changes.py).
    """

    __tablename__ = "stock_movement"
    xid: Mapped[int] = mapped_column(
        sa.BigInteger, primary_key=True, server_default=sa.text("(pg_current_xact_id()::text)::bigint")
    )
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
        CheckConstraint(f"from_bucket IN {BUCKETS}", name="from_bucket"),
        CheckConstraint(f"to_bucket IN {BUCKETS}", name="to_bucket"),
        CheckConstraint(
            "CASE WHEN cause = 'limits' THEN quantity = 0 ELSE from_bucket <> to_bucket AND quantity > 0 END",
            name="moved",
        ),
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

    `owner_id` is the cart, order or transfer it was made for, `line_id` its line (plain ids: most lie above this
    package). Of an allocation, `backordered` units wait for goods; `promised_at` says when they were promised for.
    `short`: the goods turned out to be missing; it counts in no level and is filled again, moved or released. `per_unit`
    units of this variant make one unit of what the line sells: of a bundle, as it was when the promise was made.
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
    backordered: Mapped[int] = mapped_column(server_default="0")
    per_unit: Mapped[int] = mapped_column(server_default="1")
    promised_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    settled_at: Mapped[datetime | None]
    __table_args__ = (
        CheckConstraint("quantity > 0", name="quantity"),
        CheckConstraint("per_unit > 0", name="per_unit"),
        CheckConstraint("state IN ('held', 'allocated', 'consumed', 'released', 'expired', 'short')", name="state"),
        CheckConstraint("(state <> 'held') OR (expires_at IS NOT NULL)", name="timed"),
        CheckConstraint("backordered BETWEEN 0 AND quantity", name="backordered"),
        CheckConstraint("backordered = 0 OR state = 'allocated'", name="waiting"),
        Index("ix_reservation_owner_id", "owner_id"),
        Index(
            "ix_reservation_promised",
            "variant_id",
            "location_id",
            "created_at",
            postgresql_where=sa.text("state IN ('allocated', 'short')"),
        ),
        Index(
            "ix_reservation_waiting",
            "variant_id",
            "location_id",
            postgresql_where=sa.text("state = 'short' OR backordered > 0"),
        ),
        Index(
            "ix_reservation_held", "variant_id", "location_id", "expires_at", postgresql_where=sa.text("state = 'held'")
        ),
        Index("ix_reservation_expiry", "expires_at", postgresql_where=sa.text("state = 'held'")),
        {"postgresql_with": {"fillfactor": "85"}},
    )
