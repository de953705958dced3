"""Invoices (適格請求書), receipts (適格簡易請求書) and return invoices (適格返還請求書) of orders.

A supply is what has left and is documented together; its figures are fixed once, so that receipt and invoice of the same
goods say the same. A document is issued once, gets the next number of its kind and never changes.
"""

from orders.documents.issuing import AlreadyIssued, IssuerMissing, NotDocumented, NothingLeft, RecipientNeeded, issue
from orders.documents.reading import document_by_link, document_numbered, document_of, documents_for, parse_number
from orders.documents.slips import slip_of

INVOICE, RECEIPT, RETURN = "invoice", "receipt", "return"

__all__ = [
    "INVOICE",
    "RECEIPT",
    "RETURN",
    "AlreadyIssued",
    "IssuerMissing",
    "NotDocumented",
    "NothingLeft",
    "RecipientNeeded",
    "document_by_link",
    "document_numbered",
    "document_of",
    "documents_for",
    "issue",
    "parse_number",
    "slip_of",
]
