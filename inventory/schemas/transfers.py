"""Transfers as JSON."""

import marshmallow as ma

from inventory import transfers
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

LINES = ma.validate.Length(1, limits.LINES_PER_TRANSFER)
PLACE = {"description": "Id or code"}


class WantedLineSchema(GoodsLineSchema):
    """Units that are to go."""

    quantity = units(1, required=True)


class DraftTransferSchema(ma.Schema):
    """What is to go from where to where; nothing is promised yet."""

    origin = ma.fields.String(data_key="from", required=True, validate=NAME, metadata=PLACE)
    destination = ma.fields.String(data_key="to", required=True, validate=NAME, metadata=PLACE)
    due_at = moment(load_default=None, allow_none=True, metadata={"description": "When it is expected to arrive"})
    note = Text(most=NOTE_CHARACTERS, load_default="")
    lines = ma.fields.List(ma.fields.Nested(WantedLineSchema), required=True, validate=LINES)


class UpdateTransferSchema(ChangeSchema):
    """What of a transfer may change; `lines` replace all of them, in a draft alone."""

    due_at = moment()
    note = Text(most=NOTE_CHARACTERS)
    lines = ma.fields.List(ma.fields.Nested(WantedLineSchema), validate=LINES)


class ShippedLineSchema(GoodsLineSchema):
    """Units that leave."""

    shipped = units(0, required=True)


class ShipTransferSchema(ma.Schema):
    """What leaves the origin."""

    lines = ma.fields.List(
        ma.fields.Nested(ShippedLineSchema),
        load_default=None,
        allow_none=True,
        validate=LINES,
        metadata={"description": "Left out: all that is allocated. A line that is not named stays"},
    )
    due_at = moment(load_default=None, allow_none=True, metadata={"description": "When it is expected to arrive"})


class ReceiveTransferSchema(ma.Schema):
    """What came in at the destination."""

    lines = ma.fields.List(
        ma.fields.Nested(ArrivedLineSchema),
        load_default=list,
        validate=ma.validate.Length(0, limits.LINES_PER_TRANSFER),
    )
    final = ma.fields.Boolean(
        load_default=False, metadata={"description": "Nothing more will come: what is outstanding is given up"}
    )


class CancelTransferSchema(ma.Schema):
    """Give a transfer up."""

    choice = ma.fields.String(
        load_default=None,
        allow_none=True,
        validate=ma.validate.OneOf([transfers.RETURN, transfers.SHRINK]),
        metadata={"description": "Needed once it was shipped: what becomes of the units on their way"},
    )
    reason = Line(most=REASON_CHARACTERS, least=0, load_default="")


class TransferLineSchema(DocumentVariantSchema):
    """One variant of a transfer; shipped = received + returned + shrunk + outstanding."""

    requested = ma.fields.Integer(required=True)
    allocated = ma.fields.Integer(required=True, metadata={"description": "Promised to it at the origin now"})
    shipped = ma.fields.Integer(required=True)
    received = ma.fields.Integer(required=True)
    damaged = ma.fields.Integer(required=True, metadata={"description": "Of the received, unfit for sale"})
    returned = ma.fields.Integer(required=True, metadata={"description": "Back at the origin"})
    shrunk = ma.fields.Integer(required=True, metadata={"description": "Given up"})
    outstanding = ma.fields.Integer(required=True, metadata={"description": "On their way"})
    discrepancy = ma.fields.Integer(required=True, metadata={"description": "Left the origin and never came anywhere"})


class TransferUnitsSchema(ma.Schema):
    """The sums over all lines."""

    lines = ma.fields.Integer(required=True)
    requested = ma.fields.Integer(required=True)
    shipped = ma.fields.Integer(required=True)
    received = ma.fields.Integer(required=True)
    damaged = ma.fields.Integer(required=True)
    returned = ma.fields.Integer(required=True)
    shrunk = ma.fields.Integer(required=True)
    outstanding = ma.fields.Integer(required=True)


class TransferSummarySchema(DocumentSchema):
    """A transfer without its lines."""

    origin = ma.fields.Nested(StockPlaceSchema, data_key="from", attribute="from", required=True)
    destination = ma.fields.Nested(StockPlaceSchema, data_key="to", attribute="to", required=True)
    state = ma.fields.String(required=True, metadata={"enum": list(transfers.STATES)})
    due_at = ma.fields.AwareDateTime(required=True, allow_none=True)
    cancel_choice = ma.fields.String(
        required=True, allow_none=True, metadata={"enum": [transfers.RETURN, transfers.SHRINK, None]}
    )
    shipped_at = ma.fields.AwareDateTime(required=True, allow_none=True)
    units = ma.fields.Nested(TransferUnitsSchema, required=True)


class TransferSchema(TransferSummarySchema):
    """A transfer."""

    lines = ma.fields.List(ma.fields.Nested(TransferLineSchema), required=True)


class ShortfallSchema(ma.Schema):
    """A line of which less left than was asked: the others are not allocated any more, since the shelf had fewer."""

    line = ma.fields.Integer(required=True, metadata={"description": "Its position on the transfer"})
    sku = ma.fields.String(required=True)
    asked = ma.fields.Integer(required=True)
    shipped = ma.fields.Integer(required=True)


class ShippedTransferSchema(TransferSchema):
    """A transfer that has just been shipped, and what could not leave."""

    shortfall = ma.fields.List(ma.fields.Nested(ShortfallSchema), required=True)


TransferPageSchema = page_schema(TransferSummarySchema)


class TransferQuery(PageQuery):
    """Which transfers."""

    location = ma.fields.String(
        load_default=None, validate=NAME, metadata={"description": "Id or code: they begin or end there"}
    )
    origin = ma.fields.String(data_key="from", load_default=None, validate=NAME, metadata=PLACE)
    destination = ma.fields.String(data_key="to", load_default=None, validate=NAME, metadata=PLACE)
    state = ma.fields.List(
        ma.fields.String(validate=ma.validate.OneOf(transfers.STATES)),
        load_default=None,
        metadata={"description": "Repeat it for more"},
    )
    due_before = moment(load_default=None, metadata={"description": "Expected before this moment"})
