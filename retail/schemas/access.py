"""Staff, API clients, keys, log-ins and dead letters on the wire. No password or key is ever shown, but a new one once."""

from collections.abc import Mapping
from typing import Any

import marshmallow as ma

from retail import limits
from retail.kernel.web.cursor import PageQuery, page_schema
from retail.models import ROLES
from retail.roles import GRANTABLE
from retail.schemas.texts import ChangeSchema, Code, Line, locale


class PlaceSchema(ma.Schema):
    """A location's name."""

    id = ma.fields.UUID(required=True)
    code = ma.fields.String(required=True)
    name = ma.fields.String(required=True)
    name_ja = ma.fields.String(required=True, allow_none=True)


class StaffSchema(ma.Schema):
    """A member of staff."""

    id = ma.fields.UUID(required=True)
    login = ma.fields.String(required=True)
    name = ma.fields.String(required=True)
    role = ma.fields.String(required=True, metadata={"enum": list(ROLES)})
    locale = ma.fields.String(required=True)
    active = ma.fields.Boolean(required=True)
    version = ma.fields.Integer(required=True)
    created_at = ma.fields.DateTime(required=True)
    locations = ma.fields.List(ma.fields.Nested(PlaceSchema), required=True)


def _locations(**options: Any) -> ma.fields.List[Any]:
    return ma.fields.List(
        Line(),
        validate=ma.validate.Length(max=200),
        metadata={"description": "Ids or codes of the stores she works at", "example": ["SHIBUYA"]},
        **options,
    )


def _password(**options: Any) -> ma.fields.String:
    bounds = ma.validate.Length(limits.PASSWORD_CHARACTERS_LEAST, limits.PASSWORD_CHARACTERS_MOST)
    return ma.fields.String(validate=bounds, load_only=True, **options)


class CreateStaffSchema(ma.Schema):
    """A new member of staff."""

    login = Code(required=True, most=limits.LOGIN_CHARACTERS)
    name = Line(required=True)
    password = _password(required=True)
    role = ma.fields.String(required=True, validate=ma.validate.OneOf(ROLES))
    locale = locale(load_default="ja")
    locations = _locations(load_default=list)


class UpdateStaffSchema(ChangeSchema):
    """What is to be changed; ``active: false`` ends all her log-ins."""

    name = Line()
    password = _password()
    role = ma.fields.String(validate=ma.validate.OneOf(ROLES))
    locale = locale()
    active = ma.fields.Boolean()
    locations = _locations()


class StaffQuery(PageQuery):
    """Which staff."""

    role = ma.fields.String(load_default=None, validate=ma.validate.OneOf(ROLES))
    active = ma.fields.Boolean(load_default=None)


class KeySchema(ma.Schema):
    """An API key by its last characters."""

    id = ma.fields.String(required=True)
    hint = ma.fields.String(required=True, metadata={"description": "The key's last four characters"})
    created_at = ma.fields.DateTime(required=True)
    expires_at = ma.fields.DateTime(required=True, allow_none=True)


class ClientSchema(ma.Schema):
    """An API client."""

    id = ma.fields.UUID(required=True)
    name = ma.fields.String(required=True)
    channel = ma.fields.String(required=True)
    location = ma.fields.Nested(PlaceSchema, required=True, allow_none=True)
    scopes = ma.fields.List(ma.fields.String(), required=True)
    active = ma.fields.Boolean(required=True)
    version = ma.fields.Integer(required=True)
    created_at = ma.fields.DateTime(required=True)
    keys = ma.fields.List(ma.fields.Nested(KeySchema), required=True)


def _scopes(**options: Any) -> ma.fields.List[Any]:
    scope = ma.fields.String(validate=ma.validate.OneOf(sorted(GRANTABLE)))
    return ma.fields.List(scope, validate=ma.validate.Length(1, len(GRANTABLE)), **options)


class CreateClientSchema(ma.Schema):
    """A new API client; its keys are issued apart."""

    name = Line(required=True)
    channel = Code(required=True)
    location = Line(load_default=None, allow_none=True, metadata={"description": "A till's store, by id or code"})
    scopes = _scopes(required=True)


class UpdateClientSchema(ChangeSchema):
    """What is to be changed; ``active: false`` ends all its keys."""

    name = Line()
    scopes = _scopes()
    active = ma.fields.Boolean()


class IssueKeySchema(ma.Schema):
    """How the new key relates to the present ones."""

    overlap_hours = ma.fields.Integer(
        load_default=None,
        allow_none=True,
        strict=True,
        validate=ma.validate.Range(0, limits.KEY_OVERLAP_HOURS_LONGEST),
        metadata={"description": "The present keys end after so many hours; null lets them be"},
    )


class IssuedKeySchema(ma.Schema):
    """A new key, shown this once."""

    id = ma.fields.String(required=True)
    key = ma.fields.String(required=True, metadata={"example": "rk_..."})
    hint = ma.fields.String(required=True)
    created_at = ma.fields.DateTime(required=True)


class LogInStaffSchema(ma.Schema):
    """Login and password."""

    login = ma.fields.String(required=True, validate=ma.validate.Length(1, limits.LOGIN_CHARACTERS))
    password = ma.fields.String(
        required=True, load_only=True, validate=ma.validate.Length(1, limits.PASSWORD_CHARACTERS_MOST)
    )


class PrincipalSchema(ma.Schema):
    """Who has logged in."""

    id = ma.fields.UUID(required=True)
    name = ma.fields.String(required=True)
    locale = ma.fields.String(required=True)
    permissions = ma.fields.Function(lambda principal: sorted(principal.permissions), required=True)
    locations = ma.fields.Function(
        lambda principal: None if principal.locations is None else sorted(map(str, principal.locations)),
        required=True,
        metadata={"description": "Ids of her stores; null means every location"},
    )


class StaffTokenSchema(ma.Schema):
    """A staff session."""

    token = ma.fields.String(required=True, metadata={"example": "st_..."})
    expires_at = ma.fields.DateTime(required=True)
    staff = ma.fields.Nested(PrincipalSchema, attribute="principal", required=True)


class _AddressedSchema(ma.Schema):
    email = ma.fields.String(load_default=None, validate=ma.validate.Length(1, limits.IDENTITY_CHARACTERS))
    phone = ma.fields.String(
        load_default=None,
        validate=ma.validate.Length(1, limits.IDENTITY_CHARACTERS),
        metadata={"description": "Answered with 422: no provider of text messages is connected"},
    )
    locale = locale(load_default="ja")

    @ma.validates_schema
    def _one(self, data: Mapping[str, Any], **_: Any) -> None:
        if (data["email"] is None) == (data["phone"] is None):
            raise ma.ValidationError("Give either email or phone.")


class RequestCodeSchema(_AddressedSchema):
    """Where the one-time code is to be sent."""


class CodeRequestedSchema(ma.Schema):
    """The same answer for every address."""

    expires_in_seconds = ma.fields.Integer(required=True)


class LogInCustomerSchema(_AddressedSchema):
    """The address and the code that was sent there."""

    code = ma.fields.String(required=True, validate=ma.validate.Length(1, 40))


class RefreshTokenSchema(ma.Schema):
    """The refresh token; it works once."""

    refresh_token = ma.fields.String(required=True, validate=ma.validate.Length(1, 200))


class CustomerTokenSchema(ma.Schema):
    """A customer's session."""

    access_token = ma.fields.String(required=True, metadata={"example": "ct_..."})
    access_expires_at = ma.fields.DateTime(required=True)
    refresh_token = ma.fields.String(required=True)
    refresh_expires_at = ma.fields.DateTime(required=True)
    customer_id = ma.fields.UUID(required=True)


class DeliverySchema(ma.Schema):
    """One handler's work on one event."""

    event_id = ma.fields.UUID(required=True)
    handler = ma.fields.String(required=True)
    type = ma.fields.String(required=True)
    at = ma.fields.DateTime(required=True)
    attempts = ma.fields.Integer(required=True)
    last_error = ma.fields.String(required=True, allow_none=True)


class DeliveryQuery(PageQuery):
    """Which deliveries: those that were given up."""

    state = ma.fields.String(load_default="dead", validate=ma.validate.OneOf(["dead"]))


class RedeliverySchema(ma.Schema):
    """A dead letter that will be tried again."""

    event_id = ma.fields.UUID(required=True)
    handler = ma.fields.String(required=True)
    state = ma.fields.String(required=True)


StaffPageSchema = page_schema(StaffSchema)
ClientPageSchema = page_schema(ClientSchema)
DeliveryPageSchema = page_schema(DeliverySchema)
