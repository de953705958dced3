"""What is missing is written on the order: what staff could not pick, and what a count found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import queries as stock_queries
from inventory import stock
from inventory.reservations import NotAllocated
from orders.queries import shortfalls as shortfall_queries
from orders.queries.shortfalls import LockedOrder, Part
from orders.shortfalls.parts import BEFORE_GONE, LineUnknown, illegal, keys, lock_part, move_on, told, view
from retail.events import PickupShort, ShortfallFilled
from retail.kernel import outbox
from retail.kernel.auth import Principal
from retail.kernel.errors import Conflict
from retail.kernel.ids import new_id

CAUSES = {"not_found": "pick_failed", "damaged": "damaged"}
MAY_MISS = ("pending", "allocated", "picking", "packed", "arrived", "ready", "short")


class MoreThanToDo(Conflict):
    """More units are said to be missing than are still to be picked; `errors` names each line with `to_do`."""

    code, title = "more_than_to_do", "That many are not to be picked any more"


@dataclass(frozen=True, slots=True)
class Lack:
    """`quantity` units of a line that were not found; of a bundle, `sku` is the component that lacks."""

    order_line_id: UUID
    quantity: int
    sku: str | None = None


_SHORT = text(
    """
    WITH lack AS (
        SELECT * FROM unnest(CAST(:ids AS uuid[]), CAST(:line_ids AS uuid[]), CAST(:units AS integer[])) AS lack (id, line_id, units)
    ), marked AS (
        UPDATE fulfillment_line SET short = short + units, picked = least(picked, quantity - short - units - cancelled)
        FROM lack WHERE fulfillment_id = :part AND order_line_id = line_id
    )
    INSERT INTO shortfall (id, order_id, fulfillment_id, order_line_id, quantity, cause, actor, created_at)
    SELECT id, :order, :part, line_id, units, :cause, :actor, :now FROM lack
    """
)
# What is found is taken off the newest first; one that is found in part is split.
_FOUND = text(
    """
    WITH found AS (
        SELECT * FROM unnest(CAST(:line_ids AS uuid[]), CAST(:units AS integer[])) AS found (line_id, units)
    ), queue AS (
        SELECT s.*, found.units, sum(s.quantity) OVER (PARTITION BY order_line_id ORDER BY s.created_at DESC, s.id DESC) AS until
        FROM shortfall AS s JOIN found ON found.line_id = s.order_line_id
        WHERE s.fulfillment_id = :part AND s.state IN ('open', 'proposed')
    ), cut AS (
        SELECT queue.*, CAST(least(quantity, units - until + quantity) AS integer) AS got FROM queue WHERE units > until - quantity
    ), rest AS (
        INSERT INTO shortfall (id, order_id, fulfillment_id, order_line_id, quantity, cause, state, actor, created_at)
        SELECT gen_random_uuid(), order_id, fulfillment_id, order_line_id, quantity - got, cause, state, actor, created_at
        FROM cut WHERE got < quantity
    ), settled AS (
        UPDATE shortfall SET quantity = got, state = 'filled', settled_at = :now, settled_by = :actor
        FROM cut WHERE shortfall.id = cut.id
    )
    UPDATE fulfillment_line SET short = short - units FROM found WHERE fulfillment_id = :part AND order_line_id = line_id
    """
)


def report(
    session: Session, *, fulfillment_id: UUID, lines: Sequence[Lack], reason: str, caller: Principal, now: datetime
) -> dict[str, Any]:
    """While picking, staff did not find these units (``not_found``), or found them ``damaged``. Returns the view.

    In one transaction: the units leave the books, this order's promise is short, its lines say so, and the fulfillment is
    `short` when nothing is left of it. What is damaged may be replaced by units that are free; then nothing is short.

    Raises:
        NotFound: no such fulfillment, or another store's. IllegalTransition: it is not being picked.
        LineUnknown, MoreThanToDo: naming every such line. NotAllocated: they were known to be missing, or wait for goods.
    """
    order, part = lock_part(session, fulfillment_id=fulfillment_id, caller=caller)
    if part.state != "picking":
        raise illegal(part, f"A {part.method} that is {part.state} is not being picked")
    lacking = _lacking(session, order, part, lines)
    stock.pick_failed(
        session,
        owner_id=order.id,
        location_id=part.stock_at,
        lacking=lacking,
        reason=CAUSES[reason],
        actor=caller.actor,
        now=now,
    )
    note(session, order_id=order.id, cause=CAUSES[reason], actor=caller.actor, now=now, hint=part.id)
    return view(session, fulfillment_id=part.id)


def _lacking(session: Session, order: LockedOrder, part: Part, lines: Sequence[Lack]) -> dict[tuple[UUID, UUID], int]:
    """Units per (line, variant on the shelf)."""
    known = {line.order_line_id: line for line in part.lines}
    wrong = [
        {"line": position, "code": LineUnknown.code, "detail": str(lack.order_line_id)}
        for position, lack in enumerate(lines, start=1)
        if lack.order_line_id not in known or lack.order_line_id in [one.order_line_id for one in lines[: position - 1]]
    ]
    if wrong:
        raise LineUnknown(errors=wrong)
    excess = [
        {"line": position, "code": MoreThanToDo.code, "sku": line.sku, "to_do": line.todo, "detail": line.sku}
        for position, (lack, line) in enumerate(((lack, known[lack.order_line_id]) for lack in lines), start=1)
        if lack.quantity > line.todo
    ]
    if excess:
        raise MoreThanToDo(errors=excess)
    ids = [lack.order_line_id for lack in lines]
    promised = stock_queries.components_promised(session, owner_id=order.id, line_ids=ids, location_id=part.stock_at)
    lacking: dict[tuple[UUID, UUID], int] = {}
    for position, lack in enumerate(lines, start=1):
        parts = promised.get(lack.order_line_id, {})
        named = lack.sku or (known[lack.order_line_id].sku if len(parts) != 1 else next(iter(parts)))
        if not parts:
            raise NotAllocated
        if named not in parts:
            detail = f"Say which of {', '.join(sorted(parts))} is missing"
            raise LineUnknown(errors=[{"line": position, "code": LineUnknown.code, "detail": detail}])
        variant_id, share = parts[named]
        lacking[lack.order_line_id, variant_id] = lack.quantity * share
    return lacking


def note(session: Session, *, order_id: UUID, cause: str, actor: str, now: datetime, hint: UUID | None = None) -> None:
    """Bring the order's lines into line with what stock says is missing: more is short, or some has been found.

    Repeating it changes nothing. Of two parts with the same line at one place, `hint` lacks it first, then the youngest.
    """
    order = shortfall_queries.lock_whole(session, order_id=order_id)
    if order is None or order.cancelled_at is not None or order.kind != "live":
        return
    missing = stock_queries.missing(session, owner_id=order_id)
    parts = [part for part in order.parts if part.state in MAY_MISS]
    parts.sort(key=lambda part: (part.id != hint, -part.id.int))
    for part in parts:
        more: dict[UUID, int] = {}
        less: dict[UUID, int] = {}
        for line in part.lines:
            key = (line.order_line_id, part.stock_at)
            units = min(missing.get(key, 0), line.unsettled + line.todo)
            missing[key] = missing.get(key, 0) - units
            if units > line.unsettled:
                more[line.order_line_id] = units - line.unsettled
            elif units < line.unsettled:
                less[line.order_line_id] = line.unsettled - units
        _mark(session, order, part, more, less, cause=cause, actor=actor, now=now)


def _mark(
    session: Session,
    order: LockedOrder,
    part: Part,
    more: Mapping[UUID, int],
    less: Mapping[UUID, int],
    *,
    cause: str,
    actor: str,
    now: datetime,
) -> None:
    if not more and not less:
        return
    given: dict[str, Any] = {"order": order.id, "part": part.id, "cause": cause, "actor": actor, "now": now}
    if more:
        ids = [new_id() for _ in more]
        session.execute(_SHORT, given | {"ids": ids, "line_ids": list(more), "units": list(more.values())})
        short = PickupShort(**keys(order, part), method=part.method, lines=told(part, more), cause=cause)
        outbox.publish(session, short, actor=actor, now=now)
    if less:
        session.execute(_FOUND, given | {"line_ids": list(less), "units": list(less.values())})
        filled = ShortfallFilled(**keys(order, part), lines=told(part, less))
        outbox.publish(session, filled, actor=actor, now=now)
    todo = sum(line.todo for line in part.lines) - sum(more.values()) + sum(less.values())
    state = part.state
    if todo == 0 and part.state in BEFORE_GONE:
        state = "short"
    elif todo > 0 and part.state == "short":
        state = "allocated" if part.arrived_at is None else "arrived"
    move_on(session, part=part, state=state, now=now)
