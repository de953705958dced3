"""The origin's part: allocated, then gone."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import documents, queries, reservations
from inventory.queries import TransferLineFacts
from inventory.reservations import Demand
from inventory.transfers.drafting import Wanted
from inventory.transfers.steps import CAUSE, TRANSITIONS, lock, move_on
from retail.kernel.auth import Principal
from retail.kernel.errors import Conflict, Invalid
from retail.queries import skus_by_variant


class NotOnTransfer(Invalid):
    """Goods were named that are not on this transfer; `errors` names each line."""

    code, title = "not_on_transfer", "This is not on the transfer"


class MoreThanRequested(Invalid):
    """More is to be shipped than was requested; `errors` names each line."""

    code, title = "more_than_requested", "More than was requested"


class NothingToShip(Conflict):
    """Nothing of what was to be shipped is allocated (any more), or zero units were named; nothing was changed."""

    code, title = "nothing_to_ship", "There is nothing to ship"


@dataclass(frozen=True, slots=True)
class Shortfall:
    """Of `asked` units only `shipped` left: the others are not allocated any more, since the shelf had fewer."""

    line: int
    sku: str
    asked: int
    shipped: int


_SHIPPED = text(
    """
    UPDATE transfer_line AS line SET shipped = given.shipped
    FROM unnest(CAST(:variants AS uuid[]), CAST(:shipped AS integer[])) AS given (variant_id, shipped)
    WHERE line.transfer_id = :transfer_id AND line.variant_id = given.variant_id
    """
)


def make_ready(session: Session, *, transfer: str, caller: Principal, now: datetime) -> None:
    """draft -> ready: every line is allocated at the origin, or none. Safety stock may travel; what is promised may not.

    Raises:
        NoSuchTransfer: also for who is not at the origin. IllegalTransition. reservations.OutOfStock: with every short line.
    """
    locked = lock(session, transfer=transfer, caller=caller, at="from_location_id")
    documents.require_step(TRANSITIONS, locked.state, "ready")
    place = locked.from_location_id
    # A variant stands on a transfer once, so it names the line.
    demands = [
        Demand(line.variant_id, place, line.requested, line.variant_id)
        for line in queries.transfer_lines(session, transfer_id=locked.id)
    ]
    reservations.allocate(session, owner_id=locked.id, demands=demands, for_sale=False, actor=caller.actor, now=now)
    move_on(session, locked=locked, state="ready", actor=caller.actor, now=now)


def ship(
    session: Session,
    *,
    transfer: str,
    shipped: Sequence[Wanted] | None = None,
    due_at: datetime | None = None,
    caller: Principal,
    now: datetime,
) -> list[Shortfall]:
    """ready -> in_transit: these units leave the origin (None: all that is allocated); the others are released there.

    Of a line that turned short since it was made ready, at most what is still allocated leaves; returns these lines.
    A line that `shipped` does not name stays.

    Raises:
        NoSuchTransfer: also for who is not at the origin. IllegalTransition, NothingToShip.
        NotOnTransfer, MoreThanRequested, DuplicateLine: naming every such line.
    """
    locked = lock(session, transfer=transfer, caller=caller, at="from_location_id")
    documents.require_step(TRANSITIONS, locked.state, "in_transit")
    lines = queries.transfer_lines(session, transfer_id=locked.id)
    asked = _asked(session, lines, shipped)
    variants = [line.variant_id for line in lines]
    queries.lock_on_hand(session, location_id=locked.from_location_id, variant_ids=variants)
    there = queries.allocated_to(session, owner_id=locked.id, location_id=locked.from_location_id)
    leaving = {key: min(quantity, there.get(key, 0)) for key, quantity in asked.items()}
    leaving = {key: quantity for key, quantity in leaving.items() if quantity}
    if not leaving:
        raise NothingToShip
    reservations.consume(
        session,
        owner_id=locked.id,
        line_ids=list(leaving),
        quantities=leaving,
        cause=CAUSE,
        actor=caller.actor,
        now=now,
    )
    reservations.release(session, owner_id=locked.id, cause=CAUSE, actor=caller.actor, now=now)
    given = {"variants": list(leaving), "shipped": list(leaving.values())}
    session.execute(_SHIPPED, given | {"transfer_id": locked.id})
    move_on(session, locked=locked, state="in_transit", due_at=due_at, actor=caller.actor, now=now)
    return [
        Shortfall(line.position, line.sku, asked[line.variant_id], leaving.get(line.variant_id, 0))
        for line in lines
        if leaving.get(line.variant_id, 0) < asked.get(line.variant_id, 0)
    ]


def _asked(session: Session, lines: Sequence[TransferLineFacts], shipped: Sequence[Wanted] | None) -> dict[UUID, int]:
    """Units per variant that are to leave."""
    requested = {line.variant_id: line.requested for line in lines}
    if shipped is None:
        return requested
    documents.require_distinct([one.variant_id for one in shipped])
    names = skus_by_variant(session, variant_ids=[one.variant_id for one in shipped if one.variant_id not in requested])
    strange = [
        {
            "line": position,
            "code": NotOnTransfer.code,
            "sku": names[one.variant_id].sku,
            "detail": names[one.variant_id].sku,
        }
        for position, one in enumerate(shipped, start=1)
        if one.variant_id in names
    ]
    if strange:
        raise NotOnTransfer(errors=strange)
    skus = {line.variant_id: line.sku for line in lines}
    excess = [
        {
            "line": position,
            "code": MoreThanRequested.code,
            "detail": f"{skus[one.variant_id]}: {one.quantity} of {requested[one.variant_id]} requested",
            "sku": skus[one.variant_id],
            "requested": requested[one.variant_id],
        }
        for position, one in enumerate(shipped, start=1)
        if one.quantity > requested[one.variant_id]
    ]
    if excess:
        raise MoreThanRequested(errors=excess)
    return {one.variant_id: one.quantity for one in shipped}
