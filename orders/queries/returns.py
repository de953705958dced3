"""Returns, exchanges and their policies: read and locked."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from retail.queries import FAMILY


@dataclass(frozen=True, slots=True)
class PolicyFacts:
    """One policy (ReturnPolicy has the meaning of its columns)."""

    scope: str
    scope_key: str
    window_days: int | None
    conditions: tuple[str, ...]
    destinations: tuple[str, ...]
    restocking_fee_bp: int
    final_sale: bool
    exchange_allowed: bool
    same_product_only: bool
    requests_per_order: int | None
    approval: str
    version: int = 0


_POLICY_COLUMNS = """scope, scope_key, window_days, conditions, destinations, restocking_fee_bp, final_sale, exchange_allowed,
                     same_product_only, requests_per_order, approval, version"""
_POLICIES = text(f"SELECT {_POLICY_COLUMNS} FROM return_policy ORDER BY scope, scope_key")  # noqa: S608 - a constant


def policies(session: Session) -> list[PolicyFacts]:
    """Every policy that was set, by scope and key."""
    rows = session.execute(_POLICIES).mappings().all()
    return [
        PolicyFacts(**dict(row) | {"conditions": tuple(row["conditions"]), "destinations": tuple(row["destinations"])})
        for row in rows
    ]


@dataclass(frozen=True, slots=True)
class ReturnableLine:
    """A line of an order as far as coming back is concerned; `left_at` is when its last units were handed over."""

    id: UUID
    position: int
    variant_id: UUID
    product_id: UUID
    sku: str
    title: str
    category: str
    quantity: int
    cancelled: int
    refunded: int
    returning: int
    with_customer: int
    left_at: datetime | None
    unit_price_minor: int
    total_minor: int
    tax_rate_bp: int
    location_id: UUID | None
    method: str | None

    @property
    def left(self) -> int:
        """Units that are with the customer and in no return."""
        return self.with_customer - self.refunded - self.returning


# What was shipped is with the customer once it is delivered.
_LINES = text(
    """
    SELECT l.id, l.position, l.variant_id, v.product_id, l.sku, l.title, p.category, l.quantity, l.cancelled_quantity,
           l.refunded_quantity, l.returning_quantity, coalesce(gone.units, 0)::int, gone.left_at, l.unit_price_minor,
           l.total_minor, l.tax_rate_bp, gone.location_id, gone.method
    FROM order_line AS l
    JOIN variant AS v ON v.id = l.variant_id
    JOIN product AS p ON p.id = v.product_id
    LEFT JOIN LATERAL (
        SELECT sum(fl.collected) AS units, max(coalesce(f.delivered_at, f.collected_at)) AS left_at,
               (array_agg(f.location_id ORDER BY f.id DESC))[1] AS location_id, (array_agg(f.method ORDER BY f.id DESC))[1] AS method
        FROM fulfillment_line AS fl JOIN fulfillment AS f ON f.id = fl.fulfillment_id
        WHERE fl.order_line_id = l.id AND fl.collected > 0 AND f.state <> 'shipped'
    ) AS gone ON true
    WHERE l.order_id = :order_id AND l.kind = 'goods'
    ORDER BY l.position
    """
)


def returnable_lines(session: Session, *, order_id: UUID) -> list[ReturnableLine]:
    """The lines of goods of an order, in order; one statement."""
    return [ReturnableLine(*row) for row in session.execute(_LINES, {"order_id": order_id}).all()]


_REQUESTS = text(
    """SELECT count(*) FROM "return" WHERE order_id = :order_id AND kind = 'live' AND state NOT IN ('rejected', 'cancelled')"""
)


def requests_of(session: Session, *, order_id: UUID) -> int:
    """How many returns and exchanges of this order stand."""
    return int(session.execute(_REQUESTS, {"order_id": order_id}).scalar_one())


_GIFT_RECEIPT = text(
    """
    SELECT id, reference, order_id FROM gift_receipt
    WHERE order_id = CAST(:order_id AS uuid) OR reference = CAST(:reference AS text) OR token_hash = CAST(:token_hash AS text)
    """
)


def gift_receipt(
    session: Session, *, order_id: UUID | None = None, reference: str | None = None, token_hash: str | None = None
) -> tuple[UUID, str, UUID] | None:
    """A gift receipt by one of its keys: (id, reference, order)."""
    given = {"order_id": order_id, "reference": reference, "token_hash": token_hash}
    row = session.execute(_GIFT_RECEIPT, given).one_or_none()
    return None if row is None else (row.id, row.reference, row.order_id)


RETURN_SQL = """
    json_build_object(
      'id', b.id, 'reference', b.reference, 'purpose', b.purpose, 'state', b.state, 'order_id', b.order_id,
      'order_reference', o.reference, 'customer_id', b.customer_id, 'channel', b.channel_code, 'currency', b.currency,
      'amount', b.amount_minor, 'fee', b.fee_minor, 'difference', b.difference_minor, 'refund_to', b.refund_to,
      'gift_card_id', b.gift_card_id, 'payment_method_id', b.payment_method_id, 'reason', b.reason, 'findings', b.findings,
      'location', (SELECT s.code FROM location AS s WHERE s.id = b.location_id), 'requested_by', b.requested_by,
      'requested_at', b.requested_at, 'decided_at', b.decided_at, 'received_at', b.received_at,
      'inspected_at', b.inspected_at, 'closed_at', b.closed_at, 'close_reason', b.close_reason, 'version', b.version,
      'location_id', b.location_id, 'gift_receipt', (SELECT g.reference FROM gift_receipt AS g WHERE g.id = b.gift_receipt_id),
      'store_credit_id', (SELECT r.gift_card_id FROM refund AS r WHERE r.return_id = b.id AND r.gift_card_id IS NOT NULL LIMIT 1),
      'refund_id', (SELECT r.id FROM refund AS r WHERE r.return_id = b.id LIMIT 1),
      'lines', (SELECT json_agg(json_build_object(
          'id', bl.id, 'order_line_id', bl.order_line_id, 'position', bl.position, 'sku', bl.sku, 'title', bl.title,
          'quantity', bl.quantity, 'amount', bl.amount_minor, 'reason', bl.reason, 'condition', bl.condition,
          'received_quantity', bl.received_quantity, 'accepted_quantity', bl.accepted_quantity, 'outcomes', bl.outcomes,
          'exchange', (SELECT json_build_object('sku', e.sku, 'title', e.title, 'quantity', e.quantity,
                                                'unit_price', e.unit_price_minor, 'total', e.total_minor,
                                                'order_line_id', e.order_line_id)
                       FROM exchange_line AS e WHERE e.return_line_id = bl.id)) ORDER BY bl.position)
        FROM return_line AS bl WHERE bl.return_id = b.id))"""
_FROM = """FROM "return" AS b JOIN "order" AS o ON o.id = b.order_id"""
_ONE = text(f"SELECT {RETURN_SQL} {_FROM} WHERE b.id = :return_id")


def return_dict(session: Session, *, return_id: UUID) -> dict[str, Any]:
    """One live return in the shape of ReturnSchema with python values; one statement."""
    return _return_of(session.execute(_ONE, {"return_id": return_id}).scalar_one())


def list_returns(
    session: Session,
    *,
    limit: int,
    after: Sequence[Any] | None,
    customer_id: UUID | None = None,
    order_id: UUID | None = None,
    states: Collection[str] = (),
    locations: Collection[UUID] | None = None,
) -> list[dict[str, Any]]:
    """`limit` + 1 live returns, newest first, after the key (requested_at, id); one statement.

    locations: only those that are nowhere yet, or at one of these.
    """
    given: dict[str, Any] = {"limit": limit + 1}
    where = ["b.kind = 'live'"]
    filters: dict[str, tuple[str, Any]] = {
        "customer_id": (f"b.customer_id IN {FAMILY}", customer_id),
        "order_id": ("b.order_id = :order_id", order_id),
        "states": ("b.state = ANY(CAST(:states AS text[]))", list(states) or None),
        "locations": (
            "(b.location_id IS NULL OR b.location_id = ANY(CAST(:locations AS uuid[])))",
            None if locations is None else sorted(locations),
        ),
    }
    for name, (condition, value) in filters.items():
        if value is not None:
            where.append(condition)
            given[name] = value
    if after is not None:
        where.append("(b.requested_at, b.id) < (:after_at, :after_id)")
        given |= {"after_at": after[0], "after_id": after[1]}
    statement = text(
        f"SELECT {RETURN_SQL} {_FROM} WHERE {' AND '.join(where)} ORDER BY b.requested_at DESC, b.id DESC LIMIT :limit"
    )
    return [_return_of(found) for found in session.execute(statement, given).scalars().all()]


@dataclass(frozen=True, slots=True)
class LockedReturn:
    """A return under its order's lock, with what deciding about it needs."""

    id: UUID
    reference: str
    order_id: UUID
    customer_id: UUID | None
    purpose: str
    state: str
    refund_to: str
    gift_card_id: UUID | None
    payment_method_id: UUID | None
    location_id: UUID | None
    currency: str
    version: int


_KEYS = text(
    """SELECT id, order_id FROM "return" WHERE kind = 'live' AND (id = :return_id OR reference = :reference)"""
)
_LOCK = text(
    """
    SELECT id, reference, order_id, customer_id, purpose, state, refund_to, gift_card_id, payment_method_id, location_id,
           currency, version
    FROM "return" WHERE id = :id FOR UPDATE
    """
)


def return_keys(session: Session, *, return_id: UUID | None, reference: str | None) -> tuple[UUID, UUID] | None:
    """A live return and its order, by id or reference."""
    row = session.execute(_KEYS, {"return_id": return_id, "reference": reference}).one_or_none()
    return None if row is None else (row.id, row.order_id)


def lock_return(session: Session, *, return_id: UUID) -> LockedReturn:
    """A return that exists, locked. Lock its order first."""
    return LockedReturn(*session.execute(_LOCK, {"id": return_id}).one())


@dataclass(frozen=True, slots=True)
class ReturnLineFacts:
    """One line of a return, with what is wanted in its place."""

    id: UUID
    order_line_id: UUID
    variant_id: UUID
    sku: str
    quantity: int
    received_quantity: int
    amount_minor: int
    new_order_line_id: UUID | None
    new_location_id: UUID | None
    new_variant_id: UUID | None
    new_quantity: int | None


_RETURN_LINES = text(
    """
    SELECT l.id, l.order_line_id, l.variant_id, l.sku, l.quantity, l.received_quantity, l.amount_minor, e.order_line_id AS new_order_line_id,
           e.location_id, e.variant_id AS new_variant_id, e.quantity AS new_quantity
    FROM return_line AS l LEFT JOIN exchange_line AS e ON e.return_line_id = l.id
    WHERE l.return_id = :return_id ORDER BY l.position
    """
)


def return_lines(session: Session, *, return_id: UUID) -> list[ReturnLineFacts]:
    """The lines of a live return, in order."""
    return [ReturnLineFacts(*row) for row in session.execute(_RETURN_LINES, {"return_id": return_id}).all()]


_moment = datetime.fromisoformat
_KEYS_SHOWN = (
    "id",
    "order_id",
    "customer_id",
    "location_id",
    "gift_card_id",
    "payment_method_id",
    "refund_id",
    "store_credit_id",
)


def _return_of(found: dict[str, Any]) -> dict[str, Any]:
    back = dict(found)
    currency = back["currency"]
    for name in _KEYS_SHOWN:
        back[name] = None if back[name] is None else UUID(back[name])
    for name in ("requested_at", "decided_at", "received_at", "inspected_at", "closed_at"):
        back[name] = None if back[name] is None else _moment(back[name])
    for name in ("amount", "fee", "difference"):
        back[name] = None if back[name] is None else {"amount_minor": back[name], "currency": currency}
    for line in back["lines"]:
        line["id"], line["order_line_id"] = UUID(line["id"]), UUID(line["order_line_id"])
        line["amount"] = {"amount_minor": line["amount"], "currency": currency}
        if line["exchange"] is not None:
            line["exchange"]["order_line_id"] = UUID(line["exchange"]["order_line_id"])
            for name in ("unit_price", "total"):
                line["exchange"][name] = {"amount_minor": line["exchange"][name], "currency": currency}
    return back


_WENT_BACK = text(
    """
    SELECT p.tender, sum(e.amount_minor)::bigint AS amount_minor, bool_and(e.state = 'succeeded') AS done
    FROM payment_entry AS e JOIN payment AS p ON p.id = e.payment_id
    WHERE e.refund_id = :refund_id AND e.kind = 'refund' GROUP BY p.tender ORDER BY p.tender
    """
)


def went_back(session: Session, *, refund_id: UUID) -> list[dict[str, Any]]:
    """What a refund gave back by which tender: tender, amount_minor, done (the card network has confirmed)."""
    return [dict(row) for row in session.execute(_WENT_BACK, {"refund_id": refund_id}).mappings().all()]
