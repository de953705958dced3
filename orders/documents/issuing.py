"""Issuing documents: once per supply and kind, with consecutive numbers. The order's lock first, the counter's last."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from orders.documents import returned, supplies
from orders.documents.reading import number_of, told
from orders.ownership import order_for, require_here
from orders.queries import documents as queries
from orders.queries import payments as payment_queries
from orders.queries.documents import DocumentedOrder, SupplyFacts
from retail import issuer
from retail import queries as ground
from retail.events import DocumentIssued
from retail.kernel import outbox
from retail.kernel.auth import Principal
from retail.kernel.errors import Conflict, Invalid, NotFound
from retail.kernel.ids import new_id

YEN = "JPY"


class IssuerMissing(Conflict):
    """Nobody has said in whose name documents are issued (`PUT /issuer`)."""

    code, title = "issuer_missing", "Say first who issues documents"


class NotDocumented(Conflict):
    """An order that another system sold: its invoice is that system's."""

    code, title = "not_documented", "Documents of this order are issued elsewhere"


class NothingLeft(Conflict):
    """Nothing of the order has been handed over or sent yet, or (return) nothing was given back of what was."""

    code, title = "nothing_to_document", "There is nothing to be documented yet"


class RecipientNeeded(Invalid):
    """An invoice names its recipient, and neither the request nor the order does."""

    code, title = "recipient_needed", "Say to whom the invoice is issued"


class AlreadyIssued(Conflict):
    """The invoice was issued to somebody else; `numbers` says which. An issued document does not change."""

    code, title = "already_issued", "The invoice has been issued to another recipient"


_NEXT = text(
    """
    INSERT INTO document_counter AS c (issuer_code, kind, last) VALUES (:issuer, :kind, 1)
    ON CONFLICT (issuer_code, kind) DO UPDATE SET last = c.last + 1 RETURNING last
    """
)
_INSERT = text(
    """
    INSERT INTO document (id, kind, issuer_code, number, order_id, supply_id, refund_id, return_id, content, issued_by,
                          issued_at)
    VALUES (:id, :kind, :issuer, :number, :order_id, CAST(:supply_id AS uuid), CAST(:refund_id AS uuid),
            CAST(:return_id AS uuid), CAST(:content AS jsonb), :actor, :now)
    """
)


def issue(
    session: Session, *, order: str, kind: str, recipient: str | None = None, caller: Principal, now: datetime
) -> list[dict[str, Any]]:
    """Issue what is missing of one kind; returns all of that kind in the order of their numbers (DocumentSchema), of which
    the ones issued by this call are no copies.

    ``receipt`` and ``invoice``: one for each supply that has none; what has left since the last one is a new supply.
    ``return``: one for each refund and exchange of goods that were supplied.

    Args:
        order: a reference or an id. recipient: of an invoice, in the place of the order's contact.

    Raises:
        NotFound: there is no such order, or it is another's or another store's.
        RecipientNeeded; NotDocumented, NothingLeft, IssuerMissing, AlreadyIssued: nothing was written.
    """
    order_id = order_for(session, order=order, caller=caller)
    require_here(session, order_id=order_id, caller=caller)
    locked = payment_queries.lock_order(session, order_id=order_id)
    if locked is None:
        raise NotFound
    if locked.kind != "live":
        raise NotDocumented
    facts = queries.documented_order(session, order_id=order_id)
    supplies.note(session, order=facts, now=now)
    known = queries.supplies_of(session, order_id=order_id)
    if not known:
        raise NothingLeft(legal=[])
    by = ground.issuer_dict(session, code=issuer.SHOP)
    if by is None:
        raise IssuerMissing(legal=[])
    if kind == "return":
        drafts = returned.drafts(session, order=facts, known=known)
    else:
        drafts = _of_supplies(session, facts, known, kind, recipient)
    fresh = []
    for draft in drafts:
        content = draft["content"] | _common(facts, by, draft["content"])
        fresh.append(_write(session, facts, kind, draft | {"content": content}, by=by, actor=caller.actor, now=now))
        _announce(session, facts, locked.customer_id, fresh[-1], kind, actor=caller.actor, now=now)
    found = queries.documents_of(session, order_id=order_id, kind=kind)
    if not found:
        raise NothingLeft(legal=[])
    return [told(row, copy=row["id"] not in fresh, now=now) for row in found]


def _of_supplies(
    session: Session, order: DocumentedOrder, known: Sequence[SupplyFacts], kind: str, recipient: str | None
) -> list[dict[str, Any]]:
    """What is to be issued for supplies that have no document of this kind yet."""
    invoice = kind == "invoice"
    if invoice and recipient is not None:
        _require_same_recipient(session, order, recipient)
    if invoice and not recipient and not order.contact_name and any(kind not in one.numbers for one in known):
        detail = "The order has no name to issue it to"
        raise RecipientNeeded(errors=[{"field": "recipient", "code": RecipientNeeded.code, "detail": detail}])
    tenders = queries.tenders_of(session, order_id=order.id)
    return [
        {
            "supply_id": supply.id,
            "content": supply.figures
            | {
                "recipient": (recipient or order.contact_name) if invoice else None,
                "tenders": tenders,
                "refers_to": [],
                "reason": "",
            },
        }
        for supply in known
        if kind not in supply.numbers
    ]


def _require_same_recipient(session: Session, order: DocumentedOrder, recipient: str) -> None:
    issued = queries.documents_of(session, order_id=order.id, kind="invoice")
    others = [row["number"] for row in issued if row["content"]["recipient"] != recipient]
    if others:
        raise AlreadyIssued(numbers=[number_of("invoice", one) for one in others], legal=[])


def _common(order: DocumentedOrder, by: Mapping[str, Any], content: Mapping[str, Any]) -> dict[str, Any]:
    """What every document says. It is a qualified one with a registration number, taxed in Japan and in yen (for tax in
    another currency the law wants the yen amount on the invoice too, which nobody here has fixed)."""
    qualified = by["registration_number"] is not None and content["region"] == supplies.HOME and order.currency == YEN
    return {
        "qualified": qualified,
        "currency": order.currency,
        "locale": order.locale,
        "channel": order.channel_code,
        "ordered_at": order.placed_at.isoformat(),
        "issuer": {name: by[name] for name in ("name", "name_en", "address", "phone", "registration_number")},
    }


def _write(
    session: Session,
    order: DocumentedOrder,
    kind: str,
    draft: Mapping[str, Any],
    *,
    by: Mapping[str, Any],
    actor: str,
    now: datetime,
) -> UUID:
    number = session.execute(_NEXT, {"issuer": by["code"], "kind": kind}).scalar_one()
    document_id = new_id()
    row = {"supply_id": None, "refund_id": None, "return_id": None} | dict(draft)
    row |= {"id": document_id, "kind": kind, "issuer": by["code"], "number": number, "order_id": order.id}
    row |= {"content": json.dumps(draft["content"], ensure_ascii=False), "actor": actor, "now": now}
    session.execute(_INSERT, row)
    return document_id


def _announce(
    session: Session,
    order: DocumentedOrder,
    customer_id: UUID | None,
    document_id: UUID,
    kind: str,
    *,
    actor: str,
    now: datetime,
) -> None:
    event = DocumentIssued(
        order_id=order.id, reference=order.reference, customer_id=customer_id, document_id=document_id, kind=kind
    )
    outbox.publish(session, event, actor=actor, now=now)
