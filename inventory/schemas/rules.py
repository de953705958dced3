"""Rules of safety stock and buffers, and supply policies, as JSON."""

from collections.abc import Mapping
from typing import Any

import marshmallow as ma

from inventory.schemas.documents import moment, units
from inventory.schemas.levels import NAME, SKU, StockPlaceSchema
from retail.kernel.web.cursor import PageQuery, page_schema
from retail.schemas.texts import ChangeSchema, Line

LEAD_DAYS_LONGEST = 730


class StockRuleSchema(ma.Schema):
    """Units kept back per level: from everybody (safety stock), or from one channel (buffer). `version` is the ETag."""

    id = ma.fields.UUID(required=True)
    location = ma.fields.Nested(StockPlaceSchema, required=True, allow_none=True, metadata={"description": "null: all"})
    category = ma.fields.String(required=True, allow_none=True, metadata={"description": "null: all"})
    sku = ma.fields.String(required=True, allow_none=True, metadata={"description": "null: all"})
    variant_id = ma.fields.UUID(required=True, allow_none=True)
    channel = ma.fields.String(required=True, allow_none=True, metadata={"description": "null: safety stock"})
    quantity = ma.fields.Integer(required=True)
    specificity = ma.fields.Integer(
        required=True, metadata={"description": "4 for a SKU + 2 for a category + 1 for a location; the highest wins"}
    )
    applied = ma.fields.Boolean(
        required=True, metadata={"description": "Whether every level in scope follows it; else they soon will"}
    )
    applied_at = ma.fields.AwareDateTime(required=True, allow_none=True)
    version = ma.fields.Integer(required=True)
    created_at = ma.fields.AwareDateTime(required=True)
    updated_at = ma.fields.AwareDateTime(required=True)
    retired_at = ma.fields.AwareDateTime(required=True, allow_none=True)


StockRulePageSchema = page_schema(StockRuleSchema)


class StockRulesQuery(PageQuery):
    """Which rules."""

    location = ma.fields.String(load_default=None, validate=NAME, metadata={"description": "Id or code"})
    sku = ma.fields.String(load_default=None, validate=SKU)
    category = Line(load_default=None)
    channel = Line(load_default=None)
    retired = ma.fields.Boolean(load_default=False, metadata={"description": "List retired rules too"})


class CreateStockRuleSchema(ma.Schema):
    """A rule to be made; what is left out means all."""

    location = ma.fields.String(
        load_default=None, allow_none=True, validate=NAME, metadata={"description": "Id or code"}
    )
    category = Line(load_default=None, allow_none=True)
    sku = ma.fields.String(load_default=None, allow_none=True, validate=SKU)
    channel = Line(load_default=None, allow_none=True, metadata={"description": "With one the rule is a buffer"})
    quantity = units(0, required=True)

    @ma.validates_schema
    def _one_kind_of_goods(self, data: Mapping[str, Any], **_: Any) -> None:
        if data.get("category") is not None and data.get("sku") is not None:
            raise ma.ValidationError("Give category or sku, not both.", "category")


class UpdateStockRuleSchema(ChangeSchema):
    """Another quantity. Another scope is another rule."""

    quantity = units(0)


class ExplainQuery(ma.Schema):
    """For whom the buffer is asked."""

    channel = Line(load_default=None)


class ExplanationSchema(ma.Schema):
    """What is kept back at one level, and which rules say so."""

    safety = ma.fields.Integer(required=True)
    by_hand = ma.fields.Boolean(
        required=True, metadata={"description": "Somebody has set safety; its rule is not used"}
    )
    safety_rule = ma.fields.Nested(StockRuleSchema, required=True, allow_none=True)
    buffer = ma.fields.Integer(required=True, metadata={"description": "Kept from the channel asked for"})
    buffer_rule = ma.fields.Nested(StockRuleSchema, required=True, allow_none=True)


class SupplyPolicySchema(ma.Schema):
    """How a SKU may be promised before it is here. `version` is the ETag, 0 when nobody has set anything."""

    sku = ma.fields.String(required=True)
    variant_id = ma.fields.UUID(required=True)
    releases_at = ma.fields.AwareDateTime(
        required=True, allow_none=True, metadata={"description": "Pre-order: not handed over before"}
    )
    lead_days = ma.fields.Integer(
        required=True, allow_none=True, metadata={"description": "Backorder: expected so long after the order"}
    )
    version = ma.fields.Integer(required=True)
    updated_at = ma.fields.AwareDateTime(required=True, allow_none=True)


class SetSupplyPolicySchema(ma.Schema):
    """The whole policy; null means none."""

    releases_at = moment(required=True, allow_none=True)
    lead_days = ma.fields.Integer(
        required=True, allow_none=True, strict=True, validate=ma.validate.Range(0, LEAD_DAYS_LONGEST)
    )
