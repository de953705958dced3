"""Referrals as JSON."""

import marshmallow as ma

from loyalty.referrals import PENDING, REFUSED, REWARDED
from retail import limits
from retail.schemas.texts import Line


class UseCodeSchema(ma.Schema):
    """The code of the member by whom the caller was brought."""

    code = Line(
        required=True,
        most=limits.COUPON_CHARACTERS,
        metadata={"description": "Case, width, spaces and hyphens do not matter"},
    )


class RewardSchema(ma.Schema):
    """What the rule of now promises after the first order of whoever is brought."""

    points = ma.fields.Integer(required=True, metadata={"description": "To the member brought"})
    referrer_points = ma.fields.Integer(required=True, metadata={"description": "To the one who brought her"})
    min_amount_minor = ma.fields.Integer(required=True, metadata={"description": "That the order must reach"})
    currency = ma.fields.String(required=True, allow_none=True)
    pending_days = ma.fields.Integer(required=True, metadata={"description": "Until the points can be spent"})


class OwnReferralSchema(ma.Schema):
    """How I was brought. `reason` says why a referral was refused."""

    state = ma.fields.String(required=True, validate=ma.validate.OneOf((PENDING, REWARDED, REFUSED)))
    reason = ma.fields.String(required=True)
    at = ma.fields.AwareDateTime(required=True)


class MyReferralSchema(ma.Schema):
    """My code, what came of it, and how I was brought."""

    code = ma.fields.String(required=True)
    brought = ma.fields.Integer(required=True)
    pending = ma.fields.Integer(required=True)
    rewarded = ma.fields.Integer(required=True)
    rewarded_lately = ma.fields.Integer(required=True, metadata={"description": "In the last thirty days"})
    rewarded_at_most = ma.fields.Integer(required=True, metadata={"description": "In thirty days"})
    reward = ma.fields.Nested(RewardSchema, required=True, allow_none=True)
    mine = ma.fields.Nested(OwnReferralSchema, required=True, allow_none=True)
