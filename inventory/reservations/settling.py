"""What becomes of a promise: handed over (consume), given back (release), or its time has passed (expire)."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from inventory import filling, queries
from inventory.reservations.demands import Key, NotAllocated, NotOnHand, NotReleased
from inventory.reservations.parting import part
from retail.kernel.hot import Hot

CONSUME = "consume"

# {which} chooses reservations (they may turn out to be settled once the locks are had: {states} is checked again then, on
# their newest version). {leaves} is 1 when the units leave the shop (consume) and 0 when they become available again. What is
# promised and not here cannot leave (`there`). {fresh} and {released} are further conditions; {freed} says at which levels
# units became free that somebody may wait for.
_SETTLE = """
    WITH chosen AS (
        SELECT id, variant_id, location_id FROM {source} WHERE {which}
    ), wanted AS (
        SELECT DISTINCT variant_id, location_id FROM chosen
    ), locked AS (
        SELECT level.* FROM stock_level AS level
        JOIN wanted ON wanted.variant_id = level.variant_id AND wanted.location_id = level.location_id
        ORDER BY level.variant_id, level.location_id
        FOR UPDATE OF level
    ), newest AS (
        SELECT held.id, held.variant_id, held.location_id, held.state, held.quantity, held.backordered, held.line_id
        FROM reservation AS held
        JOIN chosen ON chosen.id = held.id
        WHERE (SELECT count(*) FROM locked) > 0
        ORDER BY held.id
        FOR UPDATE OF held
    ), mine AS (
        SELECT * FROM newest WHERE state IN ({states})
    ), change AS (
        SELECT locked.*, unheld, unbacked, unwaited
        FROM locked
        JOIN (SELECT variant_id, location_id, CAST(coalesce(sum(quantity) FILTER (WHERE state = 'held'), 0) AS integer) AS unheld,
                     CAST(coalesce(sum(quantity - backordered) FILTER (WHERE state = 'allocated'), 0) AS integer) AS unbacked,
                     CAST(sum(backordered) AS integer) AS unwaited
              FROM mine GROUP BY variant_id, location_id) AS sums USING (variant_id, location_id)
    ), verdict AS (
        SELECT *, fresh AND there AND complete AND released AS ok
        FROM (SELECT {fresh} AS fresh, {released} AS released,
                     {leaves} = 0 OR NOT EXISTS (SELECT FROM mine WHERE state = 'short' OR backordered > 0) AS there,
                     (SELECT count(DISTINCT coalesce(line_id, id)) FROM mine) >= :at_least AS complete) AS answers
    ), settled AS (
        UPDATE reservation SET state = '{state}', backordered = 0, settled_at = :now
        FROM mine WHERE reservation.id = mine.id AND (SELECT ok FROM verdict)
    ), levels AS (
        UPDATE stock_level AS level
        SET on_hand = change.on_hand - {leaves} * unbacked, allocated = change.allocated - unbacked - unwaited,
            backordered = change.backordered - unwaited, held = change.held - unheld, unavailable = change.unavailable,
            backorder_limit = change.backorder_limit, version = change.version + 1, updated_at = :now
        FROM change
        WHERE level.variant_id = change.variant_id AND level.location_id = change.location_id AND (SELECT ok FROM verdict)
    ), moved AS (
        INSERT INTO stock_movement (variant_id, location_id, from_bucket, to_bucket, quantity, cause, cause_id, actor, at)
        SELECT variant_id, location_id, bucket, '{to_bucket}', quantity, :cause, :cause_id, :actor, :now
        FROM (SELECT variant_id, location_id, 'held' AS bucket, unheld AS quantity FROM change
              UNION ALL
              SELECT variant_id, location_id, 'allocated', unbacked FROM change
              UNION ALL
              SELECT variant_id, location_id, 'backordered', unwaited FROM change) AS movement
        WHERE quantity > 0 AND (SELECT ok FROM verdict)
    )
    SELECT (SELECT count(*) FROM mine) AS settled, fresh, there, complete, released,
           (SELECT array_agg(variant_id ORDER BY variant_id, location_id) FROM change WHERE {freed}) AS variants,
           (SELECT array_agg(location_id ORDER BY variant_id, location_id) FROM change WHERE {freed}) AS locations
    FROM verdict
"""
# A level that changed while this statement waited for it may have reservations that its snapshot does not show.
_FRESH = """NOT EXISTS (SELECT FROM locked JOIN stock_level AS seen USING (variant_id, location_id)
                                 WHERE seen.version <> locked.version)"""
_RELEASED = """NOT CAST(:to_customer AS boolean) OR NOT EXISTS (
                         SELECT FROM mine JOIN supply_policy AS policy USING (variant_id) WHERE policy.releases_at > :now)"""
_FREED = f"unheld + unbacked > 0 AND {queries.MAY_WAIT}"
# An owner has few rows, but a planner that saw few open promises would read all of them, by a partial index on `state`:
# behind a till, that index is empty to the statistics and full of rows just gone. OFFSET 0 keeps the two conditions apart,
# and so does `newest`.
_OWN = "(SELECT * FROM reservation WHERE owner_id = :owner_id OFFSET 0) AS own"
_OF_LINES = (
    "(CAST(:line_ids AS uuid[]) IS NULL OR line_id = ANY(:line_ids))"
    " AND (CAST(:location_id AS uuid) IS NULL OR location_id = :location_id)"
)
_RELEASE = Hot(
    _SETTLE.format(
        source=_OWN,
        which=f"state IN ('held', 'allocated', 'short') AND {_OF_LINES}",
        states="'held', 'allocated', 'short'",
        state="released",
        to_bucket="available",
        leaves=0,
        fresh=_FRESH,
        released="true",
        freed=_FREED,
    )
)
# Chosen under the locks of their levels (parting.py, moving.py), so there is nothing more to see.
_GIVE_BACK = Hot(
    _SETTLE.format(
        source="reservation",
        which="id = ANY((SELECT CAST(:ids AS uuid[]))::uuid[])",
        states="'allocated', 'short'",
        state="released",
        to_bucket="available",
        leaves=0,
        fresh="true",
        released="true",
        freed=_FREED,
    )
)
_CONSUME = Hot(
    _SETTLE.format(
        source=_OWN,
        which=f"state IN ('allocated', 'short') AND {_OF_LINES}",
        states="'allocated', 'short'",
        state="consumed",
        to_bucket="outside",
        leaves=1,
        fresh=_FRESH,
        released=_RELEASED,
        freed="false",
    )
)
_CONSUME_PART = Hot(
    _SETTLE.format(
        source="reservation",
        which="id = ANY((SELECT CAST(:ids AS uuid[]))::uuid[]) AND owner_id = :owner_id",
        states="'allocated'",
        state="consumed",
        to_bucket="outside",
        leaves=1,
        fresh=_FRESH,
        released=_RELEASED,
        freed="false",
    )
)
_EXPIRE = {
    "source": "reservation",
    "states": "'held'",
    "state": "expired",
    "to_bucket": "available",
    "leaves": 0,
    "fresh": "true",
    "released": "true",
    "freed": _FREED,
}
_EXPIRE_AT = Hot(
    _SETTLE.format(
        which="state = 'held' AND expires_at <= :now AND (variant_id, location_id) IN "
        "(SELECT * FROM unnest(CAST(:variants AS uuid[]), CAST(:locations AS uuid[])))",
        **_EXPIRE,
    )
)
_EXPIRE_DUE = Hot(
    _SETTLE.format(which="state = 'held' AND expires_at <= :now ORDER BY expires_at LIMIT :limit", **_EXPIRE)
)


def release(
    session: Session,
    *,
    owner_id: UUID,
    cause: str,
    line_ids: Sequence[UUID] | None = None,
    quantities: Mapping[UUID, int] | None = None,
    location_id: UUID | None = None,
    actor: str,
    now: datetime,
) -> int:
    """Give back all that is held for or allocated to `owner_id` (of these lines, or None: of all; at one location, or None:
    anywhere), and stop waiting for what is short; returns how many reservations (0 when repeated).

    quantities: only so many units of each of these lines: what is missing first, then what waits, then what is here.
    `cause` says why in the movements, e.g. ``cancel`` or ``payment_failed``.

    Raises:
        NotAllocated: fewer than `quantities` are promised; nothing was given back.
    """
    lines = None if line_ids is None else sorted(set(line_ids))
    if quantities is not None:
        _require_all_named(lines, quantities)
        ids = part(session, owner_id=owner_id, quantities=quantities, location_id=location_id, giving_up=True)
        give_back(session, owner_id=owner_id, reservation_ids=ids, cause=cause, actor=actor, now=now)
        return len(ids)
    params: dict[str, Any] = {"owner_id": owner_id, "line_ids": lines, "location_id": location_id}
    return _settle(session, statement=_RELEASE, cause=cause, cause_id=owner_id, actor=actor, now=now, **params)


def give_back(
    session: Session, *, owner_id: UUID, reservation_ids: Sequence[UUID], cause: str, actor: str, now: datetime
) -> None:
    """`release` for reservations that were read under the locks of their levels."""
    ids = list(reservation_ids)
    _settle(session, statement=_GIVE_BACK, cause=cause, cause_id=owner_id, actor=actor, now=now, ids=ids)


def consume(
    session: Session,
    *,
    owner_id: UUID,
    line_ids: Sequence[UUID] | None,
    quantities: Mapping[UUID, int] | None = None,
    location_id: UUID | None = None,
    cause: str = CONSUME,
    cause_id: UUID | None = None,
    actor: str,
    now: datetime,
) -> None:
    """The allocated units of these lines (None: of all) leave the shop: handed over, shipped, or sold at the till. With
    `location_id`, those that are promised there; what the lines have elsewhere stays.

    quantities: only so many units of each of these lines (of a bundle: its components, each with its share); the rest
    stays allocated, and what is short stays short. Goods that are not released yet leave for another location (any other
    `cause`), not for a customer. `cause_id` names the document by which they leave; else the movements name the owner.

    Raises:
        NotAllocated: a line has nothing allocated (any more); no line was consumed.
        NotOnHand: some are promised on backorder and not here, or are missing; no line was consumed.
        NotReleased: some may not be handed over yet; no line was consumed.
    """
    lines = None if line_ids is None else sorted(set(line_ids))
    at_least = 1 if lines is None else len(lines)
    params: dict[str, Any] = {"owner_id": owner_id, "line_ids": lines, "location_id": location_id, "at_least": at_least}
    params["to_customer"] = cause == CONSUME
    if quantities is not None:
        _require_all_named(lines, quantities)
        params["ids"] = part(session, owner_id=owner_id, quantities=quantities, location_id=location_id)
        _settle(
            session, statement=_CONSUME_PART, cause=cause, cause_id=cause_id or owner_id, actor=actor, now=now, **params
        )
        return
    _settle(session, statement=_CONSUME, cause=cause, cause_id=cause_id or owner_id, actor=actor, now=now, **params)


def expire_due(session: Session, *, now: datetime, limit: int) -> int:
    """Settle up to `limit` holds whose time has passed (oldest first); returns how many. Safe to run twice at once."""
    return _settle(session, statement=_EXPIRE_DUE, cause="expire", cause_id=None, actor="system", now=now, limit=limit)


def expire_at(session: Session, *, keys: Sequence[Key], now: datetime) -> int:
    """Settle the expired holds at these levels: what anyone does who finds too little there. What they held goes to those
    who wait first."""
    params: dict[str, Any] = dict(queries.split_keys(keys))
    return _settle(session, statement=_EXPIRE_AT, cause="expire", cause_id=None, actor="system", now=now, **params)


def _require_all_named(line_ids: Sequence[UUID] | None, quantities: Mapping[UUID, int]) -> None:
    if line_ids is None or set(line_ids) != set(quantities):
        raise ValueError("quantities name exactly the lines that are meant")


def _settle(
    session: Session,
    *,
    statement: Hot,
    cause: str,
    actor: str,
    now: datetime,
    at_least: int = 0,
    **params: Any,
) -> int:
    params |= {"cause": cause, "actor": actor, "now": now, "at_least": at_least}
    row = statement.run(session, params).one()
    while not row.fresh:  # under its locks: what was added meanwhile is seen now
        row = statement.run(session, params).one()
    if not row.complete:
        raise NotAllocated
    if not row.released:
        raise NotReleased
    if not row.there:
        raise NotOnHand
    if row.variants:
        filling.fill(session, keys=list(zip(row.variants, row.locations, strict=True)), actor=actor, now=now)
    return int(row.settled)
