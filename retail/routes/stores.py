"""Stores and warehouses: facts, hours, holidays."""

from typing import Any

from sqlalchemy.orm import Session

from retail import queries, stores
from retail.kernel.errors import NotFound
from retail.kernel.web import ApiBlueprint, Call, Page, decode_cursor
from retail.schemas import stores as schemas

blueprint = ApiBlueprint("stores", __name__, url_prefix="/api/v1", description="Stores and warehouses")


@blueprint.read("/locations", permission="stores.read", answer=schemas.LocationPageSchema, query=schemas.LocationQuery)
def list_locations(*, session: Session, call: Call, query: dict[str, Any]) -> Page:  # noqa: ARG001
    """Locations with hours and holidays, by code."""
    after = decode_cursor(query["cursor"], [str])
    rows = queries.list_locations(
        session,
        kind=query["kind"],
        pickup=query["pickup"],
        after=after[0] if after else None,
        limit=query["limit"] + 1,
    )
    return Page.of(rows, query["limit"], lambda row: [row["code"]])


@blueprint.read("/locations/<location>", permission="stores.read", answer=schemas.LocationSchema, etag=True)
def get_location(*, session: Session, call: Call, location: str) -> dict[str, Any]:  # noqa: ARG001
    """One location by id or code."""
    return _location(session, location)


@blueprint.write(
    "POST",
    "/locations",
    permission="stores.write",
    body=schemas.CreateLocationSchema,
    answer=schemas.LocationSchema,
    status=201,
)
def create_location(*, session: Session, call: Call, body: dict[str, Any]) -> dict[str, Any]:
    """Open a store or a warehouse."""
    location_id = stores.create(session, facts=body, actor=call.actor, now=call.now)
    return _location(session, str(location_id))


@blueprint.write(
    "PATCH",
    "/locations/<location>",
    permission="stores.write",
    body=schemas.UpdateLocationSchema,
    answer=schemas.LocationSchema,
    if_match=True,
)
def update_location(*, session: Session, call: Call, location: str, body: dict[str, Any]) -> dict[str, Any]:
    """Change a location; `hours` and `holidays` replace all of theirs."""
    location_id = stores.key_of(session, location=location)
    stores.update(session, location_id=location_id, version=call.version, changes=body, actor=call.actor, now=call.now)
    return _location(session, str(location_id))


def _location(session: Session, location: str) -> dict[str, Any]:
    found = queries.location_dict(session, location=location)
    if found is None:
        raise NotFound("There is no such location")
    return found
