"""Products, variants and prices, read."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from retail.kernel import db
from retail.kernel.hot import Hot

DEFAULT_REGION = "JP"
DEFAULT_ZONE = "Asia/Tokyo"


@dataclass(frozen=True, slots=True)
class Offer:
    """A variant as one channel sells it now: price in minor units, tax rate in basis points of the region asked for."""

    variant_id: UUID
    sku: str
    title: str
    title_ja: str | None
    unit_price_minor: int
    currency: str
    tax_inclusive: bool
    tax_rate_bp: int
    category: str = ""


@dataclass(frozen=True, slots=True)
class VariantName:
    """What a variant is called."""

    id: UUID
    sku: str
    title: str
    title_ja: str | None


# The lists that a channel sells from here and now: campaigns by priority, then its own. What a campaign's list does not
# price costs what the next one says.
_OFFERS = f"""
    SELECT v.id AS variant_id, v.sku, v.title, v.title_ja, price.amount_minor AS unit_price_minor,
           list.currency, coalesce(here.tax_inclusive, list.tax_inclusive) AS tax_inclusive,
           tax.rate_bp AS tax_rate_bp, p.category
    FROM channel AS c
    JOIN price_list AS list ON list.id = c.price_list_id
    LEFT JOIN location AS l ON l.id = CAST(:location_id AS uuid) AND CAST(:tax_region AS text) IS NULL
    LEFT JOIN tax_region AS here ON here.code = coalesce(CAST(:tax_region AS text), l.tax_region, '{DEFAULT_REGION}')
    CROSS JOIN LATERAL (
        SELECT CAST(CAST(:now AS timestamptz) AT TIME ZONE coalesce(l.zone, here.zone, '{DEFAULT_ZONE}') AS date) AS today
    ) AS calendar
    CROSS JOIN LATERAL (
        SELECT ARRAY(SELECT a.price_list_id FROM campaign AS a
                     WHERE a.channel_code = c.code AND coalesce(a.valid_from <= :now, a.from_on <= calendar.today)
                       AND coalesce(a.valid_to > :now, a.to_on >= calendar.today, true)
                     ORDER BY a.priority DESC, a.id DESC) || list.id AS lists
        OFFSET 0 -- once for the channel, not once a line
    ) AS sold
    JOIN variant AS v ON CHOSEN
    JOIN product AS p ON p.id = v.product_id AND p.status = 'active'
    JOIN LATERAL (
        SELECT r.amount_minor FROM price AS r
        WHERE r.variant_id = v.id AND r.price_list_id = ANY(sold.lists)
          AND r.valid_from <= :now AND (r.valid_to IS NULL OR r.valid_to > :now)
        ORDER BY array_position(sold.lists, r.price_list_id), r.valid_from DESC LIMIT 1
    ) AS price ON true
    JOIN LATERAL (
        SELECT rate_bp FROM tax_rate
        WHERE region = coalesce(CAST(:tax_region AS text), l.tax_region, '{DEFAULT_REGION}')
          AND tax_class_code = p.tax_class_code AND valid_from <= calendar.today
        ORDER BY valid_from DESC LIMIT 1
    ) AS tax ON true
    WHERE c.code = :channel_code
"""  # noqa: S608 - two constants of this module
# The sub-select hides the array's length from the planner, which would plan every order anew.
OFFERS_BY_SKU = _OFFERS.replace("CHOSEN", "v.sku = ANY(CAST((SELECT CAST(:skus AS text[])) AS text[]))")
OFFERS_BY_ID = _OFFERS.replace("CHOSEN", "v.id = ANY(CAST((SELECT CAST(:ids AS uuid[])) AS uuid[]))")
_OFFERS_BY_SKU, _OFFERS_BY_ID = Hot(OFFERS_BY_SKU), Hot(OFFERS_BY_ID)
_OFFERS_BY_EITHER = Hot(
    _OFFERS.replace("CHOSEN", "(v.sku = ANY(CAST(:skus AS text[])) OR v.id = ANY(CAST(:ids AS uuid[])))")
)


def offers_for(
    session: Session,
    *,
    channel_code: str,
    skus: Sequence[str] = (),
    variant_ids: Sequence[UUID] = (),
    location_id: UUID | None,
    tax_region: str | None = None,
    now: datetime,
) -> list[Offer]:
    """What the channel sells of these variants, at the location's tax (Japan's without one); one statement.

    `tax_region` goes before the location's: goods that are sent somewhere are taxed there (`taxes.tax_region_for`). The
    tax is inside the prices or comes on top as the region says, else as the price list says.

    Missing from the answer, in no particular order otherwise: unknown and archived variants, those without a price in
    the channel's list, and those whose tax class has no rate in the region (selling untaxed by accident is worse).
    """
    given: dict[str, Any] = {"channel_code": channel_code, "location_id": location_id, "now": now}
    given["tax_region"] = tax_region
    if skus and variant_ids:
        statement, chosen = _OFFERS_BY_EITHER, {"skus": list(skus), "ids": list(variant_ids)}
    elif variant_ids:
        statement, chosen = _OFFERS_BY_ID, {"ids": list(variant_ids)}
    else:
        statement, chosen = _OFFERS_BY_SKU, {"skus": list(skus)}
    return [Offer(*row) for row in statement.run(session, given | chosen)]


_IDS_BY_SKU = text("SELECT sku, id FROM variant WHERE sku = ANY(CAST(:skus AS text[]))")
_NAMES_BY_ID = text("SELECT id, sku, title, title_ja FROM variant WHERE id = ANY(CAST(:ids AS uuid[]))")


def variants_by_sku(session: Session, *, skus: Sequence[str]) -> dict[str, UUID]:
    """The variant of each SKU; unknown ones are missing."""
    return {row.sku: row.id for row in session.execute(_IDS_BY_SKU, {"skus": list(skus)}).all()}


def skus_by_variant(session: Session, *, variant_ids: Sequence[UUID]) -> dict[UUID, VariantName]:
    """The SKU and titles of each variant; unknown ones are missing."""
    return {row.id: VariantName(*row) for row in session.execute(_NAMES_BY_ID, {"ids": list(variant_ids)}).all()}


@dataclass(frozen=True, slots=True)
class PriceListFacts:
    """A price list: its currency, and whether its prices hold the tax."""

    id: UUID
    code: str
    currency: str
    tax_inclusive: bool


_PRICES = """
    coalesce((SELECT json_agg(json_build_object(
                  'price_list', n.code, 'price', json_build_object('amount_minor', n.amount_minor, 'currency', n.currency),
                  'tax_inclusive', n.tax_inclusive, 'valid_from', n.valid_from, 'valid_to', n.valid_to) ORDER BY n.code)
              FROM (SELECT DISTINCT ON (a.code) a.code, a.currency, a.tax_inclusive, r.amount_minor, r.valid_from,
                           r.valid_to
                    FROM price AS r JOIN price_list AS a ON a.id = r.price_list_id
                    WHERE r.variant_id = v.id AND r.valid_from <= :now AND (r.valid_to IS NULL OR r.valid_to > :now)
                    ORDER BY a.code, r.valid_from DESC) AS n), '[]')"""
_GTINS = "ARRAY(SELECT gtin FROM barcode WHERE variant_id = v.id ORDER BY gtin)"
_PRODUCT = f"""
    SELECT p.id, p.code, p.title, p.title_ja, p.description, p.category, p.tax_class_code AS tax_class, p.status,
           p.version, p.created_at, p.updated_at,
           coalesce((SELECT json_agg(json_build_object(
                         'id', v.id, 'sku', v.sku, 'title', v.title, 'title_ja', v.title_ja, 'options', v.options,
                         'barcodes', {_GTINS}, 'prices', {_PRICES}) ORDER BY v.sku)
                     FROM variant AS v WHERE v.product_id = p.id), '[]') AS variants
    FROM product AS p
    WHERE """  # noqa: S608 - constants of this module
_PRODUCT_BY_ID = text(_PRODUCT + "p.id = :product_id")
_PRODUCTS = text(
    _PRODUCT  # noqa: S608 - constants of this module
    + """(CAST(:status AS text) IS NULL OR p.status = :status)
      AND (CAST(:category AS text) IS NULL OR p.category = :category)
      AND (CAST(:pattern AS text) IS NULL OR p.title ILIKE :pattern OR p.title_ja ILIKE :pattern OR p.code ILIKE :pattern
           OR EXISTS (SELECT 1 FROM variant AS w WHERE w.product_id = p.id
                      AND (w.sku ILIKE :pattern OR w.title ILIKE :pattern OR w.title_ja ILIKE :pattern)))
      AND (CAST(:after AS text) IS NULL OR p.code > :after)
    ORDER BY p.code LIMIT :limit"""
)
_VARIANT = text(
    f"""
    SELECT v.id, v.sku, v.title, v.title_ja, v.options, {_GTINS} AS barcodes, {_PRICES} AS prices,
           p.id AS product_id, p.code AS product_code, p.title AS product_title, p.title_ja AS product_title_ja, p.tax_class_code AS tax_class, p.status
    FROM variant AS v JOIN product AS p ON p.id = v.product_id WHERE v.sku = :sku
    """  # noqa: S608 - constants of this module
)
_PRODUCT_KEY = text("SELECT id FROM product WHERE id = CAST(:product_id AS uuid) OR code = :code")
_PRICE_LIST = text("SELECT id, code, currency, tax_inclusive FROM price_list WHERE code = :code")
_PRICE_LISTS = text(
    """
    SELECT a.id, a.code, a.currency, a.tax_inclusive,
           ARRAY(SELECT c.code FROM channel AS c WHERE c.price_list_id = a.id ORDER BY c.code) AS channels
    FROM price_list AS a WHERE (CAST(:after AS text) IS NULL OR a.code > :after) ORDER BY a.code LIMIT :limit
    """
)
_PRICES_OF_LIST = text(
    """
    SELECT v.sku, v.title, v.title_ja, r.amount_minor, r.valid_from, r.valid_to
    FROM variant AS v
    JOIN LATERAL (SELECT amount_minor, valid_from, valid_to FROM price
                  WHERE variant_id = v.id AND price_list_id = :price_list_id AND valid_from <= :now
                    AND (valid_to IS NULL OR valid_to > :now)
                  ORDER BY valid_from DESC LIMIT 1) AS r ON true
    WHERE (CAST(:after AS text) IS NULL OR v.sku > :after)
    ORDER BY v.sku LIMIT :limit
    """
)
_TAX_REGION_OF = text(
    """
    SELECT coalesce(
        (SELECT region_code FROM tax_destination
         WHERE country = :country AND area IN (:area, '') ORDER BY area DESC LIMIT 1),
        (SELECT region FROM tax_rate WHERE region = :country LIMIT 1))
    """
)
_TAX_RATE_IN = text(
    f"""
    SELECT rate_bp FROM tax_rate
    WHERE region = :region AND tax_class_code = :tax_class
      AND valid_from <= CAST(CAST(:now AS timestamptz) AT TIME ZONE
                             coalesce((SELECT zone FROM tax_region WHERE code = :region), '{DEFAULT_ZONE}') AS date)
    ORDER BY valid_from DESC LIMIT 1
    """  # noqa: S608 - a constant of this module
)
_TAX_RATES = text(
    """
    SELECT region, tax_class_code AS tax_class, valid_from, rate_bp FROM tax_rate
    WHERE (CAST(:region AS text) IS NULL OR region = :region)
      AND (CAST(:after_region AS text) IS NULL
           OR (region, tax_class_code, valid_from) > (:after_region, :after_class, CAST(:after_from AS date)))
    ORDER BY region, tax_class_code, valid_from LIMIT :limit
    """
)


def product_dict(session: Session, *, product_id: UUID, now: datetime) -> dict[str, Any] | None:
    """One product as the API shows it (ProductSchema), with variants and their prices at `now`; one statement."""
    row = session.execute(_PRODUCT_BY_ID, {"product_id": product_id, "now": now}).mappings().one_or_none()
    return None if row is None else _product(dict(row))


def list_products(
    session: Session,
    *,
    q: str | None,
    category: str | None,
    status: str | None,
    after: str | None,
    limit: int,
    now: datetime,
) -> list[dict[str, Any]]:
    """Products by code, from behind `after` on; `q` is a part of a title, code or SKU. One statement."""
    given = {"pattern": db.contains(q), "category": category, "status": status, "after": after, "limit": limit}
    return [_product(dict(row)) for row in session.execute(_PRODUCTS, given | {"now": now}).mappings().all()]


def variant_dict(session: Session, *, sku: str, now: datetime) -> dict[str, Any] | None:
    """One variant as the API shows it (VariantSchema), with its product and prices at `now`; one statement."""
    row = session.execute(_VARIANT, {"sku": sku, "now": now}).mappings().one_or_none()
    return None if row is None else _variant(dict(row))


def product_key(session: Session, *, product_id: UUID | None, code: str) -> UUID | None:
    """A product's id by id or code."""
    found: UUID | None = session.execute(_PRODUCT_KEY, {"product_id": product_id, "code": code}).scalar_one_or_none()
    return found


def price_list(session: Session, *, code: str) -> PriceListFacts | None:
    """A price list by its code."""
    row = session.execute(_PRICE_LIST, {"code": code}).one_or_none()
    return None if row is None else PriceListFacts(*row)


def price_lists(session: Session, *, after: str | None, limit: int) -> list[dict[str, Any]]:
    """Price lists by code, from behind `after` on, with the channels that sell from them."""
    return [dict(row) for row in session.execute(_PRICE_LISTS, {"after": after, "limit": limit}).mappings().all()]


def prices_of(
    session: Session, *, price_list: PriceListFacts, after: str | None, limit: int, now: datetime
) -> list[dict[str, Any]]:
    """The prices of one list at `now`, by SKU, from behind `after` on."""
    given = {"price_list_id": price_list.id, "after": after, "limit": limit, "now": now}
    return [
        {
            "sku": row.sku,
            "title": row.title,
            "title_ja": row.title_ja,
            "price": {"amount_minor": row.amount_minor, "currency": price_list.currency},
            "valid_from": row.valid_from,
            "valid_to": row.valid_to,
        }
        for row in session.execute(_PRICES_OF_LIST, given).all()
    ]


def tax_rates(
    session: Session, *, region: str | None, after: tuple[str, str, date] | None, limit: int
) -> list[dict[str, Any]]:
    """Tax rates by region, class and day, from behind `after` on."""
    region_, class_, from_ = after or (None, None, None)
    given = {"region": region, "after_region": region_, "after_class": class_, "after_from": from_, "limit": limit}
    return [dict(row) for row in session.execute(_TAX_RATES, given).mappings().all()]


def tax_region_of(session: Session, *, country: str, area: str) -> str | None:
    """The region that taxes what is sent there: the area's, else the country's, else the one called like the country.
    `area` in small letters."""
    found: str | None = session.execute(_TAX_REGION_OF, {"country": country, "area": area}).scalar_one()
    return found


def tax_rate_in(session: Session, *, region: str, tax_class: str, now: datetime) -> int | None:
    """The rate of a class in a region at `now`, in basis points; None when the class has none there."""
    given = {"region": region, "tax_class": tax_class, "now": now}
    found: int | None = session.execute(_TAX_RATE_IN, given).scalar_one_or_none()
    return found


def tax_classes(session: Session) -> list[str]:
    """The codes of all tax classes."""
    return list(session.execute(text("SELECT code FROM tax_class ORDER BY code")).scalars())


def _product(row: dict[str, Any]) -> dict[str, Any]:
    row["variants"] = [_variant(item) for item in row["variants"]]
    return row


def _variant(item: dict[str, Any]) -> dict[str, Any]:
    for price in item["prices"]:
        for name in ("valid_from", "valid_to"):
            price[name] = None if price[name] is None else datetime.fromisoformat(price[name])
    return item
