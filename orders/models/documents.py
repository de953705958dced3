"""Invoices and receipts: what was supplied, the documents that were issued for it, and the numbers they got."""

import uuid
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from retail.kernel.db import Base

DOCUMENT_KINDS = ("receipt", "invoice", "return")


class Supply(Base):
    """Units of an order that have left and are documented together; its figures (`figures`: lines, tax per rate, totals) are
    fixed with the first document, and the others repeat them. Append-only."""

    __tablename__ = "supply"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    order_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("order.id"))
    position: Mapped[int]
    figures: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    __table_args__ = (UniqueConstraint("order_id", "position"),)


class SupplyLine(Base):
    """Units of an order line in a supply."""

    __tablename__ = "supply_line"
    supply_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("supply.id"), primary_key=True)
    order_line_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("order_line.id"), primary_key=True, index=True)
    quantity: Mapped[int]
    __table_args__ = (CheckConstraint("quantity > 0", name="quantity"),)


class DocumentCounter(Base):
    """The last number that an issuer gave to a kind of document. Its row is locked until the document is committed, so that
    no number is missing and none is given twice."""

    __tablename__ = "document_counter"
    issuer_code: Mapped[str] = mapped_column(ForeignKey("issuer.code"), primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    last: Mapped[int] = mapped_column(sa.BigInteger)


class Document(Base):
    """One issued document: a receipt or an invoice for a supply, or a return invoice for a refund or an exchange. `content`
    is all it says; a trigger refuses to change or delete the row."""

    __tablename__ = "document"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    kind: Mapped[str]
    issuer_code: Mapped[str] = mapped_column(ForeignKey("issuer.code"))
    number: Mapped[int] = mapped_column(sa.BigInteger)
    order_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("order.id"))
    supply_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("supply.id"))
    refund_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("refund.id"), unique=True)
    return_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("return.id"), unique=True)
    content: Mapped[dict[str, Any]]
    issued_by: Mapped[str]
    issued_at: Mapped[datetime]
    __table_args__ = (
        UniqueConstraint("issuer_code", "kind", "number"),
        UniqueConstraint("supply_id", "kind"),
        Index("ix_document_order_id", "order_id", "id"),
        CheckConstraint("kind IN ('receipt', 'invoice', 'return')", name="kind"),
        CheckConstraint("num_nonnulls(supply_id, refund_id, return_id) = 1", name="subject"),
        CheckConstraint("(kind = 'return') = (supply_id IS NULL)", name="supply"),
        CheckConstraint("number > 0", name="number"),
    )
