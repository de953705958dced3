"""Events: written in the transaction of the change, delivered to handlers afterwards, at least once, with back-off.

An event is a frozen dataclass in a package's events module, past tense, holding ids and plain values. `publish` writes
its row and one delivery per handler in one statement. The relay (worker) runs each delivery in a transaction of its
own: the handler's effect and the mark "done" commit together, so a handler that only writes rows works exactly once.
"""

import dataclasses
import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar

import structlog
from sqlalchemy import RowMapping, text
from sqlalchemy.orm import Session

from retail.kernel import clock, db
from retail.kernel.errors import NotFound
from retail.kernel.ids import new_id

log = structlog.get_logger()

FIRST_RETRY_SECONDS = 5
LONGEST_RETRY_SECONDS = 6 * 3600
MAX_ATTEMPTS = 12
SYSTEM = "system"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Base of all events. Subclasses add fields; `aggregate` and `party` name the fields used as the row's keys."""

    aggregate: ClassVar[str] = ""
    party: ClassVar[str] = "customer_id"

    @classmethod
    def type_name(cls) -> str:
        """The event's public name, e.g. ``OrderPlaced``."""
        return cls.__name__


@dataclass(frozen=True, slots=True)
class Published:
    """An event as a handler receives it: the row's id, type, keys, actor, moment and data."""

    id: uuid.UUID
    type: str
    aggregate_id: uuid.UUID | None
    party_id: uuid.UUID | None
    actor: str
    at: datetime
    data: Mapping[str, Any]


Handler = Callable[[Session, Published], None]
_handlers: dict[str, dict[str, Handler]] = {}


def subscribe(table: Mapping[type[Event], Sequence[Handler]]) -> None:
    """Set who reacts to what: the one table of app.py. A handler's name is ``package.function`` and must be unique."""
    _handlers.clear()
    for event_type, handlers in table.items():
        named = {f"{handler.__module__.split('.')[0]}.{handler.__name__}": handler for handler in handlers}
        if len(named) != len(handlers):
            raise ValueError(f"two handlers of {event_type.__name__} share a name")
        _handlers[event_type.type_name()] = named


_PUBLISH = text(
    """
    WITH written AS (
        INSERT INTO event (id, type, aggregate_id, party_id, actor, data, at)
        VALUES (:id, :type, :aggregate_id, :party_id, :actor, CAST(:data AS jsonb), :at)
    )
    INSERT INTO delivery (event_id, handler, next_at)
    SELECT :id, handler, :at FROM unnest(CAST(:handlers AS text[])) AS handler
    """
)


def publish(session: Session, event: Event, *, actor: str, now: datetime) -> uuid.UUID:
    """Write the event and its deliveries in the caller's transaction; one statement. Returns the event's id.

    `actor` is who did it: ``customer:<id>``, ``staff:<id>``, ``client:<id>`` or ``system``.
    """
    row = row_of(event, actor=actor, now=now)
    session.execute(_PUBLISH, row)
    return uuid.UUID(str(row["id"]))


def row_of(event: Event, *, actor: str, now: datetime) -> dict[str, Any]:
    """The parameters that write `event`: for business files that fold the insert into their own hot statement."""
    data = {field.name: getattr(event, field.name) for field in dataclasses.fields(event)}
    name = event.type_name()
    return {
        "id": new_id(),
        "type": name,
        "aggregate_id": data.get(event.aggregate) if event.aggregate else None,
        "party_id": data.get(event.party),
        "actor": actor,
        "data": json.dumps(data, default=str, ensure_ascii=False),
        "at": now,
        "handlers": list(_handlers.get(name, ())),
    }


_CLAIM = text(
    """
    SELECT d.event_id, d.handler, d.attempts, e.type, e.aggregate_id, e.party_id, e.actor, e.data, e.at
    FROM delivery AS d JOIN event AS e ON e.id = d.event_id
    WHERE d.state = 'pending' AND d.next_at <= :now
    ORDER BY d.next_at, e.seq
    LIMIT 1
    FOR UPDATE OF d SKIP LOCKED
    """
)
_DONE = text(
    "UPDATE delivery SET state = 'done', attempts = attempts + 1, done_at = :now, last_error = NULL "
    "WHERE event_id = :event_id AND handler = :handler"
)
_FAILED = text(
    """
    UPDATE delivery SET attempts = attempts + 1, last_error = :error, next_at = :next_at,
                        state = CASE WHEN attempts + 1 >= :max_attempts THEN 'dead' ELSE 'pending' END
    WHERE event_id = :event_id AND handler = :handler AND state = 'pending'
    """
)


def backoff_seconds(attempts: int) -> int:
    """How long to wait after the `attempts`-th failure (1, 2, ...): 5 s doubling, at most six hours."""
    return int(min(FIRST_RETRY_SECONDS * 2 ** (attempts - 1), LONGEST_RETRY_SECONDS))


def relay_one() -> bool:
    """Run the next due delivery, if there is one and no other worker has it. Returns whether there was one.

    The handler's exception rolls its work back; attempts, back-off and the error's text are then written on their own.
    """
    now = clock.now()
    taken: dict[str, Any] = {}
    try:
        with db.transaction() as session:
            row = session.execute(_CLAIM, {"now": now}).one_or_none()
            if row is None:
                return False
            taken = {"event_id": row.event_id, "handler": row.handler, "attempts": row.attempts}
            handler = _handlers.get(row.type, {}).get(row.handler)
            if handler is None:
                raise LookupError(f"no handler {row.handler} for {row.type} in this version")
            handler(
                session, Published(row.event_id, row.type, row.aggregate_id, row.party_id, row.actor, row.at, row.data)
            )
            session.execute(_DONE, {"event_id": row.event_id, "handler": row.handler, "now": now})
    except Exception as error:
        if not taken or db.is_disconnect(error):
            raise
        attempts = taken["attempts"] + 1
        log.warning(
            "delivery failed",
            handler=taken["handler"],
            event_id=str(taken["event_id"]),
            attempts=attempts,
            exc_info=True,
        )
        with db.transaction() as session:
            session.execute(
                _FAILED,
                {
                    "event_id": taken["event_id"],
                    "handler": taken["handler"],
                    "error": f"{type(error).__name__}: {error}"[:2000],
                    "next_at": now + timedelta(seconds=backoff_seconds(attempts)),
                    "max_attempts": MAX_ATTEMPTS,
                },
            )
    return True


def drain(limit: int = 10_000) -> int:
    """Run due deliveries until none is left (tests, the demo, a command); returns how many ran."""
    ran = 0
    while ran < limit and relay_one():
        ran += 1
    return ran


def dead_letters(session: Session, *, limit: int, after: str | None = None) -> Sequence[RowMapping]:
    """Deliveries that were given up, oldest event first: keyset by event id; `limit` rows at most."""
    statement = text(
        """
        SELECT d.event_id, d.handler, d.attempts, d.last_error, d.next_at, e.type, e.at
        FROM delivery AS d JOIN event AS e ON e.id = d.event_id
        WHERE d.state = 'dead' AND (CAST(:after AS text) IS NULL OR d.event_id::text || ' ' || d.handler > :after)
        ORDER BY d.event_id::text || ' ' || d.handler LIMIT :limit
        """
    )
    return session.execute(statement, {"limit": limit, "after": after}).mappings().all()


def redeliver(session: Session, *, event_id: uuid.UUID, handler: str, now: datetime) -> None:
    """Put a dead letter back to be tried at once, with its attempts counted anew.

    Raises:
        NotFound: it is not a dead letter.
    """
    statement = text(
        "UPDATE delivery SET state = 'pending', attempts = 0, next_at = :now "
        "WHERE event_id = :event_id AND handler = :handler AND state = 'dead' RETURNING 1"
    )
    if session.execute(statement, {"event_id": event_id, "handler": handler, "now": now}).one_or_none() is None:
        raise NotFound("There is no dead letter for this event and handler")
