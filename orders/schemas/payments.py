"""Payments, cancellations, refunds and webhooks on the wire."""

from collections.abc import Mapping
from typing import Any

import marshmallow as ma

from orders.schemas.places import money_field
from retail import limits
from retail.schemas import MoneySchema

REASON_CHARACTERS = 200
STATES = ("pending", "requires_action", "authorized", "captured", "voided", "failed", "none")
REASON = ma.validate.And(ma.validate.Length(1, REASON_CHARACTERS), ma.validate.Regexp(r"^[^\x00-\x1f\x7f]*\Z"))


class CancelOrderSchema(ma.Schema):
    """Why an order is called off."""

    reason = ma.fields.String(load_default="requested", validate=REASON, metadata={"example": "changed my mind"})


class CancelLineSchema(CancelOrderSchema):
    """How many units of a line are called off, and why."""

    quantity = ma.fields.Integer(
        strict=True,
        validate=ma.validate.Range(1, limits.QUANTITY_PER_LINE),
        metadata={"description": "All that were not handed over, if left out"},
    )


class RefundedUnitsSchema(ma.Schema):
    """Units of an order line that were handed over and are paid back."""

    order_line_id = ma.fields.UUID(required=True)
    quantity = ma.fields.Integer(required=True, strict=True, validate=ma.validate.Range(1, limits.QUANTITY_PER_LINE))


class RefundOrderSchema(ma.Schema):
    """What goes back to the tenders it came from: everything, or what was paid for `lines`, or an `amount` for no goods."""

    reason = ma.fields.String(required=True, validate=REASON, metadata={"example": "damaged"})
    restock = ma.fields.Boolean(
        load_default=False,
        metadata={"description": "The goods came back and go on the shelf of the store that handed them over"},
    )
    lines = ma.fields.List(
        ma.fields.Nested(RefundedUnitsSchema),
        validate=ma.validate.Length(1, limits.LINES_PER_ORDER),
        metadata={"description": "Units that are paid back and stay where they are; goods that come back are a return"},
    )
    amount = ma.fields.Nested(MoneySchema, metadata={"description": "Out of goodwill, for no goods"})
    till = ma.fields.String(
        validate=ma.validate.Length(1, limits.TILL_CODE_CHARACTERS),
        metadata={
            "description": "The register whose open drawer gives the cash part (needs `till.sell` too); left out, that cash is "
            "counted in no drawer"
        },
    )

    @ma.validates_schema
    def _one(self, data: Mapping[str, Any], **_: Any) -> None:
        if "lines" in data and "amount" in data:
            raise ma.ValidationError("At most one of lines and amount")
        if data.get("restock") and ("lines" in data or "amount" in data):
            raise ma.ValidationError("Goods of a part come back by a return", "restock")
        if "amount" in data and data["amount"]["amount_minor"] <= 0:
            raise ma.ValidationError("Must be more than nothing", "amount")


class RefundReceiptSchema(ma.Schema):
    """A refund. `pending`: the card network has not answered yet; it is repeated until it does, never twice."""

    id = ma.fields.UUID(required=True)
    order_id = ma.fields.UUID(required=True)
    order_reference = ma.fields.String(required=True)
    state = ma.fields.String(required=True, validate=ma.validate.OneOf(["pending", "done", "failed"]))
    amount = money_field(metadata={"description": "Money that goes back; points are counted in `points`"})
    points = ma.fields.Integer(required=True)
    reason = ma.fields.String(required=True)
    restock = ma.fields.Boolean(required=True)
    remaining = money_field(metadata={"description": "Money that was captured and could still go back"})
    created_at = ma.fields.DateTime(required=True)


class CardStateSchema(ma.Schema):
    """How an order's card payment stands after looking at the provider."""

    order_reference = ma.fields.String(required=True)
    order_status = ma.fields.String(required=True)
    state = ma.fields.String(required=True, validate=ma.validate.OneOf(STATES))
    client_secret = ma.fields.String(
        required=True,
        allow_none=True,
        metadata={"description": "Only with requires_action: for the provider's own page"},
    )


class WebhookReceiptSchema(ma.Schema):
    """The event is kept; a repeat is told the same."""

    received = ma.fields.Boolean(required=True)
