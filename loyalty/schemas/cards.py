"""A member's card as JSON, and the member as a till sees her."""

from collections.abc import Mapping
from typing import Any

import marshmallow as ma

from retail import limits

STATES = ("active", "blocked")
ASSURANCES = ("present", "observed", "attested", "verified")


class TokenSchema(ma.Schema):
    """What the QR code holds. It counts for one look-up."""

    value = ma.fields.String(required=True)
    renew_at = ma.fields.AwareDateTime(required=True, metadata={"description": "Ask for the next one then"})
    expires_at = ma.fields.AwareDateTime(required=True, metadata={"description": "No till takes it from then on"})


class CardSchema(ma.Schema):
    """A member's card. What is on it is not a balance."""

    number = ma.fields.String(required=True, metadata={"example": "2900000000001"})
    symbology = ma.fields.String(required=True, metadata={"description": "Of the number as bars", "example": "ean13"})
    token = ma.fields.Nested(TokenSchema, required=True)
    barcode_svg = ma.fields.String(required=True, metadata={"description": "Where the number is drawn"})
    qr_svg = ma.fields.String(required=True, metadata={"description": "Where the present token is drawn"})


def _named(what: str) -> ma.fields.String:
    bounds = ma.validate.Length(1, limits.IDENTITY_CHARACTERS)
    return ma.fields.String(validate=bounds, metadata={"description": what})


class LookUpMemberSchema(ma.Schema):
    """Exactly one of them."""

    token = _named("What the QR code of her card holds; used up by this")
    card = _named("The number of her card")
    phone = _named("As dialed here, or with its country code")
    email = _named("In any spelling")

    @ma.validates_schema
    def _one(self, data: Mapping[str, Any], **_: Any) -> None:
        if len(data) != 1:
            raise ma.ValidationError("Give exactly one of token, card, phone and email.")


class MemberTierSchema(ma.Schema):
    """The tier she is in."""

    code = ma.fields.String(required=True)
    name = ma.fields.String(required=True)
    name_ja = ma.fields.String(required=True, allow_none=True)


class MemberSchema(ma.Schema):
    """A member as a till may see her, and what she may do there."""

    customer_id = ma.fields.UUID(required=True)
    reference = ma.fields.String(required=True)
    name = ma.fields.String(required=True, metadata={"description": "Whole when she showed a token; else masked"})
    name_masked = ma.fields.Boolean(required=True)
    assurance = ma.fields.String(required=True, validate=ma.validate.OneOf(ASSURANCES))
    state = ma.fields.String(required=True, validate=ma.validate.OneOf(STATES))
    tier = ma.fields.Nested(MemberTierSchema, required=True, allow_none=True)
    points = ma.fields.Integer(
        required=True, allow_none=True, metadata={"description": "Can be spent now; null when she is not known surely"}
    )
    may_earn = ma.fields.Boolean(required=True)
    may_spend = ma.fields.Boolean(required=True)
    spend_proof = ma.fields.String(
        required=True,
        allow_none=True,
        metadata={
            "description": "Given when she may spend: `points_proof` of the order that this caller places for her"
        },
    )
