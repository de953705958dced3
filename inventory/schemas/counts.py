"""What cycle counts look like as JSON."""

from typing import Any

import marshmallow as ma

from inventory.schemas.levels import NAME, SKU, StockPlaceSchema
from retail import limits
from retail.kernel.web.cursor import PageQuery, page_schema

STATES = ("open", "approval", "applied", "cancelled")
UNITS = ma.validate.Range(0, limits.QUANTITY_PER_MOVEMENT)


class BeginCountSchema(ma.Schema):
    """What to count: a list of SKUs, or a shelf, or (neither) everything ever stocked there."""

    location = ma.fields.String(required=True, validate=NAME, metadata={"description": "Id or code"})
    skus = ma.fields.List(
        ma.fields.String(validate=SKU), load_default=None, validate=ma.validate.Length(1, limits.LINES_PER_COUNT)
    )
    shelf = ma.fields.String(load_default=None, validate=NAME, metadata={"example": "A-12"})
    blind = ma.fields.Boolean(
        load_default=True,
        metadata={"description": "Who counts does not see what the books say before the line is settled"},
    )
    approval_above = ma.fields.Integer(
        strict=True,
        load_default=limits.COUNT_APPROVAL_ABOVE,
        validate=UNITS,
        metadata={"description": "A difference of more units than this waits for somebody else's approval"},
    )
    note = ma.fields.String(load_default="", validate=ma.validate.Length(max=limits.TEXT_CHARACTERS))


class CountEntrySchema(ma.Schema):
    """What was found of one variant."""

    sku = ma.fields.String(validate=SKU)
    barcode = ma.fields.String(
        validate=ma.validate.Length(1, 2000), metadata={"description": "As typed or scanned, in the place of a SKU"}
    )
    counted = ma.fields.Integer(required=True, strict=True, validate=UNITS)

    @ma.validates_schema
    def one_name(self, data: dict[str, Any], **_: Any) -> None:
        """Exactly one of SKU and barcode."""
        if ("sku" in data) == ("barcode" in data):
            raise ma.ValidationError("Give a SKU or a barcode", "sku")


class EnterCountSchema(ma.Schema):
    """What was found of some of the variants."""

    lines = ma.fields.List(
        ma.fields.Nested(CountEntrySchema), required=True, validate=ma.validate.Length(1, limits.LINES_PER_COUNT)
    )


class DecideCountSchema(ma.Schema):
    """Let differences through, or have the lines recounted."""

    approve = ma.fields.Boolean(required=True)
    skus = ma.fields.List(
        ma.fields.String(validate=SKU),
        load_default=None,
        validate=ma.validate.Length(1, limits.LINES_PER_COUNT),
        metadata={"description": "Without: every line that waits"},
    )


class CountProgressSchema(ma.Schema):
    """How many lines are in which state."""

    lines = ma.fields.Integer(required=True)
    open = ma.fields.Integer(required=True, metadata={"description": "Not counted yet"})
    recount = ma.fields.Integer(required=True, metadata={"description": "Found to differ, to be counted once more"})
    approval = ma.fields.Integer(required=True, metadata={"description": "Differ by more than may be booked unseen"})
    applied = ma.fields.Integer(required=True)
    rejected = ma.fields.Integer(required=True, metadata={"description": "Left when the count was closed"})


class CountLineSchema(ma.Schema):
    """One variant of a count. In a blind count `expected` is null for whoever may count until the line is settled or waits
    for approval; else it is what the books say now, and once counted what they said in the moment of the entry."""

    sku = ma.fields.String(required=True)
    variant_id = ma.fields.UUID(required=True)
    title = ma.fields.String(required=True)
    title_ja = ma.fields.String(required=True, allow_none=True)
    shelf = ma.fields.String(required=True, allow_none=True)
    position = ma.fields.Integer(required=True)
    state = ma.fields.String(required=True, metadata={"enum": ["open", "recount", "approval", "applied", "rejected"]})
    counted = ma.fields.Integer(required=True, allow_none=True)
    expected = ma.fields.Integer(required=True, allow_none=True)
    counted_by = ma.fields.String(required=True, allow_none=True)
    counted_at = ma.fields.AwareDateTime(required=True, allow_none=True)
    recounted = ma.fields.Integer(required=True, allow_none=True)
    recount_expected = ma.fields.Integer(required=True, allow_none=True)
    recounted_by = ma.fields.String(required=True, allow_none=True)
    recounted_at = ma.fields.AwareDateTime(required=True, allow_none=True)
    difference = ma.fields.Integer(
        required=True, allow_none=True, metadata={"description": "Of the figure that counts; booked once applied"}
    )
    settled_by = ma.fields.String(required=True, allow_none=True)
    settled_at = ma.fields.AwareDateTime(required=True, allow_none=True)


class StockCountSummarySchema(ma.Schema):
    """A cycle count without its lines."""

    id = ma.fields.UUID(required=True)
    reference = ma.fields.String(required=True, metadata={"example": "SC-7K2M9-QW4XK"})
    location = ma.fields.Nested(StockPlaceSchema, required=True)
    scope = ma.fields.String(required=True, metadata={"enum": ["list", "shelf", "everything"]})
    shelf = ma.fields.String(required=True, allow_none=True)
    state = ma.fields.String(required=True, metadata={"enum": list(STATES)})
    blind = ma.fields.Boolean(required=True)
    approval_above = ma.fields.Integer(required=True)
    note = ma.fields.String(required=True)
    progress = ma.fields.Nested(CountProgressSchema, required=True)
    version = ma.fields.Integer(required=True)
    created_by = ma.fields.String(required=True)
    created_at = ma.fields.AwareDateTime(required=True)
    updated_at = ma.fields.AwareDateTime(required=True)
    closed_at = ma.fields.AwareDateTime(required=True, allow_none=True)


class StockCountSchema(StockCountSummarySchema):
    """A cycle count with its lines, in the order they were listed. `version` is the ETag."""

    lines = ma.fields.List(ma.fields.Nested(CountLineSchema), required=True)


StockCountPageSchema = page_schema(StockCountSummarySchema)


class CountsQuery(PageQuery):
    """Counts, newest first."""

    location = ma.fields.String(load_default=None, validate=NAME, metadata={"description": "Id or code"})
    state = ma.fields.List(
        ma.fields.String(validate=ma.validate.OneOf(STATES)),
        load_default=(),
        validate=ma.validate.Length(max=len(STATES)),
        metadata={"description": "Repeat it for more"},
    )
