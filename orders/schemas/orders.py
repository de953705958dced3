"""Orders on the wire."""

from collections.abc import Mapping
from typing import Any

import marshmallow as ma

from orders.fulfillment import STATUSES
from orders.schemas.places import LOCATION_CODE, LocationNameSchema, money_field
from orders.tenders import AT_THE_TILL
from retail import limits
from retail.kernel.money import MAX_MINOR
from retail.kernel.web.cursor import PageQuery
from retail.schemas.addresses import AddressSchema
from retail.schemas.texts import Line, Text


class WishedLineSchema(ma.Schema):
    """One line to buy."""

    sku = ma.fields.String(required=True, validate=ma.validate.Length(1, limits.SKU_CHARACTERS))
    quantity = ma.fields.Integer(required=True, strict=True, validate=ma.validate.Range(1, limits.QUANTITY_PER_LINE))


class ContactSchema(ma.Schema):
    """Who is told about the order."""

    name = Line(least=0, allow_none=True)
    email = ma.fields.String(allow_none=True, validate=ma.validate.Length(max=limits.IDENTITY_CHARACTERS))
    phone = ma.fields.String(allow_none=True, validate=ma.validate.Length(max=limits.IDENTITY_CHARACTERS))


class PayOrderSchema(ma.Schema):
    """How the part that points do not pay is paid."""

    method = ma.fields.String(
        required=True, validate=ma.validate.OneOf(["card", "pay_at_pickup", "cash", "card_terminal"])
    )
    payment_method = ma.fields.String(
        load_default=None,
        validate=ma.validate.Length(1, 255),
        metadata={"description": "The provider's payment method, for cards", "example": "pm_card_visa"},
    )


class TakenSchema(ma.Schema):
    """What the till took by one tender, minor units of the order's currency."""

    method = ma.fields.String(required=True, validate=ma.validate.OneOf(AT_THE_TILL))
    amount_minor = ma.fields.Integer(required=True, strict=True, validate=ma.validate.Range(1, MAX_MINOR))


class PlaceOrderSchema(ma.Schema):
    """Either `cart_id` or `lines`. What is given here goes before what the cart says."""

    cart_id = ma.fields.UUID()
    lines = ma.fields.List(ma.fields.Nested(WishedLineSchema), validate=ma.validate.Length(1, limits.LINES_PER_ORDER))
    method = ma.fields.String(
        validate=ma.validate.OneOf(["pickup", "carry_out", "ship"]),
        metadata={
            "description": "carry_out: sold at the till of that store, paid and handed over at once; ship: sent to ship_to"
        },
    )
    location = ma.fields.String(validate=ma.validate.Length(1, 64), metadata=LOCATION_CODE)
    ship_to = ma.fields.Nested(AddressSchema, metadata={"description": "ship: where it is sent"})
    slot_at = ma.fields.AwareDateTime(
        metadata={
            "description": "pickup: when the slot begins in which it is fetched (/locations/{location}/pickup-slots)"
        }
    )
    split = ma.fields.Boolean(
        metadata={"description": "pickup: what the store lacks may come to it from other locations, later"}
    )
    payment = ma.fields.Nested(
        PayOrderSchema, metadata={"description": "Not needed when points and gift cards pay everything"}
    )
    payments = ma.fields.List(
        ma.fields.Nested(TakenSchema),
        validate=ma.validate.Length(1, limits.PAYMENTS_PER_ORDER),
        metadata={"description": "carry_out alone: several tenders in the place of `payment`; they add up to the rest"},
    )
    gift_cards = ma.fields.List(
        ma.fields.String(validate=ma.validate.Length(1, 40)),
        validate=ma.validate.Length(1, limits.PAYMENTS_PER_ORDER),
        metadata={"description": "Numbers; used in their order, after points, as far as they go"},
    )
    points_to_spend = ma.fields.Integer(
        strict=True,
        validate=ma.validate.Range(0, limits.POINTS_PER_ORDER),
        metadata={"description": "At most the total is paid with points"},
    )
    points_proof = ma.fields.String(
        validate=ma.validate.Length(1, limits.SPEND_PROOF_CHARACTERS),
        metadata={
            "description": "`spend_proof` of the look-up; needed to spend points by who is neither the customer nor may `points.spend_for`"
        },
    )
    coupon_codes = ma.fields.List(
        ma.fields.String(validate=ma.validate.Length(1, limits.COUPON_CHARACTERS)),
        validate=ma.validate.Length(max=limits.COUPONS_PER_ORDER),
        metadata={"description": "In any spelling; `discounts` of the answer tells which count, and why others do not"},
    )
    till = ma.fields.String(
        validate=ma.validate.Length(1, limits.TILL_CODE_CHARACTERS),
        metadata={"description": "carry_out alone: the register that sells; cash goes into its open drawer"},
    )
    customer_id = ma.fields.UUID(metadata={"description": "Clients and staff: for whom; absent for a guest"})
    contact = ma.fields.Nested(ContactSchema)

    @ma.validates_schema
    def one_source(self, data: Mapping[str, Any], **_: Any) -> None:
        """Raises:
        ValidationError: neither or both of cart_id and lines.
        """
        if ("cart_id" in data) == ("lines" in data):
            raise ma.ValidationError("Give exactly one of cart_id and lines", "lines")
        if "payment" in data and "payments" in data:
            raise ma.ValidationError("Give one of payment and payments", "payments")


class TaxLineSchema(ma.Schema):
    """The tax of one rate, rounded once over the whole order."""

    rate_bp = ma.fields.Integer(required=True, metadata={"description": "Basis points: 1000 is 10 %"})
    taxable = money_field(metadata={"description": "Without tax"})
    tax = money_field()


class OrderLineSchema(ma.Schema):
    """A SKU at the price it was sold for."""

    id = ma.fields.UUID(required=True)
    position = ma.fields.Integer(required=True)
    kind = ma.fields.String(required=True, validate=ma.validate.OneOf(["goods", "shipping", "gift_card"]))
    sku = ma.fields.String(required=True)
    title = ma.fields.String(required=True)
    quantity = ma.fields.Integer(required=True)
    unit_price = money_field()
    discount = money_field(metadata={"description": "What promotions took off the line; `total` is after it"})
    total = money_field(metadata={"description": "The line with tax, of the whole quantity"})
    tax_rate_bp = ma.fields.Integer(required=True)
    cancelled_quantity = ma.fields.Integer(
        required=True, metadata={"description": "Units that never went to the customer, and are not paid for"}
    )
    refunded_quantity = ma.fields.Integer(required=True, metadata={"description": "Units that came back"})
    substitute_for = ma.fields.UUID(required=True, allow_none=True)


class GiftCardHintSchema(ma.Schema):
    """Which gift card paid; never its number."""

    id = ma.fields.UUID(required=True)
    hint = ma.fields.String(required=True, metadata={"description": "The last characters of its number"})
    kind = ma.fields.String(required=True, validate=ma.validate.OneOf(["gift_card", "store_credit"]))


class OrderPaymentSchema(ma.Schema):
    """One tender's part of the total."""

    id = ma.fields.UUID(required=True)
    tender = ma.fields.String(required=True)
    state = ma.fields.String(required=True)
    amount = money_field()
    captured = money_field()
    refunded = money_field()
    released = money_field(metadata={"description": "Given up before it was captured"})
    points = ma.fields.Integer(required=True, allow_none=True)
    gift_card = ma.fields.Nested(GiftCardHintSchema, required=True, allow_none=True)
    payment_method_id = ma.fields.UUID(required=True, allow_none=True)
    provider_id = ma.fields.String(required=True, allow_none=True)
    capture_before = ma.fields.DateTime(required=True, allow_none=True)
    failure_code = ma.fields.String(required=True, allow_none=True)
    client_secret = ma.fields.String(
        metadata={
            "description": "Only when the customer must authenticate (requires_action): for the provider's own page"
        }
    )


class FulfillmentLineSchema(ma.Schema):
    """Units of an order line that this fulfillment carries, and what became of them."""

    order_line_id = ma.fields.UUID(required=True)
    quantity = ma.fields.Integer(required=True)
    picked = ma.fields.Integer(required=True)
    collected = ma.fields.Integer(required=True)
    short = ma.fields.Integer(required=True)
    cancelled = ma.fields.Integer(required=True)


class FulfillmentSchema(ma.Schema):
    """Goods that leave one location by one method. The id is the pickup's."""

    id = ma.fields.UUID(required=True)
    method = ma.fields.String(required=True)
    state = ma.fields.String(required=True)
    location = ma.fields.Nested(LocationNameSchema, required=True)
    source = ma.fields.Nested(
        LocationNameSchema,
        required=True,
        allow_none=True,
        metadata={"description": "Of ship_to_store: where the goods come from"},
    )
    ready_by = ma.fields.DateTime(required=True, allow_none=True)
    slot_at = ma.fields.DateTime(required=True, allow_none=True)
    ready_at = ma.fields.DateTime(required=True, allow_none=True)
    collect_by = ma.fields.DateTime(required=True, allow_none=True)
    collected_at = ma.fields.DateTime(required=True, allow_none=True)
    collected_proof = ma.fields.String(required=True, allow_none=True)
    packed_at = ma.fields.DateTime(required=True, allow_none=True)
    shipped_at = ma.fields.DateTime(required=True, allow_none=True)
    arrived_at = ma.fields.DateTime(required=True, allow_none=True)
    delivered_at = ma.fields.DateTime(required=True, allow_none=True)
    version = ma.fields.Integer(required=True)
    lines = ma.fields.List(ma.fields.Nested(FulfillmentLineSchema), required=True)


class RefundLineSchema(ma.Schema):
    """Units that a refund pays for."""

    order_line_id = ma.fields.UUID(required=True)
    quantity = ma.fields.Integer(required=True)
    amount = money_field()


class OrderRefundSchema(ma.Schema):
    """Money and points going back."""

    id = ma.fields.UUID(required=True)
    amount = money_field()
    points = ma.fields.Integer(required=True)
    state = ma.fields.String(required=True)
    reason = ma.fields.String(required=True)
    destination = ma.fields.String(
        required=True, validate=ma.validate.OneOf(["original", "gift_card", "payment_method"])
    )
    gift_card_id = ma.fields.UUID(required=True, allow_none=True)
    payment_method_id = ma.fields.UUID(required=True, allow_none=True)
    return_id = ma.fields.UUID(required=True, allow_none=True)
    lines = ma.fields.List(ma.fields.Nested(RefundLineSchema), required=True)
    created_at = ma.fields.DateTime(required=True)


class OrderContactSchema(ma.Schema):
    """Who is told about the order."""

    name = ma.fields.String(required=True)
    email = ma.fields.String(required=True, allow_none=True)
    phone = ma.fields.String(required=True, allow_none=True)


class OrderSchema(ma.Schema):
    """One purchase, whole. `status` is derived from payments and fulfillments: ready never reads as completed."""

    id = ma.fields.UUID(required=True)
    reference = ma.fields.String(required=True, metadata={"example": "R-7K2M9-QW4XK"})
    status = ma.fields.String(required=True, validate=ma.validate.OneOf(STATUSES))
    kind = ma.fields.String(required=True, metadata={"description": "live, or history: imported for the record"})
    channel = ma.fields.String(required=True)
    customer_id = ma.fields.UUID(required=True, allow_none=True)
    currency = ma.fields.String(required=True)
    tax_inclusive = ma.fields.Boolean(required=True)
    subtotal = money_field(metadata={"description": "Without tax"})
    tax = money_field()
    total = money_field()
    tax_lines = ma.fields.List(ma.fields.Nested(TaxLineSchema), required=True)
    discount = money_field(metadata={"description": "What promotions took off; the total is after it"})
    discounts = ma.fields.List(
        ma.fields.Dict(keys=ma.fields.String()),
        required=True,
        metadata={
            "description": "Which promotions applied and why, which coupons did not, and whether her tier ships free"
        },
    )
    coupon_codes = ma.fields.List(ma.fields.String(), required=True)
    ship_to = ma.fields.Dict(
        keys=ma.fields.String(), required=True, allow_none=True, metadata={"description": "Where shipped lines go"}
    )
    changes = ma.fields.Integer(required=True, metadata={"description": "How often its goods were changed"})
    contact = ma.fields.Nested(OrderContactSchema, required=True)
    locale = ma.fields.String(required=True)
    external_reference = ma.fields.String(required=True, allow_none=True)
    placed_at = ma.fields.DateTime(required=True)
    confirmed_at = ma.fields.DateTime(required=True, allow_none=True)
    cancelled_at = ma.fields.DateTime(required=True, allow_none=True)
    cancel_reason = ma.fields.String(required=True, allow_none=True)
    version = ma.fields.Integer(required=True)
    lines = ma.fields.List(ma.fields.Nested(OrderLineSchema), required=True)
    payments = ma.fields.List(ma.fields.Nested(OrderPaymentSchema), required=True)
    fulfillments = ma.fields.List(ma.fields.Nested(FulfillmentSchema), required=True)
    refunds = ma.fields.List(ma.fields.Nested(OrderRefundSchema), required=True)

    def dump(self, obj: Any, *, many: bool | None = None) -> Any:
        """The order as it is: ids and moments become text when the JSON is written (kernel.web.api.dump).

        Placing is the hot path, and marshmallow would spend more on this answer than the rest of Python does. A test
        compares the JSON with what marshmallow would have made of it.
        """
        if self.many if many is None else many:
            return [self.dump(one, many=False) for one in obj]
        return {name: obj[name] for name in self.dump_fields}


class OrderQuery(PageQuery):
    """Filters of the list of orders; they are combined."""

    customer_id = ma.fields.UUID()
    status = ma.fields.String(validate=ma.validate.OneOf(STATUSES))
    placed_from = ma.fields.AwareDateTime(format="iso", metadata={"description": "Inclusive; with a zone"})
    placed_to = ma.fields.AwareDateTime(format="iso", metadata={"description": "Exclusive; with a zone"})
    q = ma.fields.String(
        validate=ma.validate.Length(1, limits.IDENTITY_CHARACTERS),
        metadata={"description": "A reference in any spelling, a phone number, an email, a SKU, or how a name begins"},
    )


class TimelineQuery(PageQuery):
    """A page of an order's events."""


class TimelineStepSchema(ma.Schema):
    """One thing that happened."""

    seq = ma.fields.Integer(required=True)
    type = ma.fields.String(required=True, metadata={"example": "PickupReady"})
    at = ma.fields.DateTime(required=True)
    actor = ma.fields.String(required=True)
    data = ma.fields.Dict(keys=ma.fields.String(), required=True)


class ReceiptClaimSchema(ma.Schema):
    """What stands on the receipt of a purchase that was made as a guest."""

    reference = ma.fields.String(
        required=True, validate=ma.validate.Length(1, 64), metadata={"example": "R-7K2M9-QW4XK"}
    )
    receipt_code = ma.fields.String(
        required=True,
        validate=ma.validate.Length(1, 64),
        metadata={"description": "Case, spaces and hyphens do not matter", "example": "K7M2-QXAB-CDEF"},
    )


class GiveOrderSchema(ma.Schema):
    """Whose a guest's order is, and how one knows."""

    customer = ma.fields.String(
        required=True, validate=ma.validate.Length(1, 64), metadata={"description": "Id or reference"}
    )
    note = Text(
        required=True,
        least=1,
        most=limits.CLAIM_NOTE_CHARACTERS,
        metadata={"description": "Kept with the order's history; the customer does not see it"},
    )


class ClaimedOrdersSchema(ma.Schema):
    """What was taken over now; what is yours already is not named again."""

    references = ma.fields.List(ma.fields.String(), required=True)
