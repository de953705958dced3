"""What becomes of missing units is settled once: paid back here; taken from elsewhere or replaced by others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import reservations
from orders import value
from orders.queries import shortfalls as shortfall_queries
from orders.queries.shortfalls import LockedOrder, Part
from orders.shortfalls.parts import BEFORE_GONE, LineUnknown, keys, legal_steps, lock_part, move_on, told
from retail.events import ShortfallResolved
from retail.kernel import outbox
from retail.kernel.auth import Principal
from retail.kernel.errors import Conflict
from retail.kernel.ids import new_id

REFUND = "refund"


class NothingShort(Conflict):
    """Nothing of it is missing (any more): somebody was faster, or it has been found."""

    code, title = "nothing_short", "Nothing of this is missing"


@dataclass(frozen=True, slots=True)
class Chosen:
    """What is to be settled, under the locks: the order, its part, and units per line."""

    order: LockedOrder
    part: Part
    lines: Mapping[UUID, int]


_SETTLE = text(
    """
    WITH settled AS (
        UPDATE shortfall SET state = :state, settled_at = :now, settled_by = :actor, to_fulfillment_id = CAST(:to AS uuid)
        WHERE fulfillment_id = :part AND state IN ('open', 'proposed') AND order_line_id = ANY(CAST(:line_ids AS uuid[]))
    )
    UPDATE substitute_proposal SET state = 'withdrawn', answered_at = :now
    WHERE fulfillment_id = :part AND state = 'proposed' AND order_line_id = ANY(CAST(:line_ids AS uuid[]))
    RETURNING id
    """
)
_KEEP_OPEN = text(
    """
    WITH open AS (
        SELECT order_line_id, CAST(sum(quantity) AS integer) AS units FROM shortfall
        WHERE fulfillment_id = :part AND state IN ('open', 'proposed') GROUP BY order_line_id
    ), made AS (
        INSERT INTO fulfillment (id, order_id, location_id, method, state)
        SELECT :id, order_id, location_id, 'pickup', 'short' FROM fulfillment WHERE id = :part AND EXISTS (SELECT FROM open)
    ), lines AS (
        INSERT INTO fulfillment_line (fulfillment_id, order_line_id, quantity, short) SELECT :id, order_line_id, units, units FROM open
    ), left_over AS (
        UPDATE fulfillment_line AS line SET short = short - units, cancelled = cancelled + units
        FROM open WHERE line.fulfillment_id = :part AND line.order_line_id = open.order_line_id
    ), asked AS (
        UPDATE substitute_proposal SET fulfillment_id = :id WHERE fulfillment_id = :part AND state = 'proposed'
    )
    UPDATE shortfall SET fulfillment_id = :id WHERE fulfillment_id = :part AND state IN ('open', 'proposed')
    """
)
_CALL_OFF = text(
    """
    WITH settled AS (
        UPDATE shortfall SET state = 'cancelled', settled_at = :now, settled_by = 'system'
        WHERE order_id = :order AND state IN ('open', 'proposed')
    )
    UPDATE substitute_proposal SET state = 'withdrawn', answered_at = :now WHERE order_id = :order AND state = 'proposed' RETURNING id
    """
)
_ADD_PART = text(
    """
    WITH made AS (
        INSERT INTO fulfillment (id, order_id, location_id, source_location_id, method, state, ready_by)
        VALUES (:id, :order, :location_id, CAST(:source AS uuid), :method, 'allocated', CAST(:ready_by AS timestamptz))
        RETURNING id
    )
    INSERT INTO fulfillment_line (fulfillment_id, order_line_id, quantity)
    SELECT made.id, line_id, units
    FROM made CROSS JOIN unnest(CAST(:line_ids AS uuid[]), CAST(:units AS integer[])) AS line (line_id, units)
    """
)


def choose(
    session: Session, *, fulfillment_id: UUID, line_ids: Sequence[UUID] | None, caller: Principal | None
) -> Chosen:
    """Lock what is to be settled: all that is missing of these lines of the part (None: of all its lines).

    Raises:
        NotFound: no such fulfillment, or another store's. LineUnknown: a line is not of this part.
        NothingShort: nothing of it is missing (any more).
    """
    order, part = lock_part(session, fulfillment_id=fulfillment_id, caller=caller)
    known = {line.order_line_id for line in part.lines}
    strange = [line_id for line_id in line_ids or () if line_id not in known]
    if strange:
        raise LineUnknown(errors=[{"code": LineUnknown.code, "detail": str(line_id)} for line_id in strange])
    lines: dict[UUID, int] = {}
    for one in shortfall_queries.unsettled(session, fulfillment_id=part.id):
        if line_ids is None or one.order_line_id in line_ids:
            lines[one.order_line_id] = lines.get(one.order_line_id, 0) + one.quantity
    if order.cancelled_at is not None or not lines or (line_ids is not None and set(lines) != set(line_ids)):
        raise NothingShort(state=part.state, legal=legal_steps(part))
    return Chosen(order, part, lines)


def refund(
    session: Session,
    *,
    fulfillment_id: UUID,
    line_ids: Sequence[UUID] | None,
    caller: Principal | None,
    actor: str,
    now: datetime,
) -> UUID:
    """Give the missing units up: their money goes back, nobody waits for them any more. Returns the order's id; after the
    commit `cancellation.settle` runs what waits for the card network.

    Raises:
        See `choose`.
    """
    chosen = choose(session, fulfillment_id=fulfillment_id, line_ids=line_ids, caller=caller)
    order = chosen.order
    given = value.give_up(session, order_id=order.id, lines=chosen.lines, reason="short", actor=actor, now=now)
    give_back(session, chosen=chosen, actor=actor, now=now)
    money = {"amount_minor": given.released_minor + given.refunded_minor, "points": given.points}
    settle(session, chosen=chosen, state="refunded", to=None, money=money, actor=actor, now=now)
    return order.id


def give_back(session: Session, *, chosen: Chosen, actor: str, now: datetime) -> None:
    """The order stops waiting for the missing units (what is missing goes first)."""
    reservations.release(
        session,
        owner_id=chosen.order.id,
        cause="short",
        line_ids=list(chosen.lines),
        quantities=chosen.lines,
        location_id=chosen.part.stock_at,
        actor=actor,
        now=now,
    )


def settle(
    session: Session,
    *,
    chosen: Chosen,
    state: str,
    to: UUID | None,
    money: Mapping[str, int] | None = None,
    actor: str,
    now: datetime,
) -> None:
    """Write down what became of it, end a part of which nothing is left, and tell. Open proposals are withdrawn. `to` may be
    the part itself, whose lines were added to."""
    order, part = chosen.order, chosen.part
    given = {"part": part.id, "state": state, "to": to, "line_ids": list(chosen.lines), "actor": actor, "now": now}
    for proposal_id in session.execute(_SETTLE, given).scalars():  # its substitute waited for an answer
        reservations.release(session, owner_id=proposal_id, cause="substitute", actor=actor, now=now)
    left = sum(line.unsettled for line in part.lines) - sum(chosen.lines.values())
    todo = sum(line.todo for line in part.lines)
    after = part.state
    if to == part.id:
        after = "allocated" if part.state == "short" else part.state
    elif part.state in BEFORE_GONE and left == 0 and todo == 0:
        after = "collected" if any(line.collected for line in part.lines) else "cancelled"
    move_on(session, part=part, state=after, now=now)
    event = ShortfallResolved(
        **keys(order, part),
        resolution=state,
        lines=told(part, chosen.lines),
        to_fulfillment_id=to,
        amount_minor=(money or {}).get("amount_minor", 0),
        points=(money or {}).get("points", 0),
        currency=order.currency,
    )
    outbox.publish(session, event, actor=actor, now=now)


def drop(session: Session, *, part: Part, actor: str, now: datetime) -> None:
    """Nothing becomes of what was missing of this part: it is over, and its units were given up with the others."""
    lines = [line.order_line_id for line in part.lines if line.unsettled]
    if lines:
        given = {"part": part.id, "state": "refunded", "to": None, "line_ids": lines, "actor": actor, "now": now}
        for proposal_id in session.execute(_SETTLE, given).scalars():
            reservations.release(session, owner_id=proposal_id, cause="substitute", actor=actor, now=now)


def keep_open(session: Session, *, fulfillment_id: UUID) -> None:
    """The rest was handed over, and nobody has said what becomes of what is missing: that stays open in a part of its own, so
    that it can still be decided, or picked if it comes in."""
    session.execute(_KEEP_OPEN, {"part": fulfillment_id, "id": new_id()})


def call_off(session: Session, *, order_id: UUID, now: datetime) -> None:
    """The order was cancelled: nothing becomes of what was missing. Repeating it changes nothing."""
    if shortfall_queries.lock_whole(session, order_id=order_id) is None:
        return
    for proposal_id in session.execute(_CALL_OFF, {"order": order_id, "now": now}).scalars():
        reservations.release(session, owner_id=proposal_id, cause="substitute", actor="system", now=now)


def add_part(
    session: Session,
    *,
    order_id: UUID,
    method: str,
    location_id: UUID,
    source_location_id: UUID | None = None,
    ready_by: datetime | None,
    lines: Mapping[UUID, int],
) -> UUID:
    """A new fulfillment of the order; its stock is promised already. Returns its id."""
    given = {"order": order_id, "method": method, "location_id": location_id, "source": source_location_id}
    given |= {"ready_by": ready_by, "line_ids": list(lines), "units": list(lines.values())}
    made = new_id()
    session.execute(_ADD_PART, given | {"id": made})
    return made
