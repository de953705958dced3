"""Cash drawers on the wire."""

import marshmallow as ma

from orders.schemas.places import money_field
from orders.till.drawers import MOVEMENTS
from retail import limits
from retail.kernel.money import MAX_MINOR
from retail.kernel.web.cursor import page_schema
from retail.schemas import MoneySchema
from retail.schemas.texts import Line

_COUNT = ma.validate.Range(0, MAX_MINOR)
TILL_CODE = ma.validate.Length(1, limits.TILL_CODE_CHARACTERS)


class OpenDrawerSchema(ma.Schema):
    """What was counted into the drawer, minor units of the store's currency."""

    opening_minor = ma.fields.Integer(required=True, strict=True, validate=_COUNT, metadata={"example": 30000})


class CloseDrawerSchema(ma.Schema):
    """What was counted in the drawer, minor units."""

    counted_minor = ma.fields.Integer(required=True, strict=True, validate=_COUNT)


class MoveCashSchema(ma.Schema):
    """Cash that goes in or out for no sale, minor units."""

    kind = ma.fields.String(required=True, validate=ma.validate.OneOf(MOVEMENTS))
    amount_minor = ma.fields.Integer(required=True, strict=True, validate=ma.validate.Range(1, MAX_MINOR))
    reason = Line(required=True, metadata={"example": "change from the bank"})


class CashMovementSchema(ma.Schema):
    """A pay-in or pay-out."""

    kind = ma.fields.String(required=True, validate=ma.validate.OneOf(MOVEMENTS))
    amount = money_field()
    reason = ma.fields.String(required=True)
    actor = ma.fields.String(required=True)
    at = ma.fields.String(required=True, metadata={"format": "date-time"})


class DrawerSchema(ma.Schema):
    """One session of a till's drawer. `expected` is opening + sales - refunds + paid_in - paid_out; `difference` is counted less
    expected. A closed one does not change any more."""

    id = ma.fields.UUID(required=True)
    till = ma.fields.String(required=True)
    state = ma.fields.String(required=True, validate=ma.validate.OneOf(["open", "closed"]))
    opening = money_field()
    sales = money_field(metadata={"description": "Cash taken for goods"})
    refunds = money_field(metadata={"description": "Cash given back by refunds that named this till"})
    paid_in = money_field()
    paid_out = money_field()
    expected = money_field()
    counted = ma.fields.Nested(MoneySchema, required=True, allow_none=True)
    difference = ma.fields.Nested(MoneySchema, required=True, allow_none=True)
    movements = ma.fields.List(ma.fields.Nested(CashMovementSchema), required=True)
    opened_by = ma.fields.String(required=True)
    opened_at = ma.fields.DateTime(required=True)
    closed_by = ma.fields.String(required=True, allow_none=True)
    closed_at = ma.fields.DateTime(required=True, allow_none=True)


DrawerPageSchema = page_schema(DrawerSchema)
