"""What stock looks like as JSON."""

import marshmallow as ma

from inventory.schemas.documents import GoodsLineSchema, units
from inventory.stock import ADJUSTMENT_REASONS, AVAILABLE, SET_ASIDE_REASONS, UNAVAILABLE
from retail import limits
from retail.kernel.web.cursor import PageQuery, page_schema
from retail.schemas.texts import ChangeSchema, Line

SKU = ma.validate.Length(1, limits.SKU_CHARACTERS)
NAME = ma.validate.Length(1, 100)
UNITS = {"description": "Units"}
SHELF_CHARACTERS = 50
BUCKETS = ["outside", "available", "held", "allocated", "backordered", "unavailable"]


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
    safety_by_hand = ma.fields.Boolean(required=True, metadata={"description": "Else the most specific rule says it"})
    backorder_limit = ma.fields.Integer(required=True, metadata={"description": "May be promised beyond on_hand"})
    backordered = ma.fields.Integer(required=True, metadata={"description": "Of the allocated, waiting for goods"})
    low_stock_threshold = ma.fields.Integer(
        required=True, allow_none=True, metadata={"description": "Told once when what is left falls to it"}
    )
    shelf = ma.fields.String(required=True, allow_none=True, metadata={"description": "Where it lies"})
    available = ma.fields.Integer(required=True)
    version = ma.fields.Integer(required=True)
    updated_at = ma.fields.AwareDateTime(required=True)


LevelPageSchema = page_schema(LevelSchema)


class LevelsQuery(PageQuery):
    """One location's levels."""

    location = ma.fields.String(required=True, validate=NAME, metadata={"description": "Id or code"})
    shelf = Line(load_default=None, most=SHELF_CHARACTERS)
    q = Line(load_default=None, metadata={"description": "A part of the SKU or of a title"})
    low = ma.fields.Boolean(
        load_default=False,
        metadata={
            "description": "Only levels whose rest (on_hand - allocated - unavailable - safety) is at its threshold or below"
        },
    )


class UpdateLevelSchema(ChangeSchema):
    """How a level is sold; quantities change by receipts and adjustments."""

    safety = units(0, allow_none=True, metadata={"description": "Units kept back; null: what the rules say"})
    backorder_limit = units(0)
    low_stock_threshold = units(0, allow_none=True)
    shelf = Line(allow_none=True, most=SHELF_CHARACTERS)


class OpenLevelsSchema(ma.Schema):
    """SKUs that a location is to have a level of, before anything has come in."""

    location = ma.fields.String(required=True, validate=NAME, metadata={"description": "Id or code"})
    skus = ma.fields.List(
        ma.fields.String(validate=SKU), required=True, validate=ma.validate.Length(1, limits.LINES_PER_RECEIPT)
    )


class ReceiptLineSchema(GoodsLineSchema):
    """Units of one SKU that came in."""

    quantity = units(1, required=True)


class ReceiveStockSchema(ma.Schema):
    """A delivery from a supplier to one location."""

    location = ma.fields.String(required=True, validate=NAME, metadata={"description": "Id or code"})
    lines = ma.fields.List(
        ma.fields.Nested(ReceiptLineSchema), required=True, validate=ma.validate.Length(1, limits.LINES_PER_RECEIPT)
    )
    bucket = ma.fields.String(
        load_default=AVAILABLE,
        validate=ma.validate.OneOf([AVAILABLE, UNAVAILABLE]),
        metadata={"description": "unavailable: all of it came in unfit for sale"},
    )


class ReceiptSchema(ma.Schema):
    """The levels after the receipt, by SKU."""

    location = ma.fields.Nested(StockPlaceSchema, required=True)
    levels = ma.fields.List(ma.fields.Nested(LevelSchema), required=True)


class WorkSchema(GoodsLineSchema):
    """Base of what is done to one level by hand."""

    location = ma.fields.String(required=True, validate=NAME, metadata={"description": "Id or code"})


class AdjustStockSchema(WorkSchema):
    """A change by hand, with its reason. What happened (count, lost, damaged, stolen, expired, pick_failed) may take away
    what was promised: the youngest promises become short. The other reasons may not."""

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


class SetAsideSchema(WorkSchema):
    """Units to be taken out of sale. Damaged ones are gone whatever was promised; an inspection leaves promises alone."""

    quantity = units(1, required=True)
    reason = ma.fields.String(required=True, validate=ma.validate.OneOf(SET_ASIDE_REASONS))


class OutOfUnavailableSchema(WorkSchema):
    """Units that were set aside: back to sale, or thrown away."""

    quantity = units(1, required=True)


class MovementSchema(ma.Schema):
    """Units that went from one bucket to another, why, and by whom."""

    seq = ma.fields.Integer(required=True)
    from_bucket = ma.fields.String(required=True, metadata={"enum": BUCKETS})
    to_bucket = ma.fields.String(required=True, metadata={"enum": BUCKETS})
    quantity = ma.fields.Integer(required=True, metadata={"description": "0: safety or limits changed, see `reason`"})
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
