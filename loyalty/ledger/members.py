"""Whose account it is: the member named, or who she was merged into; opened when missing, locked, with fresh eyes."""

import uuid
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from loyalty import queries
from loyalty.ledger.books import run_fresh
from loyalty.queries.locking import NAMED, NAMED_ACCOUNT
from retail.kernel.errors import Conflict, NotFound
from retail.kernel.hot import Hot

ACTIVE, BLOCKED, MERGED = "active", "blocked", "merged"


class AccountBlocked(Conflict):
    """The member's points are blocked: she earns, but spends, gives and receives nothing. Nothing was changed."""

    code, title = "points_account_blocked", "This member's points are blocked"


@dataclass(frozen=True, slots=True)
class Member:
    """A locked account. `id`: whose it is. `member_id`: the merged record that was named, whose points these are by right;
    None when it is her own. `owed` points are netted against what she earns next. `state` is active or blocked."""

    id: uuid.UUID
    member_id: uuid.UUID | None
    owed: int
    state: str

    def require_active(self) -> None:
        """Raises:
        AccountBlocked: she may neither spend, give nor receive.
        """
        if self.state != ACTIVE:
            raise AccountBlocked(customer_id=str(self.id))


# An account made here is locked by being new. One that somebody else is making just now is not seen by this statement,
# which then is run again: like one that changed, and perhaps was merged, while this waited for it.
_LOCK_SQL = """
    WITH {named}, opened AS (
        INSERT INTO points_account (customer_id, opened_at) SELECT owner, :now FROM named
        ON CONFLICT (customer_id) DO NOTHING
        RETURNING customer_id, owed, state
    ), {named_account}, locked AS (
        SELECT customer_id, owed, state FROM fresh UNION ALL SELECT customer_id, owed, state FROM opened
    )
    SELECT (EXISTS (SELECT FROM named) AND NOT EXISTS (SELECT FROM locked)) AS stale, locked.customer_id AS id,
           nullif(CAST(:customer_id AS uuid), locked.customer_id) AS member_id, locked.owed, locked.state
    FROM (VALUES (1)) AS always (one) LEFT JOIN locked ON true
"""
_LOCK = Hot(_LOCK_SQL.format(named=NAMED, named_account=NAMED_ACCOUNT))


def lock_member(session: Session, *, customer_id: uuid.UUID, now: datetime) -> Member:
    """Lock the account of a customer, or of who she was merged into; it is opened when missing. One statement, more after
    a wait. Statements after it see her lots as they are.

    Raises:
        NotFound: there is no such customer.
    """
    row = run_fresh(session, statement=_LOCK, params={"customer_id": customer_id, "now": now})
    if row.id is None:
        raise NotFound("There is no such customer")
    return Member(row.id, row.member_id, row.owed, row.state)


_OPEN = text(
    """
    INSERT INTO points_account (customer_id, opened_at)
    SELECT id, :now FROM unnest(CAST(:customers AS uuid[])) AS id ORDER BY id ON CONFLICT (customer_id) DO NOTHING
    """
)
_LOCK_ALL = text(
    """
    SELECT customer_id, owed, state FROM points_account WHERE customer_id = ANY(CAST(:customers AS uuid[]))
    ORDER BY customer_id FOR NO KEY UPDATE
    """
)


def lock_members(session: Session, *, customer_ids: Iterable[uuid.UUID], now: datetime) -> dict[uuid.UUID, Member]:
    """`lock_member` for several at once, in the order of their accounts' ids; {customer named: member}. Unknown customers
    are missing. Four statements, six when one of them is merged; again when that changed meanwhile, without the locks that
    were taken, since others are needed then."""
    named = sorted(set(customer_ids))
    while True:
        with suppress(_Moved), session.begin_nested():
            return _lock_all(session, named=named, now=now)


class _Moved(Exception):
    """One of them was merged, or is no longer, since this began."""


def _lock_all(session: Session, *, named: Sequence[uuid.UUID], now: datetime) -> dict[uuid.UUID, Member]:
    owners = queries.owners_of(session, customer_ids=named)
    gone = sorted(one for one, owner in owners.items() if owner != one)
    if gone:
        session.execute(_LOCK_ALL, {"customers": gone})
        if queries.owners_of(session, customer_ids=named) != owners:
            raise _Moved
    accounts = sorted(set(owners.values()))
    session.execute(_OPEN, {"customers": accounts, "now": now})
    locked = {row.customer_id: row for row in session.execute(_LOCK_ALL, {"customers": accounts}).all()}
    if queries.owners_of(session, customer_ids=named) != owners:  # from now on a merge needs the locks that are held
        raise _Moved
    return {
        one: Member(owner, None if owner == one else one, locked[owner].owed, locked[owner].state)
        for one, owner in owners.items()
    }
