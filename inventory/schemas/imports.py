"""What imports of stock writes look like as JSON."""

import marshmallow as ma

from inventory.imports import CSV, JSONL
from inventory.schemas.updates import SOURCE
from retail.kernel.web.cursor import PageQuery, page_schema

KINDS = ("stock",)
MEDIA_TYPES = {
    "text/csv": CSV,
    "application/x-ndjson": JSONL,
    "application/jsonl": JSONL,
}  # the last: what others call the same


class ImportQuery(ma.Schema):
    """`?kind=stock&source=erp-1`"""

    kind = ma.fields.String(required=True, validate=ma.validate.OneOf(KINDS))
    source = ma.fields.String(required=True, validate=SOURCE, metadata={"description": "As in /stock/updates"})
    lines = ma.fields.Integer(
        load_default=None,
        validate=ma.validate.Range(min=0),
        metadata={
            "description": "How many writes the file holds, without the heading: fewer, and it counts as cut off"
        },
    )
    name = ma.fields.String(
        load_default="", validate=ma.validate.Length(max=200), metadata={"description": "Of the file, for people"}
    )


class ImportSchema(ma.Schema):
    """A file of stock writes. `state`: running, broken (it ended too early: send the whole file again with the same key, and
    it goes on), done."""

    id = ma.fields.UUID(required=True)
    kind = ma.fields.Constant("stock", required=True)
    name = ma.fields.String(required=True)
    source = ma.fields.String(required=True)
    format = ma.fields.String(required=True, metadata={"enum": [CSV, JSONL]})
    state = ma.fields.String(required=True, metadata={"enum": ["running", "broken", "done"]})
    lines_done = ma.fields.Integer(
        required=True, metadata={"description": "Of the file, heading and blank lines included"}
    )
    lines_applied = ma.fields.Integer(required=True, metadata={"description": "Writes applied, or true already"})
    lines_refused = ma.fields.Integer(required=True)
    actor = ma.fields.String(required=True)
    created_at = ma.fields.AwareDateTime(required=True)
    updated_at = ma.fields.AwareDateTime(required=True)
    finished_at = ma.fields.AwareDateTime(required=True, allow_none=True)


class ImportReportSchema(ImportSchema):
    """The same with why lines were refused."""

    codes = ma.fields.Dict(
        keys=ma.fields.String(),
        values=ma.fields.Integer(),
        required=True,
        metadata={"description": "Refused lines by code", "example": {"unknown_sku": 2}},
    )


ImportPageSchema = page_schema(ImportSchema)


class RefusedLineSchema(ma.Schema):
    """A line that was refused; all others were applied."""

    line = ma.fields.Integer(required=True, metadata={"description": "Of the file, from 1; a CSV heading is line 1"})
    code = ma.fields.String(required=True)
    detail = ma.fields.String(required=True)
    raw = ma.fields.String(required=True, metadata={"description": "The line, cut after 1,000 characters"})


RefusedLinePageSchema = page_schema(RefusedLineSchema)
ImportsQuery = PageQuery
LinesQuery = PageQuery
