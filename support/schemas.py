"""What this package's JSON looks like. An order in a context is exactly the `Order` of the orders API."""

import unicodedata
from typing import Any

import marshmallow as ma

from loyalty import goodwill
from retail import limits
from retail.kernel.i18n import N_
from retail.kernel.web.cursor import PageQuery, page_schema
from retail.schemas.texts import Text
from support.contacts import CHANNELS, DIRECTIONS, TEXT_CHARACTERS

_ORDER = {"$ref": "#/components/schemas/Order"}
_ORDERS = {"type": "array", "items": _ORDER}


class Ready(ma.fields.Nested):
    """Nested, documented like any other, whose value is passed on as it is.

    The statements of the context make JSON already in the declared shape (a test compares them); serializing a thousand
    fields one by one would cost more than all the SQL.
    """

    def _serialize(self, nested_obj: Any, attr: str | None, obj: Any, **kwargs: Any) -> Any:  # type: ignore[override]  # noqa: ARG002
        return nested_obj


class ContextQuery(ma.Schema):
    """Exactly one key."""

    email = ma.fields.String(validate=ma.validate.Length(1, 254))
    phone = ma.fields.String(validate=ma.validate.Length(1, 40), metadata={"description": "National or E.164"})
    card = ma.fields.String(validate=ma.validate.Length(1, 64), metadata={"description": "Loyalty card"})
    external = ma.fields.String(
        validate=ma.validate.Length(1, 128), metadata={"description": "`namespace:id` of another system"}
    )
    customer = ma.fields.String(validate=ma.validate.Length(1, 40), metadata={"description": "Reference or id"})
    order = ma.fields.String(validate=ma.validate.Length(1, 40), metadata={"description": "Reference or id"})
    pickup_code = ma.fields.String(
        validate=ma.validate.Length(1, 64), metadata={"description": "The short code, or the QR code's token"}
    )

    @ma.validates_schema
    def exactly_one(self, data: dict[str, str], **_: Any) -> None:
        """Refuse none and several."""
        if len(data) != 1:
            names = ", ".join(self.fields)
            raise ma.ValidationError(f"Send exactly one of {names}")


class FoundBySchema(ma.Schema):
    """Which key led here; `assurance` of the identity when it was one."""

    kind = ma.fields.String(required=True)
    value = ma.fields.String(required=True)
    assurance = ma.fields.String(required=True, allow_none=True)


class CustomerIdentitySchema(ma.Schema):
    """One active identity: claimed < observed < attested < verified."""

    kind = ma.fields.String(required=True)
    namespace = ma.fields.String(required=True)
    value = ma.fields.String(required=True)
    assurance = ma.fields.String(required=True)
    from_at = ma.fields.DateTime(required=True)


class ContextCustomerSchema(ma.Schema):
    """The customer and what identifies her."""

    id = ma.fields.UUID(required=True)
    reference = ma.fields.String(required=True)
    name = ma.fields.String(required=True)
    locale = ma.fields.String(required=True)
    created_at = ma.fields.DateTime(required=True)
    identities = ma.fields.List(ma.fields.Nested(CustomerIdentitySchema), required=True)


class SuggestionSchema(ma.Schema):
    """Somebody it may be: a claimed identity opens nothing by itself."""

    customer_id = ma.fields.UUID(required=True)
    reference = ma.fields.String(required=True)
    name = ma.fields.String(required=True)
    kind = ma.fields.String(required=True)
    assurance = ma.fields.String(required=True)


class ContextMessageSchema(ma.Schema):
    """A message to the customer; secrets in `body` are masked."""

    id = ma.fields.UUID(required=True)
    channel = ma.fields.String(required=True)
    address = ma.fields.String(required=True)
    template = ma.fields.String(required=True)
    locale = ma.fields.String(required=True)
    subject = ma.fields.String(required=True)
    body = ma.fields.String(required=True)
    state = ma.fields.String(required=True)
    order_id = ma.fields.UUID(required=True, allow_none=True)
    created_at = ma.fields.DateTime(required=True)
    sent_at = ma.fields.DateTime(required=True, allow_none=True)


class SupportContactSchema(ma.Schema):
    """A word between the customer and us."""

    id = ma.fields.UUID(required=True)
    customer_id = ma.fields.UUID(required=True, allow_none=True)
    order_id = ma.fields.UUID(required=True, allow_none=True)
    staff_id = ma.fields.UUID(required=True, allow_none=True)
    channel = ma.fields.String(required=True, validate=ma.validate.OneOf(CHANNELS))
    direction = ma.fields.String(required=True, validate=ma.validate.OneOf(DIRECTIONS))
    text = ma.fields.String(required=True)
    at = ma.fields.DateTime(required=True)


class ContextContactSchema(SupportContactSchema):
    """A contact with the name of who noted it."""

    staff_name = ma.fields.String(required=True, allow_none=True)


class TimelineEventSchema(ma.Schema):
    """One change, newest first; `data` is the event's."""

    id = ma.fields.UUID(required=True)
    type = ma.fields.String(required=True)
    aggregate_id = ma.fields.UUID(required=True, allow_none=True)
    actor = ma.fields.String(required=True)
    at = ma.fields.DateTime(required=True)
    data = ma.fields.Dict(required=True)


class ContextOrdersSchema(ma.Schema):
    """Every open order up to a limit, the last past ones, and whether there are more."""

    open = ma.fields.Raw(required=True, metadata=_ORDERS)
    past = ma.fields.Raw(required=True, metadata=_ORDERS)
    more = ma.fields.Boolean(required=True)


class ContextMoreSchema(ma.Schema):
    """Whether a list was cut."""

    messages = ma.fields.Boolean(required=True)
    contacts = ma.fields.Boolean(required=True)
    timeline = ma.fields.Boolean(required=True)


class ContextNextExpirySchema(ma.Schema):
    """The next points to go, and when."""

    points = ma.fields.Integer(required=True)
    at = ma.fields.DateTime(required=True)


class ContextPointsSchema(ma.Schema):
    """Points: spendable, spendable later, put aside by open orders, owed after a claw-back; active or blocked."""

    available = ma.fields.Integer(required=True)
    pending = ma.fields.Integer(required=True)
    held = ma.fields.Integer(required=True)
    owed = ma.fields.Integer(required=True)
    state = ma.fields.String(required=True)
    lots_open = ma.fields.Integer(required=True)
    next_expiry = ma.fields.Nested(ContextNextExpirySchema, required=True, allow_none=True)


class ContextSchema(ma.Schema):
    """The customer seen whole. A guest's order has no customer; a claimed identity gives suggestions alone."""

    found_by = Ready(FoundBySchema, required=True)
    customer = Ready(ContextCustomerSchema, required=True, allow_none=True)
    suggestions = ma.fields.List(Ready(SuggestionSchema), required=True)
    points = Ready(ContextPointsSchema, required=True, allow_none=True)
    order = ma.fields.Raw(required=True, allow_none=True, metadata={"allOf": [_ORDER]})
    orders = Ready(ContextOrdersSchema, required=True)
    returns = ma.fields.Raw(required=True, metadata={"type": "array", "items": {"type": "object"}})
    messages = ma.fields.List(Ready(ContextMessageSchema), required=True)
    contacts = ma.fields.List(Ready(ContextContactSchema), required=True)
    timeline = ma.fields.List(Ready(TimelineEventSchema), required=True)
    more = Ready(ContextMoreSchema, required=True)


class NoteContactSchema(ma.Schema):
    """A contact to note: about a customer, an order, or both."""

    channel = ma.fields.String(required=True, validate=ma.validate.OneOf(CHANNELS))
    direction = ma.fields.String(required=True, validate=ma.validate.OneOf(DIRECTIONS))
    text = ma.fields.String(
        required=True,
        validate=[ma.validate.Length(1, TEXT_CHARACTERS), ma.validate.Regexp(r"(?s)\s*\S", error="Write something")],
    )
    customer_id = ma.fields.UUID(load_default=None, allow_none=True)
    order = ma.fields.String(
        load_default=None,
        allow_none=True,
        validate=ma.validate.Length(1, 40),
        metadata={"description": "Reference or id"},
    )


class ContactsQuery(PageQuery):
    """Whose contacts."""

    customer_id = ma.fields.UUID(load_default=None)
    order_id = ma.fields.UUID(load_default=None)


SupportContactPageSchema = page_schema(SupportContactSchema)


class GiveGoodwillSchema(ma.Schema):
    """The desk's form of points given as goodwill; its fields stand beside those of other forms on the page."""

    points = ma.fields.Integer(
        required=True,
        data_key="goodwill_points",
        validate=ma.validate.Range(1, limits.POINTS_PER_EARNING, error=N_("One point or more.")),
        error_messages={name: N_("Type a whole number.") for name in ("required", "invalid", "too_large")},
    )
    reason = ma.fields.String(
        required=True,
        data_key="goodwill_reason",
        validate=ma.validate.OneOf(goodwill.REASONS, error=N_("Choose a reason.")),
    )
    note = Text(most=limits.GOODWILL_NOTE_CHARACTERS, data_key="goodwill_note", load_default="")
    order = ma.fields.String(data_key="goodwill_order", load_default="")

    @ma.pre_load
    def plain(self, data: dict[str, str], **_: Any) -> dict[str, str]:
        """As people write thousands: 1,000 and １，０００."""
        typed = unicodedata.normalize("NFKC", data.get("goodwill_points", "")).replace(",", "")
        return data | ({"goodwill_points": typed} if typed else {})

    @ma.validates_schema
    def explained(self, data: dict[str, Any], **_: Any) -> None:
        """Refuse what says nothing."""
        if data["reason"] == "other" and not data["note"]:
            raise ma.ValidationError(N_("Say in the note why the points are given."), "goodwill_note")
