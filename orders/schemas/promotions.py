"""Promotions and coupons on the wire."""

from collections.abc import Mapping
from typing import Any

import marshmallow as ma

from orders.discounts import KINDS, WHOLE_BP
from retail import limits
from retail.kernel.money import MAX_MINOR
from retail.kernel.web.cursor import PageQuery, page_schema
from retail.schemas.texts import ChangeSchema, Code, Line

STATES = ("planned", "running", "ended")
_SHARE = ma.validate.Range(0, WHOLE_BP)
_AMOUNT = ma.validate.Range(0, MAX_MINOR)
_UNITS = ma.validate.Range(0, limits.QUANTITY_PER_LINE)


def _number(validate: ma.validate.Range, **options: Any) -> ma.fields.Integer:
    return ma.fields.Integer(strict=True, validate=validate, **options)


def _names(item: ma.fields.Field[Any], what: str, **options: Any) -> ma.fields.List[Any]:
    bounds = ma.validate.Length(max=limits.NAMES_PER_PROMOTION)
    return ma.fields.List(item, validate=bounds, metadata={"description": what}, **options)


def _sku() -> ma.fields.String:
    return ma.fields.String(validate=ma.validate.Length(1, limits.SKU_CHARACTERS))


class StepSchema(ma.Schema):
    """From this amount of eligible goods on: a share (basis points) or an amount off, once."""

    from_minor = _number(_AMOUNT, required=True)
    percent_bp = _number(_SHARE, load_default=0)
    amount_minor = _number(_AMOUNT, load_default=0)


def _fields(*, partial: bool) -> dict[str, ma.fields.Field[Any]]:
    """The fields of a promotion as it is made (with what is taken when they are left out), or as it is changed."""

    def left_out(value: Any) -> dict[str, Any]:
        return {} if partial else {"load_default": value}

    steps = ma.validate.Length(max=limits.STEPS_PER_PROMOTION)
    return {
        "name_ja": Line(allow_none=True, most=limits.TITLE_CHARACTERS, **left_out(None)),
        "currency": ma.fields.String(
            allow_none=True,
            validate=ma.validate.Regexp(r"^[A-Z]{3}\Z"),
            metadata={"description": "Of its amounts; without any it counts in all currencies", "example": "JPY"},
            **left_out(None),
        ),
        "percent_bp": _number(_SHARE, metadata={"description": "Basis points: 1000 is 10 %"}, **left_out(0)),
        "amount_minor": _number(_AMOUNT, **left_out(0)),
        "per_unit": ma.fields.Boolean(
            metadata={"description": "The amount is taken off each unit, not off the sum"}, **left_out(False)
        ),
        "buy_quantity": _number(_UNITS, **left_out(0)),
        "get_quantity": _number(_UNITS, **left_out(0)),
        "times": _number(
            ma.validate.Range(1, limits.QUANTITY_PER_LINE),
            allow_none=True,
            metadata={"description": "At most so often in an order"},
            **left_out(None),
        ),
        "steps": ma.fields.List(ma.fields.Nested(StepSchema), validate=steps, **left_out([])),
        "channels": _names(Code(), "Empty: all", **left_out([])),
        "locations": _names(Line(most=64), "Codes or ids; empty: all", **left_out([])),
        "skus": _names(_sku(), "With `categories`: the goods it is about; both empty: all goods", **left_out([])),
        "categories": _names(Line(), "See `skus`", **left_out([])),
        "min_quantity": _number(_UNITS, **left_out(0)),
        "min_amount_minor": _number(_AMOUNT, **left_out(0)),
        "valid_from": ma.fields.AwareDateTime(
            allow_none=not partial,
            metadata={"description": "Now when left out; never in the past"},
            **left_out(None),
        ),
        "valid_to": ma.fields.AwareDateTime(
            allow_none=True, metadata={"description": "It counts until just before"}, **left_out(None)
        ),
        "priority": _number(
            ma.validate.Range(0, 10_000), metadata={"description": "The lowest is asked first"}, **left_out(100)
        ),
        "stackable": ma.fields.Boolean(
            metadata={"description": "Whether it shares a line with other promotions"}, **left_out(True)
        ),
        "exclusive_group": Code(
            allow_none=True,
            metadata={"description": "Of a group the one that takes most off applies"},
            **left_out(None),
        ),
        "needs_coupon": ma.fields.Boolean(**left_out(False)),
        "active": ma.fields.Boolean(**left_out(True)),
    }


class CreatePromotionSchema(ma.Schema.from_dict(_fields(partial=False))):  # type: ignore[misc]  # made at run time
    """A new promotion. `kind` decides which figures it has: percentage: percent_bp; amount: amount_minor (per_unit);
    buy_x_get_y: buy_quantity, get_quantity, percent_bp, times; threshold: steps."""

    code = Code(required=True)
    name = Line(required=True, most=limits.TITLE_CHARACTERS)
    kind = ma.fields.String(required=True, validate=ma.validate.OneOf(KINDS))


class ChangePromotionSchema(ChangeSchema, ma.Schema.from_dict(_fields(partial=True))):  # type: ignore[misc]
    """What is to be changed. Once it has begun: names, `valid_to`, and `active` (to false)."""

    name = Line(most=limits.TITLE_CHARACTERS)


class PromotionSchema(ma.Schema):
    """A promotion as it stands."""

    id = ma.fields.UUID(required=True)
    code = ma.fields.String(required=True)
    name = ma.fields.String(required=True)
    name_ja = ma.fields.String(required=True, allow_none=True)
    kind = ma.fields.String(required=True, validate=ma.validate.OneOf(KINDS))
    state = ma.fields.String(required=True, validate=ma.validate.OneOf(STATES))
    currency = ma.fields.String(required=True, allow_none=True)
    percent_bp = ma.fields.Integer(required=True)
    amount_minor = ma.fields.Integer(required=True)
    per_unit = ma.fields.Boolean(required=True)
    buy_quantity = ma.fields.Integer(required=True)
    get_quantity = ma.fields.Integer(required=True)
    times = ma.fields.Integer(required=True, allow_none=True)
    steps = ma.fields.List(ma.fields.Nested(StepSchema), required=True)
    channels = ma.fields.List(ma.fields.String(), required=True)
    locations = ma.fields.List(ma.fields.String(), required=True, metadata={"description": "Codes"})
    skus = ma.fields.List(ma.fields.String(), required=True)
    categories = ma.fields.List(ma.fields.String(), required=True)
    min_quantity = ma.fields.Integer(required=True)
    min_amount_minor = ma.fields.Integer(required=True)
    valid_from = ma.fields.DateTime(required=True)
    valid_to = ma.fields.DateTime(required=True, allow_none=True)
    priority = ma.fields.Integer(required=True)
    stackable = ma.fields.Boolean(required=True)
    exclusive_group = ma.fields.String(required=True, allow_none=True)
    needs_coupon = ma.fields.Boolean(required=True)
    active = ma.fields.Boolean(required=True)
    version = ma.fields.Integer(required=True)
    created_at = ma.fields.DateTime(required=True)
    updated_at = ma.fields.DateTime(required=True)


class PromotionQuery(PageQuery):
    """Which promotions."""

    state = ma.fields.String(load_default=None, validate=ma.validate.OneOf(STATES))


_LIMIT = ma.validate.Range(1, limits.USES_PER_COUPON)


class CouponTermsSchema(ma.Schema):
    """How often and when coupons count; what is left out is not limited."""

    total_limit = _number(_LIMIT, load_default=None, allow_none=True)
    per_customer_limit = _number(
        _LIMIT,
        load_default=None,
        allow_none=True,
        metadata={"description": "A guest is whoever has the same email or phone"},
    )
    valid_from = ma.fields.AwareDateTime(load_default=None, allow_none=True)
    valid_to = ma.fields.AwareDateTime(load_default=None, allow_none=True)


class MakeCouponsSchema(CouponTermsSchema):
    """Coupons of given `codes`, or `count` of generated ones."""

    codes = ma.fields.List(
        Line(most=64),
        validate=ma.validate.Length(1, limits.COUPONS_PER_REQUEST),
        metadata={"description": "Case, width, spaces and hyphens do not matter", "example": ["SUMMER-10"]},
    )
    count = _number(ma.validate.Range(1, limits.COUPONS_PER_REQUEST))
    prefix = Line(most=40, least=0, load_default="", metadata={"description": "Of generated codes"})

    @ma.validates_schema
    def _one_of(self, data: Mapping[str, Any], **_: Any) -> None:
        if ("codes" in data) == ("count" in data):
            raise ma.ValidationError("Give either codes or count", "codes")


class CouponsMadeSchema(ma.Schema):
    """The codes of the coupons made."""

    codes = ma.fields.List(ma.fields.String(), required=True)


class ChangeCouponSchema(ChangeSchema):
    """What is to be changed of a coupon."""

    total_limit = _number(_LIMIT, allow_none=True)
    per_customer_limit = _number(_LIMIT, allow_none=True)
    valid_from = ma.fields.AwareDateTime(allow_none=True)
    valid_to = ma.fields.AwareDateTime(allow_none=True)
    active = ma.fields.Boolean()


class CouponSchema(ma.Schema):
    """A coupon and how often it was used."""

    id = ma.fields.UUID(required=True)
    code = ma.fields.String(required=True)
    promotion = ma.fields.String(required=True, metadata={"description": "The promotion's code"})
    total_limit = ma.fields.Integer(required=True, allow_none=True)
    per_customer_limit = ma.fields.Integer(required=True, allow_none=True)
    valid_from = ma.fields.DateTime(required=True, allow_none=True)
    valid_to = ma.fields.DateTime(required=True, allow_none=True)
    used = ma.fields.Integer(required=True)
    active = ma.fields.Boolean(required=True)
    version = ma.fields.Integer(required=True)
    created_at = ma.fields.DateTime(required=True)


class CouponUseSchema(ma.Schema):
    """An order that used a coupon; `released_at`: it came to nothing, and the use was given back."""

    id = ma.fields.UUID(required=True)
    order_id = ma.fields.UUID(required=True)
    order_reference = ma.fields.String(required=True)
    customer_id = ma.fields.UUID(required=True, allow_none=True)
    used_at = ma.fields.DateTime(required=True)
    released_at = ma.fields.DateTime(required=True, allow_none=True)


PromotionPageSchema = page_schema(PromotionSchema)
CouponPageSchema = page_schema(CouponSchema)
CouponUsePageSchema = page_schema(CouponUseSchema)
