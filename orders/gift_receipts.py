"""Gift receipts: a paper or a link for who was given the goods. It names what was bought and until when it may come back,
and no price. Whoever returns by it gets store credit; the buyer's card, points and name are none of her business.

The link's token is worked out of the receipt's id under SECRET_KEY and never stored; the database has its fingerprint.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import segno
from sqlalchemy import text
from sqlalchemy.orm import Session

from orders import return_policies
from orders.ownership import order_for
from orders.queries import payments as payment_queries
from orders.queries import returns as queries
from retail.kernel import config
from retail.kernel.auth import Principal
from retail.kernel.errors import Conflict, NotFound
from retail.kernel.ids import derive_token, fingerprint, new_id, new_reference, parse_reference

REFERENCE_PREFIX = "G"
PURPOSE = "gift_receipt"


class NoGiftReceipt(Conflict):
    """The order is history, cancelled or not paid: there is nothing to give."""

    code, title = "no_gift_receipt", "There is no gift receipt for this order"


@dataclass(frozen=True, slots=True)
class Receipt:
    """A gift receipt's keys."""

    id: UUID
    reference: str
    order_id: UUID


_MAKE = text(
    """
    INSERT INTO gift_receipt (id, reference, token_hash, order_id, created_by, created_at)
    VALUES (:id, :reference, :token_hash, :order_id, :actor, :now)
    """
)


def make(session: Session, *, order: str, caller: Principal, now: datetime) -> dict[str, Any]:
    """The gift receipt of an order, made when there is none yet (GiftReceiptSchema).

    Raises:
        NotFound: there is no such order, or it is another's. NoGiftReceipt: nothing of it was or will be handed over.
    """
    order_id = order_for(session, order=order, caller=caller)
    facts = payment_queries.lock_order(session, order_id=order_id)
    if facts is None or facts.kind != "live" or facts.cancelled_at is not None or facts.confirmed_at is None:
        raise NoGiftReceipt
    found = queries.gift_receipt(session, order_id=order_id)
    if found is None:
        made = Receipt(new_id(), new_reference(REFERENCE_PREFIX), order_id)
        row = {"id": made.id, "reference": made.reference, "order_id": order_id, "actor": caller.actor, "now": now}
        session.execute(_MAKE, row | {"token_hash": fingerprint(config.current().secret_key, token_of(made.id))})
    else:
        made = Receipt(*found)
    return {"token": token_of(made.id), "path": f"/gift-receipts/{token_of(made.id)}"} | shown(
        session, receipt=made, now=now
    )


def token_of(receipt_id: UUID) -> str:
    """What stands in the link."""
    return derive_token(config.current().secret_key, PURPOSE, str(receipt_id))


def find(session: Session, *, given: str) -> Receipt:
    """The receipt that a reference in any spelling, or a link's token, names. Whoever has one of them holds the receipt.

    Raises:
        NotFound: there is none.
    """
    reference = parse_reference(given, REFERENCE_PREFIX)
    hashed = None if reference is not None else fingerprint(config.current().secret_key, given.strip())
    found = queries.gift_receipt(session, reference=reference, token_hash=hashed)
    if found is None:
        raise NotFound
    return Receipt(*found)


def shown(session: Session, *, receipt: Receipt, now: datetime) -> dict[str, Any]:
    """What its holder may know: the goods and until when they may come back. No price, no buyer, no tender."""
    lines = [
        {
            "order_line_id": finding.line.id,
            "sku": finding.line.sku,
            "title": finding.line.title,
            "quantity": finding.line.quantity - finding.line.cancelled,
            "returnable": finding.units,
            "until": finding.until,
            "why_not": finding.why_not or None,
        }
        for finding in return_policies.findings(session, order_id=receipt.order_id, at=now)
    ]
    code = segno.make(receipt.reference, error="m")
    return {"reference": receipt.reference, "qr_svg": code.svg_inline(scale=4, border=2), "lines": lines}
