"""Pickups on the wire."""

import marshmallow as ma

from orders.schemas.places import LOCATION_CODE, LocationNameSchema, money_field
from orders.tenders import AT_THE_TILL
from retail.kernel.web.cursor import PageQuery
from retail.schemas.texts import Line

STATES = ("allocated", "picking", "arrived", "ready", "collected", "short", "expired", "cancelled")


class PickupQuery(PageQuery):
    """Filters of the counter's list. Without `state`: what is still at the counter."""

    location = ma.fields.String(validate=ma.validate.Length(1, 64), metadata=LOCATION_CODE)
    state = ma.fields.List(
        ma.fields.String(validate=ma.validate.OneOf(STATES)), metadata={"description": "May be repeated"}
    )
    day = ma.fields.Date(metadata={"description": "The day of ready_by, in the store's zone"})
    late = ma.fields.Boolean(metadata={"description": "true: only what should be ready by now and is not"})
    q = ma.fields.String(validate=ma.validate.Length(1, 64), metadata={"description": "An order's reference"})


class CollectPickupSchema(ma.Schema):
    """The proof (exactly one of code, token, identity) and, when something is due, the tender that was taken."""

    code = ma.fields.String(validate=ma.validate.Length(1, 20), metadata={"example": "K7M2QX"})
    token = ma.fields.String(validate=ma.validate.Length(1, 100), metadata={"description": "What the QR code says"})
    identity = Line(least=3, metadata={"description": "What staff looked at", "example": "driving license"})
    tender = ma.fields.String(validate=ma.validate.OneOf(AT_THE_TILL))


class PickupLineSchema(ma.Schema):
    """What to pick."""

    order_line_id = ma.fields.UUID(required=True)
    position = ma.fields.Integer(required=True)
    sku = ma.fields.String(required=True)
    title = ma.fields.String(required=True)
    quantity = ma.fields.Integer(required=True)
    picked = ma.fields.Integer(required=True)
    collected = ma.fields.Integer(required=True)
    short = ma.fields.Integer(required=True)


class PickupCodeStateSchema(ma.Schema):
    """How the code stands; the code itself is the customer's."""

    rotation = ma.fields.Integer(required=True)
    attempts = ma.fields.Integer(required=True)
    locked = ma.fields.Boolean(required=True)
    issued_at = ma.fields.DateTime(required=True)


class PickupSchema(ma.Schema):
    """One pickup as the counter sees it. `due` is what is still to be paid when it is handed over."""

    id = ma.fields.UUID(required=True)
    method = ma.fields.String(required=True, metadata={"enum": ["pickup", "ship_to_store"]})
    state = ma.fields.String(required=True, validate=ma.validate.OneOf(STATES))
    version = ma.fields.Integer(required=True)
    order_id = ma.fields.UUID(required=True)
    reference = ma.fields.String(required=True)
    customer_id = ma.fields.UUID(required=True, allow_none=True)
    customer_name = ma.fields.String(required=True)
    total = money_field()
    due = money_field()
    location = ma.fields.Nested(LocationNameSchema, required=True)
    placed_at = ma.fields.DateTime(required=True)
    ready_by = ma.fields.DateTime(required=True, allow_none=True)
    picking_at = ma.fields.DateTime(required=True, allow_none=True)
    ready_at = ma.fields.DateTime(required=True, allow_none=True)
    collect_by = ma.fields.DateTime(required=True, allow_none=True)
    collected_at = ma.fields.DateTime(required=True, allow_none=True)
    collected_proof = ma.fields.String(required=True, allow_none=True)
    code = ma.fields.Nested(PickupCodeStateSchema, required=True, allow_none=True)
    lines = ma.fields.List(ma.fields.Nested(PickupLineSchema), required=True)


class PickupCodeSchema(ma.Schema):
    """What the customer shows at the counter."""

    fulfillment_id = ma.fields.UUID(required=True)
    code = ma.fields.String(required=True, metadata={"example": "K7M2QX"})
    token = ma.fields.String(required=True)
    qr_svg = ma.fields.String(required=True, metadata={"description": "The token as a QR code, an <svg> element"})
    locked = ma.fields.Boolean(required=True, metadata={"description": "Too many wrong codes: ask for a new one"})
    collect_by = ma.fields.DateTime(required=True, allow_none=True)
    location = ma.fields.Nested(LocationNameSchema, required=True)
