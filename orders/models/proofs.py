"""Who else may collect a pickup, who stands before the store, and the link to its page."""

import uuid
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from retail.kernel.db import Base


class PickupProxy(Base):
    """Somebody who may collect in the customer's place, by a code of her own: fingerprints as those of `PickupCode`, issued
    when the goods are ready. `end_cause`: used (she collected), closed (another proof was used), revoked."""

    __tablename__ = "pickup_proxy"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    fulfillment_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("fulfillment.id"), index=True)
    name: Mapped[str]
    email: Mapped[str | None]
    phone: Mapped[str | None]
    rotation: Mapped[int] = mapped_column(server_default="0")
    code_hash: Mapped[str | None] = mapped_column(index=True)
    token_hash: Mapped[str | None] = mapped_column(unique=True)
    issued_at: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(server_default="0")
    locked_at: Mapped[datetime | None]
    named_by: Mapped[str]
    named_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    end_cause: Mapped[str | None]
    __table_args__ = (
        CheckConstraint("name <> ''", name="name"),
        CheckConstraint("end_cause IN ('used', 'closed', 'revoked')", name="end_cause"),
        CheckConstraint("(ended_at IS NULL) = (end_cause IS NULL)", name="ended"),
        CheckConstraint(
            "(rotation = 0) = (code_hash IS NULL) AND (rotation = 0) = (token_hash IS NULL)"
            " AND (rotation = 0) = (issued_at IS NULL)",
            name="issued",
        ),
    )


class PickupArrival(Base):
    """The customer is there, and waits for her goods: on which parking place, in what car. One is open per pickup."""

    __tablename__ = "pickup_arrival"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    fulfillment_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("fulfillment.id"))
    place: Mapped[str] = mapped_column(server_default="")
    vehicle: Mapped[str] = mapped_column(server_default="")
    arrived_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    __table_args__ = (
        Index("uq_pickup_arrival_open", "fulfillment_id", unique=True, postgresql_where=sa.text("ended_at IS NULL")),
        Index("ix_pickup_arrival_fulfillment_id", "fulfillment_id"),
    )


class PickupLink(Base):
    """The link to a pickup's page, for whoever has no log-in: the fingerprint of its token, which is worked out from the
    pickup and a rotation."""

    __tablename__ = "pickup_link"
    fulfillment_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("fulfillment.id"), primary_key=True)
    rotation: Mapped[int] = mapped_column(server_default="1")
    token_hash: Mapped[str] = mapped_column(unique=True)
    made_at: Mapped[datetime]
