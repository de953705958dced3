"""Tills, sales told later, and what their lines and tenders mean: read for a whole batch at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class TillFacts:
    """A till and the store it stands in."""

    id: UUID
    code: str
    name: str
    location_id: UUID
    location_code: str
    location_name: str
    location_name_ja: str | None
    zone: str


@dataclass(frozen=True, slots=True)
class Known:
    """A sale that was told before. `reference` of the order it became."""

    sale_id: str
    fingerprint: str
    reference: str
    flags: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Ware:
    """What a SKU means. `components` are (variant, units per unit sold): itself, or what a bundle is made of."""

    id: UUID
    sku: str
    title: str
    title_ja: str | None
    active: bool
    category: str
    components: tuple[tuple[UUID, int], ...]


@dataclass(frozen=True, slots=True)
class Buyer:
    """The customer that a sale's `member` or `customer_id` means; `named_id` is the record that it named, which may have
    been merged into hers."""

    id: UUID
    name: str
    locale: str
    named_id: UUID


@dataclass(frozen=True, slots=True)
class Card:
    """A gift card, locked."""

    id: UUID
    code_hash: str
    currency: str
    balance_minor: int
    state: str
    expires_at: datetime | None


_TILLS = text(
    """
    SELECT t.id, t.code, t.name, l.id, l.code, l.name, l.name_ja, l.zone
    FROM till AS t JOIN location AS l ON l.id = t.location_id
    WHERE CAST(:locations AS uuid[]) IS NULL OR t.location_id = ANY(CAST(:locations AS uuid[]))
    ORDER BY l.code, t.code LIMIT 500
    """
)
_TILL = text(
    """
    SELECT t.id, t.code, t.name, l.id, l.code, l.name, l.name_ja, l.zone
    FROM till AS t JOIN location AS l ON l.id = t.location_id WHERE t.code = :code
    """
)
_MONEY = text(
    """
    SELECT list.currency, coalesce(region.tax_inclusive, list.tax_inclusive) AS tax_inclusive
    FROM channel JOIN price_list AS list ON list.id = channel.price_list_id
    JOIN location ON location.id = :location_id
    LEFT JOIN tax_region AS region ON region.code = location.tax_region
    WHERE channel.code = :channel
    """
)
_KNOWN = text(
    """
    SELECT s.sale_id, s.fingerprint, o.reference, s.flags
    FROM till_sale AS s JOIN "order" AS o ON o.id = s.order_id
    WHERE s.till_id = :till_id AND s.sale_id = ANY(CAST(:sales AS text[]))
    """
)
_WARES = text(
    """
    SELECT v.id, v.sku, v.title, v.title_ja, p.status = 'active' AS active, p.category,
           (SELECT array_agg(CAST(c.component_id AS text) ORDER BY c.component_id) FROM bundle_component AS c WHERE c.bundle_id = v.id) AS parts,
           (SELECT array_agg(c.quantity ORDER BY c.component_id) FROM bundle_component AS c WHERE c.bundle_id = v.id) AS units
    FROM variant AS v JOIN product AS p ON p.id = v.product_id WHERE v.sku = ANY(CAST(:skus AS text[]))
    """
)
_BUYERS = text(
    """
    WITH asked AS (
        SELECT CAST(id AS text) AS key, id AS customer_id FROM customer WHERE id = ANY(CAST(:ids AS uuid[]))
        UNION ALL
        SELECT i.value, link.customer_id FROM identity AS i
        JOIN identity_link AS link ON link.identity_id = i.id AND link.to_at IS NULL AND link.assurance IN ('attested', 'verified')
        WHERE i.kind = 'card' AND i.namespace = '' AND i.value = ANY(CAST(:cards AS text[]))
    )
    SELECT asked.key, c.id, c.name, c.locale, given.id AS named_id
    FROM asked JOIN customer AS given ON given.id = asked.customer_id
    JOIN customer AS c ON c.id = coalesce(given.merged_into, given.id)
    """
)
_CARDS = text(
    """
    SELECT id, code_hash, currency, balance_minor, state, expires_at FROM gift_card
    WHERE code_hash = ANY(CAST(:hashes AS text[])) ORDER BY id FOR UPDATE
    """
)
_FLAGGED = """
    SELECT s.id, t.code AS till, s.sale_id, o.reference AS order_reference, s.sold_at, s.recorded_at, s.flags, s.seen_by,
           s.seen_at, t.location_id
    FROM till_sale AS s JOIN till AS t ON t.id = s.till_id JOIN "order" AS o ON o.id = s.order_id
    WHERE s.flags <> '[]'::jsonb
"""
_LIST = text(
    f"""
    {_FLAGGED}
      AND (CAST(:locations AS uuid[]) IS NULL OR t.location_id = ANY(CAST(:locations AS uuid[])))
      AND (CAST(:till AS text) IS NULL OR t.code = :till)
      AND (CAST(:seen AS boolean) IS NULL OR (s.seen_at IS NOT NULL) = :seen)
      AND (CAST(:after AS uuid) IS NULL OR s.id > :after)
    ORDER BY s.id LIMIT :limit
    """
)
_ONE = text(f"{_FLAGGED} AND s.id = :sale")


def till(session: Session, *, code: str) -> TillFacts | None:
    """The till of this code."""
    row = session.execute(_TILL, {"code": code}).one_or_none()
    return None if row is None else TillFacts(*row)


def tills(session: Session, *, locations: Sequence[UUID] | None) -> list[TillFacts]:
    """The tills at these locations (None: at all), by store and code; at most 500."""
    given = {"locations": None if locations is None else list(locations)}
    return [TillFacts(*row) for row in session.execute(_TILLS, given).all()]


def money_of(session: Session, *, channel: str, location_id: UUID) -> tuple[str, bool]:
    """(currency, whether prices hold the tax) of what a channel sells at a location."""
    row = session.execute(_MONEY, {"channel": channel, "location_id": location_id}).one()
    return row.currency, row.tax_inclusive


def known_sales(session: Session, *, till_id: UUID, sales: Sequence[str]) -> dict[str, Known]:
    """Which of these sales were told before."""
    rows = session.execute(_KNOWN, {"till_id": till_id, "sales": list(sales)}).all()
    return {row.sale_id: Known(*row) for row in rows}


def wares(session: Session, *, skus: Sequence[str]) -> dict[str, Ware]:
    """What these SKUs mean; unknown ones are missing."""
    found = {}
    for row in session.execute(_WARES, {"skus": list(skus)}).all():
        parts = [UUID(part) for part in row.parts or ()]
        components = tuple(zip(parts, row.units, strict=True)) if parts else ((row.id, 1),)
        found[row.sku] = Ware(row.id, row.sku, row.title, row.title_ja, row.active, row.category, components)
    return found


def buyers(session: Session, *, ids: Sequence[UUID], cards: Sequence[str]) -> dict[str, Buyer]:
    """Customers by their ids (as texts) and loyalty cards; who was merged is the one she was merged into."""
    rows = session.execute(_BUYERS, {"ids": list(ids), "cards": list(cards)}).all()
    return {row.key: Buyer(row.id, row.name, row.locale, row.named_id) for row in rows}


def lock_cards(session: Session, *, hashes: Sequence[str]) -> dict[str, Card]:
    """Gift cards by the fingerprints of their numbers, locked in one order."""
    return {row.code_hash: Card(*row) for row in session.execute(_CARDS, {"hashes": list(hashes)}).all()}


def flagged(
    session: Session,
    *,
    locations: Sequence[UUID] | None,
    seen: bool | None,
    till: str | None,
    after: UUID | None,
    limit: int,
) -> list[dict[str, Any]]:
    """Flagged sales, oldest first, one more than `limit`."""
    given = {"locations": None if locations is None else list(locations), "seen": seen, "till": till}
    rows = session.execute(_LIST, given | {"after": after, "limit": limit + 1}).mappings().all()
    return [dict(row) for row in rows]


def flagged_one(session: Session, *, sale: UUID) -> dict[str, Any] | None:
    """One flagged sale, with its location_id."""
    row = session.execute(_ONE, {"sale": sale}).mappings().one_or_none()
    return None if row is None else dict(row)
