"""Shipments to customers and their parcels on the wire."""

import marshmallow as ma

from orders.schemas.places import LOCATION_CODE, LocationNameSchema
from retail import limits
from retail.kernel.web.cursor import PageQuery, page_schema
from retail.schemas.texts import Line

STATES = ("allocated", "picking", "packed", "shipped", "delivered", "short", "cancelled")
UNITS = ma.validate.Range(1, limits.QUANTITY_PER_LINE)
PARCELS = ma.validate.Length(1, limits.PARCELS_PER_SHIPMENT)


class ShipmentQuery(PageQuery):
    """Filters of the list of shipments. Without `state`: what is still to be sent."""

    location = ma.fields.String(load_default=None, validate=ma.validate.Length(1, 64), metadata=LOCATION_CODE)
    state = ma.fields.List(
        ma.fields.String(validate=ma.validate.OneOf(STATES)),
        load_default=list,
        metadata={"description": "May be repeated"},
    )


class ParcelLineSchema(ma.Schema):
    """Units in a parcel."""

    order_line_id = ma.fields.UUID(required=True)
    quantity = ma.fields.Integer(required=True, strict=True, validate=UNITS)


class PackParcelSchema(ma.Schema):
    """What is in one parcel."""

    lines = ma.fields.List(
        ma.fields.Nested(ParcelLineSchema), required=True, validate=ma.validate.Length(1, limits.LINES_PER_ORDER)
    )
    weight_g = ma.fields.Integer(
        strict=True, load_default=None, allow_none=True, validate=ma.validate.Range(1, 1_000_000)
    )


class PackShipmentSchema(ma.Schema):
    """All parcels of a shipment: together exactly what is to be sent."""

    parcels = ma.fields.List(ma.fields.Nested(PackParcelSchema), required=True, validate=PARCELS)


class HandedParcelSchema(ma.Schema):
    """A parcel that leaves now."""

    parcel_id = ma.fields.UUID(required=True)
    tracking = Line(most=64, load_default=None, allow_none=True, metadata={"description": "Where it is booked by hand"})


class DispatchShipmentSchema(ma.Schema):
    """Which parcels leave with which carrier."""

    carrier = ma.fields.String(required=True, validate=ma.validate.Length(1, 40), metadata={"example": "yamato"})
    parcels = ma.fields.List(ma.fields.Nested(HandedParcelSchema), required=True, validate=PARCELS)


class ParcelSchema(ma.Schema):
    """A parcel and what is in it."""

    id = ma.fields.UUID(required=True)
    position = ma.fields.Integer(required=True)
    state = ma.fields.String(required=True, validate=ma.validate.OneOf(["packed", "shipped", "delivered"]))
    weight_g = ma.fields.Integer(required=True, allow_none=True)
    carrier = ma.fields.String(required=True, allow_none=True)
    tracking = ma.fields.String(required=True, allow_none=True)
    shipped_at = ma.fields.DateTime(required=True, allow_none=True)
    delivered_at = ma.fields.DateTime(required=True, allow_none=True)
    lines = ma.fields.List(ma.fields.Nested(ParcelLineSchema), required=True)


class ShipmentLineSchema(ma.Schema):
    """What is to be sent of an order line; `collected` has left."""

    order_line_id = ma.fields.UUID(required=True)
    position = ma.fields.Integer(required=True)
    sku = ma.fields.String(required=True)
    title = ma.fields.String(required=True)
    quantity = ma.fields.Integer(required=True)
    picked = ma.fields.Integer(required=True)
    collected = ma.fields.Integer(required=True)
    short = ma.fields.Integer(required=True)
    cancelled = ma.fields.Integer(required=True)


class ShipmentSchema(ma.Schema):
    """Goods of an order that leave one location by post."""

    id = ma.fields.UUID(required=True)
    state = ma.fields.String(required=True, validate=ma.validate.OneOf([*STATES, "pending"]))
    version = ma.fields.Integer(required=True)
    order_id = ma.fields.UUID(required=True)
    reference = ma.fields.String(required=True)
    customer_name = ma.fields.String(required=True)
    ship_to = ma.fields.Dict(keys=ma.fields.String(), required=True, allow_none=True)
    location = ma.fields.Nested(LocationNameSchema, required=True)
    placed_at = ma.fields.DateTime(required=True)
    ready_by = ma.fields.DateTime(required=True, allow_none=True)
    picking_at = ma.fields.DateTime(required=True, allow_none=True)
    packed_at = ma.fields.DateTime(required=True, allow_none=True)
    shipped_at = ma.fields.DateTime(required=True, allow_none=True)
    delivered_at = ma.fields.DateTime(required=True, allow_none=True)
    lines = ma.fields.List(ma.fields.Nested(ShipmentLineSchema), required=True)
    parcels = ma.fields.List(ma.fields.Nested(ParcelSchema), required=True)


ShipmentPageSchema = page_schema(ShipmentSchema)


class CarrierReceiptSchema(ma.Schema):
    """The news was kept; `repeated`: it had been before."""

    received = ma.fields.Boolean(required=True)
    repeated = ma.fields.Boolean(required=True)
