"""Taking stock: hold for a cart, allocate to an order or a transfer. One guarded statement each."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from inventory import filling, low_stock, queries
from inventory.low_stock import Fall
from inventory.reservations import dating
from inventory.reservations.demands import Demand, Key, Promise, out_of_stock
from inventory.reservations.settling import expire_at
from retail import limits
from retail.kernel.errors import Invalid
from retail.kernel.hot import Hot
from retail.kernel.ids import new_id

# Arrays stand in sub-selects: seeing their length, the planner would plan anew at every call, which takes longer than the work.
# {bucket} is the counter that grows: `allocated` for orders, `held` for carts. `earlier` are the holds of :held_for, which are
# given back in the same statement, so that a cart's own holds never stand in its own way. A bundle's line becomes lines of its
# components. `here` is what this caller can have of the goods on the shelf, `free` what he can have in all; of what is taken,
# `waiting` units are promised and not here. While a hold of others may have expired, nobody is made to wait (:swept). A level
# that changed while this waited for it may have a hold of this cart that the snapshot does not show, if more is held there than
# it shows: then nothing is done (`fresh` is false), and the statement is run again under the locks it has.
_TAKE = """
    WITH line AS (
        SELECT CASE WHEN part.bundle_id IS NULL THEN asked.id ELSE gen_random_uuid() END AS id, asked.line_id, asked.position,
               coalesce(part.component_id, asked.variant_id) AS variant_id, asked.location_id,
               asked.quantity * coalesce(part.quantity, 1) AS quantity, coalesce(part.quantity, 1) AS per_unit
        FROM unnest((SELECT CAST(:ids AS uuid[])), (SELECT CAST(:variants AS uuid[])), (SELECT CAST(:locations AS uuid[])),
                    (SELECT CAST(:quantities AS integer[])), (SELECT CAST(:line_ids AS uuid[])))
             WITH ORDINALITY AS asked (id, variant_id, location_id, quantity, line_id, position)
        LEFT JOIN bundle_component AS part ON part.bundle_id = asked.variant_id
    ), demand AS (
        SELECT variant_id, location_id, CAST(sum(quantity) AS integer) AS quantity FROM line GROUP BY variant_id, location_id
    ), locked AS (
        SELECT level.variant_id, level.location_id, on_hand, allocated, held, unavailable, safety, backorder_limit, backordered,
               low_stock_threshold, version
        FROM stock_level AS level
        JOIN (SELECT variant_id, location_id FROM demand
              UNION
              SELECT variant_id, location_id FROM reservation WHERE {own}) AS wanted
          ON wanted.variant_id = level.variant_id AND wanted.location_id = level.location_id
        ORDER BY level.variant_id, level.location_id
        FOR UPDATE OF level
    ), earlier AS (
        SELECT id, variant_id, location_id, quantity FROM reservation
        WHERE {own} AND (SELECT count(*) FROM locked) > 0
        ORDER BY id
        FOR UPDATE
    ), counted AS MATERIALIZED (
        SELECT level.*, coalesce(demand.quantity, 0) AS taken, coalesce(own.quantity, 0) AS back,
               on_hand - held + coalesce(own.quantity, 0) - unavailable - {kept} AS rest
        FROM locked AS level
        LEFT JOIN demand ON demand.variant_id = level.variant_id AND demand.location_id = level.location_id
        LEFT JOIN (SELECT variant_id, location_id, CAST(sum(quantity) AS integer) AS quantity FROM earlier GROUP BY 1, 2) AS own
          ON own.variant_id = level.variant_id AND own.location_id = level.location_id
    ), change AS (
        SELECT *, rest - allocated + {beyond} AS free,
               {waits} * greatest(0, taken - greatest(0, rest - allocated + backordered)) AS waiting
        FROM counted
    ), verdict AS (
        SELECT fresh AND fits AS ok, fresh
        FROM (SELECT count(*) FILTER (WHERE taken > 0) = (SELECT count(*) FROM demand)
                     AND coalesce(bool_and(taken = 0 OR (free >= taken AND (waiting = 0 OR held = back OR :swept))), true) AS fits
              FROM change) AS answer,
             (SELECT CAST(:held_for AS uuid) IS NULL
                     OR NOT EXISTS (SELECT FROM change JOIN stock_level AS seen USING (variant_id, location_id)
                                    WHERE change.held > change.back AND seen.version <> change.version) AS fresh) AS sight
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
        INSERT INTO reservation (id, variant_id, location_id, quantity, state, owner_id, line_id, per_unit, expires_at, backordered, created_at)
        SELECT line.id, line.variant_id, line.location_id, line.quantity, '{bucket}', :owner_id, line.line_id, line.per_unit,
               CAST(:expires_at AS timestamptz),
               CASE WHEN change.waiting = 0 THEN 0 ELSE least(line.quantity, greatest(0, change.waiting - change.taken + (
                   SELECT sum(before.quantity) FROM line AS before
                   WHERE before.variant_id = line.variant_id AND before.location_id = line.location_id
                     AND before.position <= line.position))) END,
               :now
        FROM line JOIN change ON change.variant_id = line.variant_id AND change.location_id = line.location_id
        WHERE (SELECT ok FROM verdict)
    ), moved AS (
        INSERT INTO stock_movement (variant_id, location_id, from_bucket, to_bucket, quantity, cause, cause_id, actor, at)
        SELECT variant_id, location_id, from_bucket, to_bucket, quantity, '{cause}', cause_id, :actor, :now
        FROM (SELECT variant_id, location_id, 'held' AS from_bucket, 'available' AS to_bucket, back AS quantity,
                     CAST(:held_for AS uuid) AS cause_id FROM change
              UNION ALL
              SELECT variant_id, location_id, 'available', '{bucket}', taken - waiting, :owner_id FROM change
              UNION ALL
              SELECT variant_id, location_id, 'available', 'backordered', waiting, :owner_id FROM change) AS movement
        WHERE quantity > 0 AND (SELECT ok FROM verdict)
    )
    SELECT variant_id, location_id, taken, free, waiting, held - back > 0 AS others_hold, back > taken AS freed,
           CASE WHEN {lowers} AND on_hand - allocated - unavailable - safety > low_stock_threshold
                 AND on_hand - allocated - unavailable - safety - taken <= low_stock_threshold
                THEN on_hand - allocated - unavailable - safety - taken END AS low,
           low_stock_threshold AS threshold, {unreleased} AS unreleased, (SELECT ok FROM verdict) AS ok, (SELECT fresh FROM verdict) AS fresh
    FROM change
"""
# By the owner, who has few rows. Comparing the bare column, a planner that saw few open holds would read all of them, by a
# partial index on `state` that may have filled up since.
_OWN = "owner_id = (SELECT CAST(:held_for AS uuid)) AND state || '' = 'held'"
_ALLOCATE = Hot(
    _TAKE.format(
        own=_OWN,
        bucket="allocated",
        cause="allocate",
        counters="allocated = change.allocated + change.taken, backordered = change.backordered + change.waiting, "
        "held = change.held - change.back",
        kept=f"CASE WHEN CAST(:for_sale AS boolean) THEN safety + {queries.BUFFER} ELSE 0 END",
        beyond="CASE WHEN CAST(:for_sale AS boolean) THEN backorder_limit ELSE least(backordered, backorder_limit) END",
        waits=1,
        lowers="taken > 0",
        unreleased="CAST(:for_sale AS boolean) AND (SELECT releases_at > :now FROM supply_policy AS policy "
        "WHERE policy.variant_id = change.variant_id)",
    )
)
_HOLD = Hot(
    _TAKE.format(
        own=_OWN,
        bucket="held",
        cause="hold",
        counters="allocated = change.allocated, backordered = change.backordered, "
        "held = change.held + change.taken - change.back",
        kept=f"(safety + {queries.BUFFER})",
        beyond="backorder_limit",
        waits=0,
        lowers="false",
        unreleased="false",
    )
)


def allocate(
    session: Session,
    *,
    owner_id: UUID,
    demands: Sequence[Demand],
    held_for: UUID | None = None,
    channel: str | None = None,
    for_sale: bool = True,
    actor: str,
    now: datetime,
) -> list[Promise]:
    """Promise every demand to `owner_id` (an order, a transfer), or none. One statement unless something is short or waits.

    What is on the shelf is taken first; the rest is backordered, as far as the levels allow. All holds of the cart
    `held_for` are used up: what they held is free for this order, and for nobody in between. What is kept from `channel`
    is not for it. Not `for_sale` (a transfer): neither safety stock nor buffers are kept back, and nothing is backordered.
    Pass all demands of a transaction in one call: two calls could lock levels in an order that others do not use.

    Returns: what cannot be handed over yet, because it is backordered or not released; empty as a rule.

    Raises:
        OutOfStock: with every short line.
    """
    rows = _take(
        session,
        statement=_ALLOCATE,
        demands=demands,
        owner_id=owner_id,
        held_for=held_for,
        channel=channel,
        for_sale=for_sale,
        expires_at=None,
        actor=actor,
        now=now,
    )
    lows = [row for row in rows if row.low is not None]
    if lows:
        low_stock.announce(session, falls=map(_fall, lows), actor=actor, now=now)
    later = [(row.variant_id, row.location_id) for row in rows if row.waiting or row.unreleased]
    return dating.promise(session, owner_id=owner_id, keys=later, now=now) if later else []


def hold(
    session: Session,
    *,
    owner_id: UUID,
    demands: Sequence[Demand],
    hold_seconds: int,
    channel: str | None = None,
    actor: str,
    now: datetime,
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
        channel=channel,
        expires_at=expires_at,
        actor=actor,
        now=now,
    )
    return expires_at


def _take(
    session: Session,
    *,
    statement: Hot,
    demands: Sequence[Demand],
    channel: str | None,
    actor: str,
    now: datetime,
    **params: Any,
) -> Sequence[Any]:
    """Run the statement, twice if holds of others that have expired may stand in the way; the rows of what was taken."""
    if any(demand.quantity <= 0 for demand in demands):
        raise ValueError("a demand is for at least one unit")
    params |= {
        "ids": [new_id() for _ in demands],
        "variants": [demand.variant_id for demand in demands],
        "locations": [demand.location_id for demand in demands],
        "quantities": [demand.quantity for demand in demands],
        "line_ids": [demand.line_id for demand in demands],
        "channel": channel,
        "swept": False,
        "actor": actor,
        "now": now,
    }
    rows: Sequence[Any] = statement.run(session, params).all()
    while rows and not rows[0].fresh:
        rows = statement.run(session, params).all()
    if not _done(rows, demands):
        rows = _again(session, statement, params, rows)
        if not _done(rows, demands):
            free: dict[Key, int] = {(row.variant_id, row.location_id): row.free for row in rows}
            raise out_of_stock(session, demands=demands, free=free, channel=channel, now=now)
    freed = [(row.variant_id, row.location_id) for row in rows if row.freed]
    if freed:  # the cart had held more than is taken now
        filling.fill_waiting(session, keys=freed, actor=actor, now=now)
    return rows


def _done(rows: Sequence[Any], demands: Sequence[Demand]) -> bool:
    """Whether it was all taken: each row of the answer says it, and a level that is missing has no row."""
    return bool(rows[0].ok) if rows else not demands


def _fall(row: Any) -> Fall:
    return Fall(row.variant_id, row.location_id, row.low + row.taken, row.low, row.threshold, row.threshold)


def _again(session: Session, statement: Hot, params: Mapping[str, Any], rows: Sequence[Any]) -> Sequence[Any]:
    """Once more, after the expired holds were settled where too little was found.

    This transaction holds the locks of these levels since the first try, so what is swept here cannot be taken by others.
    """
    short = [(row.variant_id, row.location_id) for row in rows if row.free < row.taken]
    waits = [(row.variant_id, row.location_id) for row in rows if row.waiting and row.others_hold]
    if expire_at(session, keys=[*short, *waits], now=params["now"]) or not short:
        return statement.run(session, {**params, "swept": True}).all()
    return rows
