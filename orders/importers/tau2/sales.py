"""Writes the orders of the file: lines, shipments, tenders with their ledgers, and the promises of those that are pending."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import reservations
from inventory.reservations import Demand
from orders import gift_cards
from orders.importers.tau2.reading import Order, Source
from orders.queries.orders import REFERENCE_PREFIX
from retail.kernel.ids import new_id, new_reference

CHANNEL, CURRENCY, CATEGORY = "tau2", "USD", "tau2"
ACTOR = "import:tau2"
BATCH = 100
STATE = {"pending": "allocated", "processed": "shipped", "delivered": "delivered", "cancelled": "cancelled"}

Tell = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Person:
    """A user in the shop: her id, and her methods by their name in the file: (method, gift card)."""

    id: UUID
    name: str
    email: str
    methods: dict[str, tuple[UUID, UUID | None]]


_ORDERS = text(
    """
    INSERT INTO "order" (id, reference, kind, customer_id, channel_code, currency, tax_inclusive, subtotal_minor, tax_minor,
                         total_minor, tax_lines, ship_to, contact_name, contact_email, locale, placed_by,
                         external_reference, placed_at, confirmed_at, cancelled_at, cancel_reason)
    VALUES (:id, :reference, 'live', :customer_id, :channel, :currency, true, :total, 0, :total, CAST(:tax_lines AS jsonb),
            CAST(:ship_to AS jsonb), :name, :email, 'en', :actor, :external, :now, :now,
            CASE WHEN :status = 'cancelled' THEN CAST(:now AS timestamptz) END,
            CASE WHEN :status = 'cancelled' THEN 'taken over' END)
    """
)
_LINES = text(
    """
    INSERT INTO order_line (id, order_id, position, variant_id, sku, title, quantity, unit_price_minor, subtotal_minor,
                            tax_rate_bp, tax_minor, total_minor, refunded_quantity)
    VALUES (:id, :order_id, :position, :variant_id, :sku, :title, 1, :price, :price, 0, 0, :price, :refunded)
    """
)
_PARTS = text(
    """
    INSERT INTO fulfillment (id, order_id, location_id, method, state, ready_by, picking_at, packed_at, shipped_at,
                             delivered_at, closed_at)
    VALUES (:id, :order_id, :place, 'ship', :state, :now, :gone_at, :gone_at, :gone_at, :delivered_at, :closed_at)
    """
)
_PART_LINES = text(
    """
    INSERT INTO fulfillment_line (fulfillment_id, order_line_id, quantity, picked, collected)
    VALUES (:part_id, :line_id, 1, :gone, :gone)
    """
)
_PAYMENTS = text(
    """
    INSERT INTO payment (id, order_id, tender, state, amount_minor, authorized_minor, captured_minor, refunded_minor,
                         currency, gift_card_id, payment_method_id, created_at, updated_at)
    VALUES (:id, :order_id, :tender, 'captured', :amount, :amount, :amount, :refunded, :currency, :card_id, :method_id, :now, :now)
    """
)
_ENTRIES = text(
    """
    INSERT INTO payment_entry (id, payment_id, kind, amount_minor, state, idempotency_key, refund_id, actor, started_at,
                               settled_at)
    VALUES (:id, :payment_id, :kind, :amount, 'succeeded', :key, :refund_id, :actor, :now, :now)
    """
)
_REFUNDS = text(
    """
    INSERT INTO refund (id, order_id, amount_minor, currency, reason, restock, whole, state, actor, created_at, done_at)
    VALUES (:id, :order_id, :amount, :currency, 'order_cancelled', false, true, 'done', :actor, :now, :now)
    """
)


def write(
    session: Session,
    *,
    source: Source,
    variants: dict[str, UUID],
    place: UUID,
    people: dict[str, Person],
    tell: Tell,
    now: datetime,
) -> None:
    """Write the orders, in the caller's transaction; `people` are the file's users in the shop."""
    rest, done = iter(source.orders), 0
    while batch := list(islice(rest, BATCH)):
        _batch(session, batch, variants, place, people, now)
        done += len(batch)
        tell("orders", done, len(source.orders))


def _batch(
    session: Session,
    batch: Sequence[Order],
    variants: dict[str, UUID],
    place: UUID,
    people: dict[str, Person],
    now: datetime,
) -> None:
    rows: dict[str, list[dict[str, Any]]] = {
        name: [] for name in ("orders", "lines", "parts", "part_lines", "payments", "refunds", "entries")
    }
    waiting: list[tuple[UUID, list[Demand]]] = []
    for order in batch:
        person = people[order.user_id]
        order_id, part_id = new_id(), new_id()
        gone = order.status in ("processed", "delivered")
        rows["orders"].append(_order_row(order, order_id, person, now))
        rows["parts"].append(_part_row(order, order_id, part_id, place, now))
        demands = []
        for position, item in enumerate(order.items, start=1):
            line: dict[str, Any] = {
                "id": new_id(),
                "order_id": order_id,
                "position": position,
                "variant_id": variants[item.item_id],
            }
            line |= {"sku": item.item_id, "title": item.name, "price": item.price_minor}
            rows["lines"].append(line | {"refunded": int(order.status == "cancelled")})
            rows["part_lines"].append({"part_id": part_id, "line_id": line["id"], "gone": int(gone)})
            demands.append(Demand(variants[item.item_id], place, 1, line["id"]))
        if order.status == "pending":
            waiting.append((order_id, demands))
        _money(rows, order, order_id, person, now)
    for name, statement in (
        ("orders", _ORDERS),
        ("lines", _LINES),
        ("parts", _PARTS),
        ("part_lines", _PART_LINES),
        ("payments", _PAYMENTS),
        ("refunds", _REFUNDS),
        ("entries", _ENTRIES),
    ):
        if rows[name]:
            session.execute(statement, rows[name])
    for order_id, demands in waiting:
        reservations.allocate(session, owner_id=order_id, demands=demands, actor=ACTOR, now=now)
    _cards(session, rows["payments"], now)


def _order_row(order: Order, order_id: UUID, person: Person, now: datetime) -> dict[str, Any]:
    total = sum(item.price_minor for item in order.items)
    return {
        "id": order_id,
        "reference": new_reference(REFERENCE_PREFIX),
        "customer_id": person.id,
        "channel": CHANNEL,
        "currency": CURRENCY,
        "total": total,
        "tax_lines": json.dumps([{"rate_bp": 0, "taxable_minor": total, "tax_minor": 0}]),
        "ship_to": json.dumps(order.address),
        "name": person.name,
        "email": person.email,
        "actor": ACTOR,
        "external": order.id,
        "status": order.status,
        "now": now,
    }


def _part_row(order: Order, order_id: UUID, part_id: UUID, place: UUID, now: datetime) -> dict[str, Any]:
    gone = order.status in ("processed", "delivered")
    return {
        "id": part_id,
        "order_id": order_id,
        "place": place,
        "state": STATE[order.status],
        "now": now,
        "gone_at": now if gone else None,
        "delivered_at": now if order.status == "delivered" else None,
        "closed_at": now if order.status in ("delivered", "cancelled") else None,
    }


def _money(rows: dict[str, list[dict[str, Any]]], order: Order, order_id: UUID, person: Person, now: datetime) -> None:
    """The order's tenders: each payment of the file, and what of it went back."""
    back = Counter({one.method_id: one.amount_minor for one in order.transactions if one.kind == "refund"})
    refund_id = new_id() if back else None
    if refund_id is not None:
        refund = {"id": refund_id, "order_id": order_id, "amount": back.total(), "currency": CURRENCY}
        rows["refunds"].append(refund | {"actor": ACTOR, "now": now})
    for one in order.transactions:
        if one.kind != "payment":
            continue
        method_id, card_id = person.methods[one.method_id]
        payment: dict[str, Any] = {
            "id": new_id(),
            "order_id": order_id,
            "tender": "gift_card" if card_id else "external",
        }
        payment |= {"amount": one.amount_minor, "refunded": back[one.method_id], "currency": CURRENCY}
        rows["payments"].append(payment | {"card_id": card_id, "method_id": method_id, "now": now})
        kinds = ["authorize", "capture"] + (["refund"] if back[one.method_id] else [])
        for kind in kinds:
            entry: dict[str, Any] = {
                "id": new_id(),
                "payment_id": payment["id"],
                "kind": kind,
                "amount": one.amount_minor,
            }
            entry |= {"key": f"{kind}:{payment['id']}", "refund_id": refund_id if kind == "refund" else None}
            rows["entries"].append(entry | {"actor": ACTOR, "now": now})


def _cards(session: Session, payments: Sequence[dict[str, Any]], now: datetime) -> None:
    """What gift cards paid, and got back, stands in their own ledger."""
    for payment in payments:
        if payment["card_id"] is None:
            continue
        # In one moment: what came back first, since the card begins with what both leave of it.
        gift_cards.refund(
            session,
            gift_card_id=payment["card_id"],
            amount_minor=payment["refunded"],
            order_id=payment["order_id"],
            key=f"refund:{payment['id']}",
            actor=ACTOR,
            now=now,
        )
        gift_cards.spend(
            session,
            gift_card_id=payment["card_id"],
            amount_minor=payment["amount"],
            currency=CURRENCY,
            order_id=payment["order_id"],
            key=f"spend:{payment['id']}",
            actor=ACTOR,
            now=now,
        )
