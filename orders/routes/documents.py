"""Invoices, receipts and return invoices of an order: /orders/{ref}/invoice and its like, and the customer's own."""

from typing import Any

from orders import documents
from orders.schemas import documents as schemas
from retail.kernel.web.api import ApiBlueprint, Call

blp = ApiBlueprint("documents", __name__, url_prefix="/api/v1", description="Invoices and receipts")
BLUEPRINTS = [blp]
KINDS = {"invoice": documents.INVOICE, "receipt": documents.RECEIPT, "return-invoice": documents.RETURN}
ISSUES = {
    "invoice": "one for everything that has been handed over or sent and is on none yet, to `recipient` or the order's contact",
    "receipt": "one for everything that has been handed over or sent and is on none yet",
    "return-invoice": "one for each refund and exchange of goods that were handed over or sent",
}


def _routes(word: str, *, mine: bool) -> None:
    """The two routes of one kind of document."""
    rule = f"{'/me' if mine else ''}/orders/<string:reference>/{word}"
    whose, kind = ("my_" if mine else "") + word.replace("-", "_"), KINDS[word]

    def issue(session: Any, call: Call, reference: str, body: dict[str, Any]) -> dict[str, Any]:
        found = documents.issue(session, order=reference, kind=kind, caller=call.principal, now=call.now, **body)
        return {"items": found}

    def browse(session: Any, call: Call, reference: str) -> dict[str, Any]:
        return {
            "items": documents.documents_for(session, order=reference, kind=kind, caller=call.principal, now=call.now)
        }

    issue.__name__, browse.__name__ = f"issue_{whose}", f"list_{whose}"
    issue.__doc__ = f"""Issue what is missing: {ISSUES[word]}.

    Answers all of the kind. Each is issued once, gets the next number and never changes; asked for again, it comes back as
    a copy. 409 `nothing_to_document`, `issuer_missing`, `already_issued` (an invoice, to another recipient),
    `not_documented` (imported history)."""
    browse.__doc__ = f"What was issued of this kind ({word}) for the order, in the order of the numbers."
    blp.write(
        "POST",
        rule,
        permission="me" if mine else "documents.issue",
        body=schemas.IssueInvoiceSchema if kind == documents.INVOICE else schemas.IssueDocumentSchema,
        body_required=False,
        answer=schemas.DocumentsSchema,
        status=201,
        idempotent=True,
    )(issue)
    blp.read(rule, permission="me" if mine else "orders.read", answer=schemas.DocumentsSchema)(browse)


@blp.read("/documents/<string:number>", permission="orders.read", answer=schemas.DocumentSchema)
def get_document(session: Any, call: Call, number: str) -> dict[str, Any]:
    """One receipt or invoice by its number, e.g. `INV-00000012`, as it stands on the paper."""
    return documents.document_numbered(session, number=number, caller=call.principal, now=call.now)


for _word in KINDS:
    _routes(_word, mine=False)
    _routes(_word, mine=True)
