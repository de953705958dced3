"""Enrollments, birthdays and blocks as JSON."""

import marshmallow as ma

from loyalty.birthdays import DAYS
from retail import limits
from retail.schemas.texts import Line, Text, locale


class DaySchema(ma.Schema):
    """A day of every year; which days there are is checked where it is kept, so that all that is wrong is named."""

    month = ma.fields.Integer(required=True, strict=True, metadata={"description": f"1 to {len(DAYS)}"})
    day = ma.fields.Integer(required=True, strict=True, metadata={"description": "February has 29"})


class BirthdaySchema(ma.Schema):
    """A member's birthday; null when she has not stated it."""

    birthday = ma.fields.Nested(DaySchema, required=True, allow_none=True)


def _named(what: str) -> ma.fields.String:
    bounds = ma.validate.Length(1, limits.IDENTITY_CHARACTERS)
    return ma.fields.String(validate=bounds, metadata={"description": what})


class EnrollMemberSchema(ma.Schema):
    """A new member. One of phone, email and card at least."""

    name = Line(load_default="", least=0)
    locale = locale(load_default="ja")
    phone = _named("Seen in use: a mailbox or a telephone in her hand")
    email = _named("As `phone`")
    card = _named("The number of a printed card that she is handed")
    birthday = ma.fields.Nested(DaySchema, load_default=None, allow_none=True)
    referral_code = Line(
        most=limits.COUPON_CHARACTERS,
        load_default=None,
        allow_none=True,
        metadata={"description": "Of the member who brought her"},
    )
    location = Line(
        most=64,
        load_default=None,
        allow_none=True,
        metadata={"description": "Code or id; without, where the caller works if that is one place"},
    )


class EnrolledSchema(ma.Schema):
    """A new member with her card."""

    customer_id = ma.fields.UUID(required=True)
    reference = ma.fields.String(required=True)
    name = ma.fields.String(required=True)
    card_number = ma.fields.String(required=True)
    symbology = ma.fields.String(required=True)
    birthday = ma.fields.Nested(DaySchema, required=True, allow_none=True)
    enrolled_at = ma.fields.AwareDateTime(required=True)


class BlockSchema(ma.Schema):
    """Block a member's points, or let them go."""

    blocked = ma.fields.Boolean(required=True)
    reason = Text(load_default="", metadata={"description": "Needed to block"})


class StandingSchema(ma.Schema):
    """The state of a member's account."""

    state = ma.fields.String(required=True, validate=ma.validate.OneOf(("active", "blocked")))
    blocked_reason = ma.fields.String(required=True)
