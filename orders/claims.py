"""Guest purchases become a customer's own, by an address that she has proved to be hers (DOMAIN, Customer identity)."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from orders import earned
from retail import queries as ground
from retail.customers import PROVEN, RANK
from retail.events import OrderClaimed
from retail.kernel import outbox

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


def claim(session: Session, *, customer_id: UUID, actor: str, now: datetime) -> list[str]:
    """Give the customer every guest order whose email or phone is hers, attested or better; returns their references. Each
    becomes that of the record which the address names: hers, or one that was merged into hers.

    A merely claimed or observed address takes nothing over: whoever typed it need not be its owner (FAILURES 19). Two who
    ask at once: the row is whoever's comes first, and an address is one customer's. What was handed over already earns now.
    """
    proven = [one for one in ground.identities_of(session, customer_id=customer_id) if RANK[one["assurance"]] >= PROVEN]
    given = {
        "emails": [one["value"] if one["kind"] == "email" else None for one in proven],
        "phones": [one["value"] if one["kind"] == "phone" else None for one in proven],
        "customers": [one["customer_id"] for one in proven],
    }
    found = session.execute(_CLAIM, given).all()
    for row in found:
        event = OrderClaimed(order_id=row.id, reference=row.reference, customer_id=row.customer_id)
        outbox.publish(session, event, actor=actor, now=now)
    for row in sorted(found, key=lambda row: row.id):
        earned.late(session, order_id=row.id, actor=actor, now=now)
    return sorted(row.reference for row in found)
