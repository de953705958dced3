"""The cash drawer of a till: opened with a count, closed with a count, and between them every yen that went in or out.

A session's entries are written in the transaction of what moved the cash. Whoever books shares the drawer's lock (after the
order's, the last one taken), whoever closes takes it alone: what is expected is exactly what was booked, and a closed session
is never written again.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CursorResult, text
from sqlalchemy.orm import Session

from orders.queries import drawers as queries
from orders.queries import till as till_queries
from orders.queries.drawers import OpenDrawer
from orders.queries.till import TillFacts
from orders.till import registers
from retail.kernel.auth import Principal
from retail.kernel.errors import Conflict, Invalid, NotFound
from retail.kernel.ids import new_id

PAY_IN, PAY_OUT = MOVEMENTS = ("pay_in", "pay_out")


class NoDrawer(NotFound):
    """The till's drawer is not open: there is nothing to show."""

    code, title = "no_open_drawer", "The drawer is not open"


class DrawerClosed(Conflict):
    """Cash can be taken or given only by a till whose drawer is open; nothing was changed."""

    code, title = "drawer_closed", "The till's drawer is not open"


class DrawerOpen(Conflict):
    """The till has an open session already: close it first."""

    code, title = "drawer_open", "The till's drawer is open already"


class DrawerCurrency(Conflict):
    """The drawer holds another currency."""

    code, title = "drawer_currency", "The drawer holds another currency"


_CREATE = text(
    """
    INSERT INTO drawer (id, till_id, currency, opening_minor, opened_by, opened_at)
    VALUES (:id, :till_id, :currency, :opening_minor, :actor, :now)
    ON CONFLICT (till_id) WHERE closed_at IS NULL DO NOTHING RETURNING id
    """
)
_MOVE = text(
    """
    INSERT INTO drawer_entry (id, drawer_id, kind, amount_minor, refund_id, reason, actor, at)
    VALUES (:id, :drawer_id, :kind, :amount_minor, CAST(:refund_id AS uuid), :reason, :actor, :now)
    """
)
_SALES = text(
    """
    INSERT INTO drawer_entry (id, drawer_id, kind, amount_minor, payment_id, actor, at)
    SELECT gen_random_uuid(), :drawer_id, 'sale', captured_minor, id, :actor, :now FROM payment
    WHERE id = ANY(CAST(:payments AS uuid[])) AND tender = 'cash' AND state = 'captured' AND currency = :currency
    """
)
_CLOSE = text(
    """
    UPDATE drawer SET expected_minor = :expected_minor, counted_minor = CAST(:counted_minor AS bigint),
                      difference_minor = CAST(:counted_minor AS bigint) - :expected_minor, closed_by = :actor, closed_at = :now
    WHERE id = :id AND closed_at IS NULL
    """
)


def open_(session: Session, *, till: str, opening_minor: int, caller: Principal, now: datetime) -> dict[str, Any]:
    """Open the till's drawer with what was counted into it, in the currency that its store sells in (DrawerSchema).

    Raises:
        TillUnknown, Forbidden: not the caller's. DrawerOpen: it is open already; nothing was made.
    """
    facts = _till(session, till, caller)
    currency = _currency(session, facts, caller)
    row = {"id": new_id(), "till_id": facts.id, "currency": currency, "opening_minor": opening_minor}
    made = session.execute(_CREATE, row | {"actor": caller.actor, "now": now}).scalar_one_or_none()
    if made is None:
        raise DrawerOpen(legal=["movement", "closing"])
    return _shown(session, made)


def currency_of(session: Session, *, till: str, caller: Principal) -> str:
    """The currency that a till sells in.

    Raises:
        TillUnknown, Forbidden: not the caller's.
    """
    return _currency(session, _till(session, till, caller), caller)


def current(session: Session, *, till: str, caller: Principal) -> dict[str, Any]:
    """The open drawer with what should be in it (DrawerSchema).

    Raises:
        TillUnknown, Forbidden: not the caller's. NoDrawer: it is not open.
    """
    found = queries.open_dict(session, till_id=_till(session, till, caller).id)
    if found is None:
        raise NoDrawer
    return found


def browse(session: Session, *, till: str, before: UUID | None, limit: int, caller: Principal) -> list[dict[str, Any]]:
    """Closed sessions of the till, newest first, one more than `limit` (DrawerSchema).

    Raises:
        TillUnknown, Forbidden: not the caller's.
    """
    return queries.closed(session, till_id=_till(session, till, caller).id, before=before, limit=limit)


def move(
    session: Session, *, till: str, kind: str, amount_minor: int, reason: str, caller: Principal, now: datetime
) -> dict[str, Any]:
    """Cash goes in or out for no sale (change fetched, the bank's bag), and why. Returns the drawer (DrawerSchema).

    Raises:
        TillUnknown, Forbidden: not the caller's. DrawerClosed: it is not open.
    """
    drawer = _share(session, _till(session, till, caller).id)
    _book(session, drawer, kind=kind, amount_minor=amount_minor, reason=reason, caller=caller, now=now)
    return _shown(session, drawer.id)


def close(session: Session, *, till: str, counted_minor: int, caller: Principal, now: datetime) -> dict[str, Any]:
    """Close the drawer with what was counted; the difference to what should be there stays for good (DrawerSchema).

    Raises:
        TillUnknown, Forbidden: not the caller's. DrawerClosed: it is not open.
    """
    drawer = queries.lock_open(session, till_id=_till(session, till, caller).id)
    if drawer is None:
        raise DrawerClosed(legal=["drawer"])
    expected = _shown(session, drawer.id)["expected"]["amount_minor"]
    given = {"id": drawer.id, "expected_minor": expected, "counted_minor": counted_minor}
    session.execute(_CLOSE, given | {"actor": caller.actor, "now": now})
    return _shown(session, drawer.id)


def take(
    session: Session,
    *,
    till: str,
    location_id: UUID | None,
    payments: Collection[UUID],
    caller: Principal,
    now: datetime,
) -> None:
    """The till took these cash payments (captured in this transaction); none of them: only the till is checked.

    Args:
        location_id: where the goods are handed over; None where nothing is.

    Raises:
        TillUnknown, Forbidden: not the caller's. Invalid: nothing is handed over now, or at another store than the till's.
        DrawerClosed, DrawerCurrency: the cash cannot go in.
    """
    facts = _till(session, till, caller)
    if location_id is None:
        detail = "Only what is handed over at once is paid at a till"
        raise Invalid(errors=[{"field": "till", "code": "not_at_the_till", "detail": detail}])
    if facts.location_id != location_id:
        raise Invalid(errors=[{"field": "till", "code": "other_store", "detail": "The till stands in another store"}])
    if payments:
        take_all(session, drawer=_share(session, facts.id), payments=payments, actor=caller.actor, now=now)


def take_all(session: Session, *, drawer: OpenDrawer, payments: Collection[UUID], actor: str, now: datetime) -> None:
    """Book cash payments in a drawer that is held open (`queries.drawers.share_open`).

    Raises:
        DrawerCurrency: some are of another currency.
    """
    given = {"drawer_id": drawer.id, "payments": list(payments), "currency": drawer.currency}
    found = session.execute(_SALES, given | {"actor": actor, "now": now})
    if not isinstance(found, CursorResult) or found.rowcount != len(payments):
        raise DrawerCurrency(currency=drawer.currency, legal=[])


def give_back(session: Session, *, till: str, refund_id: UUID, caller: Principal, now: datetime) -> None:
    """The till gave the cash part of a refund, booked in this transaction; without one only the till is checked.

    Raises:
        TillUnknown, Forbidden: not the caller's. DrawerClosed, DrawerCurrency: the cash cannot come from there.
    """
    facts = _till(session, till, caller)
    amount, currency = queries.cash_back(session, refund_id=refund_id)
    if not amount:
        return
    drawer = _share(session, facts.id)
    if drawer.currency != currency:
        raise DrawerCurrency(currency=drawer.currency, legal=[])
    _book(session, drawer, kind="refund", amount_minor=amount, refund_id=refund_id, caller=caller, now=now)


def _till(session: Session, till: str, caller: Principal) -> TillFacts:
    caller.require("till.sell")
    return registers.of(session, code=till, caller=caller)


def _currency(session: Session, facts: TillFacts, caller: Principal) -> str:
    channel = caller.channel or "store"  # staff sell here as the store does, whoever they are
    return till_queries.money_of(session, channel=channel, location_id=facts.location_id)[0]


def _share(session: Session, till_id: UUID) -> OpenDrawer:
    drawer = queries.share_open(session, till_id=till_id)
    if drawer is None:
        raise DrawerClosed("Open the drawer with a count first", legal=["drawer"])
    return drawer


def _book(
    session: Session,
    drawer: OpenDrawer,
    *,
    kind: str,
    amount_minor: int,
    refund_id: UUID | None = None,
    reason: str = "",
    caller: Principal,
    now: datetime,
) -> None:
    row = {"id": new_id(), "drawer_id": drawer.id, "kind": kind, "amount_minor": amount_minor, "reason": reason}
    session.execute(_MOVE, row | {"refund_id": refund_id, "actor": caller.actor, "now": now})


def _shown(session: Session, drawer_id: UUID) -> dict[str, Any]:
    found = queries.drawer_dict(session, drawer_id=drawer_id)
    if found is None:
        raise NoDrawer
    return found
