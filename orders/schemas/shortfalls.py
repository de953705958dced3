"""What is missing, and what becomes of it, on the wire."""

import marshmallow as ma

from orders.schemas.orders import FulfillmentLineSchema, FulfillmentSchema
from orders.schemas.places import LOCATION_CODE, LocationNameSchema, money_field
from retail import limits
from retail.kernel.web.cursor import PageQuery
from retail.schemas.addresses import AddressSchema
from retail.schemas.texts import Line

REASONS = ("not_found", "damaged")
RESOLUTIONS = ("resource", "ship_to_store", "ship", "substitute", "refund")
SHIPMENT_STATES = (
    "allocated",
    "picking",
    "in_transit",
    "arrived",
    "ready",
    "collected",
    "short",
    "expired",
    "cancelled",
)
LINES = ma.validate.Length(1, limits.LINES_PER_ORDER)
UNITS = ma.validate.Range(1, limits.QUANTITY_PER_LINE)


class ShortLineSchema(ma.Schema):
    """Units of a line that were not found."""

    order_line_id = ma.fields.UUID(required=True)
    quantity = ma.fields.Integer(required=True, strict=True, validate=UNITS)
    sku = Line(most=limits.SKU_CHARACTERS, metadata={"description": "Of a bundle: the component that is missing"})


class ReportShortSchema(ma.Schema):
    """What was not found, or was found broken."""

    lines = ma.fields.List(ma.fields.Nested(ShortLineSchema), required=True, validate=LINES)
    reason = ma.fields.String(load_default="not_found", validate=ma.validate.OneOf(REASONS))


class ResolveSchema(ma.Schema):
    """What becomes of what is missing: all of it, or of these lines."""

    resolution = ma.fields.String(required=True, validate=ma.validate.OneOf(RESOLUTIONS))
    lines = ma.fields.List(
        ma.fields.UUID(), load_default=None, validate=LINES, metadata={"description": "Order lines; default: all"}
    )
    location = ma.fields.String(
        load_default=None,
        validate=ma.validate.Length(1, 64),
        metadata=LOCATION_CODE
        | {"description": "Where the goods are taken from; default: what the sourcing policy says"},
    )
    ship_to = ma.fields.Nested(AddressSchema, load_default=None, allow_none=True)
    sku = Line(most=limits.SKU_CHARACTERS, load_default=None, metadata={"description": "The substitute"})

    @ma.validates_schema
    def check(self, data: dict[str, object], **_: object) -> None:
        """A substitute is named, and is for one line."""
        if data["resolution"] == "substitute" and not data["sku"]:
            raise ma.ValidationError("Name the substitute", "sku")


class MissingUnitsSchema(ma.Schema):
    """Units of a line that were missing. `to_fulfillment_id` brings them (or what replaces them) instead."""

    id = ma.fields.UUID(required=True)
    order_line_id = ma.fields.UUID(required=True)
    sku = ma.fields.String(required=True)
    title = ma.fields.String(required=True)
    quantity = ma.fields.Integer(required=True)
    cause = ma.fields.String(required=True)
    state = ma.fields.String(
        required=True,
        metadata={
            "enum": ["open", "proposed", "resourced", "shipped", "substituted", "refunded", "filled", "cancelled"]
        },
    )
    to_fulfillment_id = ma.fields.UUID(required=True, allow_none=True)
    created_at = ma.fields.DateTime(required=True)
    settled_at = ma.fields.DateTime(required=True, allow_none=True)


class PartShortfallsSchema(ma.Schema):
    """A fulfillment and all that was ever missing of it; `open` units wait for what becomes of them."""

    order_id = ma.fields.UUID(required=True)
    reference = ma.fields.String(required=True)
    fulfillment = ma.fields.Nested(FulfillmentSchema, required=True)
    shortfalls = ma.fields.List(ma.fields.Nested(MissingUnitsSchema), required=True)
    open = ma.fields.Integer(required=True)


class StoreShipmentQuery(PageQuery):
    """Filters of the list. Without `state`: what has not arrived yet."""

    location = ma.fields.String(
        load_default=None, validate=ma.validate.Length(1, 64), metadata=LOCATION_CODE | {"description": "Either end"}
    )
    state = ma.fields.List(ma.fields.String(validate=ma.validate.OneOf(SHIPMENT_STATES)))


class StoreShipmentLineSchema(FulfillmentLineSchema):
    """What travels."""

    sku = ma.fields.String(required=True)
    title = ma.fields.String(required=True)


class StoreShipmentSchema(ma.Schema):
    """Goods that go from `source` to the store at which their customer collects them."""

    id = ma.fields.UUID(required=True)
    state = ma.fields.String(required=True)
    order_id = ma.fields.UUID(required=True)
    reference = ma.fields.String(required=True)
    version = ma.fields.Integer(required=True)
    source = ma.fields.Nested(LocationNameSchema, required=True)
    location = ma.fields.Nested(LocationNameSchema, required=True)
    shipped_at = ma.fields.DateTime(required=True, allow_none=True)
    arrived_at = ma.fields.DateTime(required=True, allow_none=True)
    lines = ma.fields.List(ma.fields.Nested(StoreShipmentLineSchema), required=True)


class MovePickupSchema(ma.Schema):
    """Where the customer wants to fetch it."""

    location = ma.fields.String(required=True, validate=ma.validate.Length(1, 64), metadata=LOCATION_CODE)


class ArrivedUnitsSchema(ma.Schema):
    """What came in of one line, and how many of these are damaged."""

    order_line_id = ma.fields.UUID(required=True)
    received = ma.fields.Integer(required=True, strict=True, validate=ma.validate.Range(0, limits.QUANTITY_PER_LINE))
    damaged = ma.fields.Integer(load_default=0, strict=True, validate=ma.validate.Range(0, limits.QUANTITY_PER_LINE))


class StoreArrivalSchema(ma.Schema):
    """What was scanned at the store. A line that is not named came in whole."""

    lines = ma.fields.List(
        ma.fields.Nested(ArrivedUnitsSchema), load_default=[], validate=ma.validate.Length(0, limits.LINES_PER_ORDER)
    )


class SubstituteSchema(ma.Schema):
    """What the customer is asked: these units of another article in the place of those, for `price` each and no more than
    she paid."""

    state = ma.fields.String(
        required=True, metadata={"enum": ["proposed", "accepted", "declined", "expired", "withdrawn"]}
    )
    reference = ma.fields.String(required=True)
    quantity = ma.fields.Integer(required=True)
    missing_sku = ma.fields.String(required=True)
    missing_title = ma.fields.String(required=True)
    missing_price = money_field()
    sku = ma.fields.String(required=True)
    title = ma.fields.String(required=True)
    price = money_field()
    location = ma.fields.Nested(LocationNameSchema, required=True)
    expires_at = ma.fields.DateTime(required=True)


class SubstituteAnswerSchema(ma.Schema):
    """Yes, or no."""

    accept = ma.fields.Boolean(required=True)


class ExtendPickupSchema(ma.Schema):
    """How many days longer than until now."""

    days = ma.fields.Integer(
        strict=True, load_default=None, allow_none=True, validate=ma.validate.Range(1, limits.EXTENSION_DAYS_MOST)
    )
