"""Pickups on the wire."""

from typing import Any

import marshmallow as ma

from orders.schemas.places import LOCATION_CODE, LocationNameSchema, money_field
from orders.tenders import AT_THE_TILL
from retail import limits
from retail.kernel.web.cursor import PageQuery
from retail.schemas.texts import Line

STATES = ("allocated", "picking", "arrived", "ready", "collected", "short", "expired", "cancelled")

PROXY_STATES = ("waiting", "valid", "locked", "used", "closed", "revoked")
IDENTITY = ma.validate.Length(max=limits.IDENTITY_CHARACTERS)
WORDS = 100


class PickupQuery(PageQuery):
    """Filters of the counter's list. Without `state`: what is still at the counter."""

    location = ma.fields.String(validate=ma.validate.Length(1, 64), metadata=LOCATION_CODE)
    state = ma.fields.List(
        ma.fields.String(validate=ma.validate.OneOf(STATES)), metadata={"description": "May be repeated"}
    )
    day = ma.fields.Date(metadata={"description": "The day of ready_by, in the store's zone"})
    here = ma.fields.Boolean(metadata={"description": "true: only whose customer has arrived and waits"})
    late = ma.fields.Boolean(metadata={"description": "true: only what should be ready by now and is not"})
    q = ma.fields.String(validate=ma.validate.Length(1, 64), metadata={"description": "An order's reference"})


class TakenLineSchema(ma.Schema):
    """Units of a line."""

    order_line_id = ma.fields.UUID(required=True)
    quantity = ma.fields.Integer(required=True, strict=True, validate=ma.validate.Range(1, limits.QUANTITY_PER_LINE))


def _lines(description: str) -> ma.fields.List[Any]:
    return ma.fields.List(
        ma.fields.Nested(TakenLineSchema),
        load_default=None,
        validate=ma.validate.Length(1, limits.LINES_PER_ORDER),
        metadata={"description": description},
    )


class ReadyPickupSchema(ma.Schema):
    """What is ready; the body may be left out: everything."""

    lines = _lines("Only these units; the rest goes on being picked as a pickup of its own")


class CollectPickupSchema(ma.Schema):
    """The proof (exactly one of code, token, identity) and, when something is due, the tender that was taken."""

    code = ma.fields.String(validate=ma.validate.Length(1, 20), metadata={"example": "K7M2QX"})
    token = ma.fields.String(validate=ma.validate.Length(1, 100), metadata={"description": "What the QR code says"})
    identity = Line(least=3, metadata={"description": "What staff looked at", "example": "driving license"})
    tender = ma.fields.String(validate=ma.validate.OneOf(AT_THE_TILL))
    till = ma.fields.String(
        validate=ma.validate.Length(1, limits.TILL_CODE_CHARACTERS),
        metadata={"description": "The register that took it; cash goes into its open drawer"},
    )
    lines = _lines("Only these units; the rest waits on as a pickup of its own, with a code of its own")


class PickupLineSchema(ma.Schema):
    """What to pick."""

    order_line_id = ma.fields.UUID(required=True)
    position = ma.fields.Integer(required=True)
    sku = ma.fields.String(required=True)
    title = ma.fields.String(required=True)
    quantity = ma.fields.Integer(required=True)
    picked = ma.fields.Integer(required=True)
    collected = ma.fields.Integer(required=True)
    short = ma.fields.Integer(required=True)


class PickupCodeStateSchema(ma.Schema):
    """How the code stands; the code itself is the customer's."""

    rotation = ma.fields.Integer(required=True)
    attempts = ma.fields.Integer(required=True)
    locked = ma.fields.Boolean(required=True)
    issued_at = ma.fields.DateTime(required=True)


class NameProxySchema(ma.Schema):
    """Who may collect, too; with an email she is told."""

    name = Line(required=True)
    email = ma.fields.String(load_default=None, allow_none=True, validate=IDENTITY)
    phone = ma.fields.String(load_default=None, allow_none=True, validate=IDENTITY)


class PickupProxyNameSchema(ma.Schema):
    """Somebody who may collect. `state`: waiting (the goods are not ready), valid, locked, used, closed, revoked."""

    id = ma.fields.UUID(required=True)
    name = ma.fields.String(required=True)
    state = ma.fields.String(required=True, validate=ma.validate.OneOf(PROXY_STATES))
    attempts = ma.fields.Integer(required=True)


class PickupProxySchema(PickupProxyNameSchema):
    """The same with how she is reached; `ended_at`: collected, revoked, or the goods left otherwise."""

    email = ma.fields.String(required=True, allow_none=True)
    phone = ma.fields.String(required=True, allow_none=True)
    rotation = ma.fields.Integer(required=True)
    named_at = ma.fields.DateTime(required=True)
    ended_at = ma.fields.DateTime(required=True, allow_none=True)


class PickupProxiesSchema(ma.Schema):
    """Everybody who was ever named."""

    items = ma.fields.List(ma.fields.Nested(PickupProxySchema), required=True)


class ArriveSchema(ma.Schema):
    """Where the customer stands, and in what."""

    place = Line(least=0, most=WORDS, load_default="", metadata={"example": "P3"})
    vehicle = Line(least=0, most=WORDS, load_default="", metadata={"example": "white Yaris, 12-34"})


class PickupArrivalSchema(ma.Schema):
    """Somebody waits before the store, since `arrived_at`."""

    arrived_at = ma.fields.DateTime(required=True)
    place = ma.fields.String(required=True)
    vehicle = ma.fields.String(required=True)
    updated_at = ma.fields.DateTime(required=True)


class CollectedBySchema(ma.Schema):
    """Who collected in the customer's place."""

    proxy_id = ma.fields.UUID(required=True)
    name = ma.fields.String(required=True)


class PickupSchema(ma.Schema):
    """One pickup as the counter sees it. `due` is what is still to be paid when it is handed over."""

    id = ma.fields.UUID(required=True)
    method = ma.fields.String(required=True, metadata={"enum": ["pickup", "ship_to_store"]})
    state = ma.fields.String(required=True, validate=ma.validate.OneOf(STATES))
    version = ma.fields.Integer(required=True)
    order_id = ma.fields.UUID(required=True)
    reference = ma.fields.String(required=True)
    customer_id = ma.fields.UUID(required=True, allow_none=True)
    customer_name = ma.fields.String(required=True)
    total = money_field()
    due = money_field()
    location = ma.fields.Nested(LocationNameSchema, required=True)
    placed_at = ma.fields.DateTime(required=True)
    ready_by = ma.fields.DateTime(required=True, allow_none=True)
    picking_at = ma.fields.DateTime(required=True, allow_none=True)
    ready_at = ma.fields.DateTime(required=True, allow_none=True)
    collect_by = ma.fields.DateTime(required=True, allow_none=True)
    collected_at = ma.fields.DateTime(required=True, allow_none=True)
    collected_proof = ma.fields.String(required=True, allow_none=True)
    collected_by = ma.fields.Nested(CollectedBySchema, required=True, allow_none=True)
    code = ma.fields.Nested(PickupCodeStateSchema, required=True, allow_none=True)
    proxies = ma.fields.List(ma.fields.Nested(PickupProxyNameSchema), required=True)
    arrival = ma.fields.Nested(PickupArrivalSchema, required=True, allow_none=True)
    lines = ma.fields.List(ma.fields.Nested(PickupLineSchema), required=True)


class PickupCodeSchema(ma.Schema):
    """What the customer shows at the counter."""

    fulfillment_id = ma.fields.UUID(required=True)
    code = ma.fields.String(required=True, metadata={"example": "K7M2QX"})
    token = ma.fields.String(required=True)
    qr_svg = ma.fields.String(required=True, metadata={"description": "The token as a QR code, an <svg> element"})
    locked = ma.fields.Boolean(required=True, metadata={"description": "Too many wrong codes: ask for a new one"})
    collect_by = ma.fields.DateTime(required=True, allow_none=True)
    location = ma.fields.Nested(LocationNameSchema, required=True)
