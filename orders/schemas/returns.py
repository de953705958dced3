"""Returns, exchanges and their policies on the wire."""

from collections.abc import Mapping
from typing import Any

import marshmallow as ma

from orders.return_policies import CONDITIONS, DESTINATIONS
from orders.returning.rules import TRANSITIONS
from orders.schemas.places import LOCATION_CODE, money_field
from orders.tenders import AT_THE_TILL
from retail import limits
from retail.kernel.web.cursor import PageQuery, page_schema
from retail.schemas import MoneySchema
from retail.schemas.texts import Line

UNITS = ma.validate.Range(1, limits.QUANTITY_PER_LINE)
LINES = ma.validate.Length(1, limits.LINES_PER_ORDER)


class ReturnedLineSchema(ma.Schema):
    """Units of an order line that are to come back."""

    order_line_id = ma.fields.UUID(required=True)
    quantity = ma.fields.Integer(required=True, strict=True, validate=UNITS)
    reason = Line(least=0, load_default="", metadata={"example": "too small"})
    condition = ma.fields.String(load_default=None, allow_none=True, validate=ma.validate.OneOf(CONDITIONS))


class AskReturnSchema(ma.Schema):
    """What is to come back, and where the money goes; at most one of payment_method_id, gift_card and refund_to."""

    order = ma.fields.String(validate=ma.validate.Length(1, 64), metadata={"description": "Reference or id"})
    gift_receipt = ma.fields.String(
        validate=ma.validate.Length(1, 64),
        metadata={"description": "In the place of `order`: a gift receipt's reference or token; paid as store credit"},
    )
    lines = ma.fields.List(ma.fields.Nested(ReturnedLineSchema), required=True, validate=LINES)
    refund_to = ma.fields.String(validate=ma.validate.OneOf([name for name in DESTINATIONS if name != "gift_card"]))
    payment_method_id = ma.fields.UUID(
        metadata={"description": "A saved method: her gift card, or one that the order was paid with"}
    )
    gift_card = ma.fields.String(validate=ma.validate.Length(1, 40), metadata={"description": "A gift card's number"})
    reason = Line(least=0, load_default="")

    @ma.validates_schema
    def _one(self, data: Mapping[str, Any], **_: Any) -> None:
        if sum(name in data for name in ("refund_to", "payment_method_id", "gift_card")) > 1:
            raise ma.ValidationError("At most one of refund_to, payment_method_id and gift_card")
        if ("order" in data) == ("gift_receipt" in data):
            raise ma.ValidationError("Give exactly one of order and gift_receipt", "order")


class ExchangedLineSchema(ReturnedLineSchema):
    """Units of an order line, and what is wanted for them."""

    new_sku = ma.fields.String(required=True, validate=ma.validate.Length(1, limits.SKU_CHARACTERS))


class AskExchangeSchema(AskReturnSchema):
    """What is to come back, what is wanted for it, and how a difference is settled."""

    lines = ma.fields.List(ma.fields.Nested(ExchangedLineSchema), required=True, validate=LINES)
    location = ma.fields.String(
        validate=ma.validate.Length(1, 64),
        metadata=LOCATION_CODE
        | {"description": "Where the new goods are taken from; else where the old ones came from"},
    )

    @ma.validates_schema
    def _by_order(self, data: Mapping[str, Any], **_: Any) -> None:
        if "gift_receipt" in data:
            raise ma.ValidationError("A gift receipt gives store credit, to choose with", "gift_receipt")


class CloseReturnSchema(ma.Schema):
    """Why."""

    reason = Line(required=True, metadata={"example": "worn"})


class ReceivedLineSchema(ma.Schema):
    """What was in the parcel."""

    return_line_id = ma.fields.UUID(required=True)
    quantity = ma.fields.Integer(required=True, strict=True, validate=ma.validate.Range(0, limits.QUANTITY_PER_LINE))


class ReceiveReturnSchema(ma.Schema):
    """Where the goods are now. Without `lines`: all of them."""

    location = ma.fields.String(required=True, validate=ma.validate.Length(1, 64), metadata=LOCATION_CODE)
    lines = ma.fields.List(ma.fields.Nested(ReceivedLineSchema), validate=LINES)


class OutcomeSchema(ma.Schema):
    """Units of one condition."""

    condition = ma.fields.String(required=True, validate=ma.validate.OneOf(CONDITIONS))
    quantity = ma.fields.Integer(required=True, strict=True, validate=UNITS)


class InspectedLineSchema(ma.Schema):
    """What was found of one line."""

    return_line_id = ma.fields.UUID(required=True)
    outcomes = ma.fields.List(ma.fields.Nested(OutcomeSchema), required=True, validate=ma.validate.Length(0, 10))


class InspectReturnSchema(ma.Schema):
    """What was found of everything received."""

    lines = ma.fields.List(ma.fields.Nested(InspectedLineSchema), required=True, validate=LINES)
    over_the_counter = ma.fields.Boolean(
        load_default=False, metadata={"description": "Of an exchange: the customer takes the new goods along"}
    )
    tender = ma.fields.String(
        load_default=None,
        allow_none=True,
        validate=ma.validate.OneOf(AT_THE_TILL),
        metadata={"description": "Of an exchange: what the counter took for the difference"},
    )


class NewGoodsSchema(ma.Schema):
    """What is wanted in exchange."""

    sku = ma.fields.String(required=True)
    title = ma.fields.String(required=True)
    quantity = ma.fields.Integer(required=True)
    unit_price = money_field()
    total = money_field()
    order_line_id = ma.fields.UUID(required=True)


class ReturnLineSchema(ma.Schema):
    """One line of a return, and what became of it."""

    id = ma.fields.UUID(required=True)
    order_line_id = ma.fields.UUID(required=True)
    position = ma.fields.Integer(required=True)
    sku = ma.fields.String(required=True)
    title = ma.fields.String(required=True)
    quantity = ma.fields.Integer(required=True)
    amount = money_field(
        allow_none=True,
        metadata={"description": "What the units are worth, discounts taken off; null to who holds a gift receipt"},
    )
    reason = ma.fields.String(required=True)
    condition = ma.fields.String(required=True, allow_none=True)
    received_quantity = ma.fields.Integer(required=True)
    accepted_quantity = ma.fields.Integer(required=True)
    outcomes = ma.fields.Dict(keys=ma.fields.String(), values=ma.fields.Integer(), required=True)
    exchange = ma.fields.Nested(NewGoodsSchema, required=True, allow_none=True)


class ReturnSchema(ma.Schema):
    """A return or exchange, whole. `findings` is what the policy said of each line when it was asked for."""

    id = ma.fields.UUID(required=True)
    reference = ma.fields.String(required=True, metadata={"example": "B-7K2M9-QW4XK"})
    purpose = ma.fields.String(required=True, validate=ma.validate.OneOf(["refund", "exchange"]))
    state = ma.fields.String(required=True, validate=ma.validate.OneOf(list(TRANSITIONS)))
    order_id = ma.fields.UUID(
        required=True, allow_none=True, metadata={"description": "Null to who holds a gift receipt"}
    )
    order_reference = ma.fields.String(required=True, allow_none=True)
    customer_id = ma.fields.UUID(required=True, allow_none=True)
    channel = ma.fields.String(required=True)
    location = ma.fields.String(required=True, allow_none=True)
    amount = money_field(
        allow_none=True,
        metadata={
            "description": "What the goods are worth; once it is closed, what went back. To who holds a gift receipt only that"
        },
    )
    fee = money_field(allow_none=True, metadata={"description": "What was kept; null to who holds a gift receipt"})
    difference = ma.fields.Nested(MoneySchema, required=True, allow_none=True)
    refund_to = ma.fields.String(required=True, validate=ma.validate.OneOf(DESTINATIONS))
    gift_card_id = ma.fields.UUID(required=True, allow_none=True)
    payment_method_id = ma.fields.UUID(required=True, allow_none=True)
    refund_id = ma.fields.UUID(required=True, allow_none=True)
    store_credit_id = ma.fields.UUID(
        required=True, allow_none=True, metadata={"description": "The card that the money went onto"}
    )
    gift_receipt = ma.fields.String(required=True, allow_none=True)
    reason = ma.fields.String(required=True)
    findings = ma.fields.List(ma.fields.Dict(keys=ma.fields.String()), required=True)
    requested_by = ma.fields.String(required=True)
    requested_at = ma.fields.DateTime(required=True)
    decided_at = ma.fields.DateTime(required=True, allow_none=True)
    received_at = ma.fields.DateTime(required=True, allow_none=True)
    inspected_at = ma.fields.DateTime(required=True, allow_none=True)
    closed_at = ma.fields.DateTime(required=True, allow_none=True)
    close_reason = ma.fields.String(required=True, allow_none=True)
    version = ma.fields.Integer(required=True)
    lines = ma.fields.List(ma.fields.Nested(ReturnLineSchema), required=True)


ReturnPageSchema = page_schema(ReturnSchema)


class ReturnQuery(PageQuery):
    """Filters of the list of returns; they are combined."""

    order = ma.fields.String(load_default=None, validate=ma.validate.Length(1, 64))
    state = ma.fields.List(
        ma.fields.String(validate=ma.validate.OneOf(list(TRANSITIONS))),
        load_default=list,
        metadata={"description": "May be repeated"},
    )


class ReturnabilityQuery(ma.Schema):
    """When."""

    at = ma.fields.AwareDateTime(format="iso", load_default=None, metadata={"description": "Now, if left out"})


class GiftReceiptLineSchema(ma.Schema):
    """Goods on a gift receipt. No price."""

    order_line_id = ma.fields.UUID(required=True)
    sku = ma.fields.String(required=True)
    title = ma.fields.String(required=True)
    quantity = ma.fields.Integer(required=True)
    returnable = ma.fields.Integer(required=True)
    until = ma.fields.DateTime(required=True, allow_none=True)
    why_not = ma.fields.String(required=True, allow_none=True)


class GiftReceiptSchema(ma.Schema):
    """What the holder of a gift receipt may know."""

    reference = ma.fields.String(required=True, metadata={"example": "G-7K2M9-QW4XK"})
    qr_svg = ma.fields.String(required=True, metadata={"description": "The reference as a QR code, an <svg> element"})
    lines = ma.fields.List(ma.fields.Nested(GiftReceiptLineSchema), required=True)


class NewGiftReceiptSchema(GiftReceiptSchema):
    """A gift receipt for the buyer to hand on."""

    token = ma.fields.String(required=True)
    path = ma.fields.String(required=True, metadata={"description": "Of the page that its holder may open"})


class FindingSchema(ma.Schema):
    """What the policy says of one line."""

    order_line_id = ma.fields.String(required=True)
    sku = ma.fields.String(required=True)
    title = ma.fields.String(required=True)
    returnable = ma.fields.Integer(required=True, metadata={"description": "Units that may come back"})
    until = ma.fields.String(required=True, allow_none=True)
    why_not = ma.fields.String(required=True, allow_none=True, metadata={"example": "window_over"})
    rule = ma.fields.String(required=True, metadata={"description": "Which policy says so", "example": "category Tea"})
    window_days = ma.fields.Integer(required=True, allow_none=True)
    conditions = ma.fields.List(ma.fields.String(), required=True)
    destinations = ma.fields.List(ma.fields.String(), required=True)
    restocking_fee_bp = ma.fields.Integer(required=True)
    exchange_allowed = ma.fields.Boolean(required=True)


class ReturnabilitySchema(ma.Schema):
    """What may come back of an order, and why not more."""

    order_id = ma.fields.UUID(required=True)
    at = ma.fields.DateTime(required=True)
    lines = ma.fields.List(ma.fields.Nested(FindingSchema), required=True)


class SetReturnPolicySchema(ma.Schema):
    """What may come back, until when and for what; the same for every channel."""

    window_days = ma.fields.Integer(
        required=True, allow_none=True, strict=True, validate=ma.validate.Range(0, 36_500), metadata={"example": 30}
    )
    conditions = ma.fields.List(
        ma.fields.String(validate=ma.validate.OneOf(CONDITIONS)),
        load_default=lambda: ["sellable", "opened", "damaged"],
        metadata={"description": "Those that are paid back"},
    )
    destinations = ma.fields.List(
        ma.fields.String(validate=ma.validate.OneOf(DESTINATIONS)),
        load_default=lambda: list(DESTINATIONS),
        validate=ma.validate.Length(1),
    )
    restocking_fee_bp = ma.fields.Integer(load_default=0, strict=True, validate=ma.validate.Range(0, 10_000))
    final_sale = ma.fields.Boolean(load_default=False)
    exchange_allowed = ma.fields.Boolean(load_default=True)
    same_product_only = ma.fields.Boolean(load_default=False)
    requests_per_order = ma.fields.Integer(
        load_default=None, allow_none=True, strict=True, validate=ma.validate.Range(0, 1000)
    )
    approval = ma.fields.String(load_default="automatic", validate=ma.validate.OneOf(["automatic", "by_hand"]))


class ReturnPolicySchema(SetReturnPolicySchema):
    """A scope's policy; `version` 0: none is set there, this is what holds by default."""

    scope = ma.fields.String(required=True, validate=ma.validate.OneOf(["company", "category", "sku"]))
    scope_key = ma.fields.String(required=True)
    version = ma.fields.Integer(required=True)
