"""Why is on hand 47? Every movement of a level with what the level said after it, now or as of any moment.

`held` is what the books say: an expired hold counts until the sweep has settled it.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from inventory.queries.history import COUNTERS, history_of
from inventory.stock import NoSuchLevel
from retail.kernel.errors import Invalid
from retail.kernel.web.cursor import CursorInvalid, decode_cursor, encode_cursor

_MOST = 2**31 - 1


class NotYet(Invalid):
    """`as_of` is a moment to come."""

    code, title = "as_of_invalid", "History ends now"


def of_level(
    session: Session,
    *,
    location: dict[str, Any],
    sku: str,
    as_of: datetime | None,
    cursor: str | None,
    limit: int,
    now: datetime,
) -> dict[str, Any]:
    """One page of what happened to a SKU at a `location` (as `stock.locate` finds it), newest first; one statement.

    ``{location, variant_id, sku, title, title_ja, as_of, <counters>, opening: {<counters>}, explained, items: [{seq,
    from_bucket, to_bucket, quantity, cause, cause_id, document, reference, reason, actor, at, after: {<counters>}}], next}``.
    The counters are those of the level at `as_of` (None: now); `after` each movement they follow, `opening` is what was there
    before the oldest movement of this page. On the last page that must be nothing at all: `explained` says so (None before).
    Movements after `as_of` are left out; how many there are is what the question costs beyond its page.

    Raises:
        NoSuchLevel: the SKU has never been there. NotYet. CursorInvalid: not from this list, or of another `as_of`.
    """
    if as_of is not None and as_of > now:
        raise NotYet(errors=[{"field": "as_of", "code": NotYet.code}])
    before, start, level, running = _begin(cursor, as_of)
    rows = history_of(
        session, location_id=location["id"], sku=sku, as_of=as_of, before=before, running=running, limit=limit + 1
    )
    if not rows:
        raise NoSuchLevel
    first = rows[0]
    if level is None:
        start = level = [getattr(first, f"level_{counter}") for counter in COUNTERS]
    moved = [row for row in rows if row.seq is not None]
    items, opening = _walk(moved[:limit], start)
    complete = len(moved) <= limit
    rest = (
        None
        if complete
        else [items[-1]["seq"], opening, level, first.running if cursor is None else running, _stamp(as_of)]
    )
    return {
        "location": location,
        "variant_id": first.variant_id,
        "sku": first.sku,
        "title": first.title,
        "title_ja": first.title_ja,
        "as_of": as_of,
        **_named(level),
        "opening": _named(opening),
        "explained": not any(opening) if complete else None,
        "items": items,
        "next": rest and encode_cursor(*rest),
    }


def _walk(rows: Sequence[Any], balance: Sequence[int]) -> tuple[list[dict[str, Any]], list[int]]:
    """The movements with the balance after each, and the balance before the last of them (the oldest)."""
    items, balance = [], list(balance)
    for row in rows:
        items.append(
            {
                "seq": row.seq,
                "from_bucket": row.from_bucket,
                "to_bucket": row.to_bucket,
                "quantity": row.quantity,
                "cause": row.cause,
                "cause_id": row.cause_id,
                "document": row.document,
                "reference": row.reference,
                "reason": row.reason,
                "actor": row.actor,
                "at": row.at,
                "after": _named(balance),
            }
        )
        balance = [number - getattr(row, counter) for counter, number in zip(COUNTERS, balance, strict=True)]
    return items, balance


def _begin(cursor: str | None, as_of: datetime | None) -> tuple[int | None, list[int], list[int] | None, list[int]]:
    """Where a page begins: the number before which, the balance there, the level of the first page, and who was writing
    then."""
    found = decode_cursor(cursor, [_number, _balance, _balance, _running, lambda moment: moment])
    if found is None:
        return None, [], None, []
    before, balance, level, running, moment = found
    if moment != _stamp(as_of):
        raise CursorInvalid("The pages of a list have the same as_of")
    return before, balance, level, running


def _stamp(moment: datetime | None) -> float | None:
    """The moment whatever zone it was written in."""
    return None if moment is None else moment.timestamp()


def _named(balance: Sequence[int]) -> dict[str, int]:
    return dict(zip(COUNTERS, balance, strict=True))


def _number(value: Any) -> int:
    if type(value) is not int or not 0 < value < 2**63:
        raise ValueError("number")
    return value


def _balance(value: Any) -> list[int]:
    if not isinstance(value, list) or len(value) != len(COUNTERS):
        raise ValueError("balance")
    if any(type(number) is not int or abs(number) > _MOST for number in value):
        raise ValueError("balance")
    return value


def _running(value: Any) -> list[int]:
    if not isinstance(value, list):
        raise ValueError("running")
    return [_number(one) for one in value]
