"""Files of stock writes: how far each has been read, and which lines were refused."""

import uuid
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from retail.kernel.db import Base


class StockImport(Base):
    """One file: running -> done, or broken (the file ended too early, or the process died) and resumed by sending it again.

    `key` names it (caller and Idempotency-Key, or the file's digest); `lines_done` and `prefix_digest` (SHA-256 of these
    lines) say from where to go on and that it is the same file.
    """

    __tablename__ = "stock_import"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str] = mapped_column(server_default="")
    format: Mapped[str]
    source: Mapped[str]
    state: Mapped[str] = mapped_column(server_default="running")
    lines_done: Mapped[int] = mapped_column(sa.BigInteger, server_default="0")
    lines_applied: Mapped[int] = mapped_column(sa.BigInteger, server_default="0")
    lines_refused: Mapped[int] = mapped_column(sa.BigInteger, server_default="0")
    prefix_digest: Mapped[str] = mapped_column(server_default="")
    actor: Mapped[str]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    __table_args__ = (
        CheckConstraint("format IN ('csv', 'jsonl')", name="format"),
        CheckConstraint("state IN ('running', 'broken', 'done')", name="state"),
        CheckConstraint("(state = 'done') = (finished_at IS NOT NULL)", name="finished"),
        Index("ix_stock_import_actor", "actor", "id"),
    )


class StockImportLine(Base):
    """A line that was refused, and why; the others have no row (their movements name the import)."""

    __tablename__ = "stock_import_line"
    import_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("stock_import.id"), primary_key=True)
    line: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True)
    code: Mapped[str]
    detail: Mapped[str]
    raw: Mapped[str]
