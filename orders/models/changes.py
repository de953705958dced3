"""What may be changed of an order after it was placed, and what was."""

import uuid
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from retail.kernel.db import Base

CHANGES = ("goods", "address", "contact", "payment")


class OrderPolicy(Base):
    """The shop's rules of calling off and changing orders; of one channel, or (`channel_code` null) of all others.

    `cancel_reasons` null: any reason will do. `goods_changes_most` and `payment_changes_most` null: as often as one likes.
    `frozen_by_goods_change`: once its goods were changed, an order is neither called off nor changed again, save its
    address. `same_product_only`: goods are changed for another variant of the same product alone.
    """

    __tablename__ = "order_policy"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    channel_code: Mapped[str | None] = mapped_column(ForeignKey("channel.code"))
    cancel_reasons: Mapped[list[str] | None]
    goods_changes_most: Mapped[int | None]
    frozen_by_goods_change: Mapped[bool] = mapped_column(server_default="false")
    same_product_only: Mapped[bool] = mapped_column(server_default="false")
    payment_changes_most: Mapped[int | None]
    version: Mapped[int] = mapped_column(server_default="1")
    updated_at: Mapped[datetime]
    __table_args__ = (
        Index("uq_order_policy_channel", "channel_code", unique=True, postgresql_nulls_not_distinct=True),
        CheckConstraint("goods_changes_most >= 0 AND payment_changes_most >= 0", name="most"),
    )


class OrderChange(Base):
    """One change of an order, with what was there before and after; `difference_minor` is what it made the order cost more
    (or, negative, less). Append-only."""

    __tablename__ = "order_change"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    order_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("order.id"))
    kind: Mapped[str]
    before: Mapped[dict[str, Any]]
    after: Mapped[dict[str, Any]]
    difference_minor: Mapped[int] = mapped_column(sa.BigInteger, server_default="0")
    payment_method_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("payment_method.id"))
    actor: Mapped[str]
    at: Mapped[datetime]
    __table_args__ = (
        CheckConstraint("kind IN ('goods', 'address', 'contact', 'payment')", name="kind"),
        Index("ix_order_change_order_id", "order_id", "id"),
    )
