"""What points look like as JSON. Points are whole numbers; they are not money and carry no currency."""

import marshmallow as ma

from retail.kernel.web.cursor import page_schema


class NextExpirySchema(ma.Schema):
    """The points that run out first, and when."""

    points = ma.fields.Integer(required=True)
    at = ma.fields.AwareDateTime(required=True)


class PointsSchema(ma.Schema):
    """A customer's points at this moment."""

    available = ma.fields.Integer(required=True, metadata={"description": "Can be spent now"})
    pending = ma.fields.Integer(required=True, metadata={"description": "Earned, and can be spent later"})
    held = ma.fields.Integer(required=True, metadata={"description": "Put aside for open orders"})
    owed = ma.fields.Integer(required=True, metadata={"description": "Netted against what is earned next"})
    state = ma.fields.String(required=True, metadata={"description": "active, blocked or merged"})
    lots_open = ma.fields.Integer(required=True, metadata={"description": "Lots that can be spent from"})
    next_expiry = ma.fields.Nested(NextExpirySchema, required=True, allow_none=True)


class EntrySideSchema(ma.Schema):
    """One side of a transaction: points put into (+) or taken out of (-) a ledger account."""

    account = ma.fields.String(required=True)
    points = ma.fields.Integer(required=True)
    lot_id = ma.fields.UUID(required=True, allow_none=True)


class PointsEntrySchema(ma.Schema):
    """One transaction of the points ledger: what it changed on the customer's balances, and its sides (sum: zero)."""

    id = ma.fields.UUID(required=True)
    kind = ma.fields.String(required=True)
    order_id = ma.fields.UUID(required=True, allow_none=True)
    reason = ma.fields.String(required=True)
    at = ma.fields.AwareDateTime(required=True)
    points = ma.fields.Integer(required=True, metadata={"description": "Change of the spendable points"})
    held = ma.fields.Integer(required=True, metadata={"description": "Change of the points put aside"})
    owed = ma.fields.Integer(required=True, metadata={"description": "Change of the points owed"})
    entries = ma.fields.List(ma.fields.Nested(EntrySideSchema), required=True)


PointsEntryPageSchema = page_schema(PointsEntrySchema)
