"""Deliveries of suppliers as JSON."""

import marshmallow as ma

from inventory import inbound
from inventory.schemas.documents import (
    NOTE_CHARACTERS,
    REASON_CHARACTERS,
    ArrivedLineSchema,
    DocumentSchema,
    DocumentVariantSchema,
    GoodsLineSchema,
    moment,
    units,
)
from inventory.schemas.levels import NAME, StockPlaceSchema
from retail import limits
from retail.kernel.web.cursor import PageQuery, page_schema
from retail.schemas.texts import ChangeSchema, Line, Text

LINES = ma.validate.Length(1, limits.LINES_PER_RECEIPT)


class ExpectedLineSchema(GoodsLineSchema):
    """Units that the supplier announced."""

    expected = units(1, required=True)


class AnnounceInboundSchema(ma.Schema):
    """A delivery to come."""

    location = ma.fields.String(required=True, validate=NAME, metadata={"description": "Id or code"})
    supplier = Line(least=0, load_default="")
    due_at = moment(required=True, metadata={"description": "When it is expected: promises are made by it"})
    note = Text(most=NOTE_CHARACTERS, load_default="")
    lines = ma.fields.List(ma.fields.Nested(ExpectedLineSchema), required=True, validate=LINES)


class UpdateInboundSchema(ChangeSchema):
    """What of a delivery may change; `lines` replace all of them, while nothing has come in."""

    supplier = Line(least=0)
    due_at = moment()
    note = Text(most=NOTE_CHARACTERS)
    lines = ma.fields.List(ma.fields.Nested(ExpectedLineSchema), validate=LINES)


class ReceiveInboundSchema(ma.Schema):
    """What came in: more than announced and goods that nobody announced too."""

    lines = ma.fields.List(
        ma.fields.Nested(ArrivedLineSchema), load_default=list, validate=ma.validate.Length(0, limits.LINES_PER_RECEIPT)
    )
    final = ma.fields.Boolean(
        load_default=None,
        allow_none=True,
        metadata={
            "description": "true: nothing more will come, what is outstanding becomes a difference; false: stays open for "
            "more; left out: closed when nothing is outstanding"
        },
    )


class CancelInboundSchema(ma.Schema):
    """Nothing (more) will come."""

    reason = Line(most=REASON_CHARACTERS, least=0, load_default="")


class InboundLineSchema(DocumentVariantSchema):
    """One variant of a delivery."""

    expected = ma.fields.Integer(required=True, metadata={"description": "Announced; 0: nobody announced it"})
    received = ma.fields.Integer(required=True)
    damaged = ma.fields.Integer(required=True, metadata={"description": "Of the received, unfit for sale"})
    outstanding = ma.fields.Integer(required=True, metadata={"description": "Still to come"})
    difference = ma.fields.Integer(
        required=True, metadata={"description": "Too many (positive), or missing for good (negative)"}
    )


class InboundUnitsSchema(ma.Schema):
    """The sums over all lines."""

    lines = ma.fields.Integer(required=True)
    expected = ma.fields.Integer(required=True)
    received = ma.fields.Integer(required=True)
    damaged = ma.fields.Integer(required=True)
    outstanding = ma.fields.Integer(required=True)


class InboundSummarySchema(DocumentSchema):
    """A delivery without its lines."""

    location = ma.fields.Nested(StockPlaceSchema, required=True)
    supplier = ma.fields.String(required=True)
    state = ma.fields.String(required=True, metadata={"enum": list(inbound.STATES)})
    due_at = ma.fields.AwareDateTime(required=True)
    units = ma.fields.Nested(InboundUnitsSchema, required=True)


class InboundShipmentSchema(InboundSummarySchema):
    """A delivery."""

    lines = ma.fields.List(ma.fields.Nested(InboundLineSchema), required=True)


InboundPageSchema = page_schema(InboundSummarySchema)


class InboundQuery(PageQuery):
    """Which deliveries."""

    location = ma.fields.String(load_default=None, validate=NAME, metadata={"description": "Id or code"})
    state = ma.fields.List(
        ma.fields.String(validate=ma.validate.OneOf(inbound.STATES)),
        load_default=None,
        metadata={"description": "Repeat it for more"},
    )
    due_before = moment(load_default=None, metadata={"description": "Expected before this moment"})
