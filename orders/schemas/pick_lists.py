"""Pick lists on the wire."""

import marshmallow as ma

from orders.schemas.places import LOCATION_CODE, LocationNameSchema
from retail import limits

UNITS = ma.validate.Range(0, 1_000_000)


class MakePickListSchema(ma.Schema):
    """Where to pick, for how many orders at once, and who does; without `picker_id` whoever asks."""

    location = ma.fields.String(required=True, validate=ma.validate.Length(1, 64), metadata=LOCATION_CODE)
    most = ma.fields.Integer(load_default=8, strict=True, validate=ma.validate.Range(1, limits.PARTS_PER_PICK_LIST))
    picker_id = ma.fields.UUID(load_default=None)


class AssignPickListSchema(ma.Schema):
    """Who picks it from now on."""

    picker_id = ma.fields.UUID(required=True)


class GiveBackPickListSchema(ma.Schema):
    """What goes back; without `fulfillment_ids` all that is left."""

    fulfillment_ids = ma.fields.List(ma.fields.UUID(), load_default=None, validate=ma.validate.Length(1, 100))


class ConfirmedLineSchema(ma.Schema):
    """What is in the tote of a line, and what was not found. Of a bundle, `sku` says which component lacks."""

    fulfillment_id = ma.fields.UUID(required=True)
    order_line_id = ma.fields.UUID(required=True)
    picked = ma.fields.Integer(required=True, strict=True, validate=UNITS)
    short = ma.fields.Integer(load_default=0, strict=True, validate=UNITS)
    sku = ma.fields.String(load_default=None, validate=ma.validate.Length(1, 100))


class ConfirmPickListSchema(ma.Schema):
    """Lines as far as they are done; a line is named once."""

    lines = ma.fields.List(
        ma.fields.Nested(ConfirmedLineSchema), required=True, validate=ma.validate.Length(1, limits.LINES_PER_COUNT)
    )


class ToteUnitsSchema(ma.Schema):
    """How many go into a tote."""

    tote = ma.fields.Integer(required=True)
    quantity = ma.fields.Integer(required=True)


class StopSchema(ma.Schema):
    """One stop of the walk: a SKU on a shelf, and what is taken of it."""

    shelf = ma.fields.String(required=True, allow_none=True, metadata={"example": "A-12"})
    sku = ma.fields.String(required=True)
    title = ma.fields.String(required=True)
    title_ja = ma.fields.String(required=True, allow_none=True)
    quantity = ma.fields.Integer(required=True)
    totes = ma.fields.List(ma.fields.Nested(ToteUnitsSchema), required=True)


class PickListLineSchema(ma.Schema):
    """A line of an order on the list."""

    order_line_id = ma.fields.UUID(required=True)
    sku = ma.fields.String(required=True)
    title = ma.fields.String(required=True)
    quantity = ma.fields.Integer(required=True)
    picked = ma.fields.Integer(required=True)


class PickListPartSchema(ma.Schema):
    """A pickup or shipment on the list, and its tote."""

    tote = ma.fields.Integer(required=True)
    fulfillment_id = ma.fields.UUID(required=True)
    method = ma.fields.String(required=True)
    state = ma.fields.String(required=True)
    ready_by = ma.fields.DateTime(required=True, allow_none=True)
    order_id = ma.fields.UUID(required=True)
    reference = ma.fields.String(required=True)
    customer_name = ma.fields.String(required=True)
    lines = ma.fields.List(ma.fields.Nested(PickListLineSchema), required=True)


class PickListSchema(ma.Schema):
    """A walk: `stops` in the order of the shelves have what is still to be picked, `parts` what it is for."""

    id = ma.fields.UUID(required=True)
    location = ma.fields.Nested(LocationNameSchema, required=True)
    picker_id = ma.fields.UUID(required=True)
    picker_name = ma.fields.String(required=True)
    created_at = ma.fields.DateTime(required=True)
    stops = ma.fields.List(ma.fields.Nested(StopSchema), required=True)
    parts = ma.fields.List(ma.fields.Nested(PickListPartSchema), required=True)
