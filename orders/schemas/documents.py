"""Invoices and receipts on the wire."""

import marshmallow as ma

from orders.schemas.places import money_field
from retail.schemas.texts import Line

KINDS = ("invoice", "receipt", "return")


class IssueDocumentSchema(ma.Schema):
    """Nothing: the order says it all."""


class IssueInvoiceSchema(ma.Schema):
    """What an invoice needs beyond the order."""

    recipient = Line(
        load_default=None,
        allow_none=True,
        metadata={
            "description": "Whose name stands on an invoice; else the order's contact",
            "example": "株式会社青葉",
        },
    )


class DocumentIssuerSchema(ma.Schema):
    """Who issued it, as it was then."""

    name = ma.fields.String(required=True)
    name_en = ma.fields.String(required=True)
    address = ma.fields.String(required=True)
    phone = ma.fields.String(required=True)
    registration_number = ma.fields.String(required=True, allow_none=True)


class DocumentPlaceSchema(ma.Schema):
    """Where the goods left, as it was called then."""

    name = ma.fields.String(required=True)
    name_ja = ma.fields.String(required=True, allow_none=True)
    address = ma.fields.String(required=True)
    zone = ma.fields.String(required=True)


class DocumentLineSchema(ma.Schema):
    """What was sold, or given back. `amount` holds the tax where the document is `tax_inclusive`."""

    kind = ma.fields.String(
        required=True,
        metadata={
            "enum": ["goods", "shipping", "gift_card", "adjustment"],
            "description": "adjustment: a fee that was kept (negative), or a price reduction",
        },
    )
    sku = ma.fields.String(required=True)
    title = ma.fields.String(required=True)
    quantity = ma.fields.Integer(required=True)
    unit_price = money_field()
    discount = money_field()
    amount = money_field()
    tax_rate_bp = ma.fields.Integer(required=True)
    reduced = ma.fields.Boolean(required=True, metadata={"description": "Taxed at the reduced rate (※)"})


class DocumentTaxSchema(ma.Schema):
    """One rate's figures, rounded once."""

    rate_bp = ma.fields.Integer(required=True)
    reduced = ma.fields.Boolean(required=True)
    taxable = money_field()
    tax = money_field()
    gross = money_field()


class DocumentTenderSchema(ma.Schema):
    """What the order was paid with."""

    tender = ma.fields.String(required=True)
    amount = money_field()
    points = ma.fields.Integer(required=True, allow_none=True)
    hint = ma.fields.String(required=True, allow_none=True, metadata={"description": "A gift card's last characters"})


class DocumentSchema(ma.Schema):
    """One issued document. It never changes, save for `copy`."""

    id = ma.fields.UUID(required=True)
    kind = ma.fields.String(required=True, validate=ma.validate.OneOf(KINDS))
    number = ma.fields.String(required=True, metadata={"example": "INV-00000012"})
    qualified = ma.fields.Boolean(
        required=True, metadata={"description": "A qualified invoice (適格請求書) in the sense of Japan's law"}
    )
    copy = ma.fields.Boolean(required=True, metadata={"description": "It was issued before; this is not the original"})
    order_id = ma.fields.UUID(required=True)
    order_reference = ma.fields.String(required=True)
    channel = ma.fields.String(required=True)
    locale = ma.fields.String(required=True)
    ordered_at = ma.fields.DateTime(required=True)
    issued_at = ma.fields.DateTime(required=True)
    supplied_from = ma.fields.DateTime(required=True)
    supplied_to = ma.fields.DateTime(required=True)
    given_back_at = ma.fields.DateTime(required=True, allow_none=True)
    place = ma.fields.Nested(DocumentPlaceSchema, required=True, allow_none=True)
    issuer = ma.fields.Nested(DocumentIssuerSchema, required=True)
    recipient = ma.fields.String(required=True, allow_none=True)
    tax_inclusive = ma.fields.Boolean(required=True)
    lines = ma.fields.List(ma.fields.Nested(DocumentLineSchema), required=True)
    tax_lines = ma.fields.List(ma.fields.Nested(DocumentTaxSchema), required=True)
    subtotal = money_field()
    tax = money_field()
    total = money_field()
    tenders = ma.fields.List(ma.fields.Nested(DocumentTenderSchema), required=True)
    refers_to = ma.fields.List(
        ma.fields.String(), required=True, metadata={"description": "Numbers of the documents that a return is about"}
    )
    receipt_code = ma.fields.String(
        required=True,
        allow_none=True,
        metadata={
            "description": "On the receipt of a guest who left no address: the purchase becomes a customer's by it "
            "(POST /me/orders/receipt-claims), for 90 days",
            "example": "K7M2-QXAB-CDEF",
        },
    )
    page_url = ma.fields.String(required=True, metadata={"description": "To be printed; whoever has it may read it"})


class DocumentsSchema(ma.Schema):
    """Documents of one order, in the order in which they were issued."""

    items = ma.fields.List(ma.fields.Nested(DocumentSchema), required=True)
