"""Slots of pickups, on the wire."""

import marshmallow as ma


class SetSlotPolicySchema(ma.Schema):
    """How long a store's slots are, from each opening on, and how many pickups each takes; 0 closes them."""

    minutes = ma.fields.Integer(required=True, strict=True, validate=ma.validate.Range(5, 480))
    capacity = ma.fields.Integer(required=True, strict=True, validate=ma.validate.Range(0, 10_000))


class SlotPolicySchema(ma.Schema):
    """A store's slots; version 0: it has none."""

    minutes = ma.fields.Integer(required=True, allow_none=True)
    capacity = ma.fields.Integer(required=True, allow_none=True)
    version = ma.fields.Integer(required=True)


class SlotQuery(ma.Schema):
    """Which day, in the store's zone; today's, if not said."""

    on = ma.fields.Date(load_default=None)


class SlotSchema(ma.Schema):
    """A slot, and how many pickups it has room for."""

    starts_at = ma.fields.DateTime(required=True)
    ends_at = ma.fields.DateTime(required=True)
    left = ma.fields.Integer(required=True)


class SlotsSchema(ma.Schema):
    """The day's slots from the next one on."""

    items = ma.fields.List(ma.fields.Nested(SlotSchema), required=True)


class ChangeSlotSchema(ma.Schema):
    """Another slot; null: whenever the store is open."""

    slot_at = ma.fields.AwareDateTime(required=True, allow_none=True)
