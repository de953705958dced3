"""The counter: picking, ready, handing over against a proof. One thing happens once, however often it is asked for.

Every verb locks the order and the pickup first. Asking for the state that is already there answers the same and writes
nothing (FAILURES 11); anything else that does not follow is refused with what would be legal.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import queries as stock_queries
from inventory import reservations
from orders import handover, parting, payments, pickup_links, proofs, proxies, queries, shortfalls, tenders
from orders.fulfillment import IllegalTransition, require_step
from orders.proofs import IDENTITY, WrongProof
from orders.queries import pickups as pickup_queries
from orders.queries.pickups import LockedPickup
from orders.till import drawers
from retail import queries as ground
from retail import stores
from retail.events import PickupCodeIssued, PickupCollected, PickupPicking, PickupReady
from retail.kernel import outbox
from retail.kernel.auth import Principal
from retail.kernel.errors import Conflict, NotFound


class AlreadyCollected(Conflict):
    """The goods were handed over before; `collected_at` says when."""

    code, title = "already_collected", "This pickup has been handed over"


class GoodsMissing(Conflict):
    """Some of the goods are not at the store: they are on backorder, or turned out to be missing."""

    code, title = "goods_missing", "Some of the goods are not here yet"


@dataclass(frozen=True, slots=True)
class Handover:
    """What `collect` decided: the pickup after the handover, or a refusal whose attempt has been counted.

    A refusal is returned and not raised, because the transaction that counted it must be committed.
    """

    pickup: dict[str, Any]
    refusal: WrongProof | None = None
    order_id: UUID | None = None


_PICKING = text(
    """
    WITH moved AS (UPDATE fulfillment SET state = 'picking', picking_at = :now, version = version + 1 WHERE id = :id RETURNING order_id)
    UPDATE "order" SET version = version + 1 WHERE id IN (SELECT order_id FROM moved)
    """
)
_READY = text(
    """
    WITH moved AS (
        UPDATE fulfillment SET state = 'ready', ready_at = :now, collect_by = :collect_by, version = version + 1
        WHERE id = :id RETURNING order_id
    ), picked AS (
        UPDATE fulfillment_line SET picked = quantity - short - cancelled WHERE fulfillment_id = :id
    )
    UPDATE "order" SET version = version + 1 WHERE id IN (SELECT order_id FROM moved)
    """
)
_COLLECTED = text(
    """
    WITH moved AS (
        UPDATE fulfillment SET state = 'collected', collected_at = :now, closed_at = :now, collected_proof = :proof,
                               version = version + 1
        WHERE id = :id RETURNING order_id
    ), taken AS (
        UPDATE fulfillment_line SET collected = picked WHERE fulfillment_id = :id
    )
    UPDATE "order" SET version = version + 1 WHERE id IN (SELECT order_id FROM moved)
    """
)


def start_picking(session: Session, *, fulfillment_id: UUID, caller: Principal, now: datetime) -> dict[str, Any]:
    """allocated -> picking. Returns the pickup (PickupSchema).

    Raises:
        NotFound: no such pickup, or another store's.
        IllegalTransition: it is past picking.
    """
    locked = _lock(session, fulfillment_id, caller, at_source=True)
    if locked.state != "picking":
        require_step(locked.state, "picking", method=locked.method)
        session.execute(_PICKING, {"id": locked.id, "now": now})
        outbox.publish(session, PickupPicking(**pickup_queries.keys(locked)), actor=caller.actor, now=now)
    return _pickup(session, locked.id)


def mark_ready(
    session: Session,
    *,
    fulfillment_id: UUID,
    lines: Mapping[UUID, int] | None = None,
    caller: Principal,
    now: datetime,
) -> dict[str, Any]:
    """picking (or arrived at the store) -> ready: everything that is not missing is picked, the collect-by day is set, the
    code is issued and the customer is told. With `lines`, only so many units of these lines are; the rest goes on being picked as
    a pickup of its own (parting.py).

    Where cards are charged when ready, the capture is prepared here and made by `payments.capture` after the commit.

    Raises:
        NotFound: no such pickup, or another store's.
        IllegalTransition: it is not being picked.
        GoodsMissing: some of what is to be handed over is not here; or all of it is missing. NotOfPickup.
    """
    locked = _lock(session, fulfillment_id, caller)
    if locked.state != "ready":
        require_step(locked.state, "ready", method=locked.method)
        if lines is not None:
            parting.keep_back(session, part_id=locked.id, taken=lines, actor=caller.actor, now=now)
        facts = ground.pickup_location(session, location=locked.location_id)
        if facts is None:
            raise NotFound
        units = pickup_queries.handover_facts(session, fulfillment_id=locked.id, order_id=locked.order_id).units
        place = locked.location_id
        if not units or stock_queries.lacks(session, owner_id=locked.order_id, location_id=place, units=units):
            raise GoodsMissing
        collect_by = stores.collect_by(facts, now)
        session.execute(_READY, {"id": locked.id, "now": now, "collect_by": collect_by})
        proofs.issue(session, locked=locked, now=now)
        pickup_links.make(session, fulfillment_id=locked.id, now=now)
        event = PickupReady(**pickup_queries.keys(locked), collect_by=collect_by.isoformat())
        outbox.publish(session, event, actor=caller.actor, now=now)
        proxies.issue_all(session, locked=locked, actor=caller.actor, now=now)
        if locked.capture_at in ("placed", "ready"):
            payments.prepare_capture(session, order_id=locked.order_id, actor=caller.actor, now=now)
    return _pickup(session, locked.id)


def collect(
    session: Session,
    *,
    fulfillment_id: UUID,
    code: str | None = None,
    token: str | None = None,
    identity: str | None = None,
    lines: Mapping[UUID, int] | None = None,
    tender: str | None = None,
    till: str | None = None,
    caller: Principal,
    now: datetime,
) -> Handover:
    """ready -> collected against exactly one proof: the short `code`, the QR `token`, or an `identity` check, whose
    words are what staff looked at ("driving license"). With `lines`, the customer takes only so many units of these lines; the
    rest waits on as a pickup of its own, with a code of its own (parting.py).

    In one transaction: stock leaves, points are spent, what is due is recorded with the `tender` that was taken (cash,
    card_terminal), a card's capture is prepared, points are earned, the handover is announced.

    Returns: the pickup; or a refusal to be raised after the commit, because a wrong code counts.

    Raises:
        NotFound: no such pickup, or another store's.
        AlreadyCollected, IllegalTransition: it is not waiting at the counter.
        CodeLocked, CodeMistyped: nothing was changed.
        TenderMissing, NothingDue: what is to be paid and what was taken do not fit; nothing was changed.
        NotOfPickup: `lines` are not what is there; nothing was changed.
        TillUnknown, DrawerClosed: the named `till` cannot take it (`till.drawers.take`); nothing was changed.
    """
    locked = _lock(session, fulfillment_id, caller)
    if locked.state == "collected":
        raise AlreadyCollected(collected_at=None if locked.collected_at is None else locked.collected_at.isoformat())
    require_step(locked.state, "collected", method=locked.method)
    checked = proofs.check(session, locked=locked, code=code, token=token, identity=identity, now=now)
    if checked.refusal is not None:
        return Handover(_pickup(session, locked.id), checked.refusal)
    if lines is not None:
        parting.keep_back(session, part_id=locked.id, taken=lines, actor=caller.actor, now=now)
    _hand_over(session, locked, proof=checked.proof, tender=tender, till=till, caller=caller, now=now)
    proofs.spend(session, locked=locked, proxy_id=checked.proxy_id, now=now)
    proof = f"{IDENTITY}: {identity}" if identity else checked.proof
    event = PickupCollected(**pickup_queries.keys(locked), proof=proof, proxy_id=checked.proxy_id)
    outbox.publish(session, event, actor=caller.actor, now=now)
    return Handover(_pickup(session, locked.id), order_id=locked.order_id)


def reissue_code(session: Session, *, fulfillment_id: UUID, caller: Principal, now: datetime) -> dict[str, Any]:
    """A new code in the place of the old one, with fresh attempts; the customer is told. Returns the pickup.

    Raises:
        NotFound: no such pickup, or another store's.
        IllegalTransition: it is not waiting at the counter.
    """
    locked = _lock(session, fulfillment_id, caller)
    if locked.state != "ready":
        raise IllegalTransition("Only a pickup that is ready has a code", state=locked.state, legal=[])
    rotation = proofs.issue(session, locked=locked, now=now)
    outbox.publish(
        session, PickupCodeIssued(**pickup_queries.keys(locked), rotation=rotation), actor=caller.actor, now=now
    )
    return _pickup(session, locked.id)


def _lock(session: Session, fulfillment_id: UUID, caller: Principal, *, at_source: bool = False) -> LockedPickup:
    """`at_source`: what comes from elsewhere is worked on where it comes from."""
    locked = pickup_queries.lock_pickup(session, fulfillment_id=fulfillment_id)
    if locked is None:
        raise NotFound
    source = locked.source_location_id if at_source else None
    caller.require_location(source or locked.location_id)
    return locked


def _hand_over(
    session: Session,
    locked: LockedPickup,
    *,
    proof: str,
    tender: str | None,
    till: str | None,
    caller: Principal,
    now: datetime,
) -> None:
    """Everything a handover settles. Stock first, then points: the lock order of the shop."""
    actor = caller.actor
    facts = pickup_queries.handover_facts(session, fulfillment_id=locked.id, order_id=locked.order_id)
    taken = tenders.take_at_counter(
        session, order_id=locked.order_id, due_minor=facts.due_minor, tender=tender, actor=actor, now=now
    )
    if till is not None:
        cash = taken if tender == "cash" else []
        drawers.take(session, till=till, location_id=locked.location_id, payments=cash, caller=caller, now=now)
    session.execute(_COLLECTED, {"id": locked.id, "now": now, "proof": proof})
    if facts.parted:
        shortfalls.keep_open(session, fulfillment_id=locked.id)
    line_ids = list(facts.units)
    reservations.consume(
        session,
        owner_id=locked.order_id,
        line_ids=line_ids,
        quantities=facts.units if facts.parted else None,
        location_id=locked.location_id,
        actor=actor,
        now=now,
    )
    handover.settle(
        session,
        order_id=locked.order_id,
        lines=facts.units,
        key=f"earn:{locked.id}",
        reason="pickup",
        actor=actor,
        now=now,
    )


def _pickup(session: Session, fulfillment_id: UUID) -> dict[str, Any]:
    found = queries.pickup_dict(session, fulfillment_id=fulfillment_id)
    if found is None:
        raise NotFound
    return found
