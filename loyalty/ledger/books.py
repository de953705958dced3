"""What all doors of the ledger share: the account's lock, running a statement with fresh eyes, and repeated keys."""

import uuid
from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from loyalty import queries
from retail.kernel.errors import Conflict
from retail.kernel.hot import Hot

# Of `gone`, the merged ones among the accounts that this is about: they are locked first, and undoing a merge locks and
# writes them first. Who waited for that learns from `parted` that they are merged no longer, before she holds anything else.
PARTED = """parted AS (
        SELECT FROM gone WHERE NOT EXISTS (SELECT FROM points_account AS seen
                                           WHERE seen.customer_id = gone.customer_id AND seen.ctid = gone.version)
    )"""
# The row is locked in its newest version; `fresh` is empty when that is not the version this statement sees, that is
# when somebody changed the account, and so perhaps its lots, after the statement began. {customer} names whose account,
# {gone} the merged record through which it is meant, if any.
LOCKED_ACCOUNT = """
    gone AS (
        SELECT customer_id, ctid AS version FROM points_account WHERE customer_id = {gone} FOR NO KEY UPDATE
    ), {parted}, account AS (
        SELECT customer_id, ctid AS version, owed, state FROM points_account
        WHERE customer_id = {customer} AND NOT EXISTS (SELECT FROM parted) FOR NO KEY UPDATE
    ), fresh AS (
        SELECT account.customer_id, account.owed, account.state
        FROM points_account AS seen JOIN account ON account.customer_id = seen.customer_id AND account.version = seen.ctid
    )"""
STALE = """(EXISTS (SELECT FROM parted)
            OR (EXISTS (SELECT FROM account) AND NOT EXISTS (SELECT FROM fresh))) AS stale"""
# For a customer named by :customer_id: whose account it is.
NAMED = "named AS (SELECT id, coalesce(merged_into, id) AS owner FROM customer WHERE id = :customer_id)"
NAMED_ACCOUNT = LOCKED_ACCOUNT.format(
    gone="(SELECT id FROM named WHERE owner <> id)", customer="(SELECT owner FROM named)", parted=PARTED
)


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
