"""Deliveries and transfers for tests: made through the doors, read back as numbers."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import inbound, transfers
from inventory.inbound import Expected
from inventory.transfers import Wanted
from retail.kernel import clock
from retail.kernel.auth import STAFF, Principal
from retail.kernel.ids import new_id
from retail.roles import ROLES
from tests.factories import Place, Variant

MANAGER = Principal(STAFF, new_id(), ROLES["manager"])  # at home in every store


def worker(*places: Place) -> Principal:
    """Somebody who works at these stores."""
    return Principal(STAFF, new_id(), ROLES["associate"], locations=frozenset(place.id for place in places))


def announced(session: Session, place: Place, wanted: Mapping[Variant, int], due_at: datetime | None = None) -> str:
    """A delivery's reference."""
    lines = [Expected(made.id, quantity) for made, quantity in wanted.items()]
    now = clock.now()
    return inbound.announce(
        session, location_id=place.id, lines=lines, due_at=due_at or now, actor=MANAGER.actor, now=now
    )


def drafted(session: Session, origin: Place, destination: Place, wanted: Mapping[Variant, int]) -> str:
    """A draft's reference."""
    return transfers.draft(
        session,
        from_location_id=origin.id,
        to_location_id=destination.id,
        lines=[Wanted(made.id, quantity) for made, quantity in wanted.items()],
        caller=MANAGER,
        now=clock.now(),
    )


def ready(session: Session, origin: Place, destination: Place, wanted: Mapping[Variant, int]) -> str:
    """The reference of a transfer whose units are allocated."""
    reference = drafted(session, origin, destination, wanted)
    transfers.make_ready(session, transfer=reference, caller=MANAGER, now=clock.now())
    return reference


def on_its_way(session: Session, origin: Place, destination: Place, wanted: Mapping[Variant, int]) -> str:
    """The reference of a transfer that has left."""
    reference = ready(session, origin, destination, wanted)
    transfers.ship(session, transfer=reference, caller=MANAGER, now=clock.now())
    return reference


def transfer_id(session: Session, reference: str) -> UUID:
    """The key of a transfer: what its allocations are owned by."""
    found: UUID = session.execute(text("SELECT id FROM transfer WHERE reference = :r"), {"r": reference}).scalar_one()
    return found


def state(session: Session, reference: str) -> str:
    """The state of a delivery or transfer."""
    both = "SELECT state FROM transfer WHERE reference = :r UNION ALL SELECT state FROM inbound_shipment WHERE reference = :r"
    found: str = session.execute(text(both), {"r": reference}).scalar_one()
    return found


def transfer_lines(session: Session, reference: str) -> list[tuple[int, ...]]:
    """(requested, shipped, received, damaged, returned, shrunk, outstanding) of each line."""
    columns = "requested, shipped, received, damaged, returned, shrunk, outstanding"
    statement = f"SELECT {columns} FROM transfer_line WHERE transfer_id = :t ORDER BY position"
    return [tuple(row) for row in session.execute(text(statement), {"t": transfer_id(session, reference)})]


def inbound_lines(session: Session, reference: str) -> list[tuple[int, ...]]:
    """(expected, received, damaged, outstanding) of each line."""
    statement = (
        "SELECT expected, received, damaged, outstanding FROM inbound_line "
        "WHERE shipment_id = (SELECT id FROM inbound_shipment WHERE reference = :r) ORDER BY position"
    )
    return [tuple(row) for row in session.execute(text(statement), {"r": reference})]


def causes(session: Session, made: Variant, cause: str) -> list[tuple[str, str, int]]:
    """(from, to, quantity) of a variant's movements of one cause, oldest first."""
    statement = (
        "SELECT from_bucket, to_bucket, quantity FROM stock_movement WHERE variant_id = :v AND cause = :c ORDER BY seq"
    )
    return [(row[0], row[1], row[2]) for row in session.execute(text(statement), {"v": made.id, "c": cause})]


def events(session: Session, kind: str) -> list[dict[str, Any]]:
    """The data of all events of a kind, oldest first."""
    statement = text("SELECT data FROM event WHERE type = :k ORDER BY seq")
    return list(session.execute(statement, {"k": kind}).scalars())


def line(made: Variant, **numbers: int) -> dict[str, Any]:
    """A line of a request."""
    return {"sku": made.sku, **numbers}


def columns(answer: Mapping[str, Any], *names: str) -> Sequence[tuple[Any, ...]]:
    """These fields of each line of an answer."""
    return [tuple(one[name] for name in names) for one in answer["lines"]]
