"""What a customer is about to buy. Prices are read when shown and fixed when placed."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column, relationship

from retail.kernel.db import Base


class Cart(Base):
    """open -> placed | abandoned. `owner` is the actor who may see it; `customer_id` for whom it is. `ship_to`: as of an order."""

    __tablename__ = "cart"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(index=True)
    customer_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("customer.id"))
    channel_code: Mapped[str] = mapped_column(ForeignKey("channel.code"))
    location_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("location.id"))
    method: Mapped[str] = mapped_column(server_default="pickup")
    ship_to: Mapped[dict[str, Any] | None]
    points_to_spend: Mapped[int] = mapped_column(server_default="0")
    coupon_codes: Mapped[list[str]] = mapped_column(server_default="{}")
    state: Mapped[str] = mapped_column(server_default="open")
    order_id: Mapped[uuid.UUID | None]
    version: Mapped[int] = mapped_column(server_default="1")
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    lines: Mapped[list["CartLine"]] = relationship(
        order_by="CartLine.position", lazy="raise", cascade="all, delete-orphan"
    )
    __table_args__ = (
        CheckConstraint("method IN ('pickup', 'carry_out', 'ship')", name="method"),
        CheckConstraint("state IN ('open', 'placed', 'abandoned')", name="state"),
        CheckConstraint("points_to_spend >= 0", name="points_to_spend"),
        Index("ix_cart_customer_id", "customer_id"),
    )


class CartLine(Base):
    """One line; the same SKU may stand on two lines (a gift and an own one)."""

    __tablename__ = "cart_line"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    cart_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("cart.id"), index=True)
    position: Mapped[int]
    variant_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("variant.id"))
    quantity: Mapped[int]
    __table_args__ = (CheckConstraint("quantity BETWEEN 1 AND 9999", name="quantity"),)
