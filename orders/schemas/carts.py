"""Carts on the wire."""

import marshmallow as ma

from orders.schemas.orders import TaxLineSchema, WishedLineSchema
from orders.schemas.places import LOCATION_CODE, LocationNameSchema, money_field
from retail import limits
from retail.schemas import MoneySchema
from retail.schemas.addresses import AddressSchema

_METHOD = ma.validate.OneOf(["pickup", "carry_out", "ship"])
_COUPON = ma.fields.String(validate=ma.validate.Length(1, limits.COUPON_CHARACTERS))
_COUPONS = ma.validate.Length(max=limits.COUPONS_PER_ORDER)
_POINTS = ma.validate.Range(0, limits.POINTS_PER_ORDER)


class CreateCartSchema(ma.Schema):
    """A new cart; everything may be set later."""

    lines = ma.fields.List(
        ma.fields.Nested(WishedLineSchema), load_default=list, validate=ma.validate.Length(max=limits.LINES_PER_ORDER)
    )
    location = ma.fields.String(load_default=None, validate=ma.validate.Length(1, 64), metadata=LOCATION_CODE)
    method = ma.fields.String(load_default="pickup", validate=_METHOD)
    ship_to = ma.fields.Nested(AddressSchema, load_default=None, allow_none=True)
    points_to_spend = ma.fields.Integer(load_default=0, strict=True, validate=_POINTS)
    coupon_codes = ma.fields.List(_COUPON, load_default=list, validate=_COUPONS)
    customer_id = ma.fields.UUID(load_default=None, metadata={"description": "Clients and staff: for whom"})


class ChangeCartSchema(ma.Schema):
    """What is named is changed."""

    location = ma.fields.String(allow_none=True, validate=ma.validate.Length(1, 64), metadata=LOCATION_CODE)
    method = ma.fields.String(validate=_METHOD)
    ship_to = ma.fields.Nested(AddressSchema, allow_none=True)
    points_to_spend = ma.fields.Integer(strict=True, validate=_POINTS)
    coupon_codes = ma.fields.List(_COUPON, validate=_COUPONS, metadata={"description": "In the place of those before"})


class AddCartLineSchema(WishedLineSchema):
    """One more line; the same SKU may stand on several."""


class ChangeCartLineSchema(ma.Schema):
    """A line's new quantity."""

    quantity = ma.fields.Integer(required=True, strict=True, validate=ma.validate.Range(1, limits.QUANTITY_PER_LINE))


class CartLineSchema(ma.Schema):
    """One line; without a price when it cannot be sold (any more)."""

    id = ma.fields.UUID(required=True)
    position = ma.fields.Integer(required=True)
    sku = ma.fields.String(required=True)
    title = ma.fields.String(required=True)
    title_ja = ma.fields.String(required=True, allow_none=True)
    quantity = ma.fields.Integer(required=True)
    sellable = ma.fields.Boolean(required=True)
    unit_price = ma.fields.Nested(MoneySchema, required=True, allow_none=True)
    discount = ma.fields.Nested(MoneySchema, required=True, allow_none=True)
    total = ma.fields.Nested(
        MoneySchema, required=True, allow_none=True, metadata={"description": "With tax, after the discount"}
    )
    tax_rate_bp = ma.fields.Integer(required=True, allow_none=True)


class CartTotalsSchema(ma.Schema):
    """What the cart costs today: subtotal + tax = total, and total - points_value = to_pay."""

    currency = ma.fields.String(required=True)
    tax_inclusive = ma.fields.Boolean(required=True)
    discount = money_field(metadata={"description": "What promotions take off; the total is after it"})
    subtotal = money_field(metadata={"description": "Without tax"})
    tax = money_field()
    total = money_field()
    shipping = money_field(metadata={"description": "What sending it costs, in the total already"})
    points_value = money_field(metadata={"description": "What points_to_spend pay, at most the total"})
    to_pay = money_field()
    tax_lines = ma.fields.List(ma.fields.Nested(TaxLineSchema), required=True)


class CartSchema(ma.Schema):
    """A cart with today's prices at its store's tax."""

    id = ma.fields.UUID(required=True)
    state = ma.fields.String(required=True, metadata={"description": "open, placed or abandoned"})
    version = ma.fields.Integer(required=True)
    channel = ma.fields.String(required=True)
    customer_id = ma.fields.UUID(required=True, allow_none=True)
    location = ma.fields.Nested(LocationNameSchema, required=True, allow_none=True)
    method = ma.fields.String(required=True)
    ship_to = ma.fields.Dict(keys=ma.fields.String(), required=True, allow_none=True)
    points_to_spend = ma.fields.Integer(required=True)
    coupon_codes = ma.fields.List(ma.fields.String(), required=True)
    order_id = ma.fields.UUID(required=True, allow_none=True)
    created_at = ma.fields.DateTime(required=True)
    updated_at = ma.fields.DateTime(required=True)
    sellable = ma.fields.Boolean(required=True, metadata={"description": "Whether every line can be sold"})
    not_sent = ma.fields.String(
        required=True, allow_none=True, metadata={"description": "Why it cannot be sent to its address"}
    )
    lines = ma.fields.List(ma.fields.Nested(CartLineSchema), required=True)
    totals = ma.fields.Nested(CartTotalsSchema, required=True, allow_none=True)
    discounts = ma.fields.List(
        ma.fields.Dict(keys=ma.fields.String()),
        required=True,
        metadata={
            "description": "Which promotions apply and why, why others (and which coupons) do not, and whether her tier ships free"
        },
    )


class HoldCartSchema(ma.Schema):
    """For how long; the body may be left out."""

    seconds = ma.fields.Integer(
        load_default=limits.HOLD_SECONDS, strict=True, validate=ma.validate.Range(1, limits.HOLD_SECONDS_LONGEST)
    )


class CartHoldSchema(ma.Schema):
    """Stock put aside for a cart."""

    cart_id = ma.fields.UUID(required=True)
    expires_at = ma.fields.DateTime(required=True)
