"""Payments, their ledger, refunds and the webhook inbox: what is read and what is locked. Amounts in minor units.

Locks are always taken in this order: the order, then its payments by id. Whoever holds a payment's lock without the
order's is asking for a deadlock.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session


@dataclass(frozen=True, slots=True)
class OrderFacts:
    """What decides about an order's money. `capture_at`: its store's policy; `placed_by`: the actor who made it."""

    id: UUID
    reference: str
    kind: str
    customer_id: UUID | None
    placed_by: str
    currency: str
    total_minor: int
    placed_at: datetime
    confirmed_at: datetime | None
    cancelled_at: datetime | None
    capture_at: str | None


@dataclass(frozen=True, slots=True)
class OrderOwner:
    """For whom an order is and who made it."""

    order_id: UUID
    customer_id: UUID | None
    placed_by: str


@dataclass(frozen=True, slots=True)
class PaymentFacts:
    """One tender of an order. `in_flight_minor`: refunds that were begun and have no outcome yet; `capturing`: a capture was
    written down and has none."""

    id: UUID
    tender: str
    state: str
    amount_minor: int
    authorized_minor: int
    captured_minor: int
    refunded_minor: int
    in_flight_minor: int
    currency: str
    points: int | None
    provider_id: str | None
    failure_code: str | None
    capture_before: datetime | None
    released_minor: int
    gift_card_id: UUID | None
    payment_method_id: UUID | None
    provider_method: str | None
    replaces: UUID | None
    warned_at: datetime | None
    capturing: bool

    @property
    def refundable_minor(self) -> int:
        """What can still go back by this tender."""
        return self.captured_minor - self.refunded_minor - self.in_flight_minor


@dataclass(frozen=True, slots=True)
class PartFacts:
    """One fulfillment of an order, as far as calling off and giving back are concerned."""

    id: UUID
    method: str
    state: str
    location_id: UUID
    begun: bool  # some of its units have left: the first of several parcels, while it is still packed


@dataclass(frozen=True, slots=True)
class CollectedLine:
    """Units of an order line that were handed over at a location and not given back since."""

    location_id: UUID
    variant_id: UUID
    quantity: int


@dataclass(frozen=True, slots=True)
class RefundFacts:
    """One refund: money in minor units, points, whether goods go back on the shelf, and how its entries stand. `whole`: it
    names no lines, so all of them count as given back."""

    id: UUID
    order_id: UUID
    amount_minor: int
    points: int
    currency: str
    reason: str
    restock: bool
    state: str
    actor: str
    created_at: datetime
    started: int
    failed: int
    whole: bool


_LOCK_ORDER = text(
    """
    SELECT o.id, o.reference, o.kind, o.customer_id, o.placed_by, o.currency, o.total_minor, o.placed_at, o.confirmed_at, o.cancelled_at,
           (SELECT s.capture_at FROM fulfillment AS f JOIN location AS s ON s.id = f.location_id
            WHERE f.order_id = o.id ORDER BY f.id LIMIT 1) AS capture_at
    FROM "order" AS o WHERE o.id = :order_id FOR UPDATE OF o
    """
)
_PAYMENTS = """
    SELECT p.id, p.tender, p.state, p.amount_minor, p.authorized_minor, p.captured_minor, p.refunded_minor,
           coalesce((SELECT sum(e.amount_minor) FROM payment_entry AS e
                     WHERE e.payment_id = p.id AND e.kind = 'refund' AND e.state = 'started'), 0) AS in_flight_minor,
           p.currency, p.points, p.provider_id, p.failure_code, p.capture_before, p.released_minor, p.gift_card_id,
           p.payment_method_id, p.provider_method, p.replaces, p.warned_at,
           EXISTS (SELECT 1 FROM payment_entry AS e
                   WHERE e.payment_id = p.id AND e.kind = 'capture' AND e.state = 'started') AS capturing
    FROM payment AS p WHERE p.order_id = :order_id ORDER BY p.id"""
_LOCK_PAYMENTS = text(f"{_PAYMENTS} FOR UPDATE OF p")
_READ_PAYMENTS = text(_PAYMENTS)
_LOCK_PARTS = text(
    "SELECT id, method, state, location_id, EXISTS (SELECT 1 FROM fulfillment_line AS l "
    "WHERE l.fulfillment_id = f.id AND l.collected > 0) AS begun FROM fulfillment AS f WHERE order_id = :order_id ORDER BY id FOR UPDATE"
)
_OWNER = text(
    'SELECT id AS order_id, customer_id, placed_by FROM "order" '
    "WHERE id = CAST(:order_id AS uuid) OR reference = CAST(:reference AS text)"
)
_OWNER_ELSEWHERE = text(
    """
    SELECT id AS order_id, customer_id, placed_by FROM "order"
    WHERE channel_code IN (SELECT code FROM channel) AND external_reference = :reference
    ORDER BY placed_at LIMIT 1
    """
)


def owner_of(session: Session, *, order_id: UUID | None = None, reference: str | None = None) -> OrderOwner | None:
    """Whose order this is, by id or reference; one that cannot be ours is looked for among other systems'."""
    row = session.execute(_OWNER, {"order_id": order_id, "reference": reference}).mappings().one_or_none()
    if row is None and reference is not None:
        row = session.execute(_OWNER_ELSEWHERE, {"reference": reference}).mappings().one_or_none()
    return None if row is None else OrderOwner(**row)


def lock_order(session: Session, *, order_id: UUID) -> OrderFacts | None:
    """The order, locked until the transaction ends."""
    row = session.execute(_LOCK_ORDER, {"order_id": order_id}).mappings().one_or_none()
    return None if row is None else OrderFacts(**row)


def lock_payments(session: Session, *, order_id: UUID) -> list[PaymentFacts]:
    """The order's payments by id, locked. Lock the order first."""
    return _payments(session.execute(_LOCK_PAYMENTS, {"order_id": order_id}).mappings().all())


def payments_of(session: Session, *, order_id: UUID) -> list[PaymentFacts]:
    """The order's payments by id, as they are now."""
    return _payments(session.execute(_READ_PAYMENTS, {"order_id": order_id}).mappings().all())


def _payments(rows: Sequence[object]) -> list[PaymentFacts]:
    return [PaymentFacts(**dict(row) | {"in_flight_minor": int(row["in_flight_minor"])}) for row in rows]  # type: ignore[index, call-overload]


def lock_parts(session: Session, *, order_id: UUID) -> list[PartFacts]:
    """The order's fulfillments by id, locked. Lock the order first."""
    return [PartFacts(**row) for row in session.execute(_LOCK_PARTS, {"order_id": order_id}).mappings().all()]


def order_id_of(session: Session, *, payment_id: UUID) -> UUID | None:
    """Whose payment this is."""
    statement = text("SELECT order_id FROM payment WHERE id = :id")
    return session.execute(statement, {"id": payment_id}).scalar_one_or_none()


def payment_id_of(session: Session, *, provider_id: str) -> UUID | None:
    """The payment that the provider knows by this id."""
    statement = text("SELECT id FROM payment WHERE provider_id = :id")
    return session.execute(statement, {"id": provider_id}).scalar_one_or_none()


def collected_lines(session: Session, *, order_id: UUID) -> list[CollectedLine]:
    """What was handed over and not given back since, by location and variant."""
    statement = text(
        """
        SELECT f.location_id, l.variant_id, sum(least(fl.collected, l.quantity - l.refunded_quantity))::int AS quantity
        FROM fulfillment AS f
        JOIN fulfillment_line AS fl ON fl.fulfillment_id = f.id
        JOIN order_line AS l ON l.id = fl.order_line_id
        WHERE f.order_id = :order_id AND f.state = 'collected' AND l.variant_id IS NOT NULL
        GROUP BY f.location_id, l.variant_id
        HAVING sum(least(fl.collected, l.quantity - l.refunded_quantity)) > 0
        ORDER BY f.location_id, l.variant_id
        """
    )
    return [CollectedLine(**row) for row in session.execute(statement, {"order_id": order_id}).mappings().all()]


def points_given_back(session: Session, *, order_id: UUID) -> int:
    """Points that refunds of this order have returned or are about to."""
    statement = text(
        "SELECT coalesce(sum(points), 0)::bigint FROM refund WHERE order_id = :order_id AND state IN ('pending', 'done')"
    )
    return int(session.execute(statement, {"order_id": order_id}).scalar_one())


def goodwill_given(session: Session, *, order_id: UUID) -> int:
    """What refunds out of goodwill have given of this order, or are about to; minor units."""
    statement = text(
        "SELECT coalesce(sum(amount_minor), 0)::bigint FROM refund "
        "WHERE order_id = :order_id AND goodwill AND state IN ('pending', 'done')"
    )
    return int(session.execute(statement, {"order_id": order_id}).scalar_one())


_REFUND = text(
    """
    SELECT r.id, r.order_id, r.amount_minor, r.points, r.currency, r.reason, r.restock, r.state, r.actor, r.created_at,
           (SELECT count(*) FROM payment_entry AS e WHERE e.refund_id = r.id AND e.state = 'started')::int AS started,
           (SELECT count(*) FROM payment_entry AS e WHERE e.refund_id = r.id AND e.state = 'failed')::int AS failed,
           r.whole
    FROM refund AS r WHERE r.id = :refund_id
    """
)


def refund_facts(session: Session, *, refund_id: UUID) -> RefundFacts | None:
    """One refund as it stands."""
    row = session.execute(_REFUND, {"refund_id": refund_id}).mappings().one_or_none()
    return None if row is None else RefundFacts(**row)


def latest_refund(session: Session, *, order_id: UUID) -> UUID | None:
    """The refund opened last for this order."""
    statement = text("SELECT id FROM refund WHERE order_id = :order_id ORDER BY created_at DESC, id DESC LIMIT 1")
    return session.execute(statement, {"order_id": order_id}).scalar_one_or_none()


def refund_error(session: Session, *, refund_id: UUID) -> str | None:
    """Why the first failed share of this refund failed, in the provider's word."""
    statement = text("SELECT error FROM payment_entry WHERE refund_id = :id AND state = 'failed' ORDER BY seq LIMIT 1")
    return session.execute(statement, {"id": refund_id}).scalar_one_or_none()


# `error` of a started entry says that nobody is working on it: it is being prepared, or the last attempt ended without
# an answer. A started entry without `error` is being worked on; past `attempt_before` whoever did so has died.
_WAITING = text(
    """
    SELECT e.id FROM payment_entry AS e JOIN payment AS p ON p.id = e.payment_id
    WHERE e.state = 'started' AND (CAST(:order_id AS uuid) IS NULL OR p.order_id = :order_id)
      AND ((e.error IS NOT NULL AND e.started_at <= :idle_before) OR e.started_at <= :attempt_before)
    ORDER BY e.seq LIMIT :limit
    """
)


def waiting_entries(
    session: Session, *, order_id: UUID | None, idle_before: datetime, attempt_before: datetime, limit: int
) -> list[UUID]:
    """Started entries that nobody works on, oldest first."""
    given = {"order_id": order_id, "idle_before": idle_before, "attempt_before": attempt_before, "limit": limit}
    return list(session.execute(_WAITING, given).scalars().all())
