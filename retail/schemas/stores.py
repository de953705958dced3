"""Locations on the wire. Hours and holidays are wall-clock times in the location's zone."""

from collections.abc import Mapping
from typing import Any

import marshmallow as ma

from retail import limits
from retail.kernel.web.cursor import PageQuery, page_schema
from retail.schemas.texts import ChangeSchema, Code, Line, Text

KINDS = ("store", "warehouse")
CAPTURES = ("placed", "ready", "collected")
SHORTFALL_POLICIES = ("ask", "resource", "refund")


class HoursSchema(ma.Schema):
    """One opening interval of a weekday (0 = Monday); several a day are normal."""

    weekday = ma.fields.Integer(required=True, strict=True, validate=ma.validate.Range(0, 6))
    opens = ma.fields.Time(required=True, format="iso", metadata={"example": "10:00:00"})
    closes = ma.fields.Time(required=True, format="iso", metadata={"example": "20:00:00"})

    @ma.validates_schema
    def _in_order(self, data: Mapping[str, Any], **_: Any) -> None:
        if data["opens"].tzinfo or data["closes"].tzinfo:
            raise ma.ValidationError("Times of the store's own clock, without a zone.")
        if data["opens"] >= data["closes"]:
            raise ma.ValidationError("It opens before it closes.", "closes")


class HolidaySchema(ma.Schema):
    """A day with other hours; closed when both times are null."""

    on_day = ma.fields.Date(required=True)
    opens = ma.fields.Time(load_default=None, allow_none=True, format="iso")
    closes = ma.fields.Time(load_default=None, allow_none=True, format="iso")
    name = Line(load_default="", least=0)

    @ma.validates_schema
    def _both_or_none(self, data: Mapping[str, Any], **_: Any) -> None:
        opens, closes = data["opens"], data["closes"]
        if (opens is None) != (closes is None):
            raise ma.ValidationError("Give both times, or none when closed.")
        if opens is not None and (opens.tzinfo or closes.tzinfo):
            raise ma.ValidationError("Times of the store's own clock, without a zone.")
        if opens is not None and opens >= closes:
            raise ma.ValidationError("It opens before it closes.", "closes")


class LocationSchema(ma.Schema):
    """A store or a warehouse."""

    id = ma.fields.UUID(required=True)
    code = ma.fields.String(required=True)
    kind = ma.fields.String(required=True, metadata={"enum": list(KINDS)})
    name = ma.fields.String(required=True)
    name_ja = ma.fields.String(required=True, allow_none=True)
    address = ma.fields.String(required=True)
    phone = ma.fields.String(required=True, allow_none=True)
    zone = ma.fields.String(required=True, metadata={"description": "IANA zone", "example": "Asia/Tokyo"})
    tax_region = ma.fields.String(required=True)
    pickup_enabled = ma.fields.Boolean(required=True)
    pickup_lead_minutes = ma.fields.Integer(required=True)
    pickup_keep_days = ma.fields.Integer(required=True)
    capture_at = ma.fields.String(required=True, metadata={"enum": list(CAPTURES)})
    shortfall_policy = ma.fields.String(required=True, metadata={"enum": list(SHORTFALL_POLICIES)})
    ship_enabled = ma.fields.Boolean(required=True, metadata={"description": "Whether goods are sent from here"})
    pick_capacity = ma.fields.Integer(
        required=True,
        allow_none=True,
        metadata={"description": "Open orders that it can have to pick; null: any number"},
    )
    sourcing_priority = ma.fields.Integer(required=True, metadata={"description": "Lowest first"})
    pick_minutes_per_line = ma.fields.Integer(
        required=True,
        allow_none=True,
        metadata={"description": "Makes what waits to be picked delay the next promise; null: it does not"},
    )
    latitude = ma.fields.Float(required=True, allow_none=True)
    longitude = ma.fields.Float(required=True, allow_none=True)
    version = ma.fields.Integer(required=True)
    hours = ma.fields.List(ma.fields.Nested(HoursSchema), required=True)
    holidays = ma.fields.List(ma.fields.Nested(HolidaySchema), required=True)


class UpdateLocationSchema(ChangeSchema):
    """What is to be changed of a location; `hours` and `holidays` replace all of theirs."""

    name = Line()
    name_ja = Line(allow_none=True)
    address = Text(most=500)
    phone = Line(allow_none=True, most=40)
    zone = Line(most=64)
    tax_region = Code()
    pickup_enabled = ma.fields.Boolean()
    pickup_lead_minutes = ma.fields.Integer(strict=True, validate=ma.validate.Range(0, 10_080))
    pickup_keep_days = ma.fields.Integer(strict=True, validate=ma.validate.Range(1, 60))
    pick_minutes_per_line = ma.fields.Integer(strict=True, allow_none=True, validate=ma.validate.Range(1, 120))
    capture_at = ma.fields.String(validate=ma.validate.OneOf(CAPTURES))
    shortfall_policy = ma.fields.String(
        validate=ma.validate.OneOf(SHORTFALL_POLICIES),
        metadata={"description": "What becomes of goods that are missing: ask, take them from elsewhere, or refund"},
    )
    ship_enabled = ma.fields.Boolean()
    pick_capacity = ma.fields.Integer(strict=True, allow_none=True, validate=ma.validate.Range(0, 100_000))
    sourcing_priority = ma.fields.Integer(strict=True, validate=ma.validate.Range(0, 10_000))
    latitude = ma.fields.Float(allow_none=True, validate=ma.validate.Range(-90, 90))
    longitude = ma.fields.Float(allow_none=True, validate=ma.validate.Range(-180, 180))
    hours = ma.fields.List(ma.fields.Nested(HoursSchema), validate=ma.validate.Length(max=limits.HOURS_PER_LOCATION))
    holidays = ma.fields.List(
        ma.fields.Nested(HolidaySchema), validate=ma.validate.Length(max=limits.HOLIDAYS_PER_LOCATION)
    )

    @ma.validates_schema
    def _both_coordinates(self, data: Mapping[str, Any], **_: Any) -> None:
        given = [data[name] is None for name in ("latitude", "longitude") if name in data]
        if len(given) == 1 or (given and given[0] != given[1]):
            raise ma.ValidationError("Give both coordinates, or neither.", "latitude")


class CreateLocationSchema(UpdateLocationSchema):
    """A new location."""

    code = Code(required=True)
    kind = ma.fields.String(required=True, validate=ma.validate.OneOf(KINDS))
    name = Line(required=True)
    zone = Line(required=True, most=64)
    tax_region = Code(required=True)


class LocationQuery(PageQuery):
    """Which locations."""

    kind = ma.fields.String(load_default=None, validate=ma.validate.OneOf(KINDS))
    pickup = ma.fields.Boolean(load_default=None, metadata={"description": "Only those with, or without, pickup"})


LocationPageSchema = page_schema(LocationSchema)
