"""Postal addresses on the wire."""

import marshmallow as ma

from retail.schemas.texts import Line


class AddressSchema(ma.Schema):
    """Where something is sent. Kept as it was given, trimmed; `country` decides about tax, `postal_code` about distance."""

    name = Line(
        least=0, load_default="", metadata={"description": "Who receives it, where that is not the customer herself"}
    )
    phone = ma.fields.String(load_default="", validate=ma.validate.Length(max=40))
    postal_code = ma.fields.String(
        required=True, validate=ma.validate.Regexp(r"^[0-9A-Za-z -]{1,16}\Z"), metadata={"example": "150-0002"}
    )
    region = Line(least=0, load_default="", metadata={"description": "Prefecture or state", "example": "東京都"})
    city = Line(required=True, metadata={"example": "渋谷区"})
    line1 = Line(required=True, metadata={"example": "渋谷1-2-3"})
    line2 = Line(least=0, load_default="", metadata={"example": "青葉ビル 401"})
    country = ma.fields.String(
        load_default="JP",
        validate=ma.validate.Regexp(r"^[A-Z]{2}\Z"),
        metadata={"description": "ISO 3166-1, two letters"},
    )
