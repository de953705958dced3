"""The counter: picking, ready, handing over against a proof. One thing happens once, however often it is asked for.

Every verb locks the order and the pickup first. Asking for the state that is already there answers the same and writes
nothing (FAILURES 11); anything else that does not follow is refused with what would be legal.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import segno
from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import queries as stock_queries
from inventory import reservations
from orders import handover, payments, queries, shortfalls, tenders
from orders.fulfillment import IllegalTransition, require_step
from orders.queries import pickups as pickup_queries
from orders.queries.pickups import CodeFacts, LockedPickup
from retail import limits, stores
from retail import queries as ground
from retail.events import PickupCodeIssued, PickupCollected, PickupPicking, PickupReady
from retail.kernel import config, outbox
from retail.kernel.auth import CUSTOMER, Principal, same
from retail.kernel.errors import Conflict, Invalid, NotFound
from retail.kernel.ids import derive_code, derive_token, fingerprint, parse_code

CODE, TOKEN, IDENTITY = "code", "token", "identity"


class AlreadyCollected(Conflict):
    """The goods were handed over before; `collected_at` says when."""

    code, title = "already_collected", "This pickup has been handed over"


class GoodsMissing(Conflict):
    """Some of the goods are not at the store: they are on backorder, or turned out to be missing."""

    code, title = "goods_missing", "Some of the goods are not here yet"


class CodeLocked(Conflict):
    """Too many wrong codes: a new one must be issued, or the customer's identity checked."""

    code, title = "pickup_code_locked", "The pickup code is locked"


class CodeMistyped(Invalid):
    """The check digit does not fit: a typing error, which costs the customer no attempt."""

    code, title = "pickup_code_mistyped", "This is not a pickup code"


class WrongProof(Invalid):
    """Another pickup's code or token, or an old one; `attempts_left` counts down. A lasting outcome of the request."""

    code, title, settled = "pickup_code_wrong", "The code does not belong to this pickup", True


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
    ), used AS (
        UPDATE pickup_code SET used_at = :now WHERE fulfillment_id = :id
    )
    UPDATE "order" SET version = version + 1 WHERE id IN (SELECT order_id FROM moved)
    """
)
_ISSUE = text(
    """
    INSERT INTO pickup_code (fulfillment_id, rotation, code_hash, token_hash, issued_at)
    VALUES (:id, :rotation, :code_hash, :token_hash, :now)
    ON CONFLICT (fulfillment_id) DO UPDATE
    SET rotation = excluded.rotation, code_hash = excluded.code_hash, token_hash = excluded.token_hash,
        issued_at = excluded.issued_at, attempts = 0, locked_at = NULL
    """
)
_WRONG = text(
    """
    UPDATE pickup_code SET attempts = attempts + 1,
                           locked_at = CASE WHEN attempts + 1 >= :most THEN CAST(:now AS timestamptz) END
    WHERE fulfillment_id = :id RETURNING attempts
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
        outbox.publish(session, PickupPicking(**_keys(locked)), actor=caller.actor, now=now)
    return _pickup(session, locked.id)


def mark_ready(session: Session, *, fulfillment_id: UUID, caller: Principal, now: datetime) -> dict[str, Any]:
    """picking (or arrived at the store) -> ready: everything that is not missing is picked, the collect-by day is set, the code is issued and the customer is told.

    Where cards are charged when ready, the capture is prepared here and made by `payments.capture` after the commit.

    Raises:
        NotFound: no such pickup, or another store's.
        IllegalTransition: it is not being picked.
        GoodsMissing: some of what is to be handed over is not here; or all of it is missing.
    """
    locked = _lock(session, fulfillment_id, caller)
    if locked.state != "ready":
        require_step(locked.state, "ready", method=locked.method)
        facts = ground.pickup_location(session, location=locked.location_id)
        if facts is None:
            raise NotFound
        units = pickup_queries.handover_facts(session, fulfillment_id=locked.id, order_id=locked.order_id).units
        place = locked.location_id
        if not units or stock_queries.lacks(session, owner_id=locked.order_id, location_id=place, units=units):
            raise GoodsMissing
        collect_by = stores.collect_by(facts, now)
        session.execute(_READY, {"id": locked.id, "now": now, "collect_by": collect_by})
        _issue(session, locked, first_rotation=1, now=now)
        event = PickupReady(**_keys(locked), collect_by=collect_by.isoformat())
        outbox.publish(session, event, actor=caller.actor, now=now)
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
    tender: str | None = None,
    caller: Principal,
    now: datetime,
) -> Handover:
    """ready -> collected against exactly one proof: the short `code`, the QR `token`, or an `identity` check, whose
    words are what staff looked at ("driving license").

    In one transaction: stock leaves, points are spent, what is due is recorded with the `tender` that was taken (cash,
    card_terminal), a card's capture is prepared, points are earned, the handover is announced.

    Returns: the pickup; or a refusal to be raised after the commit, because a wrong code counts.

    Raises:
        NotFound: no such pickup, or another store's.
        AlreadyCollected, IllegalTransition: it is not waiting at the counter.
        CodeLocked, CodeMistyped: nothing was changed.
        TenderMissing, NothingDue: what is to be paid and what was taken do not fit; nothing was changed.
    """
    locked = _lock(session, fulfillment_id, caller)
    if locked.state == "collected":
        raise AlreadyCollected(collected_at=None if locked.collected_at is None else locked.collected_at.isoformat())
    require_step(locked.state, "collected", method=locked.method)
    proof, refusal = _check(session, locked, code=code, token=token, identity=identity, now=now)
    if refusal is not None:
        return Handover(_pickup(session, locked.id), refusal)
    _hand_over(session, locked, proof=proof, tender=tender, actor=caller.actor, now=now)
    event = PickupCollected(**_keys(locked), proof=f"{IDENTITY}: {identity}" if identity else proof)
    outbox.publish(session, event, actor=caller.actor, now=now)
    return Handover(_pickup(session, locked.id), order_id=locked.order_id)


def reissue_code(session: Session, *, fulfillment_id: UUID, caller: Principal, now: datetime) -> dict[str, Any]:
    """A new code in the place of the old one, with fresh attempts; the customer is told. Returns the pickup.

    Raises:
        NotFound: no such pickup, or another store's.
        IllegalTransition: it is not waiting at the counter.
    """
    locked = _lock(session, fulfillment_id, caller)
    facts = pickup_queries.code_facts(session, fulfillment_id=locked.id)
    if locked.state != "ready" or facts is None:
        raise IllegalTransition("Only a pickup that is ready has a code", state=locked.state, legal=[])
    rotation = _issue(session, locked, first_rotation=facts.rotation + 1, now=now)
    outbox.publish(session, PickupCodeIssued(**_keys(locked), rotation=rotation), actor=caller.actor, now=now)
    return _pickup(session, locked.id)


def code_for(session: Session, *, order: Mapping[str, Any], caller: Principal) -> dict[str, Any]:
    """The customer's own code to show at the counter (PickupCodeSchema): code, token, and the token as a QR code (SVG).

    Raises:
        NotFound: the order is another's.
        IllegalTransition: nothing of it is ready, or it has been handed over.
    """
    if caller.kind != CUSTOMER or order["customer_id"] != caller.id:
        raise NotFound
    waiting = next((part for part in order["fulfillments"] if part["state"] == "ready"), None)
    facts = None if waiting is None else pickup_queries.code_facts(session, fulfillment_id=waiting["id"])
    if waiting is None or facts is None:
        states = [part["state"] for part in order["fulfillments"]]
        raise IllegalTransition(
            "There is no code before the goods are ready, or after", state=",".join(states), legal=[]
        )
    code, token = secrets_of(waiting["id"], facts.rotation)
    return {
        "fulfillment_id": waiting["id"],
        "code": code,
        "token": token,
        "qr_svg": segno.make(token, error="m", micro=False).svg_inline(scale=4),
        "locked": facts.locked_at is not None,
        "collect_by": waiting["collect_by"],
        "location": waiting["location"],
    }


def secrets_of(fulfillment_id: UUID, rotation: int) -> tuple[str, str]:
    """The short code and the QR token of one issue: worked out, never stored. Messages call this when they are sent."""
    secret, subject = config.current().secret_key, f"{fulfillment_id}:{rotation}"
    return derive_code(secret, "pickup", subject), derive_token(secret, "pickup-token", subject)


def fingerprint_of(typed: str) -> str | None:
    """The fingerprint to look a typed code or a scanned token up by (`queries.fulfillment_by_code`); None for neither."""
    secret = config.current().secret_key
    code = parse_code(typed)
    if code is not None:
        return fingerprint(secret, code)
    scanned = typed.strip().lower()
    return fingerprint(secret, scanned) if len(scanned) == 40 and scanned.isascii() and scanned.isalnum() else None


def _lock(session: Session, fulfillment_id: UUID, caller: Principal, *, at_source: bool = False) -> LockedPickup:
    """`at_source`: what comes from elsewhere is worked on where it comes from."""
    locked = pickup_queries.lock_pickup(session, fulfillment_id=fulfillment_id)
    if locked is None:
        raise NotFound
    source = locked.source_location_id if at_source else None
    caller.require_location(source or locked.location_id)
    return locked


def _check(
    session: Session, locked: LockedPickup, *, code: str | None, token: str | None, identity: str | None, now: datetime
) -> tuple[str, WrongProof | None]:
    """Compare the proof under the pickup's lock, so that many guesses at once still count one by one."""
    given = [name for name, value in ((CODE, code), (TOKEN, token), (IDENTITY, identity)) if value]
    if len(given) != 1:
        detail = "Give exactly one of code, token and identity"
        raise Invalid(detail, errors=[{"field": "proof", "code": "one_of", "detail": detail}])
    proof = given[0]
    if proof == IDENTITY:
        return proof, None
    facts = pickup_queries.code_facts(session, fulfillment_id=locked.id)
    if facts is None or facts.locked_at is not None:
        raise CodeLocked("Too many wrong codes; issue a new one or check the customer's identity")
    if _fits(facts, code=code, token=token):
        return proof, None
    row = session.execute(_WRONG, {"id": locked.id, "most": limits.PICKUP_CODE_ATTEMPTS, "now": now}).one()
    return proof, WrongProof(attempts_left=limits.PICKUP_CODE_ATTEMPTS - row.attempts)


def _fits(facts: CodeFacts, *, code: str | None, token: str | None) -> bool:
    secret = config.current().secret_key
    if token:
        return same(facts.token_hash, fingerprint(secret, token.strip().lower()))
    typed = parse_code(code or "")
    if typed is None:
        raise CodeMistyped(errors=[{"field": "code", "code": "mistyped", "detail": "Six characters; check them again"}])
    return same(facts.code_hash, fingerprint(secret, typed))


def _hand_over(
    session: Session, locked: LockedPickup, *, proof: str, tender: str | None, actor: str, now: datetime
) -> None:
    """Everything a handover settles. Stock first, then points: the lock order of the shop."""
    facts = pickup_queries.handover_facts(session, fulfillment_id=locked.id, order_id=locked.order_id)
    tenders.take_at_counter(
        session, order_id=locked.order_id, due_minor=facts.due_minor, tender=tender, actor=actor, now=now
    )
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


def _issue(session: Session, locked: LockedPickup, *, first_rotation: int, now: datetime) -> int:
    """Store the fingerprints of a code that no other waiting pickup of this store has; returns its rotation."""
    secret, rotation = config.current().secret_key, first_rotation
    while True:
        code, token = secrets_of(locked.id, rotation)
        hashed = fingerprint(secret, code)
        if not pickup_queries.code_taken(
            session, code_hash=hashed, location_id=locked.location_id, fulfillment_id=locked.id
        ):
            break
        rotation += 1
    row = {
        "id": locked.id,
        "rotation": rotation,
        "code_hash": hashed,
        "token_hash": fingerprint(secret, token),
        "now": now,
    }
    session.execute(_ISSUE, row)
    return rotation


def _pickup(session: Session, fulfillment_id: UUID) -> dict[str, Any]:
    found = queries.pickup_dict(session, fulfillment_id=fulfillment_id)
    if found is None:
        raise NotFound
    return found


def _keys(locked: LockedPickup) -> dict[str, Any]:
    return {
        "order_id": locked.order_id,
        "reference": locked.reference,
        "customer_id": locked.customer_id,
        "fulfillment_id": locked.id,
        "location_id": locked.location_id,
    }
