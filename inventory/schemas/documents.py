"""What lists of goods on paper have in common: a line names its goods by SKU or by what a scanner read."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import marshmallow as ma

from retail import barcodes, limits

SKU = ma.validate.Length(1, limits.SKU_CHARACTERS)
NOTE_CHARACTERS = 1000
REASON_CHARACTERS = 200
EARLIEST, LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


def moment(**options: Any) -> ma.fields.AwareDateTime:
    """A moment with a zone, of this or the next century."""
    return ma.fields.AwareDateTime(format="iso", validate=ma.validate.Range(EARLIEST, LATEST), **options)


def units(least: int, **options: Any) -> ma.fields.Integer:
    """A number of units in a request."""
    return ma.fields.Integer(strict=True, validate=ma.validate.Range(least, limits.QUANTITY_PER_MOVEMENT), **options)


class GoodsLineSchema(ma.Schema):
    """Base of lines that name goods."""

    sku = ma.fields.String(validate=SKU, metadata={"description": "Either this or `barcode`"})
    barcode = ma.fields.String(
        validate=ma.validate.Length(1, barcodes.LONGEST_CODE),
        metadata={"description": "As typed or scanned; either this or `sku`", "example": "4901234567894"},
    )

    @ma.validates_schema
    def _names_goods_once(self, data: Mapping[str, Any], **_: Any) -> None:
        if ("sku" in data) == ("barcode" in data):
            raise ma.ValidationError("Give sku or barcode.", "sku")


class ArrivedLineSchema(GoodsLineSchema):
    """Units that came in."""

    quantity = units(1, required=True, metadata={"description": "All units that came in, damaged ones included"})
    damaged = units(0, load_default=0, metadata={"description": "Of these, unfit for sale"})


class DocumentVariantSchema(ma.Schema):
    """Base of a document's lines as they are shown."""

    variant_id = ma.fields.UUID(required=True)
    sku = ma.fields.String(required=True)
    title = ma.fields.String(required=True)
    title_ja = ma.fields.String(required=True, allow_none=True)
    position = ma.fields.Integer(required=True)


class DocumentSchema(ma.Schema):
    """Base of documents as they are shown. `version` is the ETag."""

    id = ma.fields.UUID(required=True)
    reference = ma.fields.String(required=True)
    note = ma.fields.String(required=True)
    version = ma.fields.Integer(required=True)
    created_by = ma.fields.String(required=True)
    created_at = ma.fields.AwareDateTime(required=True)
    updated_at = ma.fields.AwareDateTime(required=True)
    closed_at = ma.fields.AwareDateTime(required=True, allow_none=True)
