"""Guest purchases become a customer's own, by an address that she has proved to be hers (DOMAIN, Customer identity)."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from retail import queries as ground
from retail.customers import PROVEN, RANK
from retail.events import OrderClaimed
from retail.kernel import outbox

_CLAIM = text(
    """
    UPDATE "order" SET customer_id = :customer_id, version = version + 1
    WHERE customer_id IS NULL
      AND (contact_email = ANY(CAST(:emails AS text[])) OR contact_phone = ANY(CAST(:phones AS text[])))
    RETURNING id, reference
    """
)


def claim(session: Session, *, customer_id: UUID, actor: str, now: datetime) -> list[str]:
    """Give the customer every guest order whose email or phone is hers, attested or better; returns their references.

    A merely claimed or observed address takes nothing over: whoever typed it need not be its owner (FAILURES 19). Two who
    ask at once: the row is whoever's comes first, and an address is one customer's.
    """
    proven = [one for one in ground.identities_of(session, customer_id=customer_id) if RANK[one["assurance"]] >= PROVEN]
    given = {
        "customer_id": customer_id,
        "emails": [one["value"] for one in proven if one["kind"] == "email"],
        "phones": [one["value"] for one in proven if one["kind"] == "phone"],
    }
    found = session.execute(_CLAIM, given).all()
    for row in found:
        event = OrderClaimed(order_id=row.id, reference=row.reference, customer_id=customer_id)
        outbox.publish(session, event, actor=actor, now=now)
    return sorted(row.reference for row in found)
