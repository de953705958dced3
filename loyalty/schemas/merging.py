"""Merged customers on the wire."""

import marshmallow as ma

from retail import limits
from retail.kernel.web.cursor import page_schema
from retail.schemas.texts import Text


class MergeQuery(ma.Schema):
    """Which record would go."""

    gone = ma.fields.String(
        required=True, validate=ma.validate.Length(1, 64), metadata={"description": "Reference or id"}
    )


class MergeCustomersSchema(MergeQuery):
    """The other record of the same person, and how that was found out."""

    reason = Text(most=limits.NAME_CHARACTERS, load_default="")


class MergeSchema(ma.Schema):
    """A merge. It holds until `undone_at`."""

    id = ma.fields.UUID(required=True)
    gone_id = ma.fields.UUID(required=True)
    gone_reference = ma.fields.String(required=True)
    gone_name = ma.fields.String(required=True)
    stays_id = ma.fields.UUID(required=True)
    stays_reference = ma.fields.String(required=True)
    reason = ma.fields.String(required=True)
    actor = ma.fields.String(required=True)
    at = ma.fields.AwareDateTime(required=True)
    undone_at = ma.fields.AwareDateTime(required=True, allow_none=True)
    undone_by = ma.fields.String(required=True, allow_none=True)


class _SumsSchema(ma.Schema):
    """Points, and how many addresses and numbers of each kind."""

    available = ma.fields.Integer(required=True)
    pending = ma.fields.Integer(required=True)
    held = ma.fields.Integer(required=True)
    owed = ma.fields.Integer(required=True)
    identities = ma.fields.Dict(keys=ma.fields.String(), values=ma.fields.Integer(), required=True)


class TogetherSchema(_SumsSchema):
    """What she will have of both."""


class MergedMemberSchema(_SumsSchema):
    """One of the two records."""

    id = ma.fields.UUID(required=True)
    reference = ma.fields.String(required=True)
    name = ma.fields.String(required=True)
    state = ma.fields.String(required=True, metadata={"description": "Of the points: active or blocked"})
    tier = ma.fields.String(required=True, allow_none=True)


class MergePreviewSchema(ma.Schema):
    """What merging them would bring together. Not `possible` while the points of one are blocked."""

    gone = ma.fields.Nested(MergedMemberSchema, required=True)
    stays = ma.fields.Nested(MergedMemberSchema, required=True)
    together = ma.fields.Nested(TogetherSchema, required=True)
    possible = ma.fields.Boolean(required=True)


MergePageSchema = page_schema(MergeSchema)
