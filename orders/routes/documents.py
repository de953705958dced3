"""Invoices, receipts and return invoices of an order: /orders/{ref}/invoice and its like, and the customer's own."""

from typing import Any

from orders import documents
from orders.schemas import documents as schemas
from retail.kernel.web.api import ApiBlueprint, Call

blp = ApiBlueprint("documents", __name__, url_prefix="/api/v1", description="Invoices and receipts")
BLUEPRINTS = [blp]
KINDS = {"invoice": documents.INVOICE, "receipt": documents.RECEIPT, "return-invoice": documents.RETURN}
ONE = '<any("invoice", "receipt", "return-invoice"):kind>'


@blp.write(
    "POST",
    f"/orders/<string:reference>/{ONE}",
    permission="documents.issue",
    body=schemas.IssueDocumentSchema,
    body_required=False,
    answer=schemas.DocumentsSchema,
    status=201,
    idempotent=True,
)
def issue_document(session: Any, call: Call, reference: str, kind: str, body: dict[str, Any]) -> dict[str, Any]:
    """Issue what is missing of a kind (`invoice`, `receipt`, `return-invoice`); answers all of that kind.

    Goods count once they have been handed over or sent: what has left since the last document gets one of its own. A
    return invoice is issued for each refund and exchange. Everything is issued once and keeps its number; asked for
    again, it comes back as a copy. 409 `nothing_to_document`, `issuer_missing`, `already_issued` (to another recipient),
    `not_documented` (imported history).
    """
    return _issue(session, call, reference, kind, body)


@blp.read(f"/orders/<string:reference>/{ONE}", permission="orders.read", answer=schemas.DocumentsSchema)
def list_documents(session: Any, call: Call, reference: str, kind: str) -> dict[str, Any]:
    """What was issued of a kind."""
    return _list(session, call, reference, kind)


@blp.write(
    "POST",
    f"/me/orders/<string:reference>/{ONE}",
    permission="me",
    body=schemas.IssueDocumentSchema,
    body_required=False,
    answer=schemas.DocumentsSchema,
    status=201,
    idempotent=True,
)
def issue_my_document(session: Any, call: Call, reference: str, kind: str, body: dict[str, Any]) -> dict[str, Any]:
    """Have an invoice, a receipt or return invoices of an order of yours issued (see `POST /orders/{reference}/{kind}`)."""
    return _issue(session, call, reference, kind, body)


@blp.read(f"/me/orders/<string:reference>/{ONE}", permission="me", answer=schemas.DocumentsSchema)
def list_my_documents(session: Any, call: Call, reference: str, kind: str) -> dict[str, Any]:
    """What was issued for an order of yours."""
    return _list(session, call, reference, kind)


def _issue(session: Any, call: Call, reference: str, kind: str, body: dict[str, Any]) -> dict[str, Any]:
    found = documents.issue(
        session, order=reference, kind=KINDS[kind], caller=call.principal, now=call.now, recipient=body["recipient"]
    )
    return {"items": found}


def _list(session: Any, call: Call, reference: str, kind: str) -> dict[str, Any]:
    found = documents.documents_for(session, order=reference, kind=KINDS[kind], caller=call.principal, now=call.now)
    return {"items": found}
