"""What left of an order, what was documented, and the documents. Lock the order before deciding by any of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from orders.queries.claims import PURCHASE, Purchase


@dataclass(frozen=True, slots=True)
class DocumentedOrder:
    """What documents say about the order itself. `ship_to` as in the order."""

    id: UUID
    reference: str
    channel_code: str
    currency: str
    tax_inclusive: bool
    locale: str
    contact_name: str
    ship_to: dict[str, Any] | None
    placed_at: datetime
    confirmed_at: datetime | None
    cancelled_at: datetime | None


@dataclass(frozen=True, slots=True)
class LeftLine:
    """An order line with how much of it has left and how much of that is in a supply already (units)."""

    id: UUID
    kind: str
    sku: str
    title: str
    quantity: int
    unit_price_minor: int
    discount_minor: int
    subtotal_minor: int
    tax_rate_bp: int
    total_minor: int
    cancelled_quantity: int
    collected: int
    documented: int


@dataclass(frozen=True, slots=True)
class Departure:
    """Goods of the order that left a location: the latest moment of this fulfillment."""

    location_id: UUID
    name: str
    name_ja: str | None
    address: str
    zone: str
    tax_region: str
    method: str
    at: datetime


@dataclass(frozen=True, slots=True)
class SupplyFacts:
    """A supply with its figures, and the numbers of the documents issued for it: {kind: number}."""

    id: UUID
    position: int
    figures: dict[str, Any]
    created_at: datetime
    numbers: dict[str, int]


@dataclass(frozen=True, slots=True)
class GivenBack:
    """A refund that was paid, or (`exchange`) goods that came back for others: minor units with tax, and the lines with what
    they were worth. `whole`: of all that was left."""

    id: UUID
    exchange: bool
    whole: bool
    amount_minor: int
    reason: str
    at: datetime
    lines: list[dict[str, Any]]


_ORDER = text(
    """
    SELECT id, reference, channel_code, currency, tax_inclusive, locale, contact_name, ship_to, placed_at, confirmed_at,
           cancelled_at
    FROM "order" WHERE id = :order_id
    """
)
_LINES = text(
    """
    SELECT l.id, l.kind, l.sku, l.title, l.quantity, l.unit_price_minor, l.discount_minor, l.subtotal_minor,
           l.tax_rate_bp, l.total_minor, l.cancelled_quantity,
           coalesce((SELECT sum(collected) FROM fulfillment_line WHERE order_line_id = l.id), 0)::int AS collected,
           coalesce((SELECT sum(quantity) FROM supply_line WHERE order_line_id = l.id), 0)::int AS documented
    FROM order_line AS l WHERE l.order_id = :order_id ORDER BY l.position
    """
)
_DEPARTURES = text(
    """
    SELECT s.id AS location_id, s.name, s.name_ja, s.address, s.zone, s.tax_region, f.method,
           coalesce((SELECT max(p.shipped_at) FROM parcel AS p WHERE p.fulfillment_id = f.id), f.shipped_at,
                    f.collected_at, f.closed_at, f.picking_at) AS at
    FROM fulfillment AS f JOIN location AS s ON s.id = f.location_id
    WHERE f.order_id = :order_id
      AND EXISTS (SELECT 1 FROM fulfillment_line AS l WHERE l.fulfillment_id = f.id AND l.collected > 0)
    ORDER BY at, f.id
    """
)
_SUPPLIES = text(
    """
    SELECT s.id, s.position, s.figures, s.created_at,
           coalesce((SELECT jsonb_object_agg(d.kind, d.number) FROM document AS d WHERE d.supply_id = s.id), '{}') AS numbers
    FROM supply AS s WHERE s.order_id = :order_id ORDER BY s.position
    """
)
_PLACES = text("SELECT DISTINCT location_id FROM fulfillment WHERE order_id = :order_id")
# A refund for what never left is none of a supply's; one without lines is either of the whole order, or goodwill, or the
# counterpart of a change of the order, which the lines show already.
_GIVEN_BACK = text(
    """
    WITH line AS (
        SELECT rl.refund_id, jsonb_agg(jsonb_build_object(
                   'order_line_id', l.id, 'kind', l.kind, 'sku', l.sku, 'title', l.title, 'quantity', rl.quantity,
                   'unit_price_minor', l.unit_price_minor, 'discount_minor', 0, 'amount_minor', rl.amount_minor,
                   'gross_minor', rl.amount_minor, 'tax_rate_bp', l.tax_rate_bp) ORDER BY l.position) AS lines
        FROM refund AS r JOIN refund_line AS rl ON rl.refund_id = r.id JOIN order_line AS l ON l.id = rl.order_line_id
        WHERE r.order_id = :order_id AND rl.because = 'returned' GROUP BY rl.refund_id
    )
    SELECT r.id, false AS exchange, r.whole,
           (SELECT coalesce(sum(e.amount_minor), 0)::bigint FROM payment_entry AS e
            WHERE e.refund_id = r.id AND e.state = 'succeeded') AS amount_minor,
           r.reason, r.done_at AS at, coalesce(line.lines, '[]') AS lines
    FROM refund AS r LEFT JOIN line ON line.refund_id = r.id
    WHERE r.order_id = :order_id AND r.state = 'done' AND (r.whole OR r.goodwill OR line.lines IS NOT NULL)
      AND NOT EXISTS (SELECT 1 FROM document AS d WHERE d.refund_id = r.id)
    UNION ALL
    SELECT x.id, true, false, sum(k.amount_minor)::bigint, x.reason, x.closed_at,
           jsonb_agg(jsonb_build_object(
               'order_line_id', l.id, 'kind', l.kind, 'sku', l.sku, 'title', l.title, 'quantity', k.accepted_quantity,
               'unit_price_minor', l.unit_price_minor, 'discount_minor', 0, 'amount_minor', k.amount_minor,
               'gross_minor', k.amount_minor, 'tax_rate_bp', l.tax_rate_bp) ORDER BY l.position)
    FROM return AS x JOIN return_line AS k ON k.return_id = x.id JOIN order_line AS l ON l.id = k.order_line_id
    WHERE x.order_id = :order_id AND x.state = 'exchanged' AND k.accepted_quantity > 0
      AND NOT EXISTS (SELECT 1 FROM document AS d WHERE d.return_id = x.id)
    GROUP BY x.id
    ORDER BY at, id
    """
)
_TENDERS = text(
    """
    SELECT p.tender, p.amount_minor - p.released_minor AS amount_minor, p.points, g.hint
    FROM payment AS p LEFT JOIN gift_card AS g ON g.id = p.gift_card_id
    WHERE p.order_id = :order_id AND p.state NOT IN ('voided', 'failed') AND p.amount_minor > p.released_minor
    ORDER BY p.created_at, p.id
    """
)
_DOCUMENT = f"""
    SELECT d.id, d.kind, d.number, d.content, d.issued_by, d.issued_at,
           {PURCHASE}
    FROM document AS d JOIN "order" AS o ON o.id = d.order_id WHERE """  # noqa: S608 - a constant
_OF_ORDER = text(
    _DOCUMENT
    + "d.order_id = :order_id AND (CAST(:kind AS text) IS NULL OR d.kind = :kind) ORDER BY d.issued_at, d.kind, d.number"
)
_BY_ID = text(_DOCUMENT + "d.id = :document_id")
_BY_NUMBER = text(_DOCUMENT + "d.issuer_code = :issuer AND d.kind = :kind AND d.number = :number")


_WRONG_COUNTERS = text(
    """
    SELECT coalesce(c.issuer_code, d.issuer_code) AS issuer_code, coalesce(c.kind, d.kind) AS kind,
           coalesce(c.last, 0) AS last, coalesce(d.documents, 0) AS documents, coalesce(d.newest, 0) AS newest
    FROM document_counter AS c
    FULL JOIN (SELECT issuer_code, kind, count(*) AS documents, max(number) AS newest FROM document GROUP BY 1, 2) AS d
        ON d.issuer_code = c.issuer_code AND d.kind = c.kind
    WHERE (c.last, c.last) IS DISTINCT FROM (d.documents, d.newest)
    ORDER BY 1, 2
    """
)
_WRONG_SUPPLIES = text(
    """
    SELECT o.reference, l.sku, coalesce(fl.gone, 0)::int AS gone, s.documented::int AS documented
    FROM (SELECT order_line_id, sum(quantity) AS documented FROM supply_line GROUP BY 1) AS s
    JOIN order_line AS l ON l.id = s.order_line_id AND l.kind = 'goods'
    JOIN "order" AS o ON o.id = l.order_id
    LEFT JOIN LATERAL (SELECT sum(collected) AS gone FROM fulfillment_line WHERE order_line_id = l.id) AS fl ON true
    WHERE s.documented > coalesce(fl.gone, 0)
    ORDER BY o.reference, l.position
    """
)


def wrong_counters(session: Session) -> list[tuple[str, str, int, int, int]]:
    """(issuer, kind, last number, documents, newest number) where numbers are missing or the counter is not at the newest."""
    return [tuple(row) for row in session.execute(_WRONG_COUNTERS).all()]


def wrong_supplies(session: Session) -> list[tuple[str, str, int, int]]:
    """(order, SKU, units that left, units on documents) where documents tell of more goods than have left."""
    return [tuple(row) for row in session.execute(_WRONG_SUPPLIES).all()]


def documented_order(session: Session, *, order_id: UUID) -> DocumentedOrder:
    """An existing order, as documents speak of it."""
    return DocumentedOrder(**session.execute(_ORDER, {"order_id": order_id}).mappings().one())


def left_lines(session: Session, *, order_id: UUID) -> list[LeftLine]:
    """The order's lines, in order."""
    return [LeftLine(*row) for row in session.execute(_LINES, {"order_id": order_id}).all()]


def departures(session: Session, *, order_id: UUID) -> list[Departure]:
    """From where and when goods of the order have left, in time's order."""
    return [Departure(*row) for row in session.execute(_DEPARTURES, {"order_id": order_id}).all()]


def places_of(session: Session, *, order_id: UUID) -> list[UUID]:
    """The locations that have something to do with the order."""
    return list(session.execute(_PLACES, {"order_id": order_id}).scalars())


def supplies_of(session: Session, *, order_id: UUID) -> list[SupplyFacts]:
    """What is documented of the order already, in order."""
    return [SupplyFacts(*row) for row in session.execute(_SUPPLIES, {"order_id": order_id}).all()]


def given_back(session: Session, *, order_id: UUID) -> list[GivenBack]:
    """What went back and has no return invoice yet, in time's order."""
    return [GivenBack(*row) for row in session.execute(_GIVEN_BACK, {"order_id": order_id}).all()]


def tenders_of(session: Session, *, order_id: UUID) -> list[dict[str, Any]]:
    """What the order was paid with: tender, amount_minor, points, hint (of a gift card)."""
    return [dict(row) for row in session.execute(_TENDERS, {"order_id": order_id}).mappings().all()]


def documents_of(session: Session, *, order_id: UUID, kind: str | None = None) -> Sequence[dict[str, Any]]:
    """The order's documents in the order in which they were issued: id, kind, number, order_id, content, issued_by,
    issued_at, reference, purchase (whose the order is now)."""
    given = {"order_id": order_id, "kind": kind}
    return [_document(dict(row)) for row in session.execute(_OF_ORDER, given).mappings().all()]


def document_numbered(session: Session, *, issuer: str, kind: str, number: int) -> dict[str, Any] | None:
    """One document by its number (see `documents_of`)."""
    given = {"issuer": issuer, "kind": kind, "number": number}
    row = session.execute(_BY_NUMBER, given).mappings().one_or_none()
    return None if row is None else _document(dict(row))


def document_row(session: Session, *, document_id: UUID) -> dict[str, Any] | None:
    """One document (see `documents_of`)."""
    row = session.execute(_BY_ID, {"document_id": document_id}).mappings().one_or_none()
    return None if row is None else _document(dict(row))


def _document(row: Mapping[str, Any]) -> dict[str, Any]:
    return {**row, "purchase": Purchase.of(row)}
