"""Orders, read: one statement each, nested rows aggregated as JSON by the database."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from retail.kernel.ids import parse_reference, parse_uuid
from retail.queries import FAMILY

REFERENCE_PREFIX = "R"

# The same rule as fulfillment.status_of; a test compares them over every combination.
STATUS_SQL = """
    CASE WHEN o.cancelled_at IS NOT NULL THEN 'cancelled'
         WHEN o.confirmed_at IS NULL AND o.kind = 'live' THEN 'pending_payment'
         WHEN (SELECT sum(captured_minor) > 0 AND sum(captured_minor) = sum(refunded_minor)
               FROM payment WHERE order_id = o.id) THEN 'refunded'
         ELSE (SELECT CASE WHEN bool_or(f.state = 'ready') THEN 'ready'
                           WHEN count(*) = 0 THEN CASE WHEN o.kind = 'history' THEN 'completed' ELSE 'open' END
                           WHEN NOT bool_and(f.state IN ('collected', 'delivered', 'expired', 'cancelled', 'shipped')) THEN 'open'
                           WHEN bool_or(f.state = 'shipped') THEN 'shipped'
                           WHEN bool_or(f.state IN ('collected', 'delivered')) THEN 'completed' ELSE 'cancelled' END
               FROM fulfillment AS f WHERE f.order_id = o.id) END"""

ORDER_SQL = f"""
    json_build_object(
      'id', o.id, 'reference', o.reference, 'status', {STATUS_SQL}, 'kind', o.kind, 'channel', o.channel_code,
      'customer_id', o.customer_id, 'currency', o.currency, 'tax_inclusive', o.tax_inclusive,
      'subtotal', o.subtotal_minor, 'tax', o.tax_minor, 'total', o.total_minor, 'tax_lines', o.tax_lines,
      'discount', o.discount_minor, 'discounts', o.discounts, 'coupon_codes', o.coupon_codes, 'ship_to', o.ship_to,
      'changes', o.changes,
      'contact', json_build_object('name', o.contact_name, 'email', o.contact_email, 'phone', o.contact_phone),
      'locale', o.locale, 'placed_by', o.placed_by, 'external_reference', o.external_reference,
      'placed_at', o.placed_at, 'confirmed_at', o.confirmed_at, 'cancelled_at', o.cancelled_at,
      'cancel_reason', o.cancel_reason, 'version', o.version,
      'lines', coalesce((SELECT json_agg(json_build_object(
          'id', l.id, 'position', l.position, 'kind', l.kind, 'sku', l.sku, 'title', l.title, 'quantity', l.quantity,
          'unit_price', l.unit_price_minor, 'discount', l.discount_minor, 'total', l.total_minor,
          'tax_rate_bp', l.tax_rate_bp, 'cancelled_quantity', l.cancelled_quantity,
          'refunded_quantity', l.refunded_quantity, 'substitute_for', l.substitute_for) ORDER BY l.position)
        FROM order_line AS l WHERE l.order_id = o.id), '[]'),
      'payments', coalesce((SELECT json_agg(json_build_object(
          'id', p.id, 'tender', p.tender, 'state', p.state, 'amount', p.amount_minor, 'captured', p.captured_minor,
          'refunded', p.refunded_minor, 'released', p.released_minor, 'points', p.points,
          'gift_card', (SELECT json_build_object('id', g.id, 'hint', g.hint, 'kind', g.kind)
                        FROM gift_card AS g WHERE g.id = p.gift_card_id),
          'payment_method_id', p.payment_method_id, 'provider_id', p.provider_id,
          'capture_before', p.capture_before, 'failure_code', p.failure_code) ORDER BY p.tender <> 'points', p.id)
        FROM payment AS p WHERE p.order_id = o.id), '[]'),
      'fulfillments', coalesce((SELECT json_agg(json_build_object(
          'id', f.id, 'method', f.method, 'state', f.state,
          'location', json_build_object('id', s.id, 'code', s.code, 'name', s.name, 'name_ja', s.name_ja, 'zone', s.zone),
          'source', (SELECT json_build_object('id', w.id, 'code', w.code, 'name', w.name, 'name_ja', w.name_ja, 'zone', w.zone)
                     FROM location AS w WHERE w.id = f.source_location_id),
          'ready_by', f.ready_by, 'slot_at', f.slot_at, 'ready_at', f.ready_at, 'collect_by', f.collect_by,
          'collected_at', f.collected_at, 'collected_proof', f.collected_proof, 'packed_at', f.packed_at,
          'shipped_at', f.shipped_at, 'arrived_at', f.arrived_at, 'delivered_at', f.delivered_at, 'version', f.version,
          'lines', (SELECT json_agg(json_build_object(
              'order_line_id', fl.order_line_id, 'quantity', fl.quantity, 'picked', fl.picked,
              'collected', fl.collected, 'short', fl.short, 'cancelled', fl.cancelled) ORDER BY ol.position)
            FROM fulfillment_line AS fl JOIN order_line AS ol ON ol.id = fl.order_line_id
            WHERE fl.fulfillment_id = f.id)) ORDER BY f.id)
        FROM fulfillment AS f JOIN location AS s ON s.id = f.location_id WHERE f.order_id = o.id), '[]'),
      'refunds', coalesce((SELECT json_agg(json_build_object(
          'id', r.id, 'amount', r.amount_minor, 'points', r.points, 'state', r.state, 'reason', r.reason,
          'destination', r.destination, 'gift_card_id', r.gift_card_id, 'payment_method_id', r.payment_method_id,
          'return_id', r.return_id, 'created_at', r.created_at,
          'lines', coalesce((SELECT json_agg(json_build_object(
              'order_line_id', rl.order_line_id, 'quantity', rl.quantity, 'amount', rl.amount_minor) ORDER BY rl.order_line_id)
            FROM refund_line AS rl WHERE rl.refund_id = r.id), '[]')) ORDER BY r.created_at, r.id)
        FROM refund AS r WHERE r.order_id = o.id), '[]')
    )"""  # noqa: S608 - constants of this module
RETURN_SQL = """
    json_build_object(
      'id', b.id, 'reference', b.reference, 'kind', b.kind, 'state', b.state, 'order_id', b.order_id,
      'channel', b.channel_code, 'amount', b.amount_minor, 'currency', b.currency, 'reason', b.reason,
      'external_reference', b.external_reference, 'requested_at', b.requested_at, 'closed_at', b.closed_at,
      'lines', coalesce((SELECT json_agg(json_build_object(
          'position', bl.position, 'sku', bl.sku, 'title', bl.title, 'quantity', bl.quantity,
          'unit_price', bl.unit_price_minor, 'amount', bl.amount_minor) ORDER BY bl.position)
        FROM return_line AS bl WHERE bl.return_id = b.id), '[]'))"""

_ONE = text(
    f"""
    SELECT {ORDER_SQL} FROM "order" AS o
    WHERE o.id = CAST(:order_id AS uuid) OR o.reference = CAST(:reference AS text)
    """  # noqa: S608 - constants of this module
)

# By way of the few channels, since the unique index begins with them.
_IMPORTED = text(
    f"""
    SELECT {ORDER_SQL} FROM "order" AS o
    WHERE o.channel_code IN (SELECT code FROM channel) AND o.external_reference = :reference
    ORDER BY o.placed_at LIMIT 1
    """  # noqa: S608 - constants of this module
)


def order_key(given: str) -> dict[str, Any]:
    """What a caller typed as `order_dict` takes it: a UUID, our reference in any spelling, or another's reference."""
    order_id = parse_uuid(given)
    if order_id is not None:
        return {"order_id": order_id}
    plain = given.strip() if given.isprintable() else ""  # what cannot be stored names nothing
    return {"reference": parse_reference(given, REFERENCE_PREFIX) or plain}


def order_dict(
    session: Session, *, order_id: UUID | None = None, reference: str | None = None
) -> dict[str, Any] | None:
    """One order in the shape of OrderSchema with python values, by id or reference; one statement. None when unknown.

    A reference that cannot be ours is looked for among those of imported history (one more statement): the oldest
    order of that number, should several channels have one.
    """
    found = session.execute(_ONE, {"order_id": order_id, "reference": reference}).scalar_one_or_none()
    if found is None and reference is not None and parse_reference(reference, REFERENCE_PREFIX) is None:
        found = session.execute(_IMPORTED, {"reference": reference}).scalar_one_or_none()
    return None if found is None else order_of(found)


_REFERENCES = text('SELECT id, reference FROM "order" WHERE id = ANY(CAST(:order_ids AS uuid[]))')


def references_of(session: Session, *, order_ids: Sequence[UUID]) -> dict[UUID, str]:
    """How orders are called; ids that are no order's are missing. One statement."""
    rows = session.execute(_REFERENCES, {"order_ids": list(order_ids)}).all()
    return {row.id: row.reference for row in rows}


_IS_OPEN = """
    (o.kind = 'live' AND o.cancelled_at IS NULL AND (o.confirmed_at IS NULL OR EXISTS (
        SELECT 1 FROM fulfillment AS f WHERE f.order_id = o.id AND f.state NOT IN ('collected', 'delivered', 'expired', 'cancelled'))))"""


def _shelf(number: int, condition: str, limit: str) -> str:
    """The newest of each of her records first, by its index, then of all: bounded, however much there is."""
    return f"""
        (SELECT one.id, one.placed_at, {number} AS shelf FROM {FAMILY} AS member CROSS JOIN LATERAL (
             SELECT id, placed_at FROM "order" AS o WHERE o.customer_id = member.id AND {condition}
             ORDER BY placed_at DESC, id DESC LIMIT :{limit}) AS one
         ORDER BY one.placed_at DESC, one.id DESC LIMIT :{limit})"""  # noqa: S608 - words of this module


_FOR_CUSTOMER = text(
    f"""
    WITH mine AS (
        {_shelf(0, _IS_OPEN, "open_limit")}
        UNION ALL
        {_shelf(1, f"NOT {_IS_OPEN}", "past_limit")}
    )
    SELECT {ORDER_SQL} AS order_json,
           (SELECT json_agg({RETURN_SQL} ORDER BY b.requested_at DESC, b.id)
            FROM "return" AS b WHERE b.order_id = o.id) AS returns_json
    FROM mine JOIN "order" AS o ON o.id = mine.id
    ORDER BY mine.shelf, mine.placed_at DESC, mine.id DESC
    """  # noqa: S608 - constants of this module
)
_RETURNS = text(
    f"""
    SELECT {RETURN_SQL} FROM (
        SELECT one.* FROM {FAMILY} AS member CROSS JOIN LATERAL (
            SELECT * FROM "return" WHERE customer_id = member.id ORDER BY requested_at DESC, id DESC LIMIT :limit) AS one
        ORDER BY one.requested_at DESC, one.id DESC LIMIT :limit) AS b
    ORDER BY b.requested_at DESC, b.id DESC
    """  # noqa: S608 - constants of this module
)


def orders_for_customer(
    session: Session, *, customer_id: UUID, open_limit: int, past_limit: int
) -> list[dict[str, Any]]:
    """The orders of a customer and those merged into her, live and imported: open ones first, each part newest first; one
    statement.

    Each is an order dict with `returns`, the returns that name it. Returns without an order: `returns_for_customer`.
    """
    given = {"customer_id": customer_id, "open_limit": open_limit, "past_limit": past_limit}
    rows = session.execute(_FOR_CUSTOMER, given).all()
    return [
        order_of(row.order_json) | {"returns": [_return_of(found) for found in row.returns_json or ()]} for row in rows
    ]


def returns_for_customer(session: Session, *, customer_id: UUID, limit: int) -> list[dict[str, Any]]:
    """The returns of a customer and those merged into her, newest first, also those that history does not tie to an order (order_id None)."""
    rows = session.execute(_RETURNS, {"customer_id": customer_id, "limit": limit}).scalars().all()
    return [_return_of(found) for found in rows]


# By way of one index each; of a name, how it begins.
_FOUND = """
    SELECT id FROM "order" WHERE reference = :reference
    UNION SELECT id FROM "order" WHERE channel_code IN (SELECT code FROM channel) AND external_reference = :typed
    UNION SELECT id FROM "order" WHERE contact_name <> '' AND lower(contact_name) LIKE CAST(:beginning AS text)
    UNION SELECT id FROM "order" WHERE contact_email = CAST(:email AS text)
    UNION SELECT id FROM "order" WHERE contact_phone = CAST(:phone AS text)
    UNION SELECT order_id FROM order_line WHERE sku = :typed"""


def list_orders(
    session: Session,
    *,
    limit: int,
    after: Sequence[Any] | None,
    customer_id: UUID | None = None,
    placed_by: str | None = None,
    status: str | None = None,
    placed_from: datetime | None = None,
    placed_to: datetime | None = None,
    search: Mapping[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """`limit` + 1 orders, newest first, after the key (placed_at, id); filters are combined. One statement.

    search: what somebody typed, read in every way it can be meant (`finding.meanings`).
    """
    given: dict[str, Any] = {"limit": limit + 1}
    where = ["true"]
    filters: dict[str, tuple[str, Any]] = {
        "placed_by": ("o.placed_by = :placed_by", placed_by),
        "status": (f"{STATUS_SQL} = :status", status),
        "placed_from": ("o.placed_at >= :placed_from", placed_from),
        "placed_to": ("o.placed_at < :placed_to", placed_to),
    }
    if search is not None:
        where.append(f"o.id IN ({_FOUND})")
        given |= search
    for name, (condition, value) in filters.items():
        if value is not None:
            where.append(condition)
            given[name] = value
    if after is not None:
        where.append("(o.placed_at, o.id) < (:after_at, :after_id)")
        given |= {"after_at": after[0], "after_id": after[1]}
    if customer_id is not None:
        where.append("o.customer_id = member.id")
        given["customer_id"] = customer_id
    newest = "ORDER BY o.placed_at DESC, o.id DESC LIMIT :limit"
    found = f'SELECT o.* FROM "order" AS o WHERE {" AND ".join(where)} {newest}'  # noqa: S608 - conditions written above
    if customer_id is not None:  # the newest of each of her records, then of all
        found = f"SELECT o.* FROM {FAMILY} AS member CROSS JOIN LATERAL ({found}) AS o {newest}"  # noqa: S608
    statement = text(f"SELECT {ORDER_SQL} FROM ({found}) AS o ORDER BY o.placed_at DESC, o.id DESC")  # noqa: S608
    return [order_of(found) for found in session.execute(statement, given).scalars().all()]


_TIMELINE = text(
    """
    SELECT seq, type, at, actor, data FROM event
    WHERE aggregate_id = :aggregate_id AND seq > :after ORDER BY seq LIMIT :limit
    """
)


def timeline(session: Session, *, order_id: UUID, after: int, limit: int) -> list[dict[str, Any]]:
    """What happened to an order, in order: seq, type, at, actor, data; `limit` + 1 events after `after`."""
    given = {"aggregate_id": order_id, "after": after, "limit": limit + 1}
    return [dict(row) for row in session.execute(_TIMELINE, given).mappings().all()]


def order_of(found: Mapping[str, Any]) -> dict[str, Any]:
    """The database's JSON of an order with python values: UUIDs, moments, money."""
    order = dict(found)
    currency = order["currency"]
    _convert(order, _ORDER_VALUES)
    _price(order, ("subtotal", "tax", "total", "discount"), currency)
    order["tax_lines"] = tax_lines_of(order["tax_lines"], currency)
    for line in order["lines"]:
        _convert(line, {"id": UUID, "substitute_for": UUID})
        _price(line, ("unit_price", "discount", "total"), currency)
    for payment in order["payments"]:
        _convert(payment, _PAYMENT_VALUES)
        _price(payment, ("amount", "captured", "refunded", "released"), currency)
        if payment["gift_card"] is not None:
            payment["gift_card"]["id"] = UUID(payment["gift_card"]["id"])
    for part in order["fulfillments"]:
        _convert(part, _FULFILLMENT_VALUES)
        for place in (part["location"], part["source"]):
            if place is not None:
                place["id"] = UUID(place["id"])
        part["lines"] = part["lines"] or []
        for line in part["lines"]:
            line["order_line_id"] = UUID(line["order_line_id"])
    for refund in order["refunds"]:
        _convert(refund, _REFUND_VALUES)
        _price(refund, ("amount",), currency)
        for line in refund["lines"]:
            line["order_line_id"] = UUID(line["order_line_id"])
            _price(line, ("amount",), currency)
    return order


def tax_lines_of(stored: Sequence[Mapping[str, Any]], currency: str) -> list[dict[str, Any]]:
    """``order.tax_lines`` with money in the place of plain numbers."""
    return [
        {
            "rate_bp": line["rate_bp"],
            "taxable": {"amount_minor": line["taxable_minor"], "currency": currency},
            "tax": {"amount_minor": line["tax_minor"], "currency": currency},
        }
        for line in stored
    ]


_moment = datetime.fromisoformat
Converters = Mapping[str, Callable[[str], Any]]
_ORDER_VALUES: Converters = {
    "id": UUID,
    "customer_id": UUID,
    "placed_at": _moment,
    "confirmed_at": _moment,
    "cancelled_at": _moment,
}
_PAYMENT_VALUES: Converters = {"id": UUID, "payment_method_id": UUID, "capture_before": _moment}
_FULFILLMENT_VALUES: Converters = {
    "id": UUID,
    "ready_by": _moment,
    "slot_at": _moment,
    "ready_at": _moment,
    "collect_by": _moment,
    "collected_at": _moment,
    "packed_at": _moment,
    "shipped_at": _moment,
    "arrived_at": _moment,
    "delivered_at": _moment,
}
_REFUND_VALUES: Converters = {
    "id": UUID,
    "gift_card_id": UUID,
    "payment_method_id": UUID,
    "return_id": UUID,
    "created_at": _moment,
}
_RETURN_VALUES: Converters = {"id": UUID, "order_id": UUID, "requested_at": _moment, "closed_at": _moment}


def _return_of(found: Mapping[str, Any]) -> dict[str, Any]:
    back = dict(found)
    _convert(back, _RETURN_VALUES)
    _price(back, ("amount",), back["currency"])
    for line in back["lines"]:
        _price(line, ("unit_price", "amount"), back["currency"])
    return back


def _convert(values: dict[str, Any], converters: Converters) -> None:
    for name, convert in converters.items():
        if values[name] is not None:
            values[name] = convert(values[name])


def _price(values: dict[str, Any], names: Sequence[str], currency: str) -> None:
    for name in names:
        values[name] = {"amount_minor": values[name], "currency": currency}
