"""Earning rules on the wire. Points, amounts and days are whole numbers: a fraction is refused, not rounded."""

from typing import Any

import marshmallow as ma

from loyalty.earning.facts import BASES, DAY, MONTH
from loyalty.preview import MOST
from retail import limits
from retail.kernel.money import MAX_MINOR
from retail.kernel.web.cursor import PageQuery, page_schema
from retail.schemas.texts import ChangeSchema, Code, Line

_POINTS = ma.validate.Range(0, limits.POINTS_PER_EARNING)
_CAP = ma.validate.Range(1, limits.POINTS_PER_EARNING)
_AMOUNT = ma.validate.Range(0, MAX_MINOR)
_DAYS = ma.validate.Range(1, 3660)


def _number(validate: ma.validate.Range, what: str = "", **options: Any) -> ma.fields.Integer:
    return ma.fields.Integer(strict=True, validate=validate, metadata={"description": what} if what else {}, **options)


def _names(item: ma.fields.Field[Any], what: str, **options: Any) -> ma.fields.List[Any]:
    bounds = ma.validate.Length(max=limits.NAMES_PER_RULE)
    return ma.fields.List(item, validate=bounds, metadata={"description": what}, **options)


def _figures(left_out: Any) -> dict[str, ma.fields.Field[Any]]:
    return {
        "points": _number(_POINTS, "What it gives; see `basis`", **left_out(0)),
        "referrer_points": _number(_POINTS, "Of a referral: to her who brought the other", **left_out(0)),
        "per_minor": _number(_AMOUNT, "Of an amount: for every full so much, minor units", **left_out(0)),
        "factor_bp": _number(ma.validate.Range(0, 1_000_000), "Of a multiplier: 20000 doubles", **left_out(0)),
        "min_amount_minor": _number(_AMOUNT, "From so much of eligible goods on", **left_out(0)),
        "priority": _number(ma.validate.Range(0, 10_000), "Between equals of a group the lowest counts", **left_out(100)),
        "cap_per_order": _number(_CAP, "Points of one order at most", allow_none=True, **left_out(None)),
        "cap_per_member": _number(_CAP, "Points of one member at most", allow_none=True, **left_out(None)),
        "cap_days": _number(_DAYS, "`cap_per_member` counts so many days; ever without", allow_none=True, **left_out(None)),
        "pending_days": _number(
            ma.validate.Range(0, 3660), "They can be spent so long after the handover", **left_out(0)
        ),
        "lot_days": _number(_DAYS, "For so long; the program's time without", allow_none=True, **left_out(None)),
    }  # fmt: skip


def _fields(*, partial: bool) -> dict[str, ma.fields.Field[Any]]:
    """The fields of a rule as it is made (with what is taken when they are left out), or as it is changed."""

    def left_out(value: Any) -> dict[str, Any]:
        return {} if partial else {"load_default": value}

    weekday = ma.fields.Integer(strict=True, validate=ma.validate.Range(1, 7))
    conditions: dict[str, ma.fields.Field[Any]] = {
        "name_ja": Line(allow_none=True, most=limits.TITLE_CHARACTERS, **left_out(None)),
        "skus": _names(
            ma.fields.String(validate=ma.validate.Length(1, limits.SKU_CHARACTERS)),
            "With `categories`: the goods it is about; both empty: all goods",
            **left_out([]),
        ),
        "categories": _names(Line(), "See `skus`", **left_out([])),
        "channels": _names(Code(), "Empty: all", **left_out([])),
        "locations": _names(Line(most=64), "Stores by code or id; empty: all, also what is shipped", **left_out([])),
        "weekdays": _names(weekday, "1 is Monday; empty: all", **left_out([])),
        "tiers": _names(Code(), "Of members in these; empty: of all", **left_out([])),
        "from_on": ma.fields.Date(allow_none=True, **left_out(None)),
        "to_on": ma.fields.Date(allow_none=True, metadata={"description": "Included"}, **left_out(None)),
        "first_purchase": ma.fields.Boolean(**left_out(False)),
        "birthday": ma.fields.String(allow_none=True, validate=ma.validate.OneOf([DAY, MONTH]), **left_out(None)),
        "stack_group": Code(
            allow_none=True, metadata={"description": "Of a group the best counts; others add up"}, **left_out(None)
        ),
        "active": ma.fields.Boolean(**left_out(True)),
    }
    return conditions | _figures(left_out)


class DraftRuleSchema(ma.Schema.from_dict(_fields(partial=False))):  # type: ignore[misc]  # made at run time
    """A rule. `basis` decides which figures it has: amount: points, per_minor, currency; unit and order: points;
    multiplier: factor_bp (of what amount rules give); referral: points, referrer_points. A referral asks for days, weekdays,
    channels, locations and a least amount; other conditions are refused with it."""

    code = Code(required=True)
    name = Line(required=True, most=limits.TITLE_CHARACTERS)
    basis = ma.fields.String(required=True, validate=ma.validate.OneOf(BASES))
    currency = ma.fields.String(
        load_default=None,
        allow_none=True,
        validate=ma.validate.Regexp(r"^[A-Z]{3}\Z"),
        metadata={"description": "Of its amounts; without any it counts in all currencies", "example": "JPY"},
    )


class ChangeRuleSchema(ChangeSchema, ma.Schema.from_dict(_fields(partial=True))):  # type: ignore[misc]
    """What is to be changed: it makes the next version, which holds from now on. `basis` and `currency` stay."""

    name = Line(most=limits.TITLE_CHARACTERS)


class RuleVersionSchema(ma.Schema):
    """One version of a rule: it holds for orders placed from `from_at` until just before `to_at`."""

    version = ma.fields.Integer(required=True)
    name = ma.fields.String(required=True)
    name_ja = ma.fields.String(required=True, allow_none=True)
    basis = ma.fields.String(required=True, validate=ma.validate.OneOf(BASES))
    currency = ma.fields.String(required=True, allow_none=True)
    points = ma.fields.Integer(required=True)
    referrer_points = ma.fields.Integer(required=True)
    per_minor = ma.fields.Integer(required=True)
    factor_bp = ma.fields.Integer(required=True)
    skus = ma.fields.List(ma.fields.String(), required=True)
    categories = ma.fields.List(ma.fields.String(), required=True)
    channels = ma.fields.List(ma.fields.String(), required=True)
    locations = ma.fields.List(ma.fields.String(), required=True, metadata={"description": "Codes"})
    weekdays = ma.fields.List(ma.fields.Integer(), required=True)
    tiers = ma.fields.List(ma.fields.String(), required=True)
    from_on = ma.fields.Date(required=True, allow_none=True)
    to_on = ma.fields.Date(required=True, allow_none=True)
    first_purchase = ma.fields.Boolean(required=True)
    birthday = ma.fields.String(required=True, allow_none=True)
    min_amount_minor = ma.fields.Integer(required=True)
    stack_group = ma.fields.String(required=True, allow_none=True)
    priority = ma.fields.Integer(required=True)
    cap_per_order = ma.fields.Integer(required=True, allow_none=True)
    cap_per_member = ma.fields.Integer(required=True, allow_none=True)
    cap_days = ma.fields.Integer(required=True, allow_none=True)
    pending_days = ma.fields.Integer(required=True)
    lot_days = ma.fields.Integer(required=True, allow_none=True)
    active = ma.fields.Boolean(required=True)
    from_at = ma.fields.DateTime(required=True)
    to_at = ma.fields.DateTime(required=True, allow_none=True)
    actor = ma.fields.String(required=True, metadata={"description": "Who made this version"})


class RuleSchema(RuleVersionSchema):
    """A rule as it stands: its present version."""

    code = ma.fields.String(required=True)


class RuleWithVersionsSchema(RuleSchema):
    """A rule with its past: `versions`, the newest first."""

    versions = ma.fields.List(ma.fields.Nested(RuleVersionSchema), required=True)


class RuleQuery(PageQuery):
    """Which rules."""

    active = ma.fields.Boolean(load_default=None)


RulePageSchema = page_schema(RuleSchema)


class PreviewSchema(ma.Schema):
    """What to try: a rule, added or in the place of the one of its code; without any, the rules as they are."""

    rule = ma.fields.Nested(DraftRuleSchema, load_default=None, allow_none=True)
    last = _number(ma.validate.Range(1, MOST), "How many of the latest orders", load_default=100)


class PreviewedOrderSchema(ma.Schema):
    """One order: what of it was handed over earned, and would earn."""

    order_id = ma.fields.UUID(required=True)
    customer_id = ma.fields.UUID(required=True)
    placed_at = ma.fields.DateTime(required=True)
    currency = ma.fields.String(required=True)
    earned = ma.fields.Integer(required=True)
    would_earn = ma.fields.Integer(required=True)
    difference = ma.fields.Integer(required=True)
    by_rule = ma.fields.Integer(required=True, metadata={"description": "Of it by the rule that is tried"})
    left_out = ma.fields.String(
        required=True, allow_none=True, metadata={"description": "Why the rule that is tried gives nothing"}
    )


class PreviewedSchema(ma.Schema):
    """Sums over `orders`, the latest first; `changed` counts those that would earn otherwise."""

    count = ma.fields.Integer(required=True)
    changed = ma.fields.Integer(required=True)
    earned = ma.fields.Integer(required=True)
    would_earn = ma.fields.Integer(required=True)
    difference = ma.fields.Integer(required=True)
    by_rule = ma.fields.Integer(required=True)
    orders = ma.fields.List(ma.fields.Nested(PreviewedOrderSchema), required=True)
