"""Barcodes on the wire."""

import marshmallow as ma

from retail import barcodes


class AddBarcodeSchema(ma.Schema):
    """A barcode as it was typed or scanned."""

    barcode = ma.fields.String(
        required=True,
        validate=ma.validate.Length(1, barcodes.LONGEST_CODE),
        metadata={
            "example": "4901234567894",
            "description": "GTIN of 8, 12, 13 or 14 digits, GS1 element strings, or a GS1 digital link",
        },
    )


class BarcodeSchema(ma.Schema):
    """What a barcode names."""

    gtin = ma.fields.String(required=True, metadata={"example": "04901234567894", "description": "14 digits"})
    variant_id = ma.fields.UUID(required=True)
    sku = ma.fields.String(required=True)
    title = ma.fields.String(required=True)
    title_ja = ma.fields.String(required=True, allow_none=True)
    product_code = ma.fields.String(required=True)
    product_title = ma.fields.String(required=True)
    product_title_ja = ma.fields.String(required=True, allow_none=True)
    status = ma.fields.String(required=True, metadata={"enum": ["active", "archived"]})
