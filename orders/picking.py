"""Pick lists: one person picks for several orders in one walk along the shelves, a tote for each.

Two who ask at once never get the same pickup. A list says who picks (`fulfillment.picker_id`) and where it goes; how a
fulfillment moves is decided by `pickup`, `shipping` and `shortfalls` as ever.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory.queries.picks import picks
from orders import pickup, shipping, shortfalls
from orders.fulfillment import IllegalTransition
from orders.queries import picking as queries
from orders.queries.shortfalls import Part
from orders.shortfalls import Lack, LineUnknown, MoreThanToDo
from retail import stores
from retail.kernel.auth import STAFF, Principal
from retail.kernel.errors import Conflict, Invalid, NotFound
from retail.kernel.ids import new_id


class NothingToPick(Conflict):
    """Everything there is picked, or somebody is at it."""

    code, title = "nothing_to_pick", "There is nothing to pick"


class PickerUnknown(Invalid):
    """There is no such member of staff at the location."""

    code, title = "picker_unknown", "Nobody there can pick by this name"


@dataclass(frozen=True, slots=True)
class Confirmed:
    """Of a line of a fulfillment, `picked` units are in the tote and `short` were not found; of a bundle, `sku` is what lacks."""

    fulfillment_id: UUID
    order_line_id: UUID
    picked: int
    short: int = 0
    sku: str | None = None


_MAKE = text(
    """
    INSERT INTO pick_list (id, location_id, picker_id, created_by, created_at)
    VALUES (:id, :location_id, :picker_id, :actor, :now)
    """
)
# What was on a list before (and went to another store and back, say) is on the newest alone.
_PUT = text(
    """
    WITH picker AS (UPDATE fulfillment SET picker_id = :picker_id WHERE id = :part)
    INSERT INTO pick_list_part (fulfillment_id, pick_list_id, tote) VALUES (:part, :id, :tote)
    ON CONFLICT (fulfillment_id) DO UPDATE SET pick_list_id = excluded.pick_list_id, tote = excluded.tote
    """
)
_REASSIGN = text(
    """
    WITH list AS (UPDATE pick_list SET picker_id = :picker_id WHERE id = :id)
    UPDATE fulfillment SET picker_id = :picker_id WHERE id = ANY(CAST(:parts AS uuid[]))
    """
)
_GIVE_BACK = text(
    """
    WITH off AS (DELETE FROM pick_list_part WHERE fulfillment_id = :part),
         unpicked AS (UPDATE fulfillment_line SET picked = 0 WHERE fulfillment_id = :part)
    UPDATE fulfillment SET picker_id = NULL WHERE id = :part
    """
)
_PICKED = text("UPDATE fulfillment_line SET picked = :picked WHERE fulfillment_id = :part AND order_line_id = :line_id")


def make_list(
    session: Session, *, location: str, most: int, picker_id: UUID | None, caller: Principal, now: datetime
) -> dict[str, Any]:
    """Begin to pick the next fulfillments of a location, `most` at the most, the earliest promise first, by one picker (None:
    the caller). Returns the list (PickListSchema).

    Raises:
        NotFound: no such location, or not the caller's. PickerUnknown. NothingToPick.
    """
    location_id = stores.key_of(session, location=location)
    caller.require_location(location_id)
    picker = _picker(session, picker_id, location_id, caller)
    found = queries.lock_next(session, location_id=location_id, limit=most)
    if not found:
        raise NothingToPick
    made = new_id()
    row = {"id": made, "location_id": location_id, "picker_id": picker, "actor": caller.actor, "now": now}
    session.execute(_MAKE, row)
    for tote, one in enumerate(found, start=1):
        begin = shipping.start_picking if one.method == shipping.METHOD else pickup.start_picking
        begin(session, fulfillment_id=one.id, caller=caller, now=now)
        session.execute(_PUT, {"id": made, "part": one.id, "tote": tote, "picker_id": picker})
    return view(session, list_id=made, caller=caller)


def view(session: Session, *, list_id: UUID, caller: Principal) -> dict[str, Any]:
    """A list (PickListSchema): its parts by tote, and what is still to be picked by shelf, each SKU once with its totes.

    Raises:
        NotFound: no such list, or of another location.
    """
    found = queries.pick_list(session, list_id=list_id)
    if found is None:
        raise NotFound
    caller.require_location(found["location_id"])
    parts = [part for part in found["parts"] if part["state"] == "picking"]
    owners = sorted({part["order_id"] for part in parts})
    where: dict[UUID, list[Any]] = {}
    for pick in picks(session, owner_ids=owners, location_id=found["location_id"]):
        where.setdefault(pick.line_id, []).append(pick)
    stops: dict[UUID, dict[str, Any]] = {}
    for part in parts:
        for line in part["lines"]:
            left = line["quantity"] - line["picked"]
            for pick in where.get(line["order_line_id"], ()) if left > 0 else ():
                stop = stops.setdefault(pick.variant_id, _stop(pick))
                units = left * pick.per_unit
                stop["quantity"] += units
                stop["totes"].append({"tote": part["tote"], "quantity": units})
    walk = sorted(stops.values(), key=lambda stop: (stop["shelf"] is None, stop["shelf"] or "", stop["sku"]))
    return found | {"stops": walk}


def reassign(session: Session, *, list_id: UUID, picker_id: UUID, caller: Principal) -> dict[str, Any]:
    """Give what is left of a list to somebody else. Returns the list.

    Raises:
        NotFound, NothingToPick: nothing of it is being picked any more. PickerUnknown.
    """
    location_id, parts = _open(session, list_id, caller)
    picker = _picker(session, picker_id, location_id, caller)
    given = {"id": list_id, "picker_id": picker, "parts": [part.id for part in parts]}
    session.execute(_REASSIGN, given)
    return view(session, list_id=list_id, caller=caller)


def give_back(
    session: Session, *, list_id: UUID, fulfillment_ids: Sequence[UUID] | None, caller: Principal, now: datetime
) -> dict[str, Any]:
    """Put parts of a list (None: all that is left) back for whoever asks next; nothing of them counts as picked. Returns it.

    Raises:
        NotFound. NothingToPick: they are not being picked by this list any more; nothing was changed.
    """
    _, parts = _open(session, list_id, caller)
    back = [part for part in parts if fulfillment_ids is None or part.id in fulfillment_ids]
    if fulfillment_ids is not None and len(back) != len(set(fulfillment_ids)):
        raise NothingToPick
    for part in back:
        session.execute(_GIVE_BACK, {"part": part.id})
        shortfalls.move_on(session, part=part, state="allocated", now=now)
    return view(session, list_id=list_id, caller=caller)


def confirm(
    session: Session, *, list_id: UUID, lines: Sequence[Confirmed], caller: Principal, now: datetime
) -> tuple[dict[str, Any], list[UUID]]:
    """Say what is in the totes and what was not found. What is not found is short (`shortfalls.report`); a pickup of which
    everything else is picked is ready. Returns the list, and the orders whose cards may be charged now (`payments.capture`).

    Raises:
        NotFound. NothingToPick: nothing of the list is left. IllegalTransition: a part is not being picked by this list any
        more. LineUnknown, MoreThanToDo: naming every line. Nothing was changed.
    """
    _, parts = _open(session, list_id, caller)
    known = {part.id: part for part in parts}
    gone = sorted({str(one.fulfillment_id) for one in lines if one.fulfillment_id not in known})
    if gone:
        raise IllegalTransition("These are not being picked by this list", state=",".join(gone), legal=[])
    _check(known, lines)
    ready = []
    for part in parts:
        said = [one for one in lines if one.fulfillment_id == part.id]
        if said and _apply(session, part, said, caller=caller, now=now):
            ready.append(pickup.mark_ready(session, fulfillment_id=part.id, caller=caller, now=now)["order_id"])
    return view(session, list_id=list_id, caller=caller), ready


def _apply(session: Session, part: Part, said: Sequence[Confirmed], *, caller: Principal, now: datetime) -> bool:
    """Write what was said of a part; whether it can be ready now."""
    lacking = [Lack(one.order_line_id, one.short, one.sku) for one in said if one.short]
    if lacking:
        shortfalls.report(session, fulfillment_id=part.id, lines=lacking, reason="not_found", caller=caller, now=now)
    for one in said:
        session.execute(_PICKED, {"part": part.id, "line_id": one.order_line_id, "picked": one.picked})
    _, after = shortfalls.lock_part(session, fulfillment_id=part.id, caller=caller)
    todo = [line for line in after.lines if line.todo]
    picked = all(line.picked == line.todo for line in todo)
    return after.method == "pickup" and after.state == "picking" and bool(todo) and picked


def _check(known: Mapping[UUID, Part], lines: Sequence[Confirmed]) -> None:
    keys = [(one.fulfillment_id, one.order_line_id) for one in lines]
    facts = {(part.id, line.order_line_id): line for part in known.values() for line in part.lines}
    strange = [
        {"line": at, "code": LineUnknown.code, "detail": str(key[1])}
        for at, key in enumerate(keys, start=1)
        if key not in facts or key in keys[: at - 1]
    ]
    if strange:
        raise LineUnknown(errors=strange)
    excess = [
        {
            "line": at,
            "code": MoreThanToDo.code,
            "sku": facts[key].sku,
            "to_do": facts[key].todo,
            "detail": facts[key].sku,
        }
        for at, (key, one) in enumerate(zip(keys, lines, strict=True), start=1)
        if one.picked + one.short > facts[key].todo
    ]
    if excess:
        raise MoreThanToDo(errors=excess)


def _open(session: Session, list_id: UUID, caller: Principal) -> tuple[UUID, list[Part]]:
    """Lock a list, its orders one after the other, and its parts; those that are still being picked by it."""
    locked = queries.lock_list(session, list_id=list_id)
    if locked is None:
        raise NotFound
    location_id, _ = locked
    caller.require_location(location_id)
    parts = []
    for fulfillment_id in queries.on_list(session, list_id=list_id):
        _, part = shortfalls.lock_part(session, fulfillment_id=fulfillment_id, caller=None)
        if part.state == "picking" and part.stock_at == location_id:
            parts.append(part)
    if not parts:
        raise NothingToPick
    return location_id, parts


def _picker(session: Session, picker_id: UUID | None, location_id: UUID, caller: Principal) -> UUID:
    picker = picker_id or (caller.id if caller.kind == STAFF else None)
    if picker is None or not queries.may_pick(session, staff_id=picker, location_id=location_id):
        raise PickerUnknown(errors=[{"field": "picker_id", "code": PickerUnknown.code, "detail": str(picker)}])
    return picker


def _stop(pick: Any) -> dict[str, Any]:
    names = {"sku": pick.sku, "title": pick.title, "title_ja": pick.title_ja}
    return {"shelf": pick.shelf, **names, "quantity": 0, "totes": []}
