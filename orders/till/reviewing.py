"""Sales of offline tills that did not fit: the list for people to look through, and the mark that somebody did."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from orders.queries import till as queries
from retail.kernel.auth import Principal
from retail.kernel.errors import NotFound

_SEEN = text(
    """
    UPDATE till_sale SET seen_by = :actor, seen_at = :now
    WHERE id = :id AND seen_at IS NULL AND jsonb_array_length(flags) = :flags RETURNING id
    """
)


def browse(
    session: Session, *, caller: Principal, seen: bool | None, till: str | None, after: UUID | None, limit: int
) -> list[dict[str, Any]]:
    """Flagged sales of the caller's stores, oldest first, `limit` + 1 of them (FlaggedSaleSchema)."""
    places: Sequence[UUID] | None = None if caller.locations is None else sorted(caller.locations)
    return queries.flagged(session, locations=places, seen=seen, till=till, after=after, limit=limit)


def mark_seen(session: Session, *, sale: UUID, caller: Principal, now: datetime) -> dict[str, Any]:
    """Note who has looked at a flagged sale, and when. Doing it twice keeps the first.

    What is flagged after the caller has read it (a conflict) is not marked by that.

    Raises:
        NotFound: there is no such sale, or it is another store's.
    """
    found = queries.flagged_one(session, sale=sale)
    if found is None or not caller.at_location(found["location_id"]):
        raise NotFound("There is no such sale")
    if found["seen_at"] is None:
        session.execute(_SEEN, {"id": sale, "flags": len(found["flags"]), "actor": caller.actor, "now": now})
        found = queries.flagged_one(session, sale=sale) or found
    return found
