"""Promises of stock: hold -> allocate -> consume | release | expire. With stock.py the only writer of levels and movements.

Why nothing is ever oversold (READ COMMITTED is enough):

* Each change is one statement. It first locks the level rows it concerns, sorted by (variant_id, location_id), then the
  reservation rows. Everybody locks in this order, so nobody can deadlock.
* `SELECT ... FOR UPDATE` answers the newest version of a row it had to wait for, so the guard compares the numbers that
  the statement will change. A plain subquery would still see the statement's snapshot, which may be older than the lock:
  therefore the guard reads the level's counters alone and never a sum over reservation rows.
* An UPDATE that meets a row changed since its snapshot first makes the new row from the OLD version, and checks the
  constraints on that, before it looks at the newest version. So every counter is set from the locked row: built on the
  old one, an order for units that have just come in would be refused by a CHECK.
* Reservation rows are re-read under their own lock (`state` is checked again), after the levels.
* The CHECK constraints of `stock_level` stand behind the guard.

The counter `held` includes expired holds that no sweep has met. They are not subtracted in the guard (that would be the
stale sum): when a demand is short, the expired holds of its keys are settled and the statement runs once more.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from inventory import queries
from retail import limits
from retail.kernel.errors import Conflict, Invalid
from retail.kernel.hot import Hot
from retail.kernel.ids import new_id

Key = tuple[UUID, UUID]


@dataclass(frozen=True, slots=True)
class Demand:
    """`quantity` units of one variant wanted at one location; `line_id` is the order line it is for."""

    variant_id: UUID
    location_id: UUID
    quantity: int
    line_id: UUID | None = None

    @property
    def key(self) -> Key:
        """The level this draws on."""
        return self.variant_id, self.location_id


class OutOfStock(Conflict):
    """At least one line cannot be served where it was wanted; nothing was taken.

    `errors` has every short line: ``line`` (position from 1), line_id, variant_id, sku, requested, available (what this
    caller could have at that location, backorder included, over all its lines of that SKU), location and
    ``elsewhere: [{location, available}]``, most first.
    """

    code, title = "out_of_stock", "Not enough stock"


class NotAllocated(Conflict):
    """There is nothing (or not every line) left to hand over: it was handed over, released or never promised."""

    code, title = "not_allocated", "These units are not allocated (any more)"


class NotOnHand(Conflict):
    """The units are promised on backorder and have not come in yet."""

    code, title = "not_on_hand", "These units are not on hand yet"


# Arrays stand in sub-selects: seeing their length, the planner would plan anew at every call, which takes longer than the work.
# {bucket} is the counter that grows: `allocated` for orders, `held` for carts. `earlier` are the holds of :held_for, which are
# given back in the same statement, so that a cart's own holds never stand in its own way.
_TAKE = """
    WITH demand AS (
        SELECT * FROM unnest((SELECT CAST(:variants AS uuid[])), (SELECT CAST(:locations AS uuid[])), (SELECT CAST(:quantities AS integer[])))
                      AS demand (variant_id, location_id, quantity)
    ), locked AS (
        SELECT level.*, on_hand - allocated - held - unavailable - safety + backorder_limit AS free
        FROM stock_level AS level
        JOIN (SELECT variant_id, location_id FROM demand
              UNION
              SELECT variant_id, location_id FROM reservation WHERE owner_id = :held_for AND state = 'held') AS wanted
          ON wanted.variant_id = level.variant_id AND wanted.location_id = level.location_id
        ORDER BY level.variant_id, level.location_id
        FOR UPDATE OF level
    ), earlier AS (
        SELECT id, variant_id, location_id, quantity FROM reservation
        WHERE owner_id = :held_for AND state = 'held' AND (SELECT count(*) FROM locked) > 0
        ORDER BY id
        FOR UPDATE
    ), change AS (
        SELECT locked.variant_id, locked.location_id, on_hand, allocated, held, unavailable, backorder_limit, version,
               coalesce(demand.quantity, 0) AS taken, coalesce(own.quantity, 0) AS back,
               locked.free + coalesce(own.quantity, 0) AS free
        FROM locked
        LEFT JOIN demand ON demand.variant_id = locked.variant_id AND demand.location_id = locked.location_id
        LEFT JOIN (SELECT variant_id, location_id, CAST(sum(quantity) AS integer) AS quantity FROM earlier GROUP BY 1, 2) AS own
          ON own.variant_id = locked.variant_id AND own.location_id = locked.location_id
    ), verdict AS (
        SELECT count(*) FILTER (WHERE taken > 0) = :keys AND coalesce(bool_and(taken = 0 OR free >= taken), true) AS ok FROM change
    ), levels AS (
        UPDATE stock_level AS level
        SET on_hand = change.on_hand, {counters}, unavailable = change.unavailable,
            backorder_limit = change.backorder_limit, version = change.version + 1, updated_at = :now
        FROM change
        WHERE level.variant_id = change.variant_id AND level.location_id = change.location_id AND (SELECT ok FROM verdict)
    ), replaced AS (
        UPDATE reservation SET state = CASE WHEN expires_at <= :now THEN 'expired' ELSE 'released' END, settled_at = :now
        FROM earlier WHERE reservation.id = earlier.id AND (SELECT ok FROM verdict)
    ), made AS (
        INSERT INTO reservation (id, variant_id, location_id, quantity, state, owner_id, line_id, expires_at, created_at)
        SELECT line.id, line.variant_id, line.location_id, line.quantity, '{bucket}', :owner_id, line.line_id,
               CAST(:expires_at AS timestamptz), :now
        FROM unnest((SELECT CAST(:ids AS uuid[])), (SELECT CAST(:line_variants AS uuid[])), (SELECT CAST(:line_locations AS uuid[])),
                    (SELECT CAST(:line_quantities AS integer[])), (SELECT CAST(:line_ids AS uuid[])))
             AS line (id, variant_id, location_id, quantity, line_id)
        WHERE (SELECT ok FROM verdict)
    ), moved AS (
        INSERT INTO stock_movement (variant_id, location_id, from_bucket, to_bucket, quantity, cause, cause_id, actor, at)
        SELECT variant_id, location_id, from_bucket, to_bucket, quantity, '{cause}', cause_id, :actor, :now
        FROM (SELECT variant_id, location_id, 'held' AS from_bucket, 'available' AS to_bucket, back AS quantity,
                     CAST(:held_for AS uuid) AS cause_id FROM change
              UNION ALL
              SELECT variant_id, location_id, 'available', '{bucket}', taken, :owner_id FROM change) AS movement
        WHERE quantity > 0 AND (SELECT ok FROM verdict)
    )
    SELECT demand.variant_id, demand.location_id, demand.quantity, coalesce(change.free, 0) AS free, (SELECT ok FROM verdict) AS ok
    FROM demand
    LEFT JOIN change ON change.variant_id = demand.variant_id AND change.location_id = demand.location_id
"""
_ALLOCATE = Hot(
    _TAKE.format(
        bucket="allocated",
        cause="allocate",
        counters="allocated = change.allocated + change.taken, held = change.held - change.back",
    )
)
_HOLD = Hot(
    _TAKE.format(
        bucket="held",
        cause="hold",
        counters="allocated = change.allocated, held = change.held + change.taken - change.back",
    )
)

# {which} chooses reservations (they may turn out to be settled once the locks are had: {states} is checked again then).
# {leaves} is 1 when the units leave the shop (consume) and 0 when they become available again.
_SETTLE = """
    WITH chosen AS (
        SELECT id, variant_id, location_id FROM reservation WHERE {which}
    ), locked AS (
        SELECT level.* FROM stock_level AS level
        JOIN (SELECT DISTINCT variant_id, location_id FROM chosen) AS wanted
          ON wanted.variant_id = level.variant_id AND wanted.location_id = level.location_id
        ORDER BY level.variant_id, level.location_id
        FOR UPDATE OF level
    ), mine AS (
        SELECT held.id, held.variant_id, held.location_id, held.state, held.quantity, held.line_id
        FROM reservation AS held
        JOIN chosen ON chosen.id = held.id
        WHERE held.state IN ({states}) AND (SELECT count(*) FROM locked) > 0
        ORDER BY held.id
        FOR UPDATE OF held
    ), change AS (
        SELECT locked.*, unheld, unallocated
        FROM locked
        JOIN (SELECT variant_id, location_id, CAST(coalesce(sum(quantity) FILTER (WHERE state = 'held'), 0) AS integer) AS unheld,
                     CAST(coalesce(sum(quantity) FILTER (WHERE state = 'allocated'), 0) AS integer) AS unallocated
              FROM mine GROUP BY variant_id, location_id) AS sums USING (variant_id, location_id)
    ), verdict AS (
        SELECT NOT EXISTS (SELECT FROM change WHERE on_hand < {leaves} * unallocated) AS there,
               (SELECT count(DISTINCT coalesce(line_id, id)) FROM mine) >= :at_least AS complete
    ), settled AS (
        UPDATE reservation SET state = '{state}', settled_at = :now
        FROM mine WHERE reservation.id = mine.id AND (SELECT there AND complete FROM verdict)
    ), levels AS (
        UPDATE stock_level AS level
        SET on_hand = change.on_hand - {leaves} * unallocated, allocated = change.allocated - unallocated,
            held = change.held - unheld, unavailable = change.unavailable, backorder_limit = change.backorder_limit,
            version = change.version + 1, updated_at = :now
        FROM change
        WHERE level.variant_id = change.variant_id AND level.location_id = change.location_id
          AND (SELECT there AND complete FROM verdict)
    ), moved AS (
        INSERT INTO stock_movement (variant_id, location_id, from_bucket, to_bucket, quantity, cause, cause_id, actor, at)
        SELECT variant_id, location_id, bucket, '{to_bucket}', quantity, :cause, :cause_id, :actor, :now
        FROM (SELECT variant_id, location_id, 'held' AS bucket, unheld AS quantity FROM change
              UNION ALL
              SELECT variant_id, location_id, 'allocated', unallocated FROM change) AS movement
        WHERE quantity > 0 AND (SELECT there AND complete FROM verdict)
    )
    SELECT (SELECT count(*) FROM mine) AS settled, there, complete FROM verdict
"""
_RELEASE = Hot(
    _SETTLE.format(
        which="owner_id = :owner_id AND state IN ('held', 'allocated')",
        states="'held', 'allocated'",
        state="released",
        to_bucket="available",
        leaves=0,
    )
)
_CONSUME = Hot(
    _SETTLE.format(
        which="owner_id = :owner_id AND state = 'allocated' AND (CAST(:line_ids AS uuid[]) IS NULL OR line_id = ANY(:line_ids))",
        states="'allocated'",
        state="consumed",
        to_bucket="outside",
        leaves=1,
    )
)
_EXPIRE = {"states": "'held'", "state": "expired", "to_bucket": "available", "leaves": 0}
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


def allocate(
    session: Session,
    *,
    owner_id: UUID,
    demands: Sequence[Demand],
    held_for: UUID | None = None,
    actor: str,
    now: datetime,
) -> None:
    """Promise every demand to `owner_id` (an order), or none. One statement unless something is short.

    All holds of the cart `held_for` are used up: what they held is free for this order, and for nobody in between.
    Pass all demands of a transaction in one call: two calls could lock levels in an order that others do not use.

    Raises:
        OutOfStock: with every short line.
    """
    _take(
        session,
        statement=_ALLOCATE,
        demands=demands,
        owner_id=owner_id,
        held_for=held_for,
        expires_at=None,
        actor=actor,
        now=now,
    )


def hold(
    session: Session, *, owner_id: UUID, demands: Sequence[Demand], hold_seconds: int, actor: str, now: datetime
) -> datetime:
    """Keep every demand for `owner_id` (a cart), or none, until the moment that is returned.

    The owner's earlier holds are replaced in the same statement. Without demands they are only given back.

    Raises:
        OutOfStock: with every short line; the earlier holds stay as they were.
        Invalid: longer than anybody may hold (limits.HOLD_SECONDS_LONGEST).
    """
    if not 0 < hold_seconds <= limits.HOLD_SECONDS_LONGEST:
        raise Invalid(f"A hold lasts from 1 to {limits.HOLD_SECONDS_LONGEST} seconds")
    expires_at = now + timedelta(seconds=hold_seconds)
    _take(
        session,
        statement=_HOLD,
        demands=demands,
        owner_id=owner_id,
        held_for=owner_id,
        expires_at=expires_at,
        actor=actor,
        now=now,
    )
    return expires_at


def release(session: Session, *, owner_id: UUID, cause: str, actor: str, now: datetime) -> int:
    """Give back all that is held for or allocated to `owner_id`; returns how many reservations (0 when repeated).

    `cause` says why in the movements, e.g. ``cancel`` or ``payment_failed``.
    """
    return _settle(session, statement=_RELEASE, cause=cause, cause_id=owner_id, actor=actor, now=now, owner_id=owner_id)


def consume(session: Session, *, owner_id: UUID, line_ids: Sequence[UUID] | None, actor: str, now: datetime) -> None:
    """The allocated units of these lines (None: of all) leave the shop: handed over, shipped, or sold at the till.

    Raises:
        NotAllocated: a line has nothing allocated (any more); no line was consumed.
        NotOnHand: they were promised on backorder and are not here; no line was consumed.
    """
    lines = None if line_ids is None else sorted(set(line_ids))
    at_least = 1 if lines is None else len(lines)
    params: dict[str, Any] = {"owner_id": owner_id, "line_ids": lines, "at_least": at_least}
    _settle(session, statement=_CONSUME, cause="consume", cause_id=owner_id, actor=actor, now=now, **params)


def expire_due(session: Session, *, now: datetime, limit: int) -> int:
    """Settle up to `limit` holds whose time has passed (oldest first); returns how many. Safe to run twice at once."""
    return _settle(session, statement=_EXPIRE_DUE, cause="expire", cause_id=None, actor="system", now=now, limit=limit)


def expire_at(session: Session, *, keys: Sequence[Key], now: datetime) -> int:
    """Settle the expired holds at these levels: what anyone does who finds too little there."""
    params: dict[str, Any] = {
        "variants": [variant for variant, _ in keys],
        "locations": [location for _, location in keys],
    }
    return _settle(session, statement=_EXPIRE_AT, cause="expire", cause_id=None, actor="system", now=now, **params)


def demand_by_key(demands: Sequence[Demand]) -> dict[Key, int]:
    """The quantity wanted of each level: two lines of one cart may share a SKU, and then have to share its stock."""
    totals: dict[Key, int] = {}
    for demand in demands:
        if demand.quantity <= 0:
            raise ValueError("a demand is for at least one unit")
        totals[demand.key] = totals.get(demand.key, 0) + demand.quantity
    return totals


def _take(session: Session, *, statement: Hot, demands: Sequence[Demand], now: datetime, **params: Any) -> None:
    totals = demand_by_key(demands)
    params |= {
        "variants": [variant for variant, _ in totals],
        "locations": [location for _, location in totals],
        "quantities": list(totals.values()),
        "keys": len(totals),
        "ids": [new_id() for _ in demands],
        "line_variants": [demand.variant_id for demand in demands],
        "line_locations": [demand.location_id for demand in demands],
        "line_quantities": [demand.quantity for demand in demands],
        "line_ids": [demand.line_id for demand in demands],
        "now": now,
    }
    rows = statement.run(session, params).all()
    if all(row.ok for row in rows):
        return
    short = [(row.variant_id, row.location_id) for row in rows if row.free < row.quantity]
    # This transaction holds the locks of these levels since the first try, so what is swept here cannot be taken by others.
    if expire_at(session, keys=short, now=now):
        rows = statement.run(session, params).all()
        if all(row.ok for row in rows):
            return
    raise _out_of_stock(session, demands=demands, rows=rows, now=now)


def _out_of_stock(session: Session, *, demands: Sequence[Demand], rows: Sequence[Any], now: datetime) -> OutOfStock:
    """The refusal, with every short line and where else its SKU is available."""
    short = {(row.variant_id, row.location_id): max(row.free, 0) for row in rows if row.free < row.quantity}
    known = queries.places_for(session, keys=list(short), now=now)
    errors = []
    for position, demand in enumerate(demands, start=1):
        if demand.key not in short:
            continue
        sku, here, elsewhere = known[demand.key]
        errors.append(
            {
                "line": position,
                "code": "short",
                "detail": f"{sku}: {demand.quantity} wanted, {short[demand.key]} available at {here.get('name', here['id'])}",
                "line_id": demand.line_id,
                "variant_id": demand.variant_id,
                "sku": sku,
                "requested": demand.quantity,
                "available": short[demand.key],
                "location": here,
                "elsewhere": elsewhere,
            }
        )
    return OutOfStock(errors=errors)


def _settle(session: Session, *, statement: Hot, cause: str, now: datetime, at_least: int = 0, **params: Any) -> int:
    row = statement.run(session, {"cause": cause, "now": now, "at_least": at_least, **params}).one()
    if not row.complete:
        raise NotAllocated
    if not row.there:
        raise NotOnHand
    return int(row.settled)
