"""Who waits for goods, as JSON."""

import marshmallow as ma

from inventory.schemas.levels import NAME, StockPlaceSchema
from retail.kernel.web.cursor import PageQuery, page_schema

STATES = ("short", "backordered")


class ShortageSchema(ma.Schema):
    """A promise that waits for goods: backordered from the start, or short because goods turned out to be missing."""

    id = ma.fields.UUID(required=True, metadata={"description": "The reservation"})
    state = ma.fields.String(required=True, metadata={"enum": list(STATES)})
    owner_id = ma.fields.UUID(required=True, metadata={"description": "The order or transfer"})
    line_id = ma.fields.UUID(required=True, allow_none=True)
    variant_id = ma.fields.UUID(required=True)
    sku = ma.fields.String(required=True)
    title = ma.fields.String(required=True)
    title_ja = ma.fields.String(required=True, allow_none=True)
    location = ma.fields.Nested(StockPlaceSchema, required=True)
    promised = ma.fields.Integer(
        required=True, metadata={"description": "Units promised, those that are here included"}
    )
    quantity = ma.fields.Integer(required=True, metadata={"description": "Units that are waited for"})
    since = ma.fields.AwareDateTime(required=True, metadata={"description": "When they were promised"})
    promised_at = ma.fields.AwareDateTime(
        required=True, allow_none=True, metadata={"description": "When they were promised for; null: nobody knows"}
    )


ShortagePageSchema = page_schema(ShortageSchema)


class ShortagesQuery(PageQuery):
    """`?location=SHIBUYA&state=short`"""

    location = ma.fields.String(
        load_default=None, validate=NAME, metadata={"description": "Id or code. Without: everywhere"}
    )
    state = ma.fields.String(load_default=None, validate=ma.validate.OneOf(STATES))
