"""What the feed of changes looks like as JSON."""

import marshmallow as ma

from inventory.schemas.levels import NAME, StockPlaceSchema

CHANGES_LIMIT = 200
CHANGES_LIMIT_MOST = 1000


class ChangesQuery(ma.Schema):
    """`?cursor=&limit=&location=`"""

    cursor = ma.fields.String(
        load_default=None,
        validate=ma.validate.Length(max=500),
        metadata={"description": "`next` of the answer before. Without: nothing is told, and `next` is the present"},
    )
    limit = ma.fields.Integer(
        load_default=CHANGES_LIMIT,
        validate=ma.validate.Range(1, CHANGES_LIMIT_MOST),
        metadata={"description": "How many movements at most; a level that moved several times is told once"},
    )
    location = ma.fields.String(
        load_default=None, validate=NAME, metadata={"description": "Id or code: only what changed there"}
    )


class ChangeSchema(ma.Schema):
    """One SKU at one location that changed: what it says now, and why it changed."""

    location = ma.fields.Nested(StockPlaceSchema, required=True)
    variant_id = ma.fields.UUID(required=True)
    sku = ma.fields.String(required=True)
    on_hand = ma.fields.Integer(required=True)
    allocated = ma.fields.Integer(required=True, metadata={"description": "Promised to orders and transfers"})
    backordered = ma.fields.Integer(required=True, metadata={"description": "Of these, what waits for goods"})
    held = ma.fields.Integer(required=True, metadata={"description": "In unexpired holds of carts"})
    unavailable = ma.fields.Integer(required=True, metadata={"description": "Damaged or in inspection"})
    safety = ma.fields.Integer(required=True, metadata={"description": "Kept back from sale"})
    available = ma.fields.Integer(required=True, metadata={"description": "What can be promised now, in any channel"})
    changed = ma.fields.List(
        ma.fields.String(), required=True, metadata={"description": "The movements' causes", "example": ["allocate"]}
    )


class ChangesSchema(ma.Schema):
    """Changes since the cursor, the oldest first."""

    items = ma.fields.List(ma.fields.Nested(ChangeSchema), required=True)
    next = ma.fields.String(required=True, metadata={"description": "Ask with this the next time; never null"})
    more = ma.fields.Boolean(required=True, metadata={"description": "Ask again at once: there is more already"})
