"""Orders for the support tests, written directly in bulk: `orders(...)` past ones, `waiting(...)` one at the counter."""

import json
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Session

from orders.proofs import secrets_of
from retail.kernel import clock, config
from retail.kernel.ids import fingerprint, new_id, new_reference
from tests import factories
from tests.factories import Place, Variant


@dataclass(frozen=True, slots=True)
class Placed:
    """An order with one line and one fulfillment."""

    id: UUID
    reference: str
    fulfillment_id: UUID
    code: str
    token: str


def order(
    session: Session,
    *,
    place: Place,
    variant: Variant,
    customer_id: UUID | None,
    state: str = "ready",
    quantity: int = 2,
    email: str | None = "guest@example.com",
    name: str = "Hanako Yamada",
    locale: str = "ja",
    tender: str = "pay_at_pickup",
    placed_at: datetime | None = None,
    cancelled: bool = False,
) -> Placed:
    """One order in any pickup state, its rows alone (no stock, no events)."""
    now = placed_at or clock.now()
    order_id, line_id, fulfillment_id, reference = new_id(), new_id(), new_id(), new_reference("R")
    total = variant.price_minor * quantity
    tax = (2 * total * 1000 + 11000) // 22000
    given = {
        "id": order_id,
        "reference": reference,
        "customer": customer_id,
        "total": total,
        "tax": tax,
        "net": total - tax,
        "tax_lines": json.dumps([{"rate_bp": 1000, "taxable_minor": total, "tax_minor": tax}]),
        "name": name,
        "email": email,
        "locale": locale,
        "now": now,
        "cancelled": now if cancelled else None,
        "line": line_id,
        "variant": variant.id,
        "sku": variant.sku,
        "title": variant.title,
        "quantity": quantity,
        "price": variant.price_minor,
        "fulfillment": fulfillment_id,
        "place": place.id,
        "state": state,
        "ready_by": now + timedelta(hours=2),
        "ready_at": now if state in ("ready", "collected") else None,
        "collect_by": now + timedelta(days=7) if state in ("ready", "collected") else None,
        "collected_at": now if state == "collected" else None,
        "picked": quantity if state in ("ready", "collected") else 0,
        "collected": quantity if state == "collected" else 0,
        "payment": new_id(),
        "tender": tender,
        "paid": state == "collected",
    }
    for statement in _ORDER:
        session.execute(statement, given)
    code, token = secrets_of(fulfillment_id, 1)
    if state == "ready":
        secret = config.current().secret_key
        hashes = {
            "code": fingerprint(secret, code),
            "token": fingerprint(secret, token),
            "id": fulfillment_id,
            "now": now,
        }
        session.execute(
            sa.text(
                "INSERT INTO pickup_code (fulfillment_id, code_hash, token_hash, issued_at) VALUES (:id, :code, :token, :now)"
            ),
            hashes,
        )
    return Placed(order_id, reference, fulfillment_id, code, token)


_ORDER = [
    sa.text(
        """
        INSERT INTO "order" (id, reference, customer_id, channel_code, currency, tax_inclusive, subtotal_minor, tax_minor,
                             total_minor, tax_lines, contact_name, contact_email, locale, placed_by, placed_at,
                             confirmed_at, cancelled_at, cancel_reason)
        VALUES (:id, :reference, :customer, 'web', 'JPY', true, :net, :tax, :total, CAST(:tax_lines AS jsonb), :name,
                :email, :locale, 'system', :now, :now, :cancelled, CASE WHEN CAST(:cancelled AS timestamptz) IS NULL THEN NULL ELSE 'customer' END)
        """
    ),
    sa.text(
        """
        INSERT INTO order_line (id, order_id, position, variant_id, sku, title, quantity, unit_price_minor, subtotal_minor,
                                tax_rate_bp, tax_minor, total_minor)
        VALUES (:line, :id, 1, :variant, :sku, :title, :quantity, :price, :net, 1000, :tax, :total)
        """
    ),
    sa.text(
        """
        INSERT INTO fulfillment (id, order_id, location_id, method, state, ready_by, ready_at, collect_by, collected_at,
                                 collected_proof)
        VALUES (:fulfillment, :id, :place, 'pickup', :state, :ready_by, :ready_at, :collect_by, :collected_at,
                CASE WHEN :state = 'collected' THEN 'code' END)
        """
    ),
    sa.text(
        "INSERT INTO fulfillment_line (fulfillment_id, order_line_id, quantity, picked, collected)"
        " VALUES (:fulfillment, :line, :quantity, :picked, :collected)"
    ),
    sa.text(
        """
        INSERT INTO payment (id, order_id, tender, state, amount_minor, authorized_minor, captured_minor, currency, created_at, updated_at)
        SELECT :payment, :id, :tender, CASE WHEN :paid THEN 'captured' ELSE 'pending' END, :total,
               CASE WHEN :paid THEN CAST(:total AS bigint) ELSE 0 END, CASE WHEN :paid THEN CAST(:total AS bigint) ELSE 0 END,
               'JPY', :now, :now
        """
    ),
]


def past_orders(session: Session, *, count: int, customer_id: UUID) -> None:
    """`count` collected orders, one a day backwards, each with a message, a contact and an event."""
    place, variant = factories.location(session), factories.variant(session)
    now = clock.now()
    given = {
        "count": count,
        "customer": customer_id,
        "place": place.id,
        "variant": variant.id,
        "sku": variant.sku,
        "now": now,
    }
    for statement in _PAST:
        session.execute(statement, given)


_KEY = "md5('{what}' || CAST(:customer AS text) || n)::uuid"
_SERIES = "FROM generate_series(1, :count) AS n"


def _past(sql: str) -> sa.TextClause:
    for what in ("order", "line", "part", "payment", "message", "contact", "event"):
        sql = sql.replace(f"<{what}>", _KEY.format(what=what))
    return sa.text(f"{sql} {_SERIES}")


_PAST = [
    _past(
        """
        INSERT INTO "order" (id, reference, customer_id, channel_code, currency, tax_inclusive, subtotal_minor, tax_minor,
                             total_minor, tax_lines, contact_name, placed_by, placed_at, confirmed_at)
        SELECT <order>, 'R-' || <order>, :customer, 'web', 'JPY', true, 900, 90, 990, '[]', 'Hanako', 'system',
               CAST(:now AS timestamptz) - n * interval '1 day', CAST(:now AS timestamptz) - n * interval '1 day'"""
    ),
    _past(
        """
        INSERT INTO order_line (id, order_id, position, variant_id, sku, title, quantity, unit_price_minor, subtotal_minor,
                                tax_rate_bp, tax_minor, total_minor)
        SELECT <line>, <order>, 1, CAST(:variant AS uuid), :sku, 'Tea', 1, 990, 900, 1000, 90, 990"""
    ),
    _past(
        """
        INSERT INTO fulfillment (id, order_id, location_id, method, state, collected_at, collected_proof)
        SELECT <part>, <order>, CAST(:place AS uuid), 'pickup', 'collected', CAST(:now AS timestamptz) - n * interval '1 day', 'code'"""
    ),
    _past(
        "INSERT INTO fulfillment_line (fulfillment_id, order_line_id, quantity, picked, collected) SELECT <part>, <line>, 1, 1, 1"
    ),
    _past(
        """
        INSERT INTO payment (id, order_id, tender, state, amount_minor, authorized_minor, captured_minor, currency, created_at, updated_at)
        SELECT <payment>, <order>, 'cash', 'captured', 990, 990, 990, 'JPY', :now, :now"""
    ),
    _past(
        """
        INSERT INTO message (id, client_key, customer_id, order_id, channel, address, template, locale, params, state, next_at, created_at, subject)
        SELECT <message>, CAST(<message> AS text), :customer, <order>, 'email', 'hanako@example.com', 'receipt', 'ja', '{}', 'sent', :now,
               CAST(:now AS timestamptz) - n * interval '1 day', 'Receipt ' || n"""
    ),
    _past(
        """
        INSERT INTO contact (id, customer_id, order_id, channel, direction, text, at)
        SELECT <contact>, :customer, <order>, 'phone', 'inbound', 'Call ' || n, CAST(:now AS timestamptz) - n * interval '1 day'"""
    ),
    _past(
        """
        INSERT INTO event (id, type, aggregate_id, party_id, actor, data, at)
        SELECT <event>, 'OrderPlaced', <order>, :customer, 'system', '{}', CAST(:now AS timestamptz) - n * interval '1 day'"""
    ),
]


def key() -> str:
    """A fresh idempotency key."""
    return str(uuid.uuid4())
