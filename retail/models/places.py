"""Stores and warehouses, and when they are open."""

import uuid
from datetime import date, time

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column, relationship

from retail.kernel.db import Base


class Location(Base):
    """A store or a warehouse: its zone, hours and pickup promise.

    `shortfall_policy` says what becomes of goods that turn out to be missing: somebody is asked, they are taken from
    another location if one has them, or the customer gets the money back. Goods are sent from it when `ship_enabled`;
    `pick_capacity` is how many open orders it can have to pick at once (null: any number), `sourcing_priority` (lowest first)
    and the coordinates (WGS 84) help to choose between locations. `pick_minutes_per_line` (or null): see `ready_by`.
    """

    __tablename__ = "location"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(unique=True)
    kind: Mapped[str]
    name: Mapped[str]
    name_ja: Mapped[str | None]
    address: Mapped[str] = mapped_column(server_default="")
    phone: Mapped[str | None]
    zone: Mapped[str]
    tax_region: Mapped[str]
    pickup_enabled: Mapped[bool] = mapped_column(server_default="false")
    pickup_lead_minutes: Mapped[int] = mapped_column(server_default="120")
    shortfall_policy: Mapped[str] = mapped_column(server_default="ask")
    pickup_keep_days: Mapped[int] = mapped_column(server_default="7")
    capture_at: Mapped[str] = mapped_column(server_default="collected")
    ship_enabled: Mapped[bool] = mapped_column(server_default="false")
    pick_capacity: Mapped[int | None]
    sourcing_priority: Mapped[int] = mapped_column(server_default="100")
    pick_minutes_per_line: Mapped[int | None]
    latitude: Mapped[float | None]
    longitude: Mapped[float | None]
    version: Mapped[int] = mapped_column(server_default="1")
    hours: Mapped[list["LocationHours"]] = relationship(
        order_by="LocationHours.weekday, LocationHours.opens", lazy="raise"
    )
    holidays: Mapped[list["LocationHoliday"]] = relationship(order_by="LocationHoliday.on_day", lazy="raise")
    __table_args__ = (
        CheckConstraint("kind IN ('store', 'warehouse')", name="kind"),
        CheckConstraint("pickup_lead_minutes BETWEEN 0 AND 10080", name="pickup_lead_minutes"),
        CheckConstraint("pickup_keep_days BETWEEN 1 AND 60", name="pickup_keep_days"),
        CheckConstraint("capture_at IN ('placed', 'ready', 'collected')", name="capture_at"),
        CheckConstraint("shortfall_policy IN ('ask', 'resource', 'refund')", name="shortfall_policy"),
        CheckConstraint("pick_capacity >= 0", name="pick_capacity"),
        CheckConstraint("pick_minutes_per_line BETWEEN 1 AND 120", name="pick_minutes_per_line"),
        CheckConstraint("(latitude IS NULL) = (longitude IS NULL)", name="coordinates"),
        CheckConstraint("latitude BETWEEN -90 AND 90 AND longitude BETWEEN -180 AND 180", name="coordinates_range"),
    )


class LocationHours(Base):
    """One opening interval of a weekday (0 = Monday), in the location's zone; several a day are normal."""

    __tablename__ = "location_hours"
    location_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("location.id"), primary_key=True)
    weekday: Mapped[int] = mapped_column(primary_key=True)
    opens: Mapped[time] = mapped_column(primary_key=True)
    closes: Mapped[time]
    __table_args__ = (
        CheckConstraint("weekday BETWEEN 0 AND 6", name="weekday"),
        CheckConstraint("opens < closes", name="interval"),
    )


class LocationHoliday(Base):
    """A day with other hours: closed when `opens` is null."""

    __tablename__ = "location_holiday"
    location_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("location.id"), primary_key=True)
    on_day: Mapped[date] = mapped_column(primary_key=True)
    opens: Mapped[time | None]
    closes: Mapped[time | None]
    name: Mapped[str] = mapped_column(server_default="")
    __table_args__ = (
        CheckConstraint("(opens IS NULL) = (closes IS NULL) AND (opens IS NULL OR opens < closes)", name="interval"),
    )
