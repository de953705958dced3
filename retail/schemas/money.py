"""Money on the wire: ``{"amount_minor": 1980, "currency": "JPY"}``."""

from typing import Any

import marshmallow as ma

from retail.kernel.money import MAX_MINOR


class MoneySchema(ma.Schema):
    """Whole minor units (yen, cents) of one currency."""

    amount_minor = ma.fields.Integer(
        required=True, strict=True, validate=ma.validate.Range(-MAX_MINOR, MAX_MINOR), metadata={"example": 1980}
    )
    currency = ma.fields.String(
        required=True,
        validate=ma.validate.Regexp(r"^[A-Z]{3}\Z"),
        metadata={"description": "ISO 4217", "example": "JPY"},
    )


def money(amount_minor: int, currency: str) -> dict[str, Any]:
    """What MoneySchema dumps."""
    return {"amount_minor": amount_minor, "currency": currency}
