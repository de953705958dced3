"""What all steps of a count share: finding it locked, booking differences, and moving the count on when its lines did."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import queries, stock
from inventory.queries import CountLine, LockedCount, OnHand
from retail.events import StockCountChanged
from retail.kernel import outbox
from retail.kernel.auth import Principal
from retail.kernel.errors import Conflict, NotFound

_STATE = text(
    """
    UPDATE stock_count
    SET state = :state, version = version + 1, updated_at = :now,
        closed_at = CASE WHEN :state IN ('applied', 'cancelled') THEN CAST(:now AS timestamptz) END
    WHERE id = :count_id
    """
)


class NoSuchCount(NotFound):
    """There is no such count, or it is another store's."""

    title = "There is no such count"


class CountClosed(Conflict):
    """The count was applied or cancelled; `state` says which."""

    code, title = "count_closed", "The count is closed"


def lock(session: Session, *, count: str, caller: Principal) -> LockedCount:
    """The count under lock, still open.

    Raises:
        NoSuchCount, CountClosed.
    """
    locked = queries.lock_count(session, name=count)
    if locked is None or not caller.at_location(locked.location_id):
        raise NoSuchCount
    if locked.state in ("applied", "cancelled"):
        raise CountClosed(f"It was {locked.state}", state=locked.state)
    return locked


def lock_levels(
    session: Session,
    *,
    locked: LockedCount,
    variant_ids: Sequence[uuid.UUID],
    rising: Sequence[uuid.UUID],
    actor: str,
    now: datetime,
) -> dict[uuid.UUID, OnHand]:
    """Lock the levels of these variants. Those of the `rising` ones, of which units may be added, are there afterwards: made
    later, they would be locked out of the order that all writers keep."""
    if rising and queries.never_here(session, location_id=locked.location_id, variant_ids=rising):
        stock.open_levels(session, location_id=locked.location_id, variant_ids=variant_ids, actor=actor, now=now)
    return queries.lock_on_hand(session, location_id=locked.location_id, variant_ids=variant_ids)


def named(line: CountLine) -> dict[str, Any]:
    """A line as refusals name it."""
    return {"sku": line.sku, "variant_id": line.variant_id, "code": "line_" + line.state, "state": line.state}


def book(
    session: Session,
    *,
    locked: LockedCount,
    changes: Mapping[uuid.UUID, int],
    here: Mapping[uuid.UUID, OnHand],
    actor: str,
    now: datetime,
) -> None:
    """Change what is on hand by these differences. `here`: the levels, which the caller has locked.

    What is missing is missing even where it is promised: the youngest promises become short (shortage.py). Where more is
    missing than is fit for sale, the rest is missing of what was set aside.
    """
    found = [(variant_id, change) for variant_id, change in changes.items() if change > 0]
    missing = []
    for variant_id, change in changes.items():
        if change < 0:
            level = here[variant_id]
            aside = max(0, -change - (level.on_hand - level.unavailable))
            if aside:
                _write_off(session, locked, variant_id, aside, actor=actor, now=now)
            if -change > aside:
                missing.append((variant_id, -change - aside))
    given: dict[str, Any] = {"location_id": locked.location_id, "cause": "count", "cause_id": locked.id}
    given |= {"reason": "count", "key": None, "actor": actor, "now": now}
    if missing:
        stock.take_out(session, lines=missing, reality=True, **given)
    if found:
        stock.receive(session, lines=found, **given)


def _write_off(
    session: Session, locked: LockedCount, variant_id: uuid.UUID, quantity: int, *, actor: str, now: datetime
) -> None:
    stock.write_off(
        session,
        location_id=locked.location_id,
        variant_id=variant_id,
        quantity=quantity,
        key=None,
        cause_id=locked.id,
        actor=actor,
        now=now,
    )


def move_on(
    session: Session, *, locked: LockedCount, waiting: Sequence[uuid.UUID] = (), actor: str, now: datetime
) -> None:
    """Say where the count is now that its lines have changed: it waits for approval while a line does, and is applied when
    none is left to settle. `waiting`: lines that have just begun to wait, which is told."""
    progress = queries.count_progress(session, count_id=locked.id)
    if not progress.unsettled:
        close(session, locked=locked, state="applied", actor=actor, now=now)
        return
    state = "approval" if progress.waiting else "open"
    session.execute(_STATE, {"count_id": locked.id, "state": state, "now": now})
    if waiting:
        lines = queries.count_lines(session, count_id=locked.id, variant_ids=waiting)
        _tell(session, locked=locked, state="approval", lines=lines, actor=actor, now=now)


def close(session: Session, *, locked: LockedCount, state: str, actor: str, now: datetime) -> None:
    """The count is over: applied or cancelled; tells the differences that were booked in its course."""
    session.execute(_STATE, {"count_id": locked.id, "state": state, "now": now})
    lines = [line for line in queries.count_lines(session, count_id=locked.id) if line.state == "applied"]
    _tell(session, locked=locked, state=state, lines=lines, actor=actor, now=now)


def _tell(
    session: Session, *, locked: LockedCount, state: str, lines: Sequence[CountLine], actor: str, now: datetime
) -> None:
    event = StockCountChanged(
        count_id=locked.id,
        reference=locked.reference,
        location_id=locked.location_id,
        state=state,
        differences=[{"sku": line.sku, "difference": line.difference} for line in lines if line.difference],
    )
    outbox.publish(session, event, actor=actor, now=now)
