"""The API of this package."""

import uuid
from datetime import datetime
from typing import Any

from retail.kernel.web import ApiBlueprint
from retail.kernel.web.api import Call
from retail.kernel.web.cursor import Page, decode_cursor
from support import contacts, context, schemas

support = ApiBlueprint("support", __name__, url_prefix="/api/v1/support", description="The customer seen whole")
BLUEPRINTS: list[ApiBlueprint] = [support]


@support.read("/context", permission="support.read", query=schemas.ContextQuery, answer=schemas.ContextSchema)
def find_context(session: Any, call: Call, query: dict[str, str]) -> dict[str, Any]:
    """Everything about one customer: identities, points, orders with payment and pickup, messages, contacts, timeline.

    A claimed identity (typed into a form by anybody) answers with `suggestions` and opens nothing.
    """
    kind, value = next(iter(query.items()))
    return context.find(session, kind=kind, value=value, now=call.now)


@support.write(
    "POST",
    "/contacts",
    permission="support.write",
    body=schemas.NoteContactSchema,
    answer=schemas.SupportContactSchema,
    status=201,
    idempotent=True,
)
def note_contact(session: Any, call: Call, body: dict[str, Any]) -> dict[str, Any]:
    """Note a word with the customer, so that the next agent on the next channel reads it."""
    return contacts.note(session, caller=call.principal, now=call.now, **body)


@support.read(
    "/contacts", permission="support.read", query=schemas.ContactsQuery, answer=schemas.SupportContactPageSchema
)
def list_contacts(session: Any, call: Call, query: dict[str, Any]) -> Page:  # noqa: ARG001
    """Contacts of a customer or an order, newest first."""
    key = decode_cursor(query["cursor"], (datetime.fromisoformat, uuid.UUID))
    rows = contacts.page(
        session,
        customer_id=query["customer_id"],
        order_id=query["order_id"],
        after=(key[0], key[1]) if key else None,
        limit=query["limit"] + 1,
    )
    return Page.of(rows, query["limit"], lambda row: (row["at"].isoformat(), row["id"]))
