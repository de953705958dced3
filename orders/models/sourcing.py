"""Where an order's goods come from, as data: the chain of rules, what sending costs, and the decisions that were made."""

import uuid
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from retail.kernel.db import Base


class SourcingPolicy(Base):
    """The one chain of rules of the shop; where there is no row, `sourcing.policy.DEFAULT` speaks.

    `rules` is ``[{"rule": name, "step": number}]`` in the order in which they are asked. An order below
    `no_split_below_minor` (of `currency`) is not split. `areas` are ``{postal code or its beginning: [latitude, longitude]}``.
    """

    __tablename__ = "sourcing_policy"
    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    rules: Mapped[list[dict[str, Any]]]
    most_parts: Mapped[int]
    no_split_below_minor: Mapped[int] = mapped_column(sa.BigInteger)
    areas: Mapped[dict[str, Any]]
    version: Mapped[int] = mapped_column(server_default="1")
    updated_by: Mapped[str]
    updated_at: Mapped[datetime]
    __table_args__ = (
        CheckConstraint("id = 1", name="only_one"),
        CheckConstraint("most_parts BETWEEN 1 AND 5", name="most_parts"),
        CheckConstraint("no_split_below_minor >= 0", name="no_split_below_minor"),
    )


class SourcingDecision(Base):
    """Why goods come from where they come from: written once, never changed. `cause`: placed, or short (re-sourced)."""

    __tablename__ = "sourcing_decision"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    order_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("order.id"))
    cause: Mapped[str]
    decision: Mapped[dict[str, Any]]
    actor: Mapped[str]
    decided_at: Mapped[datetime]
    __table_args__ = (
        CheckConstraint("cause IN ('placed', 'short')", name="cause"),
        Index("ix_sourcing_decision_order_id", "order_id", "decided_at"),
    )


class ShippingRate(Base):
    """What sending an order costs, in the mode (tax inside or not) of the price lists of its currency.

    The most specific one counts: country and region, else country, else everywhere (both empty). Nothing is charged from
    `free_from_minor` of goods on (null: always). Goods are sent only where a rate exists.
    """

    __tablename__ = "shipping_rate"
    currency: Mapped[str] = mapped_column(primary_key=True)
    country: Mapped[str] = mapped_column(primary_key=True)
    region: Mapped[str] = mapped_column(primary_key=True)
    amount_minor: Mapped[int] = mapped_column(sa.BigInteger)
    free_from_minor: Mapped[int | None] = mapped_column(sa.BigInteger)
    tax_class_code: Mapped[str] = mapped_column(ForeignKey("tax_class.code"))
    version: Mapped[int] = mapped_column(server_default="1")
    updated_by: Mapped[str]
    updated_at: Mapped[datetime]
    __table_args__ = (
        CheckConstraint("amount_minor >= 0 AND free_from_minor >= 0", name="amounts"),
        CheckConstraint("country <> '' OR region = ''", name="region"),
    )
