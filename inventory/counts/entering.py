"""Beginning a count, and writing down what was found."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import queries
from inventory.counts.progress import book, lock, lock_levels, move_on, named
from inventory.queries import NOTHING, CountLine, LockedCount
from retail import limits
from retail.events import StockCountChanged
from retail.kernel import outbox
from retail.kernel.auth import Principal
from retail.kernel.errors import Conflict, Invalid
from retail.kernel.ids import new_id, new_reference

_BEGIN = text(
    """
    INSERT INTO stock_count (id, reference, location_id, shelf, blind, approval_above, note, created_by, created_at, updated_at)
    VALUES (:id, :reference, :location_id, :shelf, :blind, :approval_above, :note, :actor, :now, :now)
    """
)
_ADD_LINES = text(
    """
    INSERT INTO stock_count_line (count_id, variant_id, position)
    SELECT :count_id, variant_id, :after + position
    FROM unnest(CAST(:variants AS uuid[])) WITH ORDINALITY AS line (variant_id, position)
    """
)
_COUNTED = text(
    """
    UPDATE stock_count_line AS line
    SET state = given.state, counted = given.counted, expected = given.expected, counted_by = :actor, counted_at = :now,
        difference = CASE WHEN given.state = 'applied' THEN 0 END,
        settled_by = CASE WHEN given.state = 'applied' THEN :actor END,
        settled_at = CASE WHEN given.state = 'applied' THEN CAST(:now AS timestamptz) END
    FROM unnest(CAST(:variants AS uuid[]), CAST(:states AS text[]), CAST(:counted AS integer[]), CAST(:expected AS integer[]))
         AS given (variant_id, state, counted, expected)
    WHERE line.count_id = :count_id AND line.variant_id = given.variant_id AND line.state = 'open'
    """
)
_RECOUNTED = text(
    """
    UPDATE stock_count_line AS line
    SET state = given.state, recounted = given.counted, recount_expected = given.expected, recounted_by = :actor, recounted_at = :now,
        difference = given.counted - given.expected,
        settled_by = CASE WHEN given.state = 'applied' THEN :actor END,
        settled_at = CASE WHEN given.state = 'applied' THEN CAST(:now AS timestamptz) END
    FROM unnest(CAST(:variants AS uuid[]), CAST(:states AS text[]), CAST(:counted AS integer[]), CAST(:expected AS integer[]))
         AS given (variant_id, state, counted, expected)
    WHERE line.count_id = :count_id AND line.variant_id = given.variant_id AND line.state = 'recount'
    """
)


@dataclass(frozen=True, slots=True)
class Entry:
    """`counted` units of one variant were found."""

    variant_id: uuid.UUID
    counted: int


class NothingToCount(Invalid):
    """Nothing is kept on this shelf, or was ever stocked at this location."""

    code, title = "nothing_to_count", "There is nothing to count"


class TooManyLines(Invalid):
    """More variants than one count may have (limits.LINES_PER_COUNT): count shelf by shelf."""

    code, title = "too_many_lines", "Too many lines for one count"


class ScopeInvalid(Invalid):
    """A count is of a list of SKUs, or of a shelf, or of everything; a variant stands on a list once."""

    code, title = "scope_invalid", "What to count is not clear"


class DuplicateLine(Invalid):
    """Two lines of one entry name the same variant; `errors` names them. Add them up."""

    code, title = "duplicate_line", "A variant is entered twice"


class NotOnList(Invalid):
    """A count by list is of the variants listed; `errors` names what is not among them."""

    code, title = "not_on_list", "This is not on the list to be counted"


class LineSettled(Conflict):
    """The line has been counted to its end, or waits for approval; `errors` names every such line and its state."""

    code, title = "line_settled", "This line is not to be counted (any more)"


def begin(
    session: Session,
    *,
    location_id: uuid.UUID,
    variant_ids: Sequence[uuid.UUID] | None = None,
    shelf: str | None = None,
    blind: bool = True,
    approval_above: int = limits.COUNT_APPROVAL_ABOVE,
    note: str = "",
    actor: str,
    now: datetime,
) -> str:
    """Begin a count of a list of variants, of a shelf, or of everything ever stocked at a location; returns its reference.

    `approval_above`: a difference of more units than this, on one line, waits for somebody else's approval.

    Raises:
        ScopeInvalid: a list and a shelf, or a variant twice. NothingToCount. TooManyLines.
    """
    if variant_ids is not None and shelf is not None:
        raise ScopeInvalid("Give SKUs or a shelf")
    if variant_ids is None:
        most = limits.LINES_PER_COUNT + 1
        chosen = queries.variants_on_shelf(session, location_id=location_id, shelf=shelf, limit=most)
    else:
        chosen = list(variant_ids)
    if len(set(chosen)) < len(chosen):
        raise ScopeInvalid("A SKU is on the list twice")
    if not chosen:
        raise NothingToCount
    _room_for(len(chosen))
    count_id, reference = new_id(), new_reference(queries.COUNT_PREFIX)
    row = {"id": count_id, "reference": reference, "location_id": location_id, "blind": blind, "note": note}
    scope = None if variant_ids is not None else shelf if shelf is not None else queries.WHOLE_PLACE
    session.execute(_BEGIN, row | {"shelf": scope, "approval_above": approval_above, "actor": actor, "now": now})
    session.execute(_ADD_LINES, {"count_id": count_id, "variants": chosen, "after": 0})
    event = StockCountChanged(
        count_id=count_id, reference=reference, location_id=location_id, state="open", differences=[]
    )
    outbox.publish(session, event, actor=actor, now=now)
    return reference


def enter(session: Session, *, count: str, entries: Sequence[Entry], caller: Principal, now: datetime) -> None:
    """Write down what was found of some of the variants; partial and repeated entries are normal. `count`: id or reference.

    An entry for an open line is its first figure, one for a line to be recounted its second. In a count of a shelf or of
    everything, variants that nobody expected there are added.

    Raises:
        NoSuchCount, CountClosed; DuplicateLine, NotOnList, TooManyLines.
        LineSettled: naming every line that was settled already or waits for approval; nothing was written.
    """
    locked = lock(session, count=count, caller=caller)
    variants = [entry.variant_id for entry in entries]
    if len(set(variants)) < len(variants):
        twice = [n for n, variant_id in enumerate(variants, start=1) if variant_id in variants[: n - 1]]
        raise DuplicateLine(errors=[{"line": line, "code": DuplicateLine.code} for line in twice])
    known = {line.variant_id: line for line in queries.count_lines(session, count_id=locked.id, variant_ids=variants)}
    _require_countable(known, variants)
    _add_found(
        session, locked=locked, found=[variant_id for variant_id in variants if variant_id not in known], lines=variants
    )
    again = {variant_id for variant_id, line in known.items() if line.state == "recount"}
    rising = [entry.variant_id for entry in entries if entry.variant_id in again and entry.counted]
    given: dict[str, Any] = {"actor": caller.actor, "now": now}
    here = lock_levels(session, locked=locked, variant_ids=variants, rising=rising, **given)
    first: list[tuple[Entry, int, str]] = []
    second: list[tuple[Entry, int, str]] = []
    for entry in entries:
        expected = here.get(entry.variant_id, NOTHING).on_hand
        difference = entry.counted - expected
        if entry.variant_id in again:
            waits = abs(difference) > locked.approval_above
            second.append((entry, expected, "approval" if waits else "applied"))
        else:
            first.append((entry, expected, "recount" if difference else "applied"))
    for statement, rows in ((_COUNTED, first), (_RECOUNTED, second)):
        _write(session, statement, count_id=locked.id, rows=rows, **given)
    changes = {entry.variant_id: entry.counted - expected for entry, expected, state in second if state == "applied"}
    book(session, locked=locked, changes=changes, here=here, **given)
    waiting = [entry.variant_id for entry, _, state in second if state == "approval"]
    move_on(session, locked=locked, waiting=waiting, **given)


def _room_for(lines: int) -> None:
    if lines > limits.LINES_PER_COUNT:
        raise TooManyLines(f"A count has at most {limits.LINES_PER_COUNT} lines: count shelf by shelf")


def _require_countable(known: Mapping[uuid.UUID, CountLine], variants: Sequence[uuid.UUID]) -> None:
    settled = [
        named(known[variant_id]) | {"line": position}
        for position, variant_id in enumerate(variants, start=1)
        if variant_id in known and known[variant_id].state not in ("open", "recount")
    ]
    if settled:
        raise LineSettled(errors=settled)


def _add_found(
    session: Session, *, locked: LockedCount, found: Sequence[uuid.UUID], lines: Sequence[uuid.UUID]
) -> None:
    """Lines for variants that were found where nobody expected them."""
    if not found:
        return
    if locked.shelf is None:
        strange = set(found)
        places = [position for position, variant_id in enumerate(lines, start=1) if variant_id in strange]
        raise NotOnList(errors=[{"line": line, "code": NotOnList.code} for line in places])
    there = queries.count_progress(session, count_id=locked.id).lines
    _room_for(there + len(found))
    session.execute(_ADD_LINES, {"count_id": locked.id, "variants": list(found), "after": there})


def _write(
    session: Session,
    statement: Any,
    *,
    count_id: uuid.UUID,
    rows: Sequence[tuple[Entry, int, str]],
    actor: str,
    now: datetime,
) -> None:
    if not rows:
        return
    params = {
        "count_id": count_id,
        "variants": [entry.variant_id for entry, _, _ in rows],
        "counted": [entry.counted for entry, _, _ in rows],
        "expected": [expected for _, expected, _ in rows],
        "states": [state for _, _, state in rows],
        "actor": actor,
        "now": now,
    }
    session.execute(statement, params)
