"""Reading the three accounts of stock back, for tests of stock anywhere."""

import time
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import audit, stock
from retail.kernel import clock, db
from tests.factories import Place, Variant, location, variant

PATIENCE_SECONDS = 120.0
Numbers = tuple[int, int, int, int]


def stocked(session: Session, quantity: int, *, safety: int = 0, backorder_limit: int = 0) -> tuple[Variant, Place]:
    """A new variant at a new location, `quantity` units received."""
    made, place = variant(session), location(session)
    receive(session, made, place, quantity)
    limit(session, made, place, safety=safety, backorder_limit=backorder_limit)
    return made, place


def receive(session: Session, made: Variant, place: Place, quantity: int) -> None:
    """Units come in."""
    lines = [(made.id, quantity)]
    stock.receive(session, location_id=place.id, lines=lines, key=None, actor="system", now=clock.now())


def limit(session: Session, made: Variant, place: Place, *, safety: int = 0, backorder_limit: int = 0) -> None:
    """Set a level's limits as they are, without asking."""
    session.execute(
        text("UPDATE stock_level SET safety = :s, backorder_limit = :b WHERE variant_id = :v AND location_id = :l"),
        {"s": safety, "b": backorder_limit, "v": made.id, "l": place.id},
    )


def level(session: Session, made: Variant, place: Place) -> Numbers | None:
    """(on_hand, allocated, held, unavailable) as stored."""
    statement = text(
        "SELECT on_hand, allocated, held, unavailable FROM stock_level WHERE variant_id = :v AND location_id = :l"
    )
    row = session.execute(statement, {"v": made.id, "l": place.id}).one_or_none()
    return None if row is None else (row[0], row[1], row[2], row[3])


def reservations(session: Session, owner_id: UUID) -> list[tuple[str, int]]:
    """(state, quantity) of an owner's reservations by moment, quantity and state."""
    statement = text("SELECT state, quantity FROM reservation WHERE owner_id = :o ORDER BY created_at, quantity, state")
    return [(row[0], row[1]) for row in session.execute(statement, {"o": owner_id})]


def moves(session: Session, made: Variant) -> list[tuple[str, str, int, str]]:
    """(from, to, quantity, cause) of all movements of a variant, oldest first."""
    statement = text(
        "SELECT from_bucket, to_bucket, quantity, cause FROM stock_movement WHERE variant_id = :v ORDER BY seq"
    )
    return [(row[0], row[1], row[2], row[3]) for row in session.execute(statement, {"v": made.id})]


def everything(session: Session) -> Sequence[Any]:
    """All rows of the three accounts and the events: equal before and after means that nothing changed."""
    tables = ("stock_level", "stock_movement", "reservation", "event")
    return [session.execute(text(f"SELECT t::text FROM {table} AS t ORDER BY 1")).scalars().all() for table in tables]


def balanced(session: Session) -> bool:
    """Whether levels, movements and reservations tell the same story."""
    return list(audit.divergences(session)) == []


def wait_for_others() -> None:
    """Until every transaction that is open now, of this server's other databases too, is over: tests of other workers hold
    theirs open from beginning to end, and the feed waits for all."""
    with db.engine().connect() as connection:
        mine = connection.execute(text("SELECT pg_current_xact_id()::text::bigint")).scalar_one()
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        with db.engine().connect() as connection:
            if (
                connection.execute(text("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")).scalar_one()
                > mine
            ):
                return
        time.sleep(0.05)
    raise TimeoutError("some transaction of this server does not end")
