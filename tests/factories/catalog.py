"""Tax classes and rates of Japan, one price list in yen (tax included), four channels, products and variants."""

from dataclasses import dataclass
from datetime import date, timedelta
from uuid import UUID

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from retail.kernel import clock
from retail.kernel.ids import new_id
from retail.models import Channel, Price, PriceList, Product, TaxClass, TaxRate
from retail.models import Variant as VariantRow

CHANNELS = ("web", "app", "store", "phone")
PRICE_LIST_ID = UUID("018f0000-0000-7000-8000-000000000001")
RATES_BP = {"standard": 1000, "reduced": 800, "exempt": 0}


@dataclass(frozen=True, slots=True)
class Variant:
    """A variant with its price in yen, tax included."""

    id: UUID
    sku: str
    product_id: UUID
    price_minor: int
    title: str


def taxes(session: Session) -> None:
    """The classes standard, reduced, exempt and Japan's rates since October 2019; harmless twice."""
    session.execute(
        insert(TaxClass).on_conflict_do_nothing(), [{"code": code, "name": code.title()} for code in RATES_BP]
    )
    rows = [
        {"region": "JP", "tax_class_code": code, "valid_from": date(2019, 10, 1), "rate_bp": rate}
        for code, rate in RATES_BP.items()
    ]
    session.execute(insert(TaxRate).on_conflict_do_nothing(), rows)


def channels(session: Session) -> UUID:
    """web, app, store and phone, all selling from one list in yen, tax included; returns the list's id. Harmless twice."""
    listed = {"id": PRICE_LIST_ID, "code": "JPY", "currency": "JPY", "tax_inclusive": True}
    session.execute(insert(PriceList).values(listed).on_conflict_do_nothing())
    rows = [{"code": code, "name": code.title(), "price_list_id": PRICE_LIST_ID} for code in CHANNELS]
    session.execute(insert(Channel).on_conflict_do_nothing(), rows)
    return PRICE_LIST_ID


def variant(
    session: Session,
    *,
    sku: str | None = None,
    price_minor: int | None = 1980,
    tax_class: str = "standard",
    title: str = "Green tea",
    title_ja: str | None = "煎茶",
    status: str = "active",
    product_id: UUID | None = None,
) -> Variant:
    """One variant, of a new product unless told, with its price (none when `price_minor` is None)."""
    taxes(session)
    channels(session)
    now = clock.now()
    variant_id = new_id()
    sku = sku or f"SKU-{variant_id.hex[-10:].upper()}"
    if product_id is None:
        product_id = new_id()
        row = {"id": product_id, "code": f"P-{sku}", "title": title, "title_ja": title_ja, "tax_class_code": tax_class}
        session.execute(insert(Product).values(row | {"status": status, "created_at": now, "updated_at": now}))
    row = {"id": variant_id, "product_id": product_id, "sku": sku, "title": title, "title_ja": title_ja}
    session.execute(insert(VariantRow).values(row | {"created_at": now}))
    if price_minor is not None:
        price(session, variant_id=variant_id, amount_minor=price_minor)
    return Variant(variant_id, sku, product_id, price_minor or 0, title)


def variants(session: Session, count: int, *, price_minor: int = 1000) -> list[Variant]:
    """Several variants, each of its own product."""
    return [variant(session, price_minor=price_minor, title=f"Tea {number}") for number in range(1, count + 1)]


def price(session: Session, *, variant_id: UUID, amount_minor: int, days_ago: int = 1) -> None:
    """A price in the yen list, valid since `days_ago` days (negative: from then on)."""
    row = {"variant_id": variant_id, "price_list_id": PRICE_LIST_ID, "amount_minor": amount_minor}
    session.execute(insert(Price).values(row | {"valid_from": clock.now() - timedelta(days=days_ago)}))
