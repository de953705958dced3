"""What stock writes from outside look like as JSON."""

from typing import Any

import marshmallow as ma

from inventory.imports import VERSION_MOST
from inventory.schemas.levels import NAME, SKU
from inventory.updates import ABSOLUTE, APPLIED, CODES, COMPARE, DELTA, MODES, REFUSED, UNCHANGED
from retail import limits

SOURCE = ma.validate.Regexp(
    rf"[A-Za-z0-9._-]{{1,{limits.SOURCE_CHARACTERS}}}\Z", error="1 to 64 letters, digits, dots, hyphens or underscores"
)
_BELONGS = {
    DELTA: ({"delta"}, set()),
    COMPARE: ({"quantity", "expected"}, set()),
    ABSOLUTE: ({"quantity", "version"}, {"as_of"}),
}  # mode: what it needs, what it may have besides


class UpdateLineSchema(ma.Schema):
    """One write. `delta` needs `delta`; `compare_and_set` needs `quantity` and `expected`; `absolute` needs `quantity` and
    `version`, and may have `as_of`."""

    location = ma.fields.String(required=True, validate=NAME, metadata={"description": "Id or code"})
    sku = ma.fields.String(validate=SKU, metadata={"description": "This or `barcode`"})
    barcode = ma.fields.String(validate=ma.validate.Length(1, 2000), metadata={"description": "As typed or scanned"})
    mode = ma.fields.String(required=True, validate=ma.validate.OneOf(MODES))
    delta = ma.fields.Integer(strict=True, metadata={"description": "Units more or less (delta)"})
    quantity = ma.fields.Integer(
        strict=True, metadata={"description": "What is on hand from now on (compare_and_set, absolute)"}
    )
    expected = ma.fields.Integer(strict=True, metadata={"description": "What must be on hand now (compare_and_set)"})
    version = ma.fields.Integer(
        strict=True,
        validate=ma.validate.Range(0, VERSION_MOST),
        metadata={"description": "Of the source, growing: one that is not newer than its last is refused (absolute)"},
    )
    as_of = ma.fields.AwareDateTime(
        metadata={"description": "When the source knew this: what came or went here after it is kept on top (absolute)"}
    )

    @ma.validates_schema(skip_on_field_errors=True)
    def fields_fit_the_mode(self, data: dict[str, Any], **_: Any) -> None:
        """Each mode has its own fields."""
        needs, may_have = _BELONGS[data["mode"]]
        errors: dict[str, list[str]] = {name: [f"Needed for {data['mode']}"] for name in needs - data.keys()}
        strange = data.keys() - needs - may_have - {"location", "sku", "barcode", "mode"}
        errors |= {name: [f"Not for {data['mode']}"] for name in strange}
        if ("sku" in data) == ("barcode" in data):
            errors["sku"] = ["Name either a sku or a barcode"]
        if errors:
            raise ma.ValidationError(errors)


class UpdateStockSchema(ma.Schema):
    """Writes of one source."""

    source = ma.fields.String(
        required=True,
        validate=SOURCE,
        metadata={"description": "The outside system; versions count per source and level"},
    )
    lines = ma.fields.List(
        ma.fields.Nested(UpdateLineSchema), required=True, validate=ma.validate.Length(1, limits.LINES_PER_UPDATE)
    )


class UpdateResultSchema(ma.Schema):
    """What became of a line."""

    line = ma.fields.Integer(required=True, metadata={"description": "Position in the request, from 1"})
    outcome = ma.fields.String(required=True, metadata={"enum": [APPLIED, UNCHANGED, REFUSED]})
    code = ma.fields.String(required=True, allow_none=True, metadata={"enum": [*CODES, None]})
    detail = ma.fields.String(required=True, allow_none=True)
    on_hand = ma.fields.Integer(
        required=True, allow_none=True, metadata={"description": "What is on hand after the line; null: never stocked"}
    )


class UpdateReportSchema(ma.Schema):
    """The report, line by line."""

    source = ma.fields.String(required=True)
    applied = ma.fields.Integer(required=True)
    unchanged = ma.fields.Integer(required=True)
    refused = ma.fields.Integer(required=True)
    lines = ma.fields.List(ma.fields.Nested(UpdateResultSchema), required=True)
