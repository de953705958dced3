"""Staff, API clients and their keys."""

from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from retail import clients, queries, staff, stores
from retail.clients import IssuedKey
from retail.kernel.errors import NotFound
from retail.kernel.web import ApiBlueprint, Call, Page, decode_cursor
from retail.kernel.web.cursor import PageQuery
from retail.schemas import access as schemas

blueprint = ApiBlueprint("access", __name__, url_prefix="/api/v1", description="Staff, API clients and keys")


@blueprint.read("/staff", permission="staff.manage", answer=schemas.StaffPageSchema, query=schemas.StaffQuery)
def list_staff(*, session: Session, call: Call, query: dict[str, Any]) -> Page:  # noqa: ARG001
    """Staff by login."""
    after = decode_cursor(query["cursor"], [str])
    rows = queries.list_staff(
        session,
        role=query["role"],
        active=query["active"],
        after=after[0] if after else None,
        limit=query["limit"] + 1,
    )
    return Page.of(rows, query["limit"], lambda row: [row["login"]])


@blueprint.read("/staff/<uuid:staff_id>", permission="staff.manage", answer=schemas.StaffSchema, etag=True)
def get_staff(*, session: Session, call: Call, staff_id: UUID) -> dict[str, Any]:  # noqa: ARG001
    """One member of staff."""
    return _staff(session, staff_id)


@blueprint.write(
    "POST",
    "/staff",
    permission="staff.manage",
    body=schemas.CreateStaffSchema,
    answer=schemas.StaffSchema,
    status=201,
)
def create_staff(*, session: Session, call: Call, body: dict[str, Any]) -> dict[str, Any]:
    """Add a member of staff, with no more rights than the caller's own."""
    location_ids = stores.keys_of(session, locations=body.pop("locations"))
    staff_id = staff.create(session, caller=call.principal, **body, location_ids=location_ids, now=call.now)
    return _staff(session, staff_id)


@blueprint.write(
    "PATCH",
    "/staff/<uuid:staff_id>",
    permission="staff.manage",
    body=schemas.UpdateStaffSchema,
    answer=schemas.StaffSchema,
    if_match=True,
)
def update_staff(*, session: Session, call: Call, staff_id: UUID, body: dict[str, Any]) -> dict[str, Any]:
    """Change a member of staff; a new password and ``active: false`` end all her log-ins."""
    if "locations" in body:
        body["location_ids"] = stores.keys_of(session, locations=body.pop("locations"))
    staff.update(session, caller=call.principal, staff_id=staff_id, version=call.version, changes=body, now=call.now)
    return _staff(session, staff_id)


@blueprint.read("/clients", permission="clients.manage", answer=schemas.ClientPageSchema, query=PageQuery)
def list_clients(*, session: Session, call: Call, query: dict[str, Any]) -> Page:
    """API clients by name, with the hints of their usable keys."""
    after = decode_cursor(query["cursor"], [str])
    rows = queries.list_clients(session, after=after[0] if after else None, limit=query["limit"] + 1, now=call.now)
    return Page.of(rows, query["limit"], lambda row: [row["name"]])


@blueprint.read("/clients/<uuid:client_id>", permission="clients.manage", answer=schemas.ClientSchema, etag=True)
def get_client(*, session: Session, call: Call, client_id: UUID) -> dict[str, Any]:
    """One API client."""
    return _client(session, call, client_id)


@blueprint.write(
    "POST",
    "/clients",
    permission="clients.manage",
    body=schemas.CreateClientSchema,
    answer=schemas.ClientSchema,
    status=201,
)
def create_client(*, session: Session, call: Call, body: dict[str, Any]) -> dict[str, Any]:
    """Make an API client, with no more scopes than the caller's own; issue its first key next."""
    location = body.pop("location")
    body["location_id"] = None if location is None else stores.keys_of(session, locations=[location])[0]
    client_id = clients.create(session, caller=call.principal, facts=body, now=call.now)
    return _client(session, call, client_id)


@blueprint.write(
    "PATCH",
    "/clients/<uuid:client_id>",
    permission="clients.manage",
    body=schemas.UpdateClientSchema,
    answer=schemas.ClientSchema,
    if_match=True,
)
def update_client(*, session: Session, call: Call, client_id: UUID, body: dict[str, Any]) -> dict[str, Any]:
    """Change an API client; ``active: false`` ends all its keys."""
    clients.update(
        session, caller=call.principal, client_id=client_id, version=call.version, changes=body, now=call.now
    )
    return _client(session, call, client_id)


@blueprint.write(
    "POST",
    "/clients/<uuid:client_id>/keys",
    permission="clients.manage",
    body=schemas.IssueKeySchema,
    answer=schemas.IssuedKeySchema,
    status=201,
)
def issue_key(*, session: Session, call: Call, client_id: UUID, body: dict[str, Any]) -> IssuedKey:
    """Issue a key, shown this once; `overlap_hours` rotates the present ones out."""
    return clients.issue_key(
        session, caller=call.principal, client_id=client_id, overlap_hours=body["overlap_hours"], now=call.now
    )


@blueprint.write(
    "DELETE", "/clients/<uuid:client_id>/keys/<key_id>", permission="clients.manage", answer=None, status=204
)
def revoke_key(*, session: Session, call: Call, client_id: UUID, key_id: str) -> None:
    """End one key at once."""
    clients.revoke_key(session, caller=call.principal, client_id=client_id, key_id=key_id, now=call.now)


def _staff(session: Session, staff_id: UUID) -> dict[str, Any]:
    found = queries.staff_dict(session, staff_id=staff_id)
    if found is None:
        raise NotFound("There is no such member of staff")
    return found


def _client(session: Session, call: Call, client_id: UUID) -> dict[str, Any]:
    found = queries.client_dict(session, client_id=client_id, now=call.now)
    if found is None:
        raise NotFound("There is no such API client")
    return found
