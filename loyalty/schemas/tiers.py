"""Tiers on the wire. Thresholds and figures are in the program's basis: minor units of its currency, or points."""

from typing import Any

import marshmallow as ma

from retail import limits
from retail.kernel.money import MAX_MINOR
from retail.kernel.web.cursor import page_schema
from retail.schemas.texts import ChangeSchema, Code, Line, Text

REASONS = ("qualified", "lapsed", "program", "staff", "merge", "unmerge")
_RANK = ma.validate.Range(1, 1000)
_THRESHOLD = ma.validate.Range(1, MAX_MINOR)
_MULTIPLIER = ma.validate.Range(10_000, 100_000)
_DAYS_MOST = 3660


def _number(validate: ma.validate.Range, description: str, **options: Any) -> ma.fields.Integer:
    return ma.fields.Integer(strict=True, validate=validate, metadata={"description": description}, **options)


class SetTierProgramSchema(ma.Schema):
    """How tiers are computed."""

    basis = ma.fields.String(
        required=True,
        validate=ma.validate.OneOf(["spend", "points"]),
        metadata={
            "description": "What counts: what was spent on what earned points, or the points earned; less what came back"
        },
    )
    currency = ma.fields.String(required=True, validate=ma.validate.Regexp(r"^[A-Z]{3}\Z"), metadata={"example": "JPY"})
    window = ma.fields.String(
        required=True,
        validate=ma.validate.OneOf(["rolling", "calendar"]),
        metadata={
            "description": "rolling: the last `window_days`; calendar: since January 1st of the year before, in `zone`, so that "
            "what was reached counts until the end of the next year"
        },
    )
    window_days = _number(ma.validate.Range(1, _DAYS_MOST), "Of a rolling window", load_default=365)
    zone = Line(load_default="Asia/Tokyo", most=64)
    grace_days = _number(ma.validate.Range(0, _DAYS_MOST), "How long a tier is kept below its threshold", required=True)
    soft_landing = ma.fields.Boolean(
        required=True, metadata={"description": "Fall by one tier at most, then have a new grace"}
    )


class TierProgramSchema(SetTierProgramSchema):
    """How tiers are computed; version 0: nothing was set, and there are no tiers."""

    version = ma.fields.Integer(required=True)


def _fields(*, partial: bool) -> dict[str, ma.fields.Field[Any]]:
    """The fields of a tier as it is made (with what is taken when they are left out), or as it is changed."""

    def left_out(value: Any) -> dict[str, Any]:
        return {} if partial else {"load_default": value}

    needed = {} if partial else {"required": True}
    return {
        "name": Line(most=limits.TITLE_CHARACTERS, **needed),
        "name_ja": Line(allow_none=True, most=limits.TITLE_CHARACTERS, **left_out(None)),
        "rank": _number(_RANK, "Higher is better", **needed),
        "threshold": _number(_THRESHOLD, "What is to be spent, or earned, within the window", **needed),
        "multiplier_bp": _number(
            _MULTIPLIER, "Basis points of what amount rules give: 15000 is one and a half times", **left_out(10_000)
        ),
        "free_shipping": ma.fields.Boolean(**left_out(False)),
        "active": ma.fields.Boolean(
            metadata={"description": "Switched off, nobody reaches it; its members keep it for their grace"},
            **left_out(True),
        ),
    }


class CreateTierSchema(ma.Schema.from_dict(_fields(partial=False))):  # type: ignore[misc]  # made at run time
    """A new tier. Ranks and thresholds rise together."""

    code = Code(required=True)


class ChangeTierSchema(ChangeSchema, ma.Schema.from_dict(_fields(partial=True))):  # type: ignore[misc]
    """What is to be changed of a tier."""


class TierSchema(CreateTierSchema):
    """A tier as it stands."""

    version = ma.fields.Integer(required=True)


TierPageSchema = page_schema(TierSchema)


class AssignTierSchema(ma.Schema):
    """A tier by hand."""

    tier = Code(required=True, allow_none=True, metadata={"description": "null: out of all tiers"})
    note = Text(load_default="", most=limits.TITLE_CHARACTERS)


class HeldTierSchema(ma.Schema):
    """A tier and what it gives."""

    code = ma.fields.String(required=True)
    name = ma.fields.String(required=True)
    name_ja = ma.fields.String(required=True, allow_none=True)
    threshold = ma.fields.Integer(required=True)
    multiplier_bp = ma.fields.Integer(required=True)
    free_shipping = ma.fields.Boolean(required=True)


class NextTierSchema(HeldTierSchema):
    """The next tier."""

    missing = ma.fields.Integer(required=True)


class TierWindowSchema(ma.Schema):
    """What counts now."""

    kind = ma.fields.String(required=True)
    days = ma.fields.Integer(required=True, allow_none=True)
    counts_after = ma.fields.AwareDateTime(required=True)
    zone = ma.fields.String(required=True)


class MyTierChangeSchema(ma.Schema):
    """One change: from what (null: none) to what, when, why, and by which figure."""

    from_code = ma.fields.String(required=True, allow_none=True)
    to_code = ma.fields.String(required=True, allow_none=True)
    reason = ma.fields.String(required=True, validate=ma.validate.OneOf(REASONS))
    figure = ma.fields.Integer(required=True)
    at = ma.fields.AwareDateTime(required=True)


class TierChangeSchema(MyTierChangeSchema):
    """One change, with who made it."""

    note = ma.fields.String(required=True)
    actor = ma.fields.String(required=True)


class MyTierSchema(ma.Schema):
    """Where a member stands at this moment. Without a tier program all of it is null."""

    tier = ma.fields.Nested(HeldTierSchema, required=True, allow_none=True)
    since = ma.fields.AwareDateTime(required=True, allow_none=True)
    below_since = ma.fields.AwareDateTime(
        required=True, allow_none=True, metadata={"description": "Since when the figure is below the threshold"}
    )
    keep_until = ma.fields.AwareDateTime(
        required=True,
        allow_none=True,
        metadata={"description": "Until when the tier is kept without earning anything more"},
    )
    missing_to_keep = ma.fields.Integer(required=True, allow_none=True)
    figure = ma.fields.Integer(required=True)
    basis = ma.fields.String(required=True, allow_none=True)
    currency = ma.fields.String(required=True, allow_none=True)
    window = ma.fields.Nested(TierWindowSchema, required=True, allow_none=True)
    next = ma.fields.Nested(NextTierSchema, required=True, allow_none=True)
    changes = ma.fields.List(
        ma.fields.Nested(MyTierChangeSchema), required=True, metadata={"description": "The newest first, 100 at most"}
    )


class CustomerTierSchema(MyTierSchema):
    """Where a member stands, for those who serve her."""

    changes = ma.fields.List(ma.fields.Nested(TierChangeSchema), required=True)
