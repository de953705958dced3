"""The issuer of invoices and receipts on the wire."""

import marshmallow as ma

from retail.schemas.texts import Line, Text


class SetIssuerSchema(ma.Schema):
    """Who issues invoices and receipts."""

    name = Line(required=True, metadata={"example": "株式会社青葉商店"})
    name_en = Line(least=0, load_default="", metadata={"description": "On documents in English; else `name`"})
    address = Text(least=0, most=500, load_default="")
    phone = Line(least=0, most=40, load_default="")
    registration_number = ma.fields.String(
        load_default=None,
        allow_none=True,
        validate=ma.validate.Length(max=40),
        metadata={
            "description": "Of Japan's qualified invoice system: T and 13 digits. Without one, documents are plain ones",
            "example": "T7000012050002",
        },
    )
    corporate = ma.fields.Boolean(
        load_default=True,
        metadata={"description": "The number is a corporate number, with its check digit; false for sole traders"},
    )


class IssuerSchema(SetIssuerSchema):
    """The issuer as it stands."""

    code = ma.fields.String(required=True)
    version = ma.fields.Integer(required=True)
    updated_at = ma.fields.DateTime(required=True)
