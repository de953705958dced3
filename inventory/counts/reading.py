"""Looking at counts: a blind one hides what the books say from whoever may count."""

import uuid
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy.orm import Session

from inventory import queries
from inventory.counts.progress import NoSuchCount
from retail.kernel.auth import CUSTOMER, Principal
from retail.kernel.errors import Forbidden


def view(session: Session, *, count: str, caller: Principal) -> dict[str, Any]:
    """A count with its lines (StockCountSchema), as this caller may see it. `count`: id or reference.

    In a blind count, whoever may count does not see what the books say of a line that is still to be counted.

    Raises:
        Forbidden: customers do not see the shop's books. NoSuchCount.
    """
    _require_shop(caller)
    found = queries.count_dict(session, name=count)
    if found is None or not caller.at_location(found["location"]["id"]):
        raise NoSuchCount
    if found["blind"] and caller.may("stock.work"):
        for line in found["lines"]:
            if line["state"] in ("open", "recount"):
                line["expected"] = None
    return found


def browse(
    session: Session,
    *,
    caller: Principal,
    location_id: uuid.UUID | None,
    states: Sequence[str] = (),
    after: uuid.UUID | None,
    limit: int,
) -> list[dict[str, Any]]:
    """Up to `limit` counts without their lines, newest first; store staff see those of their own stores.

    Raises:
        Forbidden: customers do not see the shop's books.
    """
    _require_shop(caller)
    places: Collection[uuid.UUID] | None = caller.locations
    if location_id is not None:
        places = [location_id] if caller.at_location(location_id) else []
    return queries.list_counts(session, locations=places, states=states, after=after, limit=limit)


def _require_shop(caller: Principal) -> None:
    if caller.kind == CUSTOMER:
        raise Forbidden("The shop's books are not for customers")
