"""Noting a word with the customer, so that the next agent on the next channel reads it."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from orders import queries as orders
from retail import queries as ground
from retail.events import ContactNoted
from retail.kernel import ids, outbox
from retail.kernel.auth import STAFF, Principal
from retail.kernel.errors import Invalid
from support import queries
from support.models import Contact

CHANNELS = ("phone", "email", "store", "web", "app", "line", "letter")
DIRECTIONS = ("inbound", "outbound", "internal")
TEXT_CHARACTERS = 10_000


class SubjectMissing(Invalid):
    """A contact is about a customer, an order, or both."""

    code, title = "contact_subject", "Say which customer or order this is about"


class SubjectMismatch(Invalid):
    """The order belongs to somebody else than the customer named."""

    code, title = "contact_subject_mismatch", "The order is not this customer's"


class SubjectUnknown(Invalid):
    """There is no such customer or order."""

    code, title = "contact_subject_unknown", "There is no such customer or order"


def note(
    session: Session,
    *,
    caller: Principal,
    channel: str,
    direction: str,
    text: str,
    customer_id: uuid.UUID | None = None,
    order: str | None = None,
    now: datetime,
) -> dict[str, Any]:
    """Write down one contact and tell the timeline (ContactNoted).

    `order` is a reference or an id; with an order alone, the contact is its customer's too. A merged customer's note
    goes to whom she was merged into.

    Raises:
        SubjectMissing, SubjectUnknown, SubjectMismatch: neither given, not there, or not together.
    """
    if customer_id is None and not order:
        raise SubjectMissing
    found = _order(session, order) if order else None
    if customer_id is None and found is not None:
        customer_id = found["customer_id"]
    elif customer_id is not None:
        person = queries.person_by_id(session, customer_id=customer_id)
        if person is None:
            raise SubjectUnknown(
                errors=[{"field": "customer_id", "code": "unknown", "detail": "There is no such customer"}]
            )
        customer_id = person["id"]
    if found is not None and customer_id is not None:
        if not ground.are_one(session, customer_id=found["customer_id"], other_id=customer_id):
            raise SubjectMismatch(
                errors=[{"field": "order", "code": "mismatch", "detail": "The order is not this customer's"}]
            )
        customer_id = found["customer_id"]  # the record with which it was bought, which may have been merged into hers
    contact = Contact(
        id=ids.new_id(),
        customer_id=customer_id,
        order_id=found["id"] if found else None,
        staff_id=caller.id if caller.kind == STAFF else None,
        channel=channel,
        direction=direction,
        text=text.strip(),
        at=now,
    )
    session.add(contact)
    session.flush()
    event = ContactNoted(
        contact_id=contact.id, customer_id=customer_id, order_id=contact.order_id, channel=channel, direction=direction
    )
    outbox.publish(session, event, actor=caller.actor, now=now)
    return {
        "id": contact.id,
        "customer_id": contact.customer_id,
        "order_id": contact.order_id,
        "staff_id": contact.staff_id,
        "channel": channel,
        "direction": direction,
        "text": contact.text,
        "at": now,
    }


def _order(session: Session, given: str) -> dict[str, Any]:
    order = orders.order_dict(session, **orders.order_key(given))
    if order is None:
        raise SubjectUnknown(errors=[{"field": "order", "code": "unknown", "detail": "There is no such order"}])
    return order


def page(
    session: Session,
    *,
    customer_id: uuid.UUID | None,
    order_id: uuid.UUID | None,
    after: tuple[datetime, uuid.UUID] | None,
    limit: int,
) -> list[dict[str, Any]]:
    """Contacts of a customer or an order, newest first; `after` is the (at, id) of the last one already seen.

    Raises:
        SubjectMissing: neither was given; the whole shop's contacts are nobody's list.
    """
    if customer_id is None and order_id is None:
        raise SubjectMissing
    return queries.contacts_page(session, customer_id=customer_id, order_id=order_id, after=after, limit=limit)
