"""Products, variants and prices, read."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

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


@dataclass(frozen=True, slots=True)
class VariantName:
    """What a variant is called."""

    id: UUID
    sku: str
    title: str
    title_ja: str | None


_OFFERS = f"""
    SELECT v.id AS variant_id, v.sku, v.title, v.title_ja, price.amount_minor AS unit_price_minor,
           list.currency, list.tax_inclusive, tax.rate_bp AS tax_rate_bp
    FROM channel AS c
    JOIN price_list AS list ON list.id = c.price_list_id
    LEFT JOIN location AS l ON l.id = CAST(:location_id AS uuid)
    JOIN variant AS v ON CHOSEN
    JOIN product AS p ON p.id = v.product_id AND p.status = 'active'
    JOIN LATERAL (
        SELECT amount_minor FROM price
        WHERE variant_id = v.id AND price_list_id = list.id AND valid_from <= :now
        ORDER BY valid_from DESC LIMIT 1
    ) AS price ON true
    JOIN LATERAL (
        SELECT rate_bp FROM tax_rate
        WHERE region = coalesce(l.tax_region, '{DEFAULT_REGION}') AND tax_class_code = p.tax_class_code
          AND valid_from <= CAST(CAST(:now AS timestamptz) AT TIME ZONE coalesce(l.zone, '{DEFAULT_ZONE}') AS date)
        ORDER BY valid_from DESC LIMIT 1
    ) AS tax ON true
    WHERE c.code = :channel_code
"""  # noqa: S608 - two constants of this module
_OFFERS_BY_SKU = text(_OFFERS.replace("CHOSEN", "v.sku = ANY(CAST(:skus AS text[]))"))
_OFFERS_BY_ID = text(_OFFERS.replace("CHOSEN", "v.id = ANY(CAST(:ids AS uuid[]))"))
_OFFERS_BY_EITHER = text(
    _OFFERS.replace("CHOSEN", "(v.sku = ANY(CAST(:skus AS text[])) OR v.id = ANY(CAST(:ids AS uuid[])))")
)


def offers_for(
    session: Session,
    *,
    channel_code: str,
    skus: Sequence[str] = (),
    variant_ids: Sequence[UUID] = (),
    location_id: UUID | None,
    now: datetime,
) -> list[Offer]:
    """What the channel sells of these variants, at the location's tax (Japan's without one); one statement.

    Missing from the answer, in no particular order otherwise: unknown and archived variants, those without a price in
    the channel's list, and those whose tax class has no rate in the region (selling untaxed by accident is worse).
    """
    given: dict[str, Any] = {"channel_code": channel_code, "location_id": location_id, "now": now}
    if skus and variant_ids:
        statement, chosen = _OFFERS_BY_EITHER, {"skus": list(skus), "ids": list(variant_ids)}
    elif variant_ids:
        statement, chosen = _OFFERS_BY_ID, {"ids": list(variant_ids)}
    else:
        statement, chosen = _OFFERS_BY_SKU, {"skus": list(skus)}
    return [Offer(*row) for row in session.execute(statement, given | chosen).all()]


_IDS_BY_SKU = text("SELECT sku, id FROM variant WHERE sku = ANY(CAST(:skus AS text[]))")
_NAMES_BY_ID = text("SELECT id, sku, title, title_ja FROM variant WHERE id = ANY(CAST(:ids AS uuid[]))")


def variants_by_sku(session: Session, *, skus: Sequence[str]) -> dict[str, UUID]:
    """The variant of each SKU; unknown ones are missing."""
    return {row.sku: row.id for row in session.execute(_IDS_BY_SKU, {"skus": list(skus)}).all()}


def skus_by_variant(session: Session, *, variant_ids: Sequence[UUID]) -> dict[UUID, VariantName]:
    """The SKU and titles of each variant; unknown ones are missing."""
    return {row.id: VariantName(*row) for row in session.execute(_NAMES_BY_ID, {"ids": list(variant_ids)}).all()}
