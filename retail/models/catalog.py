"""What is sold, taxed and priced how, and in which channels."""

import uuid
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column, relationship

from retail.kernel.db import Base


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
