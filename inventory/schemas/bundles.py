"""Bundles on the wire."""

import marshmallow as ma

from inventory.schemas.levels import SKU
from retail import limits
from retail.bundles import QUANTITY_MOST


class SetComponentSchema(ma.Schema):
    """Units of one SKU that go into one bundle."""

    sku = ma.fields.String(required=True, validate=SKU)
    quantity = ma.fields.Integer(required=True, strict=True, validate=ma.validate.Range(1, QUANTITY_MOST))


class SetComponentsSchema(ma.Schema):
    """All that a bundle consists of; an empty list: it is a bundle no more."""

    components = ma.fields.List(
        ma.fields.Nested(SetComponentSchema),
        required=True,
        validate=ma.validate.Length(max=limits.COMPONENTS_PER_BUNDLE),
    )


class ComponentSchema(ma.Schema):
    """A part of a bundle."""

    variant_id = ma.fields.UUID(required=True)
    sku = ma.fields.String(required=True)
    title = ma.fields.String(required=True)
    title_ja = ma.fields.String(required=True, allow_none=True)
    quantity = ma.fields.Integer(required=True, metadata={"description": "Units in one bundle"})


class BundleSchema(ma.Schema):
    """What a variant consists of; without components it is no bundle and has stock of its own."""

    variant_id = ma.fields.UUID(required=True)
    sku = ma.fields.String(required=True)
    components = ma.fields.List(ma.fields.Nested(ComponentSchema), required=True)
