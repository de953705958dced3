"""Where goods come from, on the wire."""

from collections.abc import Mapping
from typing import Any

import marshmallow as ma

from orders.sourcing.rules import RULES
from retail.kernel.money import MAX_MINOR
from retail.kernel.web.cursor import PageQuery, page_schema
from retail.schemas import MoneySchema

AREAS_MOST = 2_000


class SourcingRuleSchema(ma.Schema):
    """One rule of the chain, and in which steps it compares: kilometers (distance), hours (open), percent (workload,
    stock_left), parts (split_cost), or the locations' own numbers (priority)."""

    rule = ma.fields.String(required=True, validate=ma.validate.OneOf(list(RULES)))
    step = ma.fields.Float(required=True, validate=ma.validate.Range(0, 10_000, min_inclusive=False))


class SetSourcingPolicySchema(ma.Schema):
    """How it is decided where goods come from."""

    rules = ma.fields.List(
        ma.fields.Nested(SourcingRuleSchema), required=True, validate=ma.validate.Length(1, len(RULES))
    )
    most_parts = ma.fields.Integer(required=True, strict=True, validate=ma.validate.Range(1, 5))
    no_split_below_minor = ma.fields.Integer(
        required=True,
        strict=True,
        validate=ma.validate.Range(0, MAX_MINOR),
        metadata={"description": "An order whose goods cost less comes from one location, or is refused"},
    )
    areas = ma.fields.Dict(
        keys=ma.fields.String(validate=ma.validate.Regexp(r"^[0-9A-Za-z -]{1,16}\Z")),
        values=ma.fields.Tuple(
            (
                ma.fields.Float(validate=ma.validate.Range(-90, 90)),
                ma.fields.Float(validate=ma.validate.Range(-180, 180)),
            )
        ),
        required=True,
        validate=ma.validate.Length(max=AREAS_MOST),
        metadata={
            "description": "Postal code or its beginning: latitude, longitude; the longest that fits counts",
            "example": {"150": [35.66, 139.70]},
        },
    )

    @ma.validates_schema
    def _each_once(self, data: Mapping[str, Any], **_: Any) -> None:
        names = [one["rule"] for one in data["rules"]]
        if len(set(names)) != len(names):
            raise ma.ValidationError("Each rule once.", "rules")


class SourcingPolicySchema(SetSourcingPolicySchema):
    """How it is decided where goods come from; version 0: nothing was set, and this is what holds."""

    areas = ma.fields.Dict(keys=ma.fields.String(), values=ma.fields.List(ma.fields.Float()), required=True)
    version = ma.fields.Integer(required=True)


class SourcedLineSchema(ma.Schema):
    """Units of a SKU."""

    sku = ma.fields.String(required=True)
    quantity = ma.fields.Integer(required=True)


class SourcedPartSchema(ma.Schema):
    """What one location gives, and how far it is from where the goods go."""

    location = ma.fields.String(required=True, metadata={"description": "The location's code"})
    lines = ma.fields.List(ma.fields.Nested(SourcedLineSchema), required=True)
    km = ma.fields.Float(required=True, allow_none=True)


class AskedRuleSchema(ma.Schema):
    """A rule that was asked: of how many plans it kept how many, or that it abstained."""

    rule = ma.fields.String(required=True)
    step = ma.fields.Float(required=True)
    asked = ma.fields.Integer(required=True)
    kept = ma.fields.Integer(required=True)
    best = ma.fields.Float(required=True, allow_none=True)
    abstained = ma.fields.Boolean(required=True)


class RejectedPlanSchema(ma.Schema):
    """A plan that was not taken, the rule that rejected it, and the value it had there."""

    rejected_by = ma.fields.String(required=True)
    value = ma.fields.Float(required=True, allow_none=True)
    parts = ma.fields.List(ma.fields.Nested(SourcedPartSchema), required=True)


class SourcingPlaceSchema(ma.Schema):
    """A location that has, or could have, something of it: excluded (no_shipping, at_capacity) or asked."""

    location = ma.fields.String(required=True)
    excluded = ma.fields.String(required=True, allow_none=True)
    open_orders = ma.fields.Integer(
        required=True, allow_none=True, metadata={"description": "Counted only where there is a capacity"}
    )
    capacity = ma.fields.Integer(required=True, allow_none=True)
    priority = ma.fields.Integer(required=True)
    available = ma.fields.Dict(keys=ma.fields.String(), values=ma.fields.Integer(), required=True)


class SourcingDecisionSchema(ma.Schema):
    """Why goods come from where they come from. `decided_by`: the last rule that rejected something, `only_one`, or `code`."""

    id = ma.fields.UUID(required=True)
    cause = ma.fields.String(required=True, validate=ma.validate.OneOf(["placed", "short"]))
    actor = ma.fields.String(required=True)
    decided_at = ma.fields.DateTime(required=True)
    decided_by = ma.fields.String(required=True)
    policy_version = ma.fields.Integer(required=True)
    destination = ma.fields.Dict(keys=ma.fields.String(), required=True)
    value_minor = ma.fields.Integer(required=True)
    split_allowed = ma.fields.Boolean(required=True)
    waits_for_goods = ma.fields.Boolean(
        required=True,
        metadata={"description": "No plan had all of it on the shelf; goods that come in later are promised"},
    )
    rules = ma.fields.List(ma.fields.Nested(AskedRuleSchema), required=True)
    chosen = ma.fields.List(ma.fields.Nested(SourcedPartSchema), required=True)
    alternatives = ma.fields.List(ma.fields.Nested(RejectedPlanSchema), required=True)
    alternatives_total = ma.fields.Integer(required=True)
    locations = ma.fields.List(ma.fields.Nested(SourcingPlaceSchema), required=True)


class SourcingSchema(ma.Schema):
    """All decisions about an order, oldest first; none where there was nothing to choose."""

    items = ma.fields.List(ma.fields.Nested(SourcingDecisionSchema), required=True)


class SetShippingRateSchema(ma.Schema):
    """What sending an order costs."""

    amount_minor = ma.fields.Integer(required=True, strict=True, validate=ma.validate.Range(0, MAX_MINOR))
    free_from_minor = ma.fields.Integer(
        load_default=None,
        allow_none=True,
        strict=True,
        validate=ma.validate.Range(0, MAX_MINOR),
        metadata={"description": "Nothing is charged from goods of so much on"},
    )
    tax_class = ma.fields.String(required=True, validate=ma.validate.Length(1, 64))


class ShippingRateSchema(ma.Schema):
    """What sending costs to a region of a country, to a country (region empty), or everywhere else (both empty)."""

    currency = ma.fields.String(required=True)
    country = ma.fields.String(required=True)
    region = ma.fields.String(required=True)
    amount = ma.fields.Nested(MoneySchema, required=True)
    free_from = ma.fields.Nested(MoneySchema, required=True, allow_none=True)
    tax_class = ma.fields.String(required=True)
    version = ma.fields.Integer(required=True)


class ShippingRateQuery(PageQuery):
    """Which rates."""


ShippingRatePageSchema = page_schema(ShippingRateSchema)
