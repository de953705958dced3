"""The code on a guest's receipt. Whoever types it holds the receipt, and may call the purchase hers (`claims.by_receipt`).

It is worked out of the order's id under SECRET_KEY and never stored. It stands beside what a receipt says, which never
changes: only while it is good for something, so not on the receipt of an order that has a customer or names an address
(the address proves more, and a receipt found in a bin must not lead to it), and not of an old one.
"""

from datetime import datetime, timedelta
from uuid import UUID

from orders.queries.claims import Purchase
from retail import limits
from retail.kernel import auth, config
from retail.kernel.errors import Invalid
from retail.kernel.ids import derive_code, parse_code

PURPOSE = "receipt_code"
LENGTH = 12
GROUP = 4


def shown(purchase: Purchase, *, now: datetime) -> str | None:
    """What stands on the receipts of a purchase, such as ``K7M2-QXAB-CDEF``; None where it would be good for nothing."""
    known = purchase.customer_id is not None or purchase.addressed or purchase.kind != "live"
    if known or too_old(purchase, now=now):
        return None
    code = _code_of(purchase.order_id)
    return "-".join(code[at : at + GROUP] for at in range(0, LENGTH, GROUP))


def too_old(purchase: Purchase, *, now: datetime) -> bool:
    """Whether the receipt of this purchase makes it nobody's any more."""
    return now - purchase.placed_at > timedelta(days=limits.RECEIPT_CLAIM_DAYS)


def parse(written: str) -> str:
    """A code as somebody typed it, made compact: case, width, spaces and hyphens do not matter.

    Raises:
        Invalid: its check character shows a typing error. That says nothing about any order, and costs no attempt.
    """
    typed = parse_code(written, length=LENGTH)
    if typed is None:
        raise Invalid(errors=[{"field": "receipt_code", "code": "invalid", "detail": "The code has a typing error"}])
    return typed


def proves(typed: str, *, order_id: UUID) -> bool:
    """Whether that (`parse`) is the code on the receipts of this order."""
    return auth.same(typed, _code_of(order_id))


def _code_of(order_id: UUID) -> str:
    return derive_code(config.current().secret_key, PURPOSE, str(order_id), length=LENGTH)
