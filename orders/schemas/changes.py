"""Changes of orders, the rules they follow, and saved payment methods on the wire."""

from collections.abc import Mapping
from typing import Any

import marshmallow as ma

from orders.schemas.orders import ContactSchema
from orders.schemas.places import money_field
from retail import limits
from retail.kernel.web.cursor import PageQuery, page_schema
from retail.schemas import MoneySchema
from retail.schemas.addresses import AddressSchema
from retail.schemas.texts import ChangeSchema, Line

QUANTITY = ma.validate.Range(1, limits.QUANTITY_PER_LINE)
KINDS = ("card", "wallet", "gift_card")


class LineChangeSchema(ma.Schema):
    """One line: another SKU, another number of units, or both."""

    order_line_id = ma.fields.UUID(required=True)
    sku = ma.fields.String(validate=ma.validate.Length(1, limits.SKU_CHARACTERS))
    quantity = ma.fields.Integer(strict=True, validate=QUANTITY)

    @ma.validates_schema
    def _something(self, data: Mapping[str, Any], **_: Any) -> None:
        if "sku" not in data and "quantity" not in data:
            raise ma.ValidationError("Give sku, quantity, or both")


class AdditionSchema(ma.Schema):
    """A line more."""

    sku = ma.fields.String(required=True, validate=ma.validate.Length(1, limits.SKU_CHARACTERS))
    quantity = ma.fields.Integer(required=True, strict=True, validate=QUANTITY)


class SettlementSchema(ma.Schema):
    """How a difference is paid, or where it goes back to; at most one of these. Empty: what the order costs less goes back
    to the tenders it came from."""

    payment_method_id = ma.fields.UUID(metadata={"description": "A saved method of the order's customer"})
    gift_card = ma.fields.String(validate=ma.validate.Length(1, 40), metadata={"description": "A gift card's number"})
    at_counter = ma.fields.Boolean(metadata={"description": "Paid when it is collected"})

    @ma.validates_schema
    def _one(self, data: Mapping[str, Any], **_: Any) -> None:
        if len(data) > 1:
            raise ma.ValidationError("At most one of payment_method_id, gift_card and at_counter")


class ChangeGoodsSchema(ma.Schema):
    """What is to be changed of an order's goods, all of it or nothing."""

    changes = ma.fields.List(
        ma.fields.Nested(LineChangeSchema), load_default=list, validate=ma.validate.Length(max=limits.LINES_PER_ORDER)
    )
    additions = ma.fields.List(
        ma.fields.Nested(AdditionSchema), load_default=list, validate=ma.validate.Length(max=limits.LINES_PER_ORDER)
    )
    settlement = ma.fields.Nested(SettlementSchema, load_default=dict)

    @ma.validates_schema
    def _something(self, data: Mapping[str, Any], **_: Any) -> None:
        if not data.get("changes") and not data.get("additions"):
            raise ma.ValidationError("Nothing to change")


class ChangeAddressSchema(ma.Schema):
    """Another address for what has not left."""

    ship_to = ma.fields.Nested(AddressSchema, required=True)


class ChangeContactSchema(ContactSchema, ChangeSchema):
    """Another name, email or phone of whoever is told, and collects."""


class ChangeMethodSchema(ma.Schema):
    """Another saved method of the customer for the whole order."""

    payment_method_id = ma.fields.UUID(required=True)


class OrderChangeSchema(ma.Schema):
    """One change that was made."""

    id = ma.fields.UUID(required=True)
    kind = ma.fields.String(required=True, validate=ma.validate.OneOf(["goods", "address", "contact", "payment"]))
    before = ma.fields.Dict(keys=ma.fields.String(), required=True)
    after = ma.fields.Dict(keys=ma.fields.String(), required=True)
    difference = money_field(metadata={"description": "What the order costs more; negative: less"})
    payment_method_id = ma.fields.UUID(required=True, allow_none=True)
    actor = ma.fields.String(required=True)
    at = ma.fields.DateTime(required=True)


OrderChangePageSchema = page_schema(OrderChangeSchema)


class OrderChangeQuery(PageQuery):
    """A page of an order's changes."""


class SetOrderPolicySchema(ma.Schema):
    """The shop's rules of calling off and changing orders."""

    cancel_reasons = ma.fields.List(
        Line(),
        load_default=None,
        allow_none=True,
        validate=ma.validate.Length(1, limits.REASONS_PER_POLICY),
        metadata={"description": "Null: any reason will do"},
    )
    goods_changes_most = ma.fields.Integer(
        strict=True, load_default=None, allow_none=True, validate=ma.validate.Range(0, 1000)
    )
    frozen_by_goods_change = ma.fields.Boolean(
        load_default=False,
        metadata={
            "description": "Once its goods were changed, an order is not called off or changed again, save its address"
        },
    )
    same_product_only = ma.fields.Boolean(
        load_default=False, metadata={"description": "Only for another variant of the same product"}
    )
    payment_changes_most = ma.fields.Integer(
        strict=True, load_default=None, allow_none=True, validate=ma.validate.Range(0, 1000)
    )


class OrderPolicySchema(SetOrderPolicySchema):
    """The rules as they are set; `version` 0: nobody has set any."""

    channel = ma.fields.String(required=True, metadata={"description": "A channel, or default for all others"})
    version = ma.fields.Integer(required=True)


class SavePaymentMethodSchema(ma.Schema):
    """A way to pay that a customer keeps with the shop."""

    kind = ma.fields.String(required=True, validate=ma.validate.OneOf(KINDS))
    brand = Line(least=0, load_default="")
    label = Line(least=0, load_default="", metadata={"example": "ending in 4242"})
    provider_method = ma.fields.String(
        validate=ma.validate.Length(1, 255), metadata={"description": "The provider's token of a card"}
    )
    gift_card = ma.fields.String(validate=ma.validate.Length(1, 40), metadata={"description": "A gift card's number"})
    external_reference = Line(metadata={"description": "What another system calls it, which charges it"})

    @ma.validates_schema
    def _fitting(self, data: Mapping[str, Any], **_: Any) -> None:
        if (data["kind"] == "gift_card") != ("gift_card" in data):
            raise ma.ValidationError("A gift card is named by its number, others are not", "gift_card")
        if data["kind"] != "gift_card" and "provider_method" not in data and "external_reference" not in data:
            raise ma.ValidationError("Give the provider's token, or another system's reference", "provider_method")


class PaymentMethodSchema(ma.Schema):
    """A saved way to pay; never a token or number."""

    id = ma.fields.UUID(required=True)
    kind = ma.fields.String(required=True, validate=ma.validate.OneOf(KINDS))
    brand = ma.fields.String(required=True)
    label = ma.fields.String(required=True)
    external_reference = ma.fields.String(required=True, allow_none=True)
    gift_card_id = ma.fields.UUID(required=True, allow_none=True)
    balance = ma.fields.Nested(MoneySchema, required=True, allow_none=True)
    charged_here = ma.fields.Boolean(required=True, metadata={"description": "Not by another system"})
    created_at = ma.fields.DateTime(required=True)


class PaymentMethodsSchema(ma.Schema):
    """All of a customer's payment methods, oldest first."""

    items = ma.fields.List(ma.fields.Nested(PaymentMethodSchema), required=True)
