"""What stock looks like as JSON."""

import marshmallow as ma

from inventory.stock import ADJUSTMENT_REASONS
from retail import limits
from retail.kernel.web.cursor import PageQuery, page_schema

SKU = ma.validate.Length(1, limits.SKU_CHARACTERS)
NAME = ma.validate.Length(1, 100)
UNITS = {"description": "Units"}


class StockPlaceSchema(ma.Schema):
    """A location, named."""

    id = ma.fields.UUID(required=True)
    code = ma.fields.String(required=True, metadata={"example": "SHIBUYA"})
    name = ma.fields.String(required=True)
    name_ja = ma.fields.String(required=True, allow_none=True)


class LevelSchema(ma.Schema):
    """One SKU at one location, as the shop sees it. `version` is the ETag."""

    location = ma.fields.Nested(StockPlaceSchema, required=True)
    variant_id = ma.fields.UUID(required=True)
    sku = ma.fields.String(required=True)
    title = ma.fields.String(required=True)
    title_ja = ma.fields.String(required=True, allow_none=True)
    on_hand = ma.fields.Integer(required=True)
    allocated = ma.fields.Integer(required=True, metadata={"description": "Promised to orders"})
    held = ma.fields.Integer(required=True, metadata={"description": "In unexpired holds of carts"})
    unavailable = ma.fields.Integer(required=True, metadata={"description": "Damaged or in inspection"})
    safety = ma.fields.Integer(required=True, metadata={"description": "Kept back from sale"})
    backorder_limit = ma.fields.Integer(required=True, metadata={"description": "May be promised beyond on_hand"})
    available = ma.fields.Integer(required=True)
    version = ma.fields.Integer(required=True)
    updated_at = ma.fields.AwareDateTime(required=True)


LevelPageSchema = page_schema(LevelSchema)


class LevelsQuery(PageQuery):
    """One location's levels."""

    location = ma.fields.String(required=True, validate=NAME, metadata={"description": "Id or code"})


class UpdateLevelSchema(ma.Schema):
    """How a level is sold; quantities change by receipts and adjustments."""

    safety = ma.fields.Integer(strict=True, validate=ma.validate.Range(0, limits.QUANTITY_PER_MOVEMENT))
    backorder_limit = ma.fields.Integer(strict=True, validate=ma.validate.Range(0, limits.QUANTITY_PER_MOVEMENT))


class ReceiptLineSchema(ma.Schema):
    """Units of one SKU that came in."""

    sku = ma.fields.String(required=True, validate=SKU)
    quantity = ma.fields.Integer(
        required=True, strict=True, validate=ma.validate.Range(1, limits.QUANTITY_PER_MOVEMENT)
    )


class ReceiveStockSchema(ma.Schema):
    """A delivery from a supplier to one location."""

    location = ma.fields.String(required=True, validate=NAME, metadata={"description": "Id or code"})
    lines = ma.fields.List(
        ma.fields.Nested(ReceiptLineSchema), required=True, validate=ma.validate.Length(1, limits.LINES_PER_RECEIPT)
    )


class ReceiptSchema(ma.Schema):
    """The levels after the receipt, by SKU."""

    location = ma.fields.Nested(StockPlaceSchema, required=True)
    levels = ma.fields.List(ma.fields.Nested(LevelSchema), required=True)


class AdjustStockSchema(ma.Schema):
    """A change by hand, with its reason."""

    location = ma.fields.String(required=True, validate=NAME, metadata={"description": "Id or code"})
    sku = ma.fields.String(required=True, validate=SKU)
    delta = ma.fields.Integer(
        required=True,
        strict=True,
        validate=[
            ma.validate.Range(-limits.QUANTITY_PER_MOVEMENT, limits.QUANTITY_PER_MOVEMENT),
            ma.validate.NoneOf([0], error="A change of 0 changes nothing"),
        ],
        metadata={"description": "Units more (positive) or less (negative)"},
    )
    reason = ma.fields.String(required=True, validate=ma.validate.OneOf(list(ADJUSTMENT_REASONS)))


class MovementSchema(ma.Schema):
    """Units that went from one bucket to another, why, and by whom."""

    seq = ma.fields.Integer(required=True)
    from_bucket = ma.fields.String(
        required=True, metadata={"enum": ["outside", "available", "held", "allocated", "unavailable"]}
    )
    to_bucket = ma.fields.String(
        required=True, metadata={"enum": ["outside", "available", "held", "allocated", "unavailable"]}
    )
    quantity = ma.fields.Integer(required=True)
    cause = ma.fields.String(required=True, metadata={"example": "allocate"})
    cause_id = ma.fields.UUID(required=True, allow_none=True, metadata={"description": "The cart or order"})
    reason = ma.fields.String(required=True, allow_none=True)
    actor = ma.fields.String(required=True)
    at = ma.fields.AwareDateTime(required=True)


MovementPageSchema = page_schema(MovementSchema)


class MovementsQuery(PageQuery):
    """One level's movements, newest first."""

    location = ma.fields.String(required=True, validate=NAME, metadata={"description": "Id or code"})
    sku = ma.fields.String(required=True, validate=SKU)
