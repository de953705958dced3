"""The feed of changes: whoever follows it (a storefront, a marketplace) hears of every change of stock, once it is final.

A sequence number alone skips rows: a transaction takes number 5 and stays open, another takes 6 and commits, the reader
goes past 6, and 5, which commits later, is never seen. So a movement also bears the number of its transaction, the feed's
order is (transaction, sequence), and it is read only up to the oldest transaction that is still running
(`pg_snapshot_xmin`): below it nothing can appear any more. Nothing is ever skipped; a long transaction, anywhere on the
server, delays the feed and nothing else. tests/races/test_feed.py proves both.

A follower takes a cursor first (a request without one), then loads all levels, then follows: what changed in between is
told again, which does no harm, since the feed tells what a level says now and not what was added.

Transaction numbers belong to a cluster. A dump restored into another one brings numbers that mean nothing there:
`retail stock restart-feed` puts the old rows below all new ones and begins a new generation; cursors of the old one are
refused as gone, and their holders load everything anew.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import stock
from inventory.queries.changes import changes_after, feed_here
from retail.kernel.auth import Principal
from retail.kernel.errors import Gone

Position = tuple[int, int, int]  # a place in the feed: generation, transaction, sequence; what a cursor holds
SCAN_ROWS = 10_000  # how many movements of all places one request looks at to find those of one


class FeedRestarted(Gone):
    """The cursor is of another generation of the feed: take a new one, load everything, and follow again."""

    code, title = "feed_restarted", "The feed has begun anew"


@dataclass(frozen=True, slots=True)
class Changes:
    """One page: `items` as ChangeSchema shows them, where the `next` one begins (always), and whether there is `more` of it
    already."""

    items: list[dict[str, Any]]
    next: Position
    more: bool


# The table's owner may; the lock of ALTER TABLE waits for whoever is writing movements, and keeps others out. Numbers that this
# cluster has not reached are another's.
_RENUMBER = (
    text("ALTER TABLE stock_movement DISABLE TRIGGER stock_movement_append_only"),
    text("UPDATE stock_movement SET xid = 0 WHERE xid >= CAST(CAST(pg_current_xact_id() AS text) AS bigint)"),
    text("ALTER TABLE stock_movement ENABLE TRIGGER stock_movement_append_only"),
)
_NEXT_GENERATION = text(
    """
    INSERT INTO stock_feed (generation) VALUES (2)
    ON CONFLICT (singleton) DO UPDATE SET generation = stock_feed.generation + 1
    RETURNING generation
    """
)


def follow(
    session: Session,
    *,
    position: Position | None,
    limit: int,
    location: str | None,
    caller: Principal,
    now: datetime,
) -> Changes:
    """The changes after `position`, the oldest first; without one: none, and the place from which on nothing will be missed.

    limit: how many movements at most; items may be fewer, since a level is told once per page. location: only this one.

    Raises:
        Forbidden: customers ask for availability. stock.UnknownLocation. FeedRestarted: see the module's docstring.
    """
    stock.refuse_customers(caller)
    place = None if location is None else stock.locate(session, name=location, caller=caller)
    here = feed_here(session)
    if position is None:
        return Changes([], (here["generation"], here["horizon"], 0), more=False)
    generation, xid, seq = position
    if generation != here["generation"] or xid > here["ahead"]:
        raise FeedRestarted("The cursor is of an earlier feed: take a new one, load all levels, then follow it")
    scan = limit if place is None else SCAN_ROWS
    location_id: UUID | None = None if place is None else place["id"]
    found = changes_after(session, xid=xid, seq=seq, location_id=location_id, rows=limit, scan=scan, now=now)
    if found["taken"] == limit:
        to, more = found["taken_to"], True
    elif found["scanned"] == scan:
        to, more = found["scanned_to"], True
    else:  # all there is below the horizon: whatever comes later stands behind it
        to, more = max([found["horizon"], 0], [xid, seq]), False
    return Changes(found["items"], (generation, to[0], to[1]), more)


def restart(session: Session) -> int:
    """Begin a new generation of the feed and return its number: for a database that was restored into another cluster."""
    for statement in _RENUMBER:
        session.execute(statement)
    return int(session.execute(_NEXT_GENERATION).scalar_one())
