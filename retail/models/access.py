"""Staff, API clients, and their tokens and codes."""

import uuid
from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from retail.kernel.db import Base

ROLES = ("associate", "manager", "agent", "supervisor", "analyst", "admin")


class Staff(Base):
    """A person who works here. Store roles are bound to stores by `staff_location`."""

    __tablename__ = "staff"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    login: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    password_hash: Mapped[str]
    role: Mapped[str]
    locale: Mapped[str] = mapped_column(server_default="ja")
    active: Mapped[bool] = mapped_column(server_default="true")
    version: Mapped[int] = mapped_column(server_default="1")
    created_at: Mapped[datetime]
    __table_args__ = (
        CheckConstraint("role IN ('associate', 'manager', 'agent', 'supervisor', 'analyst', 'admin')", name="role"),
        CheckConstraint("locale IN ('ja', 'en')", name="locale"),
    )


class StaffLocation(Base):
    """A store that a member of staff works at."""

    __tablename__ = "staff_location"
    staff_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("staff.id"), primary_key=True)
    location_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("location.id"), primary_key=True)


class ApiClient(Base):
    """A storefront, app backend or till: speaks for one channel with the scopes it was given."""

    __tablename__ = "api_client"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    channel_code: Mapped[str] = mapped_column(ForeignKey("channel.code"))
    location_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("location.id"))
    scopes: Mapped[list[str]]
    active: Mapped[bool] = mapped_column(server_default="true")
    version: Mapped[int] = mapped_column(server_default="1")
    created_at: Mapped[datetime]


class Token(Base):
    """Every secret that authenticates: API keys, access and refresh tokens, console sessions. Stored hashed.

    `family` groups a customer's access and refresh tokens: a refresh token used twice revokes its whole family.
    """

    __tablename__ = "token"
    hash: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    hint: Mapped[str] = mapped_column(server_default="")
    client_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("api_client.id"), index=True)
    customer_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("customer.id"), index=True)
    staff_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("staff.id"), index=True)
    family: Mapped[uuid.UUID | None] = mapped_column(index=True)
    channel_code: Mapped[str | None]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    __table_args__ = (
        CheckConstraint("kind IN ('api_key', 'access', 'refresh', 'session')", name="kind"),
        CheckConstraint("num_nonnulls(customer_id, staff_id) <= 1", name="owner"),
        CheckConstraint("num_nonnulls(client_id, customer_id, staff_id) >= 1", name="owned"),
    )


class OneTimeCode(Base):
    """A code sent to an identity to prove that it is the customer's; a few attempts, then void."""

    __tablename__ = "one_time_code"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    identity_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("identity.id"), index=True)
    code_hash: Mapped[str]
    attempts: Mapped[int] = mapped_column(server_default="0")
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
