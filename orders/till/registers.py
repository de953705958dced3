"""The tills themselves: which there are, at which store, and who may act for one."""

from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from orders.queries import till as queries
from orders.queries.till import TillFacts
from retail import stores
from retail.kernel.auth import CLIENT, Principal
from retail.kernel.errors import Conflict, Forbidden, NotFound
from retail.kernel.ids import new_id


class TillUnknown(NotFound):
    """There is no such till, or it stands in another's store."""

    code, title = "till_not_found", "There is no such till"


class TillExists(Conflict):
    """A till of this code exists already."""

    code, title = "till_exists", "There is a till of this code"


_CREATE = text(
    """
    INSERT INTO till (id, code, name, location_id, created_by, created_at)
    VALUES (:id, :code, :name, :location_id, :actor, :now) ON CONFLICT (code) DO NOTHING RETURNING id
    """
)


def create(
    session: Session, *, code: str, name: str, location: str, caller: Principal, now: datetime
) -> dict[str, Any]:
    """A new till of a store (TillSchema).

    Raises:
        NotFound: no such store, or not the caller's. TillExists: nothing was made.
    """
    location_id = stores.key_of(session, location=location)
    caller.require_location(location_id)
    row = {"id": new_id(), "code": code, "name": name, "location_id": location_id, "actor": caller.actor, "now": now}
    if session.execute(_CREATE, row).scalar_one_or_none() is None:
        raise TillExists(errors=[{"field": "code", "code": "till_exists", "detail": "Choose another code"}])
    found = queries.till(session, code=code)
    if found is None:
        raise TillUnknown
    return shown(found)


def of(session: Session, *, code: str, caller: Principal) -> TillFacts:
    """The till of this code, for who may act at its store.

    Raises:
        TillUnknown: there is none, or it stands in another's store. Forbidden: a client that is bound to no store.
    """
    if caller.kind == CLIENT and caller.locations is None:
        raise Forbidden("This client is not bound to a store")
    found = queries.till(session, code=code)
    if found is None or not caller.at_location(found.location_id):
        raise TillUnknown
    return found


def shown(found: TillFacts) -> dict[str, Any]:
    """A till as the API shows it."""
    return {
        "code": found.code,
        "name": found.name,
        "location": {
            "id": found.location_id,
            "code": found.location_code,
            "name": found.location_name,
            "name_ja": found.location_name_ja,
            "zone": found.zone,
        },
    }
