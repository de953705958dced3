"""Customers and their identities on the wire."""

from collections.abc import Mapping
from typing import Any

import marshmallow as ma

from retail import limits
from retail.kernel.web.cursor import PageQuery, page_schema
from retail.models import ASSURANCES, IDENTITY_KINDS
from retail.schemas.addresses import AddressSchema
from retail.schemas.texts import ChangeSchema, Line, locale


class IdentitySchema(ma.Schema):
    """An address or number that names a customer, and how sure that is."""

    id = ma.fields.UUID(required=True)
    kind = ma.fields.String(required=True, metadata={"enum": list(IDENTITY_KINDS)})
    value = ma.fields.String(required=True)
    assurance = ma.fields.String(required=True, metadata={"enum": list(ASSURANCES)})
    from_at = ma.fields.DateTime(required=True)


class CustomerSchema(ma.Schema):
    """A customer with her identities."""

    id = ma.fields.UUID(required=True)
    reference = ma.fields.String(required=True, metadata={"example": "C-7K2M9-QW4XK"})
    name = ma.fields.String(required=True)
    locale = ma.fields.String(required=True)
    address = ma.fields.Nested(AddressSchema, required=True, allow_none=True)
    version = ma.fields.Integer(required=True)
    created_at = ma.fields.DateTime(required=True)
    updated_at = ma.fields.DateTime(required=True)
    identities = ma.fields.List(ma.fields.Nested(IdentitySchema), required=True)


class AddIdentitySchema(ma.Schema):
    """An identity to be linked. Staff may state up to ``verified``, clients up to ``observed``."""

    kind = ma.fields.String(required=True, validate=ma.validate.OneOf(IDENTITY_KINDS))
    value = ma.fields.String(required=True, validate=ma.validate.Length(1, limits.IDENTITY_CHARACTERS))
    assurance = ma.fields.String(load_default="claimed", validate=ma.validate.OneOf(ASSURANCES))


class RegisterCustomerSchema(ma.Schema):
    """A new customer."""

    name = Line(required=True)
    locale = locale(load_default="ja")
    identities = ma.fields.List(
        ma.fields.Nested(AddIdentitySchema),
        load_default=list,
        validate=ma.validate.Length(max=limits.IDENTITIES_PER_CUSTOMER),
    )


class UpdateCustomerSchema(ChangeSchema):
    """What is to be changed of a customer."""

    name = Line()
    locale = locale()
    address = ma.fields.Nested(
        AddressSchema, allow_none=True, metadata={"description": "Where she likes to be sent things"}
    )


class CustomerQuery(PageQuery):
    """Which customers: by one identity, by a part of the name or the reference, or all, the newest first."""

    email = ma.fields.String(load_default=None, validate=ma.validate.Length(1, limits.IDENTITY_CHARACTERS))
    phone = ma.fields.String(load_default=None, validate=ma.validate.Length(1, limits.IDENTITY_CHARACTERS))
    card = ma.fields.String(load_default=None, validate=ma.validate.Length(1, limits.IDENTITY_CHARACTERS))
    external = ma.fields.String(
        load_default=None,
        validate=ma.validate.Length(1, limits.IDENTITY_CHARACTERS),
        metadata={"description": "Another system's customer number"},
    )
    q = Line(load_default=None, metadata={"description": "A part of the name, or the reference"})
    postal_code = ma.fields.String(
        load_default=None,
        validate=ma.validate.Length(1, 16),
        metadata={"description": "Together with `q`: only who lives there"},
    )

    @ma.validates_schema
    def _one(self, data: Mapping[str, Any], **_: Any) -> None:
        if sum(data[name] is not None for name in ("email", "phone", "card", "external", "q")) > 1:
            raise ma.ValidationError("Search by one of email, phone, card, external and q.")
        if data["postal_code"] is not None and data["q"] is None:
            raise ma.ValidationError("A postal code alone names too many; add q.", "postal_code")


CustomerPageSchema = page_schema(CustomerSchema)
