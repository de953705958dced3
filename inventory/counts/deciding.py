"""Deciding about differences, and closing a count."""

import uuid
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import queries
from inventory.counts.progress import book, close, lock, lock_levels, move_on, named
from inventory.queries import NOTHING, CountLine
from retail.kernel.auth import Principal
from retail.kernel.errors import Conflict

_APPROVED = text(
    """
    UPDATE stock_count_line SET state = 'applied', settled_by = :actor, settled_at = :now
    WHERE count_id = :count_id AND variant_id = ANY(CAST(:variants AS uuid[])) AND state = 'approval'
    """
)
_SENT_BACK = text(
    """
    UPDATE stock_count_line
    SET state = 'recount', recounted = NULL, recount_expected = NULL, recounted_by = NULL, recounted_at = NULL, difference = NULL
    WHERE count_id = :count_id AND variant_id = ANY(CAST(:variants AS uuid[])) AND state = 'approval'
    """
)
_REJECT_REST = text(
    """
    UPDATE stock_count_line SET state = 'rejected', settled_by = :actor, settled_at = :now
    WHERE count_id = :count_id AND state IN ('open', 'recount', 'approval')
    """
)


class NotWaiting(Conflict):
    """The line does not wait for approval; `errors` names every such line and its state."""

    code, title = "not_waiting", "This does not wait for approval"


class OwnCount(Conflict):
    """Who counted a line does not decide about its difference; `errors` names every such line."""

    code, title = "own_count", "Somebody else has to decide about what you counted"


class Overtaken(Conflict):
    """So much has left since the count that what was found missing is no longer there to be missing; `errors` names each
    line. Nothing was applied: send it back to be recounted."""

    code, title = "count_overtaken", "The count no longer fits what is on hand"


class Unsettled(Conflict):
    """Lines were found to differ and are to be recounted or approved; `errors` names them. Settle them, or cancel the count."""

    code, title = "count_unsettled", "Some differences are not settled"


def decide(
    session: Session,
    *,
    count: str,
    variant_ids: Sequence[uuid.UUID] | None = None,
    approve: bool,
    caller: Principal,
    now: datetime,
) -> None:
    """Apply the differences of these lines (None: of all that wait for approval), or send them back to be recounted.

    Raises:
        NoSuchCount, CountClosed. NotWaiting: a line does not wait, or none does.
        OwnCount: the caller counted or recounted one of the lines. Overtaken: a difference cannot be applied any more.
    """
    locked = lock(session, count=count, caller=caller)
    lines = queries.count_lines(session, count_id=locked.id, variant_ids=variant_ids)
    if variant_ids is None:
        lines = [line for line in lines if line.state == "approval"]
    _require_waiting(lines, variant_ids)
    own = [named(line) for line in lines if caller.actor in (line.counted_by, line.recounted_by)]
    if own:
        raise OwnCount(errors=own)
    variants = [line.variant_id for line in lines]
    params = {"count_id": locked.id, "variants": variants, "actor": caller.actor, "now": now}
    if approve:
        rising = [line.variant_id for line in lines if (line.difference or 0) > 0]
        here = lock_levels(session, locked=locked, variant_ids=variants, rising=rising, actor=caller.actor, now=now)
        gone = [
            named(line) for line in lines if here.get(line.variant_id, NOTHING).on_hand + (line.difference or 0) < 0
        ]
        if gone:
            raise Overtaken(errors=gone)
        changes = {line.variant_id: line.difference or 0 for line in lines}
        session.execute(_APPROVED, params)
        book(session, locked=locked, changes=changes, here=here, actor=caller.actor, now=now)
    else:
        session.execute(_SENT_BACK, params)
    move_on(session, locked=locked, actor=caller.actor, now=now)


def _require_waiting(lines: Sequence[CountLine], asked: Sequence[uuid.UUID] | None) -> None:
    errors = [named(line) for line in lines if line.state != "approval"]
    there = {line.variant_id for line in lines}
    errors += [{"variant_id": one, "code": "line_missing"} for one in asked or () if one not in there]
    if errors or not lines:
        raise NotWaiting(errors=errors)


def complete(session: Session, *, count: str, caller: Principal, now: datetime) -> None:
    """Close a count that is not counted to its end. Lines that nobody counted become `rejected` and change nothing.

    Raises:
        NoSuchCount, CountClosed. Unsettled: a difference was found that nobody has recounted or approved.
    """
    locked = lock(session, count=count, caller=caller)
    lines = queries.count_lines(session, count_id=locked.id)
    unsettled = [named(line) for line in lines if line.state in ("recount", "approval")]
    if unsettled:
        raise Unsettled(errors=unsettled)
    session.execute(_REJECT_REST, {"count_id": locked.id, "actor": caller.actor, "now": now})
    move_on(session, locked=locked, actor=caller.actor, now=now)


def cancel(session: Session, *, count: str, caller: Principal, now: datetime) -> None:
    """Give a count up: what was applied stays, every other line is rejected.

    Raises:
        NoSuchCount, CountClosed.
    """
    locked = lock(session, count=count, caller=caller)
    session.execute(_REJECT_REST, {"count_id": locked.id, "actor": caller.actor, "now": now})
    close(session, locked=locked, state="cancelled", actor=caller.actor, now=now)
