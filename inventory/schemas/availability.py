"""What can be sold, as JSON."""

from typing import Any

import marshmallow as ma

from inventory.schemas.levels import NAME, SKU, UNITS, StockPlaceSchema
from retail import limits


class AvailableAtSchema(ma.Schema):
    """One SKU at one location; `available` = on_hand - allocated - held - unavailable - safety, never below 0."""

    location = ma.fields.Nested(StockPlaceSchema, required=True)
    on_hand = ma.fields.Integer(required=True, metadata=UNITS)
    allocated = ma.fields.Integer(required=True, metadata={"description": "Promised to orders"})
    held = ma.fields.Integer(required=True, metadata={"description": "In unexpired holds of carts"})
    unavailable = ma.fields.Integer(required=True, metadata={"description": "Damaged or in inspection"})
    safety = ma.fields.Integer(required=True, metadata={"description": "Kept back from sale"})
    available = ma.fields.Integer(required=True, metadata={"description": "What can be promised now"})


class SkuAvailabilitySchema(ma.Schema):
    """One SKU everywhere, or at the locations that were asked for."""

    sku = ma.fields.String(required=True)
    variant_id = ma.fields.UUID(required=True)
    title = ma.fields.String(required=True)
    title_ja = ma.fields.String(required=True, allow_none=True)
    available = ma.fields.Integer(required=True, metadata={"description": "The sum over the locations listed"})
    locations = ma.fields.List(ma.fields.Nested(AvailableAtSchema), required=True)


class AvailabilitySchema(ma.Schema):
    """The answer to an availability question, in the order of the SKUs asked for."""

    items = ma.fields.List(ma.fields.Nested(SkuAvailabilitySchema), required=True)

    def dump(self, obj: Any, *, many: bool | None = None) -> Any:
        """The dict as it is: availability.for_skus makes exactly this shape of plain values.

        Walking 20 locations field by field takes about as long as the database takes to find them; a test compares both.
        """
        return obj if not many else list(obj)


class AvailabilityQuery(ma.Schema):
    """`?sku=A&sku=B&location=SHIBUYA`"""

    sku = ma.fields.List(
        ma.fields.String(validate=SKU),
        required=True,
        validate=ma.validate.Length(1, limits.SKUS_PER_AVAILABILITY),
        metadata={"description": f"Repeat it for more, up to {limits.SKUS_PER_AVAILABILITY}"},
    )
    location = ma.fields.List(
        ma.fields.String(validate=NAME),
        load_default=None,
        validate=ma.validate.Length(1, limits.SKUS_PER_AVAILABILITY),
        metadata={"description": "Id or code; repeat it for more. Without: everywhere the SKU has been"},
    )
