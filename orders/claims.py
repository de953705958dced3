"""Guest purchases become a customer's own (DOMAIN, Customer identity): by an address that she has proved to be hers, by the
code on the receipt that she holds, or by staff who know that it was she.

However it comes about, the order is given once: its row is locked, and the UPDATE asks again whether it is still a guest's.
What was handed over already earns now.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from orders import earned, receipt_codes
from orders.ownership import order_for, require_here
from orders.queries import claims as queries
from orders.queries.claims import Purchase
from orders.queries.orders import order_key
from orders.queries.payments import owner_of
from retail import customers
from retail import queries as ground
from retail.customers import PROVEN, RANK
from retail.events import OrderClaimed
from retail.kernel import outbox
from retail.kernel.auth import Principal
from retail.kernel.errors import Conflict, NotFound


class OrderTaken(Conflict):
    """It is no guest's order: it has a customer. Who that is, is not said."""

    code, title = "order_has_customer", "This purchase belongs to a customer already"


class ClaimByAddress(Conflict):
    """The order names an email, a phone or a place to send to: whoever proves that address joins it, not who holds the paper."""

    code, title = "claim_by_address", "This purchase is joined by the address that was given with it"


class ReceiptTooOld(Conflict):
    """It was placed more than `limits.RECEIPT_CLAIM_DAYS` ago."""

    code, title = "receipt_too_old", "This receipt is too old"


_CLAIM = text(
    """
    UPDATE "order" AS o SET customer_id = proven.customer_id, version = version + 1
    FROM (SELECT DISTINCT ON (o.id) o.id, hers.customer_id
          FROM unnest(CAST(:emails AS text[]), CAST(:phones AS text[]), CAST(:customers AS uuid[])) AS hers (email, phone, customer_id)
          JOIN "order" AS o ON o.customer_id IS NULL AND (o.contact_email = hers.email OR o.contact_phone = hers.phone)
          ORDER BY o.id, hers.email NULLS LAST, hers.phone) AS proven
    WHERE o.id = proven.id AND o.customer_id IS NULL
    RETURNING o.id, o.reference, o.customer_id
    """
)
_GIVE = text(
    """
    UPDATE "order" SET customer_id = :customer_id, version = version + 1 WHERE id = :order_id AND customer_id IS NULL
    """
)


def claim(session: Session, *, customer_id: UUID, actor: str, now: datetime) -> list[str]:
    """Give the customer every guest order whose email or phone is hers, attested or better; returns their references. Each
    becomes that of the record which the address names: hers, or one that was merged into hers.

    A merely claimed or observed address takes nothing over: whoever typed it need not be its owner (FAILURES 19). Two who
    ask at once: the row is whoever's comes first, and an address is one customer's.
    """
    proven = [one for one in ground.identities_of(session, customer_id=customer_id) if RANK[one["assurance"]] >= PROVEN]
    given = {
        "emails": [one["value"] if one["kind"] == "email" else None for one in proven],
        "phones": [one["value"] if one["kind"] == "phone" else None for one in proven],
        "customers": [one["customer_id"] for one in proven],
    }
    found = session.execute(_CLAIM, given).all()
    for row in found:
        event = OrderClaimed(order_id=row.id, reference=row.reference, customer_id=row.customer_id, by="address")
        outbox.publish(session, event, actor=actor, now=now)
    for row in sorted(found, key=lambda row: row.id):
        earned.late(session, order_id=row.id, actor=actor, now=now)
    return sorted(row.reference for row in found)


def by_receipt(session: Session, *, reference: str, typed: str, caller: Principal, now: datetime) -> list[str]:
    """Give the customer who asks the guest order of that reference, as she shows the code of its receipt (`typed`:
    `receipt_codes.parse`); returns its reference, or nothing where it is hers already. Count the attempt first.

    Raises:
        NotFound: no such order, or another code; nobody learns which. Only who has the code learns more.
        OrderTaken, ClaimByAddress, ReceiptTooOld: nothing was changed.
    """
    found = owner_of(session, **order_key(reference))
    if found is None or not receipt_codes.proves(typed, order_id=found.order_id):
        raise NotFound
    purchase = queries.lock_purchase(session, order_id=found.order_id)
    if purchase is None or purchase.kind != "live":  # no receipt of imported history shows a code
        raise NotFound
    if caller.owns(purchase.customer_id):
        return []
    if purchase.customer_id is not None:
        raise OrderTaken
    if purchase.addressed:
        raise ClaimByAddress
    if receipt_codes.too_old(purchase, now=now):
        raise ReceiptTooOld
    _give(
        session,
        purchase,
        customer_id=customers.own(caller),
        by="receipt",
        note=None,
        actor=caller.actor,
        now=now,
    )
    return [purchase.reference]


def by_staff(session: Session, *, order: str, customer: str, note: str, caller: Principal, now: datetime) -> UUID:
    """Give a guest's order to the customer whom an id or reference names (a merged record's to the survivor), saying how one
    knows that it is hers; returns the order's id. Staff ask her: an address on the order or its age is no hindrance.

    Raises:
        NotFound: there is no such order or customer, or the order is another store's.
        OrderTaken: nothing was changed.
    """
    order_id = order_for(session, order=order, caller=caller)
    require_here(session, order_id=order_id, caller=caller)
    customer_id = customers.key_of(session, customer=customer)
    purchase = queries.lock_purchase(session, order_id=order_id)
    if purchase is None:
        raise NotFound
    _give(session, purchase, customer_id=customer_id, by="staff", note=note, actor=caller.actor, now=now)
    return order_id


def _give(
    session: Session, purchase: Purchase, *, customer_id: UUID, by: str, note: str | None, actor: str, now: datetime
) -> None:
    """Raises:
    OrderTaken.
    """
    given = session.execute(_GIVE, {"order_id": purchase.order_id, "customer_id": customer_id})
    if given.rowcount != 1:  # type: ignore[attr-defined]
        raise OrderTaken
    event = OrderClaimed(
        order_id=purchase.order_id, reference=purchase.reference, customer_id=customer_id, by=by, note=note
    )
    outbox.publish(session, event, actor=actor, now=now)
    earned.late(session, order_id=purchase.order_id, actor=actor, now=now)
