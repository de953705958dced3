"""What happened to a level, as JSON."""

import marshmallow as ma

from inventory.schemas.levels import MovementSchema, StockPlaceSchema
from retail.kernel.web.cursor import PageQuery


class BalanceSchema(ma.Schema):
    """What a level's books say at one moment."""

    on_hand = ma.fields.Integer(required=True)
    allocated = ma.fields.Integer(required=True, metadata={"description": "Promised, backordered units included"})
    held = ma.fields.Integer(required=True, metadata={"description": "In holds of carts that nothing has ended yet"})
    unavailable = ma.fields.Integer(required=True)
    backordered = ma.fields.Integer(required=True, metadata={"description": "Of the allocated: not here yet"})


class HistoryEntrySchema(MovementSchema):
    """A movement, and what the level said after it."""

    document = ma.fields.String(
        required=True,
        allow_none=True,
        metadata={"enum": ["transfer", "inbound", "count", None], "description": "What kind of document caused it"},
    )
    reference = ma.fields.String(required=True, allow_none=True, metadata={"description": "The document's reference"})
    after = ma.fields.Nested(BalanceSchema, required=True)


class HistorySchema(BalanceSchema):
    """A level at one moment and how it came to be, newest first."""

    location = ma.fields.Nested(StockPlaceSchema, required=True)
    variant_id = ma.fields.UUID(required=True)
    sku = ma.fields.String(required=True)
    title = ma.fields.String(required=True)
    title_ja = ma.fields.String(required=True, allow_none=True)
    as_of = ma.fields.AwareDateTime(required=True, allow_none=True, metadata={"description": "Null: now"})
    opening = ma.fields.Nested(
        BalanceSchema, required=True, metadata={"description": "Before the oldest movement of this page"}
    )
    explained = ma.fields.Boolean(
        required=True,
        allow_none=True,
        metadata={"description": "Last page: whether the movements add up to the level from nothing. Null before"},
    )
    items = ma.fields.List(ma.fields.Nested(HistoryEntrySchema), required=True)
    next = ma.fields.String(required=True, allow_none=True)


class HistoryQuery(PageQuery):
    """`?as_of=2026-07-01T00:00:00Z`"""

    cursor = ma.fields.String(
        load_default=None, validate=ma.validate.Length(max=4000), metadata={"description": "`next` of the page before"}
    )
    as_of = ma.fields.AwareDateTime(
        load_default=None, metadata={"description": "The level as of this moment, and the movements up to it"}
    )
