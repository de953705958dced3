"""Customers, as staff and clients see them, and as a customer sees herself (`/me`)."""

from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from retail import customers, queries
from retail.customers import NewIdentity
from retail.kernel import config
from retail.kernel.errors import NotFound
from retail.kernel.ids import parse_reference
from retail.kernel.web import ApiBlueprint, Call, Page, decode_cursor
from retail.schemas import customers as schemas

blueprint = ApiBlueprint("customers", __name__, url_prefix="/api/v1", description="Customers and their identities")


@blueprint.read(
    "/customers", permission="customers.read", answer=schemas.CustomerPageSchema, query=schemas.CustomerQuery
)
def list_customers(*, session: Session, call: Call, query: dict[str, Any]) -> Page:  # noqa: ARG001
    """Customers by one identity, by a part of the name or by reference; the newest first."""
    only, q = None, query["q"]
    for kind in ("email", "phone", "card", "external"):
        if query[kind] is not None:
            value = customers.normalize(kind, query[kind], region=config.current().default_region)
            known = queries.customer_by_identity(session, kind=kind, value=value)
            if known is None:
                return Page([], None)
            only = known[0]
    reference = parse_reference(q, "C") if q else None
    if reference is not None:
        only, q = queries.customer_key(session, customer_id=None, reference=reference), None
        if only is None:
            return Page([], None)
    after = decode_cursor(query["cursor"], [UUID])
    rows = queries.list_customers(
        session,
        q=q,
        only=only,
        after=after[0] if after else None,
        limit=query["limit"] + 1,
        postal_code=query["postal_code"],
    )
    return Page.of(rows, query["limit"], lambda row: [row["id"]])


@blueprint.read("/customers/<customer>", permission="customers.read", answer=schemas.CustomerSchema, etag=True)
def get_customer(*, session: Session, call: Call, customer: str) -> dict[str, Any]:  # noqa: ARG001
    """One customer by id or reference; a merged one answers as the survivor."""
    return _customer(session, customers.key_of(session, customer=customer))


@blueprint.write(
    "POST",
    "/customers",
    permission="customers.write",
    body=schemas.RegisterCustomerSchema,
    answer=schemas.CustomerSchema,
    status=201,
)
def register_customer(*, session: Session, call: Call, body: dict[str, Any]) -> dict[str, Any]:
    """Register a customer with her identities, all or nothing."""
    for item in body["identities"]:
        customers.may_state(call.principal, item["assurance"])
    customer_id = customers.register(
        session,
        name=body["name"],
        locale=body["locale"],
        identities=[NewIdentity(**item) for item in body["identities"]],
        actor=call.actor,
        now=call.now,
    )
    return _customer(session, customer_id)


@blueprint.write(
    "PATCH",
    "/customers/<customer>",
    permission="customers.write",
    body=schemas.UpdateCustomerSchema,
    answer=schemas.CustomerSchema,
    if_match=True,
)
def update_customer(*, session: Session, call: Call, customer: str, body: dict[str, Any]) -> dict[str, Any]:
    """Change a customer's name, language or address."""
    customer_id = customers.key_of(session, customer=customer)
    customers.update(
        session, customer_id=customer_id, version=call.version, changes=body, actor=call.actor, now=call.now
    )
    return _customer(session, customer_id)


@blueprint.write(
    "POST",
    "/customers/<customer>/identities",
    permission="customers.write",
    body=schemas.AddIdentitySchema,
    answer=schemas.CustomerSchema,
    status=201,
)
def add_identity(*, session: Session, call: Call, customer: str, body: dict[str, Any]) -> dict[str, Any]:
    """Link an address or number to a customer; repeating it changes nothing."""
    customers.may_state(call.principal, body["assurance"])
    customer_id = customers.key_of(session, customer=customer)
    customers.link(session, customer_id=customer_id, **body, actor=call.actor, now=call.now)
    return _customer(session, customer_id)


@blueprint.write(
    "DELETE",
    "/customers/<customer>/identities/<uuid:identity_id>",
    permission="customers.write",
    answer=schemas.CustomerSchema,
)
def remove_identity(*, session: Session, call: Call, customer: str, identity_id: UUID) -> dict[str, Any]:
    """Let an address or number no longer name this customer."""
    customer_id = customers.key_of(session, customer=customer)
    customers.unlink(session, customer_id=customer_id, identity_id=identity_id, actor=call.actor, now=call.now)
    return _customer(session, customer_id)


@blueprint.read("/me", permission="me", answer=schemas.CustomerSchema, etag=True)
def get_me(*, session: Session, call: Call) -> dict[str, Any]:
    """The customer who asks."""
    return _customer(session, customers.own(call.principal))


@blueprint.write(
    "PATCH",
    "/me",
    permission="me",
    body=schemas.UpdateCustomerSchema,
    answer=schemas.CustomerSchema,
    if_match=True,
)
def update_me(*, session: Session, call: Call, body: dict[str, Any]) -> dict[str, Any]:
    """Change my name, language or address."""
    customer_id = customers.own(call.principal)
    customers.update(
        session, customer_id=customer_id, version=call.version, changes=body, actor=call.actor, now=call.now
    )
    return _customer(session, customer_id)


def _customer(session: Session, customer_id: UUID) -> dict[str, Any]:
    found = queries.customer_dict(session, customer_id=customer_id)
    if found is None:
        raise NotFound("There is no such customer")
    return found
