"""What all doors of the ledger share: the account's lock, running a statement with fresh eyes, and repeated keys."""

import uuid
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from sqlalchemy.orm import Session

from loyalty import queries
from retail.kernel.errors import Conflict
from retail.kernel.hot import Hot


class KeyReused(Conflict):
    """The key of a points transaction was used for another one."""

    code, title = "points_key_reused", "This key was used for another points transaction"


def run_fresh(session: Session, *, statement: Hot, params: Mapping[str, Any]) -> Any:
    """Run a statement that ends in one row with `stale`, again as long as it had waited behind somebody's change.

    What it locked it keeps, so the second run is stale only when it now needs another account (its member was merged
    meanwhile, or is no longer), and that one was changed too.
    """
    while True:
        row = statement.run(session, params).one()
        if not row.stale:
            return row


class _Stale(Exception):
    """Somebody changed the accounts while they were waited for."""


def run_anew(session: Session, *, statement: Hot, params: Mapping[str, Any]) -> Any:
    """`run_fresh` for what may need several accounts: a stale run gives its locks back, since after a merge or its undoing
    others come first in the order. Costs a savepoint."""
    while True:
        with suppress(_Stale), session.begin_nested():
            row = statement.run(session, params).one()
            if row.stale:
                raise _Stale
            return row


def booked_before(session: Session, *, key: str, kind: str, order_id: uuid.UUID | None) -> int | None:
    """How many points the transaction with this key moved; None when there is none.

    Raises:
        KeyReused: it is of another kind or another order.
    """
    found = queries.transaction_by_key(session, key=key)
    if found is None:
        return None
    if (found.kind, found.order_id) != (kind, order_id):
        raise KeyReused
    return found.points
