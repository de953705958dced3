"""Tills and their sales on the wire."""

from typing import Any

import marshmallow as ma

from orders.schemas.places import LOCATION_CODE, LocationNameSchema
from orders.till.reading import RATE_MOST_BP, TENDERS
from orders.till.uploading import OUTCOMES
from retail import limits
from retail.kernel.money import MAX_MINOR
from retail.kernel.web.cursor import PageQuery, page_schema
from retail.schemas.texts import Line

_AMOUNT = ma.validate.Range(0, MAX_MINOR)


class CreateTillSchema(ma.Schema):
    """A register of a store."""

    code = ma.fields.String(
        required=True, validate=ma.validate.Regexp(rf"[A-Za-z0-9._-]{{1,{limits.TILL_CODE_CHARACTERS}}}\Z")
    )
    name = Line(least=0, load_default="")
    location = ma.fields.String(required=True, validate=ma.validate.Length(1, 64), metadata=LOCATION_CODE)


class TillSchema(ma.Schema):
    """A till."""

    code = ma.fields.String(required=True)
    name = ma.fields.String(required=True)
    location = ma.fields.Nested(LocationNameSchema, required=True)


class SoldLineSchema(ma.Schema):
    """Units of a SKU as the till sold them. Amounts in minor units; the price as it is on the price list, with or without tax."""

    sku = ma.fields.String(required=True, validate=ma.validate.Length(1, limits.SKU_CHARACTERS))
    title = ma.fields.String(metadata={"description": "What the till called it"})
    quantity = ma.fields.Integer(required=True, validate=ma.validate.Range(1, limits.QUANTITY_PER_LINE))
    unit_price_minor = ma.fields.Integer(required=True, validate=_AMOUNT)
    discount_minor = ma.fields.Integer(metadata={"description": "Off the whole line; 0 when it is left out"})
    tax_rate_bp = ma.fields.Integer(required=True, validate=ma.validate.Range(0, RATE_MOST_BP))


class SoldTenderSchema(ma.Schema):
    """What the till took by one tender; the sum is what the sale costs."""

    method = ma.fields.String(required=True, validate=ma.validate.OneOf(TENDERS))
    amount_minor = ma.fields.Integer(required=True, validate=ma.validate.Range(1, MAX_MINOR))
    number = ma.fields.String(metadata={"description": "gift_card: the card's number"})


class TillSaleSchema(ma.Schema):
    """One sale of an offline till."""

    sale_id = ma.fields.String(required=True, metadata={"description": "The till's own id of it"})
    sold_at = ma.fields.AwareDateTime(required=True, metadata={"description": "By the till's clock"})
    lines = ma.fields.List(ma.fields.Nested(SoldLineSchema), required=True)
    tenders = ma.fields.List(ma.fields.Nested(SoldTenderSchema), required=True)
    customer_id = ma.fields.UUID()
    member = ma.fields.String(metadata={"description": "The loyalty card's number"})


class _Sales(ma.fields.List[Any]):
    """Documented as what it should be; each is read by itself (orders.till.reading), so that one cannot spoil the others."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> list[Any]:
        if not isinstance(value, list):
            raise self.make_error("invalid")
        return value


class UploadSalesSchema(ma.Schema):
    """A batch."""

    sales = _Sales(
        ma.fields.Nested(TillSaleSchema), required=True, validate=ma.validate.Length(1, limits.TILL_SALES_PER_UPLOAD)
    )


class UploadedSaleSchema(ma.Schema):
    """What became of one sale. `flags` ({code, line, ...}) is what staff should look at; `errors` why it is no sale."""

    sale_id = ma.fields.String(required=True, allow_none=True)
    outcome = ma.fields.String(required=True, validate=ma.validate.OneOf(OUTCOMES))
    order_reference = ma.fields.String(required=True, allow_none=True)
    flags = ma.fields.List(ma.fields.Dict(), required=True)
    errors = ma.fields.List(ma.fields.Dict(), required=True)


class UploadReportSchema(ma.Schema):
    """What became of each, in the order of the request."""

    sales = ma.fields.List(ma.fields.Nested(UploadedSaleSchema), required=True)


class FlaggedQuery(PageQuery):
    """Which flagged sales."""

    till = ma.fields.String(validate=ma.validate.Length(1, limits.TILL_CODE_CHARACTERS))
    seen = ma.fields.Boolean(load_default=False)


class FlaggedSaleSchema(ma.Schema):
    """A sale that did not fit, and who looked at it."""

    id = ma.fields.UUID(required=True)
    till = ma.fields.String(required=True)
    sale_id = ma.fields.String(required=True)
    order_reference = ma.fields.String(required=True)
    sold_at = ma.fields.DateTime(required=True)
    recorded_at = ma.fields.DateTime(required=True)
    flags = ma.fields.List(ma.fields.Dict(), required=True)
    seen_by = ma.fields.String(required=True, allow_none=True)
    seen_at = ma.fields.DateTime(required=True, allow_none=True)


FlaggedPageSchema = page_schema(FlaggedSaleSchema)
