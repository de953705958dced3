"""Statements and the liability report on the wire."""

from datetime import UTC, date, datetime
from typing import Any

import marshmallow as ma

from retail.kernel.web.cursor import PageQuery

_YEARS = range(1990, 3000)  # beyond, a zone's arithmetic may leave what a date can say


class DayOrMoment(ma.fields.Field[date | datetime]):
    """``2026-07-01``, a day of the shop's zone, or a moment as RFC 3339 has it, with its offset."""

    default_error_messages = {"invalid": "Not a day (2026-07-01) or a moment with its offset (2026-07-01T09:00:00Z)."}  # noqa: RUF012

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> date | datetime:  # noqa: ARG002
        try:
            found = date.fromisoformat(value) if len(value) == 10 else datetime.fromisoformat(value)
        except (TypeError, ValueError):
            raise self.make_error("invalid") from None
        if found.year not in _YEARS or (isinstance(found, datetime) and found.tzinfo is None):
            raise self.make_error("invalid")
        return found.astimezone(UTC) if isinstance(found, datetime) else found


def _day(words: str, **options: Any) -> DayOrMoment:
    return DayOrMoment(
        load_default=None, metadata={"type": "string", "description": words, "example": "2026-07-01"}, **options
    )


class StatementQuery(PageQuery):
    """Which period, and which page of its movements."""

    since = _day("First day of the shop's zone, or first moment; by default the first of the month", data_key="from")
    until = _day("Last day, or last moment, included; by default now", data_key="to")


class _FigureSchema(ma.Schema):
    points = ma.fields.Integer(required=True, metadata={"description": "In lots, whether they can be spent or not"})
    held = ma.fields.Integer(required=True, metadata={"description": "Put aside for open orders"})
    owed = ma.fields.Integer(required=True, metadata={"description": "Netted against what is earned next"})


class StatementBalanceSchema(_FigureSchema):
    """An account at one moment. points = available + pending + expired."""

    available = ma.fields.Integer(required=True, metadata={"description": "Could be spent then"})
    pending = ma.fields.Integer(required=True, metadata={"description": "Could be spent from a later moment on"})
    expired = ma.fields.Integer(required=True, metadata={"description": "Had run out, not booked as expired yet"})


class PointsMovementSumsSchema(_FigureSchema):
    """What all movements of the period come to; opening + movements = closing."""

    transactions = ma.fields.Integer(required=True)


class PointsFiguresSchema(_FigureSchema):
    """The three figures of an account after one movement."""


class StatementLotSchema(ma.Schema):
    """What one lot held at the end of the period."""

    id = ma.fields.UUID(required=True)
    points = ma.fields.Integer(required=True)
    earned = ma.fields.Integer(required=True)
    source = ma.fields.String(required=True)
    source_id = ma.fields.UUID(required=True, allow_none=True)
    available_from = ma.fields.AwareDateTime(required=True)
    expires_at = ma.fields.AwareDateTime(required=True)
    state = ma.fields.String(required=True, metadata={"enum": ["available", "pending", "expired"]})


class MoreLotsSchema(ma.Schema):
    """Lots that are not listed, since they are too many: those that run out last."""

    lots = ma.fields.Integer(required=True)
    points = ma.fields.Integer(required=True)


class PointsMovementSchema(ma.Schema):
    """One transaction: what it changed, and the balance it left."""

    id = ma.fields.UUID(required=True)
    kind = ma.fields.String(required=True)
    order_id = ma.fields.UUID(required=True, allow_none=True)
    member_id = ma.fields.UUID(
        required=True, allow_none=True, metadata={"description": "The merged member through whom it came"}
    )
    reason = ma.fields.String(required=True)
    at = ma.fields.AwareDateTime(required=True)
    points = ma.fields.Integer(required=True)
    held = ma.fields.Integer(required=True)
    owed = ma.fields.Integer(required=True)
    balance = ma.fields.Nested(PointsFiguresSchema, required=True)


class PointsStatementSchema(ma.Schema):
    """A member's statement."""

    customer_id = ma.fields.UUID(required=True)
    zone = ma.fields.String(required=True, metadata={"description": "Whose days the period counts in"})
    since = ma.fields.AwareDateTime(data_key="from", attribute="from", required=True)
    until = ma.fields.AwareDateTime(data_key="to", attribute="to", required=True)
    opening = ma.fields.Nested(StatementBalanceSchema, required=True)
    movements = ma.fields.Nested(PointsMovementSumsSchema, required=True)
    closing = ma.fields.Nested(StatementBalanceSchema, required=True)
    agrees = ma.fields.Boolean(required=True, metadata={"description": "opening + movements = closing"})
    lots = ma.fields.List(ma.fields.Nested(StatementLotSchema), required=True)
    more_lots = ma.fields.Nested(MoreLotsSchema, required=True)
    items = ma.fields.List(ma.fields.Nested(PointsMovementSchema), required=True)
    next = ma.fields.String(required=True, allow_none=True)


class LiabilityQuery(ma.Schema):
    """At which moment."""

    at = _day("A day of the shop's zone (its end), or a moment; by default now")


class LiabilitySumsSchema(ma.Schema):
    """Outstanding points. points = spendable + pending + held + expired."""

    spendable = ma.fields.Integer(required=True)
    pending = ma.fields.Integer(required=True, metadata={"description": "Can be spent from a later moment on"})
    held = ma.fields.Integer(required=True, metadata={"description": "Put aside for open orders"})
    expired = ma.fields.Integer(required=True, metadata={"description": "Has run out, not booked as expired yet"})
    points = ma.fields.Integer(required=True)


class LiabilityMonthSchema(LiabilitySumsSchema):
    """What runs out in one month of the shop's zone."""

    month = ma.fields.String(required=True, metadata={"example": "2026-07"})


class LedgerSumsSchema(ma.Schema):
    """What the entries say: outstanding = issued + goodwill + owed - burned - expired."""

    issued = ma.fields.Integer(required=True, metadata={"description": "Earned, less what was clawed back"})
    goodwill = ma.fields.Integer(required=True)
    owed = ma.fields.Integer(required=True)
    burned = ma.fields.Integer(required=True, metadata={"description": "Less what was refunded"})
    expired = ma.fields.Integer(required=True)
    outstanding = ma.fields.Integer(required=True)


class PointsValueSchema(ma.Schema):
    """What the outstanding points pay in one currency."""

    amount_minor = ma.fields.Integer(required=True)
    currency = ma.fields.String(required=True)


class BooksDifferenceSchema(ma.Schema):
    """Two figures that should be one."""

    figure = ma.fields.String(required=True)
    reported = ma.fields.Integer(required=True)
    ledger = ma.fields.Integer(required=True)


class LiabilitySchema(ma.Schema):
    """What the shop owes its members in points."""

    at = ma.fields.AwareDateTime(required=True)
    zone = ma.fields.String(required=True)
    months = ma.fields.List(ma.fields.Nested(LiabilityMonthSchema), required=True)
    outstanding = ma.fields.Nested(LiabilitySumsSchema, required=True)
    owed = ma.fields.Integer(required=True, metadata={"description": "What members owe; not taken off above"})
    ledger = ma.fields.Nested(LedgerSumsSchema, required=True)
    values = ma.fields.List(ma.fields.Nested(PointsValueSchema), required=True)
    agrees = ma.fields.Boolean(required=True)
    differences = ma.fields.List(ma.fields.Nested(BooksDifferenceSchema), required=True)
