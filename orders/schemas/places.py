"""Pieces that several answers share."""

from typing import Any

import marshmallow as ma

from retail.schemas import MoneySchema

LOCATION_CODE = {"description": "A location's code or id", "example": "SHIBUYA"}


class LocationNameSchema(ma.Schema):
    """Where, and in which zone its hours are."""

    id = ma.fields.UUID(required=True)
    code = ma.fields.String(required=True)
    name = ma.fields.String(required=True)
    name_ja = ma.fields.String(required=True, allow_none=True)
    zone = ma.fields.String(required=True, metadata={"example": "Asia/Tokyo"})


def money_field(**options: Any) -> ma.fields.Nested:
    """A required amount with its currency."""
    return ma.fields.Nested(MoneySchema, required=True, **options)
