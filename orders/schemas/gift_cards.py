"""Gift cards and store credit on the wire."""

import marshmallow as ma

from orders.schemas.places import money_field
from retail import limits
from retail.schemas import MoneySchema
from retail.schemas.texts import Line

KINDS = ("gift_card", "store_credit")


class IssueGiftCardSchema(ma.Schema):
    """A new card with money on it."""

    amount = ma.fields.Nested(MoneySchema, required=True)
    kind = ma.fields.String(load_default="gift_card", validate=ma.validate.OneOf(KINDS))
    customer = ma.fields.String(
        validate=ma.validate.Length(1, 64),
        metadata={"description": "Whose it is: reference or id; store credit needs one"},
    )
    expires_at = ma.fields.AwareDateTime(format="iso", load_default=None, allow_none=True)
    reason = Line(least=0, load_default="")


class GiftCardSchema(ma.Schema):
    """A card as lists show it; never its number."""

    id = ma.fields.UUID(required=True)
    kind = ma.fields.String(required=True, validate=ma.validate.OneOf(KINDS))
    hint = ma.fields.String(required=True, metadata={"description": "The last characters of its number"})
    customer_id = ma.fields.UUID(required=True, allow_none=True)
    balance = money_field()
    state = ma.fields.String(required=True, validate=ma.validate.OneOf(["active", "blocked"]))
    expires_at = ma.fields.DateTime(required=True, allow_none=True)
    version = ma.fields.Integer(required=True)
    created_at = ma.fields.DateTime(required=True)


class GiftCardsSchema(ma.Schema):
    """All of a customer's cards, oldest first."""

    items = ma.fields.List(ma.fields.Nested(GiftCardSchema), required=True)


class GiftCardEntrySchema(ma.Schema):
    """One change of a balance, signed."""

    id = ma.fields.UUID(required=True)
    kind = ma.fields.String(required=True, validate=ma.validate.OneOf(["issue", "spend", "refund", "adjust"]))
    amount = money_field()
    order_reference = ma.fields.String(required=True, allow_none=True)
    reason = ma.fields.String(required=True)
    actor = ma.fields.String(required=True)
    at = ma.fields.DateTime(required=True)


class GiftCardLedgerSchema(GiftCardSchema):
    """A card with its newest hundred changes."""

    entries = ma.fields.List(ma.fields.Nested(GiftCardEntrySchema), required=True)


class GiftCardNumberSchema(ma.Schema):
    """A card's number, to hand over or to pay with."""

    number = ma.fields.String(required=True, metadata={"example": "7K2M-9QW4-XKAB-C3DE"})


class AskGiftCardBalanceSchema(ma.Schema):
    """The number, in any spelling; in the body, so that it stands in no log."""

    number = ma.fields.String(required=True, validate=ma.validate.Length(1, 40))


class GiftCardBalanceSchema(ma.Schema):
    """What is on a card."""

    balance = money_field()
    state = ma.fields.String(required=True, validate=ma.validate.OneOf(["active", "blocked"]))
    expires_at = ma.fields.DateTime(required=True, allow_none=True)
    hint = ma.fields.String(required=True)


class AdjustGiftCardSchema(ma.Schema):
    """By how much, and why."""

    amount_minor = ma.fields.Integer(
        required=True,
        strict=True,
        validate=ma.validate.And(
            ma.validate.Range(-limits.GIFT_CARD_MINOR, limits.GIFT_CARD_MINOR), ma.validate.NoneOf([0])
        ),
        metadata={"description": "Signed, minor units of the card's currency"},
    )
    reason = Line(required=True)


class BlockGiftCardSchema(ma.Schema):
    """Whether anybody may pay with it."""

    state = ma.fields.String(required=True, validate=ma.validate.OneOf(["active", "blocked"]))
