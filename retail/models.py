"""Who, what and where. Other packages may join and reference these tables; only `retail` changes them."""

import uuid
from datetime import date, datetime, time
from typing import Any

import sqlalchemy as sa
from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from retail.kernel.db import Base

ASSURANCES = ("claimed", "observed", "attested", "verified")  # weakest first
IDENTITY_KINDS = ("email", "phone", "card", "external")
ROLES = ("associate", "manager", "agent", "supervisor", "analyst", "admin")


class TaxClass(Base):
    """How a product is taxed: `standard`, `reduced`, `exempt`."""

    __tablename__ = "tax_class"
    code: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]


class TaxRate(Base):
    """The rate of one class in one region from a day on, in basis points (1000 = 10 %)."""

    __tablename__ = "tax_rate"
    region: Mapped[str] = mapped_column(primary_key=True)
    tax_class_code: Mapped[str] = mapped_column(ForeignKey("tax_class.code"), primary_key=True)
    valid_from: Mapped[date] = mapped_column(primary_key=True)
    rate_bp: Mapped[int]
    __table_args__ = (CheckConstraint("rate_bp BETWEEN 0 AND 10000", name="rate_bp"),)


class TaxRegion(Base):
    """What is particular about a region of `tax_rate`: the zone (IANA) in which its rates begin, and whether its customers
    see prices with the tax (`tax_inclusive` null: as the price list says). A region without a row has Tokyo's days."""

    __tablename__ = "tax_region"
    code: Mapped[str] = mapped_column(primary_key=True)
    zone: Mapped[str]
    tax_inclusive: Mapped[bool | None]


class TaxDestination(Base):
    """Which region taxes what is sent to a country (ISO 3166-1), or to an area of it: a state or prefecture as people write
    it, in small letters; several names may lead to one region. `area` empty is the rest of the country."""

    __tablename__ = "tax_destination"
    country: Mapped[str] = mapped_column(primary_key=True)
    area: Mapped[str] = mapped_column(primary_key=True, server_default="")
    region_code: Mapped[str] = mapped_column(ForeignKey("tax_region.code"), index=True)
    __table_args__ = (CheckConstraint("country ~ '^[A-Z]{2}$'", name="country"),)


class Issuer(Base):
    """Who issues invoices and receipts: the company. `registration_number` (T and 13 digits) makes them qualified invoices
    in Japan; `corporate`: it is a company's corporate number, which has a check digit."""

    __tablename__ = "issuer"
    code: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    name_en: Mapped[str] = mapped_column(server_default="")
    address: Mapped[str] = mapped_column(server_default="")
    phone: Mapped[str] = mapped_column(server_default="")
    registration_number: Mapped[str | None]
    corporate: Mapped[bool] = mapped_column(server_default="true")
    version: Mapped[int] = mapped_column(server_default="1")
    updated_at: Mapped[datetime]
    __table_args__ = (
        CheckConstraint("registration_number ~ '^T[0-9]{13}$'", name="registration_number"),
        CheckConstraint("name <> ''", name="named"),
    )


class Product(Base):
    """What is sold, as the customer thinks of it; its variants are what is counted."""

    __tablename__ = "product"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(unique=True)
    title: Mapped[str]
    title_ja: Mapped[str | None]
    description: Mapped[str] = mapped_column(server_default="")
    category: Mapped[str] = mapped_column(server_default="")
    tax_class_code: Mapped[str] = mapped_column(ForeignKey("tax_class.code"))
    status: Mapped[str] = mapped_column(server_default="active")
    version: Mapped[int] = mapped_column(server_default="1")
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    variants: Mapped[list["Variant"]] = relationship(back_populates="product", order_by="Variant.sku", lazy="raise")
    __table_args__ = (
        CheckConstraint("status IN ('active', 'archived')", name="status"),
        CheckConstraint("code <> '' AND title <> ''", name="named"),
    )


class Variant(Base):
    """One SKU: the thing that is priced, stocked and sold."""

    __tablename__ = "variant"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    product_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("product.id"), index=True)
    sku: Mapped[str] = mapped_column(unique=True)
    title: Mapped[str]
    title_ja: Mapped[str | None]
    options: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    created_at: Mapped[datetime]
    product: Mapped[Product] = relationship(back_populates="variants", lazy="raise")
    __table_args__ = (CheckConstraint("sku <> '' AND length(sku) <= 64", name="sku"),)


class Barcode(Base):
    """A code printed on goods, as a GTIN of 14 digits (GTIN-8, -12 and -13 with zeros in front); a variant has several."""

    __tablename__ = "barcode"
    gtin: Mapped[str] = mapped_column(primary_key=True)
    variant_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("variant.id"), index=True)
    created_at: Mapped[datetime]
    __table_args__ = (CheckConstraint("gtin ~ '^[0-9]{14}$'", name="gtin"),)


class BundleComponent(Base):
    """`quantity` units of a component go into one unit of a bundle. A bundle has no stock of its own, and no bundle is a
    component."""

    __tablename__ = "bundle_component"
    bundle_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("variant.id"), primary_key=True)
    component_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("variant.id"), primary_key=True, index=True)
    quantity: Mapped[int]
    __table_args__ = (
        CheckConstraint("quantity BETWEEN 1 AND 999", name="quantity"),
        CheckConstraint("bundle_id <> component_id", name="itself"),
    )


class PriceList(Base):
    """Prices of one currency, tax included or not, for the channels that point at it."""

    __tablename__ = "price_list"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(unique=True)
    currency: Mapped[str]
    tax_inclusive: Mapped[bool]
    __table_args__ = (CheckConstraint("currency ~ '^[A-Z]{3}$'", name="currency"),)


class Campaign(Base):
    """A price list that goes before a channel's own while it lasts; of several with a price the highest `priority` counts. From
    `valid_from` until just before `valid_to`, or for whole days (both included) in the zone of the location that sells."""

    __tablename__ = "campaign"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    channel_code: Mapped[str] = mapped_column(ForeignKey("channel.code"))
    price_list_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("price_list.id"))
    name: Mapped[str] = mapped_column(server_default="")
    priority: Mapped[int] = mapped_column(server_default="100")
    valid_from: Mapped[datetime | None]
    valid_to: Mapped[datetime | None]
    from_on: Mapped[date | None]
    to_on: Mapped[date | None]
    version: Mapped[int] = mapped_column(server_default="1")
    __table_args__ = (
        CheckConstraint("valid_from < valid_to AND from_on <= to_on", name="period"),
        CheckConstraint("num_nulls(valid_from, from_on) = 1", name="begins"),
        CheckConstraint("num_nulls(valid_from, to_on) > 0 AND num_nulls(from_on, valid_to) > 0", name="ends"),
        Index("ix_campaign_channel", "channel_code", "id"),
    )


class Price(Base):
    """A variant's price in one list, from a moment on, and until just before `valid_to` where it ends; of those that count,
    the latest `valid_from` does. When one ends, the one before it counts again."""

    __tablename__ = "price"
    variant_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("variant.id"), primary_key=True)
    price_list_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("price_list.id"), primary_key=True)
    valid_from: Mapped[datetime] = mapped_column(primary_key=True)
    valid_to: Mapped[datetime | None]
    amount_minor: Mapped[int] = mapped_column(sa.BigInteger)
    __table_args__ = (
        CheckConstraint("amount_minor >= 0", name="amount_minor"),
        CheckConstraint("valid_from < valid_to", name="period"),
    )


class Channel(Base):
    """Where customers meet the shop: web, app, store, phone. Each sells from one price list."""

    __tablename__ = "channel"
    code: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    price_list_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("price_list.id"))


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


class Customer(Base):
    """A person who buys. What identifies her are identities, bound by links with an assurance. `address` is where she
    likes to be sent things (the shape of ``order.ship_to``)."""

    __tablename__ = "customer"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    reference: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str] = mapped_column(server_default="")
    locale: Mapped[str] = mapped_column(server_default="ja")
    address: Mapped[dict[str, Any] | None]
    merged_into: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("customer.id"))
    version: Mapped[int] = mapped_column(server_default="1")
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    __table_args__ = (CheckConstraint("locale IN ('ja', 'en')", name="locale"),)


class Identity(Base):
    """An address or number that may name a customer, normalized; one row in the world per value."""

    __tablename__ = "identity"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    kind: Mapped[str]
    namespace: Mapped[str] = mapped_column(server_default="")
    value: Mapped[str]
    __table_args__ = (
        UniqueConstraint("kind", "namespace", "value"),
        CheckConstraint("kind IN ('email', 'phone', 'card', 'external')", name="kind"),
        CheckConstraint("value <> ''", name="value"),
    )


class IdentityLink(Base):
    """Binds an identity to a customer with an assurance, from when to when; one active link per identity."""

    __tablename__ = "identity_link"
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    identity_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("identity.id"))
    customer_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("customer.id"), index=True)
    assurance: Mapped[str]
    from_at: Mapped[datetime]
    to_at: Mapped[datetime | None]
    actor: Mapped[str]
    __table_args__ = (
        Index("uq_identity_link_active", "identity_id", unique=True, postgresql_where=sa.text("to_at IS NULL")),
        CheckConstraint("assurance IN ('claimed', 'observed', 'attested', 'verified')", name="assurance"),
    )


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
