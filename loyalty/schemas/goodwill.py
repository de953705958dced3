"""Goodwill on the wire."""

from typing import Any

import marshmallow as ma

from loyalty import goodwill
from retail import limits
from retail.kernel.web.cursor import PageQuery, page_schema
from retail.schemas.texts import Text

STATES = (goodwill.PENDING, goodwill.GIVEN, goodwill.DECLINED)


def _note(**options: Any) -> Text:
    return Text(most=limits.GOODWILL_NOTE_CHARACTERS, load_default="", **options)


class OfferGoodwillSchema(ma.Schema):
    """Points to be given, and why."""

    points = ma.fields.Integer(required=True, strict=True, validate=ma.validate.Range(1, limits.POINTS_PER_EARNING))
    reason = ma.fields.String(required=True, validate=ma.validate.OneOf(goodwill.REASONS))
    note = _note(metadata={"description": "Required where the reason is `other`"})
    order_id = ma.fields.UUID(
        load_default=None,
        allow_none=True,
        metadata={"description": "The order it is about, if any; written down as named"},
    )


class DecideGoodwillSchema(ma.Schema):
    """Give the points or decline."""

    give = ma.fields.Boolean(required=True, truthy={True}, falsy={False})
    note = _note()


class GoodwillSchema(ma.Schema):
    """Points that an agent gave or asked for."""

    id = ma.fields.UUID(required=True)
    customer_id = ma.fields.UUID(required=True)
    customer_reference = ma.fields.String(required=True)
    points = ma.fields.Integer(required=True)
    reason = ma.fields.String(required=True, validate=ma.validate.OneOf(goodwill.REASONS))
    note = ma.fields.String(required=True)
    order_id = ma.fields.UUID(required=True, allow_none=True)
    state = ma.fields.String(required=True, validate=ma.validate.OneOf(STATES))
    asked_by = ma.fields.String(required=True)
    asked_by_name = ma.fields.String(required=True, allow_none=True)
    asked_at = ma.fields.AwareDateTime(required=True)
    asker_day_points = ma.fields.Integer(
        required=True,
        metadata={"description": "What the same person gave, or asked for and waits, in the 24 hours up to then"},
    )
    decided_by = ma.fields.String(required=True, allow_none=True)
    decided_by_name = ma.fields.String(required=True, allow_none=True)
    decided_at = ma.fields.AwareDateTime(required=True, allow_none=True)
    decision_note = ma.fields.String(required=True)
    version = ma.fields.Integer(required=True)


class GoodwillQuery(PageQuery):
    """Which gifts."""

    state = ma.fields.String(load_default=None, validate=ma.validate.OneOf(STATES))
    customer = ma.fields.String(
        load_default=None, validate=ma.validate.Length(1, 64), metadata={"description": "Reference or id"}
    )


GoodwillPageSchema = page_schema(GoodwillSchema)
