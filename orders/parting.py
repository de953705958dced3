"""A part of a pickup goes its own way: what is picked is ready while the rest is still being looked for, or the customer takes
some of what is ready and leaves the rest for another day.

The units that stay behind become a pickup of their own, with a code of their own: so each pickup is handed over once and
whole, and everything that is said of a pickup holds for both. Their stock is promised to the order's line at the same
place, and stays so.
"""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from orders import pickup_links, proofs, shortfalls
from orders.queries import pickups as pickup_queries
from orders.queries.shortfalls import Part
from retail.events import PickupCodeIssued
from retail.kernel import outbox
from retail.kernel.errors import Invalid, NotFound


class NotOfPickup(Invalid):
    """A line that the pickup does not carry, more units than it has to hand over, or none at all; `errors` names each."""

    code, title = "not_of_pickup", "The pickup does not have so much of it"


_KEEP = text(
    """
    WITH rest AS (
        SELECT * FROM unnest(CAST(:line_ids AS uuid[]), CAST(:units AS integer[])) AS rest (line_id, units)
    ), left_here AS (
        UPDATE fulfillment_line AS f SET cancelled = cancelled + rest.units, picked = greatest(0, least(f.picked, f.quantity - f.short - f.cancelled - rest.units))
        FROM rest WHERE f.fulfillment_id = :part AND f.order_line_id = rest.line_id
    )
    UPDATE fulfillment AS made
    SET state = CASE old.state WHEN 'arrived' THEN 'picking' ELSE old.state END, ready_by = old.ready_by, picking_at = old.picking_at, ready_at = old.ready_at, collect_by = old.collect_by,
        extensions = old.extensions, arrived_at = old.arrived_at, picker_id = old.picker_id
    FROM fulfillment AS old WHERE made.id = :made AND old.id = :part
    """
)
_PICKED = text("UPDATE fulfillment_line SET picked = quantity WHERE fulfillment_id = :made")


def keep_back(session: Session, *, part_id: UUID, taken: Mapping[UUID, int], actor: str, now: datetime) -> UUID | None:
    """Leave of a pickup only ``{order line: units}``; the rest of what is to be handed over becomes another one, in the same
    state and kept until the same day. Returns its id, or None when there is no rest. Whoever calls has the order's lock and
    has judged the state.

    Raises:
        NotOfPickup: nothing was changed.
    """
    order, part = shortfalls.lock_part(session, fulfillment_id=part_id, caller=None)
    rest = _rest(part, taken)
    if not rest:
        return None
    made = shortfalls.add_part(
        session, order_id=order.id, method="pickup", location_id=part.location_id, ready_by=None, lines=rest
    )
    given = {"part": part.id, "made": made, "line_ids": list(rest), "units": list(rest.values())}
    session.execute(_KEEP, given)
    if part.state == "ready":
        session.execute(_PICKED, {"made": made})
        locked = pickup_queries.lock_pickup(session, fulfillment_id=made)
        if locked is None:
            raise NotFound
        rotation = proofs.issue(session, locked=locked, now=now)
        pickup_links.make(session, fulfillment_id=made, now=now)
        event = PickupCodeIssued(**pickup_queries.keys(locked), rotation=rotation)
        outbox.publish(session, event, actor=actor, now=now)
    return made


def _rest(part: Part, taken: Mapping[UUID, int]) -> dict[UUID, int]:
    has = {line.order_line_id: line.todo for line in part.lines if line.todo > 0}
    wrong = [
        {"order_line_id": line_id, "code": NotOfPickup.code, "detail": f"{units} wanted, {has.get(line_id, 0)} here"}
        for line_id, units in taken.items()
        if not 0 < units <= has.get(line_id, 0)
    ]
    if wrong or not taken:
        raise NotOfPickup(errors=wrong or [{"field": "lines", "code": NotOfPickup.code, "detail": "Nothing is taken"}])
    rest = {line_id: units - taken.get(line_id, 0) for line_id, units in has.items()}
    return {line_id: units for line_id, units in rest.items() if units > 0}
