"""Transfers as they are shown, and to whom."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from inventory import queries, stock
from inventory.transfers.steps import NoSuchTransfer
from retail.kernel.auth import Principal


def view(session: Session, *, transfer: str, caller: Principal) -> dict[str, Any]:
    """A transfer with its lines (TransferSchema). `transfer`: id or reference.

    Raises:
        Forbidden: customers do not see the shop's books. NoSuchTransfer.
    """
    stock.refuse_customers(caller)
    found = queries.transfer_dict(session, name=transfer)
    if found is None or not (caller.at_location(found["from"]["id"]) or caller.at_location(found["to"]["id"])):
        raise NoSuchTransfer
    return found


def browse(
    session: Session,
    *,
    caller: Principal,
    location_id: UUID | None = None,
    from_location_id: UUID | None = None,
    to_location_id: UUID | None = None,
    states: Sequence[str] | None = None,
    due_before: datetime | None = None,
    after: UUID | None = None,
    limit: int,
) -> list[dict[str, Any]]:
    """Up to `limit` transfers without their lines, newest first; store staff see what begins or ends at their own stores.

    `location_id`: either end; the others: that end.

    Raises:
        Forbidden: customers do not see the shop's books.
    """
    stock.refuse_customers(caller)
    return queries.list_transfers(
        session,
        ends=caller.locations,
        location_id=location_id,
        from_location_id=from_location_id,
        to_location_id=to_location_id,
        states=states,
        due_before=due_before,
        after=after,
        limit=limit,
    )
