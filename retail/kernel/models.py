"""Tables of the plumbing: events and their deliveries, idempotency claims, tokens' counters, the worker's timetable."""

import uuid
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import CheckConstraint, ForeignKey, Identity, Index
from sqlalchemy.orm import Mapped, mapped_column

from retail.kernel.db import Base


class EventRow(Base):
    """One row per change: audit trail, timeline, webhook source and outbox. Never updated, never deleted.

    `aggregate_id` is the thing that changed, `party_id` the person whose timeline shows it; `seq` orders the feed.
    """

    __tablename__ = "event"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    seq: Mapped[int] = mapped_column(sa.BigInteger, Identity(always=True), unique=True)
    type: Mapped[str]
    aggregate_id: Mapped[uuid.UUID | None]
    party_id: Mapped[uuid.UUID | None]
    actor: Mapped[str]
    data: Mapped[dict[str, Any]]
    at: Mapped[datetime]
    __table_args__ = (
        Index("ix_event_party", "party_id", sa.text("seq DESC"), postgresql_where=sa.text("party_id IS NOT NULL")),
        Index("ix_event_aggregate", "aggregate_id", "seq"),
    )


class Delivery(Base):
    """One handler's work on one event: pending -> done | dead; a dead letter can be put back."""

    __tablename__ = "delivery"
    event_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("event.id"), primary_key=True)
    handler: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[str] = mapped_column(server_default="pending")
    attempts: Mapped[int] = mapped_column(server_default="0")
    next_at: Mapped[datetime]
    last_error: Mapped[str | None]
    done_at: Mapped[datetime | None]
    __table_args__ = (
        CheckConstraint("state IN ('pending', 'done', 'dead')", name="state"),
        Index("ix_delivery_due", "next_at", postgresql_where=sa.text("state = 'pending'")),
        Index("ix_delivery_dead", "event_id", postgresql_where=sa.text("state = 'dead'")),
    )


class IdempotencyClaim(Base):
    """A caller's key, written in the transaction of the effect; the primary key is what makes the effect happen once."""

    __tablename__ = "idempotency_claim"
    principal: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    fingerprint: Mapped[str]
    status: Mapped[int | None]
    body: Mapped[str | None]
    headers: Mapped[dict[str, Any] | None]
    resource: Mapped[str | None]
    leased_until: Mapped[datetime | None]
    created_at: Mapped[datetime]
    __table_args__ = (Index("ix_idempotency_claim_created_at", "created_at"),)


class RateLimit(Base):
    """Attempts counted per bucket and window; the row outlives the refused request."""

    __tablename__ = "rate_limit"
    bucket: Mapped[str] = mapped_column(primary_key=True)
    window_at: Mapped[datetime] = mapped_column(primary_key=True)
    hits: Mapped[int]


class WorkerHeartbeat(Base):
    """A worker process that is alive, or was until `seen_at`."""

    __tablename__ = "worker_heartbeat"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    host: Mapped[str]
    pid: Mapped[int]
    started_at: Mapped[datetime]
    seen_at: Mapped[datetime] = mapped_column(index=True)


class JobLease(Base):
    """When each job of the timetable may run next, so that many workers run it once."""

    __tablename__ = "job_lease"
    name: Mapped[str] = mapped_column(primary_key=True)
    next_at: Mapped[datetime]
    holder: Mapped[uuid.UUID | None]
    last_started_at: Mapped[datetime | None]
    last_error: Mapped[str | None]
