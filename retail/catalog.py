"""Products, variants and prices: make and change. A price is a fact from a moment on; the past is never rewritten."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from retail import events, limits, queries
from retail.kernel import outbox, versions
from retail.kernel.errors import Conflict, Invalid, NotFound
from retail.kernel.ids import new_id, parse_uuid
from retail.models import Price, PriceList, Product, Variant


class ProductCodeTaken(Conflict):
    """Another product has this code."""

    code, title = "product_code_taken", "Another product has this code"


class PriceListCodeTaken(Conflict):
    """Another price list has this code."""

    code, title = "price_list_code_taken", "Another price list has this code"


class SkuTaken(Conflict):
    """Other variants have these SKUs; `errors` names each."""

    code, title = "sku_taken", "Another variant has this SKU"


class CatalogInvalid(Invalid):
    """A tax class, price list or SKU that does not exist, or a price that cannot be; `errors` names each line."""

    code, title = "catalog_invalid", "The catalog does not know this"


class NoSuchSku(NotFound):
    """There is no variant of this SKU."""

    title = "There is no such SKU"


@dataclass(frozen=True, slots=True)
class NewVariant:
    """A SKU to be made, with its options such as ``{"size": "M"}``."""

    sku: str
    title: str
    title_ja: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NewPrice:
    """What a SKU costs from `valid_from` on (now when None), in the list's currency; until just before `valid_to`, where it
    ends: then the price before it counts again."""

    sku: str
    amount_minor: int
    currency: str
    valid_from: datetime | None = None
    valid_to: datetime | None = None


def create_price_list(
    session: Session, *, code: str, currency: str, tax_inclusive: bool, actor: str, now: datetime
) -> dict[str, Any]:
    """Make an empty price list; returns it (PriceListSchema). Channels sell from it by a campaign.

    Raises:
        PriceListCodeTaken.
    """
    table: Any = PriceList.__table__
    list_id = new_id()
    row = {"id": list_id, "code": code, "currency": currency, "tax_inclusive": tax_inclusive}
    made = insert(table).values(row).on_conflict_do_nothing(index_elements=["code"]).returning(table.c.id)
    if session.execute(made).scalar_one_or_none() is None:
        raise PriceListCodeTaken
    event = events.PricesSet(price_list_id=list_id, skus=[])
    outbox.publish(session, event, actor=actor, now=now)
    return row | {"channels": []}


def create_product(
    session: Session, *, facts: Mapping[str, Any], variants: Sequence[NewVariant], actor: str, now: datetime
) -> UUID:
    """Make a product with its variants, all or nothing; returns its id. Prices are set apart (`set_prices`).

    facts: code, title, title_ja, description, category, tax_class.

    Raises:
        CatalogInvalid: an unknown tax class, or a SKU twice. ProductCodeTaken, SkuTaken.
    """
    _check_tax_class(session, facts)
    table: Any = Product.__table__
    row = _columns(facts) | {"id": new_id(), "created_at": now, "updated_at": now}
    made = insert(table).values(row).on_conflict_do_nothing(index_elements=["code"]).returning(table.c.id)
    product_id = session.execute(made).scalar_one_or_none()
    if product_id is None:
        raise ProductCodeTaken
    _insert_variants(session, product_id, variants, now)
    event = events.ProductChanged(product_id=product_id, fields=["created"])
    outbox.publish(session, event, actor=actor, now=now)
    return UUID(str(product_id))


def update_product(
    session: Session, *, product_id: UUID, version: int, changes: Mapping[str, Any], actor: str, now: datetime
) -> int:
    """Change a product's facts or archive it (``status``); returns the new version. Placed orders keep what they had.

    Raises:
        NotFound, Stale; CatalogInvalid: an unknown tax class.
    """
    _check_tax_class(session, changes)
    values = _columns(changes) | {"updated_at": now}
    changed = versions.change(session, model=Product, row_id=product_id, version=version, values=values)
    event = events.ProductChanged(product_id=product_id, fields=sorted(changes))
    outbox.publish(session, event, actor=actor, now=now)
    return changed


def add_variants(
    session: Session, *, product_id: UUID, version: int, variants: Sequence[NewVariant], actor: str, now: datetime
) -> int:
    """Add SKUs to a product; returns its new version.

    Raises:
        NotFound, Stale, SkuTaken; CatalogInvalid: a SKU twice, or too many.
    """
    changed = versions.change(session, model=Product, row_id=product_id, version=version, values={"updated_at": now})
    table: Any = Variant.__table__
    there = session.execute(
        sa.select(sa.func.count()).select_from(table).where(table.c.product_id == product_id)
    ).scalar_one()
    if there + len(variants) > limits.VARIANTS_PER_PRODUCT:
        raise CatalogInvalid(f"A product has at most {limits.VARIANTS_PER_PRODUCT} variants")
    _insert_variants(session, product_id, variants, now)
    event = events.ProductChanged(product_id=product_id, fields=["variants"])
    outbox.publish(session, event, actor=actor, now=now)
    return changed


def set_prices(session: Session, *, price_list: str, prices: Sequence[NewPrice], actor: str, now: datetime) -> None:
    """Set prices in one list from now or a later moment on, all or nothing. A price planned for the same moment is
    replaced; one that has begun stays in the history.

    Raises:
        NotFound: there is no such list.
        CatalogInvalid: unknown SKUs, another currency, a moment in the past, an end before the beginning, the same SKU and
            moment twice.
    """
    listed = queries.price_list(session, code=price_list)
    if listed is None:
        raise NotFound("There is no such price list")
    known = queries.variants_by_sku(session, skus=[price.sku for price in prices])
    wrong: list[dict[str, Any]] = []
    rows: dict[tuple[UUID, datetime], dict[str, Any]] = {}
    for line, price in enumerate(prices, start=1):
        at = price.valid_from or now
        if price.sku not in known:
            wrong.append({"line": line, "field": "sku", "code": "unknown", "detail": price.sku})
        elif price.currency != listed.currency:
            wrong.append({"line": line, "field": "price.currency", "code": "currency", "detail": listed.currency})
        elif at < now:
            wrong.append({"line": line, "field": "valid_from", "code": "past", "detail": "Prices begin now or later"})
        elif price.valid_to is not None and price.valid_to <= at:
            wrong.append({"line": line, "field": "valid_to", "code": "backwards", "detail": "It ends before it begins"})
        elif (known[price.sku], at) in rows:
            wrong.append({"line": line, "field": "sku", "code": "repeated", "detail": price.sku})
        else:
            rows[known[price.sku], at] = {
                "variant_id": known[price.sku],
                "price_list_id": listed.id,
                "valid_from": at,
                "valid_to": price.valid_to,
                "amount_minor": price.amount_minor,
            }
    if wrong:
        raise CatalogInvalid(errors=wrong)
    table: Any = Price.__table__
    statement = insert(table).values(list(rows.values()))
    session.execute(
        statement.on_conflict_do_update(
            index_elements=["variant_id", "price_list_id", "valid_from"],
            set_={"amount_minor": statement.excluded.amount_minor, "valid_to": statement.excluded.valid_to},
        )
    )
    event = events.PricesSet(price_list_id=listed.id, skus=sorted({price.sku for price in prices}))
    outbox.publish(session, event, actor=actor, now=now)


def key_of(session: Session, *, product: str) -> UUID:
    """The id of a product named by id or code.

    Raises:
        NotFound: there is no such product.
    """
    found = queries.product_key(session, product_id=parse_uuid(product), code=product)
    if found is None:
        raise NotFound("There is no such product")
    return found


def variant_of(session: Session, *, sku: str) -> UUID:
    """The id of a variant.

    Raises:
        NoSuchSku: there is none.
    """
    variant_id = queries.variants_by_sku(session, skus=[sku]).get(sku)
    if variant_id is None:
        raise NoSuchSku
    return variant_id


def _insert_variants(session: Session, product_id: UUID, variants: Sequence[NewVariant], now: datetime) -> None:
    skus = [variant.sku for variant in variants]
    twice = sorted({sku for sku in skus if skus.count(sku) > 1})
    if twice:
        raise CatalogInvalid(errors=[{"field": "sku", "code": "repeated", "detail": sku} for sku in twice])
    if not variants:
        return
    table: Any = Variant.__table__
    rows = [
        {
            "id": new_id(),
            "product_id": product_id,
            "sku": variant.sku,
            "title": variant.title,
            "title_ja": variant.title_ja,
            "options": dict(variant.options),
            "created_at": now,
        }
        for variant in sorted(variants, key=lambda variant: variant.sku)
    ]
    made = insert(table).values(rows).on_conflict_do_nothing(index_elements=["sku"]).returning(table.c.sku)
    missing = sorted(set(skus) - set(session.execute(made).scalars()))
    if missing:
        raise SkuTaken(errors=[{"field": "sku", "code": "taken", "detail": sku} for sku in missing])


def _check_tax_class(session: Session, facts: Mapping[str, Any]) -> None:
    if "tax_class" in facts and facts["tax_class"] not in queries.tax_classes(session):
        raise CatalogInvalid(errors=[{"field": "tax_class", "code": "unknown", "detail": facts["tax_class"]}])


def _columns(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {("tax_class_code" if name == "tax_class" else name): value for name, value in facts.items()}
