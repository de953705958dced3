"""What can be sold, as JSON."""

from typing import Any

import marshmallow as ma

from inventory.schemas.levels import NAME, SKU, UNITS, StockPlaceSchema
from retail import limits


def _moment(words: str, **options: Any) -> ma.fields.String:
    """A moment that is text already."""
    return ma.fields.String(metadata={"format": "date-time", "description": words}, **options)


class PromiseSchema(ma.Schema):
    """What somebody who orders one (more) now is promised."""

    source = ma.fields.String(
        required=True,
        data_key="from",
        attribute="from",
        metadata={"enum": ["stock", "backorder", "preorder", "none"]},
    )
    at = _moment("When it can be handed over; null: nobody knows, or never", required=True, allow_none=True)


class PreorderSchema(ma.Schema):
    """Not sold before this moment; orders are taken."""

    releases_at = _moment("The moment of release", required=True)


class KeepingRuleSchema(ma.Schema):
    """The rule that keeps units back: of those that fit, the most specific."""

    id = ma.fields.UUID(required=True)
    quantity = ma.fields.Integer(required=True, metadata=UNITS)
    location = ma.fields.String(required=True, allow_none=True, metadata={"description": "Code; null: everywhere"})
    category = ma.fields.String(required=True, allow_none=True)
    sku = ma.fields.String(required=True, allow_none=True)
    channel = ma.fields.String(required=True, allow_none=True)


class TermSchema(ma.Schema):
    """One summand of an explanation."""

    term = ma.fields.String(
        required=True,
        metadata={
            "enum": [
                "on_hand",
                "allocated",
                "held",
                "unavailable",
                "safety",
                "buffer",
                "incoming",
                "short",
                "floor",
                "not_released",
                "available",
                "backorder_limit",
            ],
            "description": "floor: a result is never below 0; short: owed to orders whose goods turned out to be missing",
        },
    )
    quantity = ma.fields.Integer(required=True, metadata={"description": "Units; negative: taken away"})
    by_hand = ma.fields.Boolean(metadata={"description": "safety: set for this level, whatever the rules say"})
    rule = ma.fields.Nested(KeepingRuleSchema, allow_none=True)


class ArrivalSchema(ma.Schema):
    """Units on their way. Customers see quantities and dates alone."""

    due_at = _moment("Null: nobody said when", required=True, allow_none=True)
    quantity = ma.fields.Integer(required=True, metadata=UNITS)
    kind = ma.fields.String(metadata={"enum": ["inbound", "transfer"]})
    reference = ma.fields.String()
    supplier = ma.fields.String(allow_none=True)


class CountedSchema(ma.Schema):
    """The numbers of one SKU at one location; all but the last four are absent for a bundle, which has no stock."""

    on_hand = ma.fields.Integer(metadata=UNITS)
    allocated = ma.fields.Integer(metadata={"description": "Promised to orders"})
    held = ma.fields.Integer(metadata={"description": "In unexpired holds of carts"})
    unavailable = ma.fields.Integer(metadata={"description": "Damaged or in inspection"})
    safety = ma.fields.Integer(metadata={"description": "Kept back from sale"})
    buffer = ma.fields.Integer(metadata={"description": "Kept back from this channel, on top of safety"})
    backorder_limit = ma.fields.Integer(metadata={"description": "May be promised beyond what is here"})
    incoming = ma.fields.Integer(metadata={"description": "With `at`: what comes in by then"})
    short = ma.fields.Integer(metadata={"description": "With `at`: what earlier promises lost and get first"})
    available = ma.fields.Integer(required=True, metadata={"description": "What can be sold; 0 before the release"})
    orderable = ma.fields.Integer(
        required=True, metadata={"description": "What an order could be promised, backorder and pre-order included"}
    )
    promise = ma.fields.Nested(PromiseSchema, metadata={"description": "With `promise`, `at` or `explain`"})
    terms = ma.fields.List(
        ma.fields.Nested(TermSchema), metadata={"description": "With `explain`: they add up to `available`"}
    )
    orderable_terms = ma.fields.List(
        ma.fields.Nested(TermSchema), metadata={"description": "With `explain`: they add up to `orderable`"}
    )
    arrivals = ma.fields.List(
        ma.fields.Nested(ArrivalSchema),
        metadata={"description": "With `explain`: what is on its way here, soonest first"},
    )


class ComponentAvailabilitySchema(CountedSchema):
    """One component of a bundle at one location."""

    sku = ma.fields.String(required=True)
    variant_id = ma.fields.UUID(required=True)
    quantity = ma.fields.Integer(required=True, metadata={"description": "Units that go into one bundle"})


class AvailableAtSchema(CountedSchema):
    """One SKU at one location; `available` = on_hand - allocated - held - unavailable - safety - buffer (with `at`: + incoming
    - short), never below 0. A bundle has what its scarcest component makes."""

    location = ma.fields.Nested(StockPlaceSchema, required=True)
    components = ma.fields.List(
        ma.fields.Nested(ComponentAvailabilitySchema), metadata={"description": "Of a bundle, with `explain`"}
    )


class SkuAvailabilitySchema(ma.Schema):
    """One SKU everywhere, or at the locations that were asked for."""

    sku = ma.fields.String(required=True)
    variant_id = ma.fields.UUID(required=True)
    title = ma.fields.String(required=True)
    title_ja = ma.fields.String(required=True, allow_none=True)
    bundle = ma.fields.Boolean(required=True, metadata={"description": "It has no stock of its own"})
    available = ma.fields.Integer(required=True, metadata={"description": "The sum over the locations listed"})
    orderable = ma.fields.Integer(required=True, metadata={"description": "The sum over the locations listed"})
    preorder = ma.fields.Nested(PreorderSchema, required=True, allow_none=True)
    promise = ma.fields.Nested(
        PromiseSchema, metadata={"description": "The best of the locations; with `promise`, `at` or `explain`"}
    )
    locations = ma.fields.List(ma.fields.Nested(AvailableAtSchema), required=True)


class AvailabilitySchema(ma.Schema):
    """The answer to an availability question, in the order of the SKUs asked for."""

    items = ma.fields.List(ma.fields.Nested(SkuAvailabilitySchema), required=True)

    def dump(self, obj: Any, *, many: bool | None = None) -> Any:
        """The dict as it is: availability.for_skus makes exactly this shape of plain values.

        Walking 20 locations field by field takes about as long as the database takes to find them; a test compares both.
        """
        return obj if not many else list(obj)


class AvailabilityQuery(ma.Schema):
    """`?sku=A&sku=B&location=SHIBUYA`"""

    sku = ma.fields.List(
        ma.fields.String(validate=SKU),
        required=True,
        validate=ma.validate.Length(1, limits.SKUS_PER_AVAILABILITY),
        metadata={"description": f"Repeat it for more, up to {limits.SKUS_PER_AVAILABILITY}"},
    )
    location = ma.fields.List(
        ma.fields.String(validate=NAME),
        load_default=None,
        validate=ma.validate.Length(1, limits.LOCATIONS_PER_AVAILABILITY),
        metadata={"description": "Id or code; repeat it for more. Without: everywhere the SKU has been"},
    )
    channel = ma.fields.String(
        load_default=None,
        validate=NAME,
        metadata={"description": "Whose buffer is kept back. Without: the caller's own channel; staff have none"},
    )
    at = ma.fields.AwareDateTime(
        load_default=None,
        metadata={
            "description": f"What can be sold at that moment, up to {limits.DAYS_AHEAD} days ahead: holds that end by then are"
            " gone, deliveries and transfers due by then have come, and who waits for them has them"
        },
    )
    explain = ma.fields.Boolean(load_default=False, metadata={"description": "Show the arithmetic"})
    promise = ma.fields.Boolean(
        load_default=False, metadata={"description": "Say what somebody who orders one now is promised, and for when"}
    )
