"""A pick that found too little: the units are gone, and the very promise that was being picked is short."""

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import filling, queries
from inventory.reservations import NotAllocated
from inventory.stock.setting_aside import set_aside
from retail.events import AllocationShort, StockAdjusted, StockSetAside
from retail.kernel import outbox

NOT_FOUND, DAMAGED = "pick_failed", "damaged"

# Runs under the locks of the levels, in a statement of its own (see inventory.shortage). Of the promises that are here, the
# youngest become short; one that gives up a part of its units is split, and the given part is the new row.
_FAIL = text(
    """
    WITH lack AS (
        SELECT * FROM unnest(CAST(:line_ids AS uuid[]), CAST(:variants AS uuid[]), CAST(:units AS integer[])) AS lack (line_id, variant_id, units)
    ), queue AS (
        SELECT promised.*, lack.units, quantity - backordered AS has,
               sum(quantity - backordered) OVER (PARTITION BY promised.line_id, promised.variant_id ORDER BY created_at DESC, id DESC) AS until
        FROM reservation AS promised JOIN lack ON lack.line_id = promised.line_id AND lack.variant_id = promised.variant_id
        WHERE owner_id = :owner_id AND location_id = :location_id AND state = 'allocated' AND quantity > backordered
    ), verdict AS (
        SELECT coalesce(bool_and(coalesce(here, 0) >= units), true) AS ok
        FROM lack LEFT JOIN (SELECT line_id, variant_id, sum(has) AS here FROM queue GROUP BY 1, 2) AS sums USING (line_id, variant_id)
    ), cut AS (
        SELECT id, variant_id, line_id, per_unit, promised_at, created_at, CAST(least(has, units - until + has) AS integer) AS units,
               CASE WHEN least(has, units - until + has) < quantity THEN gen_random_uuid() ELSE id END AS cut_id
        FROM queue WHERE units > until - has AND (SELECT ok FROM verdict)
    ), kept AS (
        UPDATE reservation AS promised
        SET state = CASE WHEN cut.cut_id = cut.id THEN 'short' ELSE 'allocated' END,
            quantity = CASE WHEN cut.cut_id = cut.id THEN promised.quantity ELSE promised.quantity - cut.units END
        FROM cut WHERE promised.id = cut.id
    ), made AS (
        INSERT INTO reservation (id, variant_id, location_id, quantity, state, owner_id, line_id, per_unit, promised_at, created_at)
        SELECT cut_id, variant_id, :location_id, units, 'short', :owner_id, line_id, per_unit, promised_at, created_at
        FROM cut WHERE cut_id <> id
    ), levels AS (
        UPDATE stock_level AS level
        SET on_hand = level.on_hand - :gone * sums.units, allocated = level.allocated - sums.units,
            unavailable = level.unavailable + (1 - :gone) * sums.units, version = level.version + 1, updated_at = :now
        FROM (SELECT variant_id, CAST(sum(units) AS integer) AS units FROM cut GROUP BY variant_id) AS sums
        WHERE level.variant_id = sums.variant_id AND level.location_id = :location_id
    ), moved AS (
        INSERT INTO stock_movement (variant_id, location_id, from_bucket, to_bucket, quantity, cause, cause_id, reason, actor, at)
        SELECT variant_id, :location_id, step.from_bucket, step.to_bucket, units, step.cause, :owner_id, :reason, :actor, :now
        FROM cut CROSS JOIN LATERAL (VALUES (1, 'allocated', 'available', 'short'),
                                            (2, 'available', CASE WHEN :gone = 1 THEN 'outside' ELSE 'unavailable' END,
                                             CASE WHEN :gone = 1 THEN 'adjust' ELSE 'set_aside' END))
             AS step (position, from_bucket, to_bucket, cause)
        ORDER BY variant_id, position
    )
    SELECT verdict.ok, cut.line_id, cut.variant_id, cut.cut_id, cut.units FROM verdict LEFT JOIN cut ON true ORDER BY cut.variant_id, cut.cut_id
    """
)


def pick_failed(
    session: Session,
    *,
    owner_id: uuid.UUID,
    location_id: uuid.UUID,
    lacking: Mapping[tuple[uuid.UUID, uuid.UUID], int],
    reason: str = NOT_FOUND,
    actor: str,
    now: datetime,
) -> None:
    """Units promised to `owner_id` could not be picked: ``{(line_id, variant_id): units}``; of a bundle, of a component.

    They leave the books (``damaged``: are set aside) and the owner's own promise is short; the others keep theirs. Who
    searched the shelf and found none has also seen that nothing else is there: what the books still call free is set aside
    for inspection until somebody counts, so that it is sold to nobody. Damaged goods are replaced at once by what is free.
    Announces AllocationShort, StockAdjusted or StockSetAside.

    Raises:
        NotAllocated: the owner has fewer units there (any more), or they are known to be missing; nothing was changed.
    """
    keys = sorted({(variant_id, location_id) for _, variant_id in lacking})
    queries.lock_levels(session, keys=keys)
    params: dict[str, Any] = {"owner_id": owner_id, "location_id": location_id, "reason": reason, "gone": 1}
    params |= {"line_ids": [line for line, _ in lacking], "variants": [variant for _, variant in lacking]}
    params |= {"units": list(lacking.values()), "actor": actor, "now": now}
    if reason == DAMAGED:
        params["gone"] = 0
    rows = session.execute(_FAIL, params).all()
    if not rows[0].ok:
        raise NotAllocated
    totals: dict[uuid.UUID, int] = {}
    for row in rows:
        totals[row.variant_id] = totals.get(row.variant_id, 0) + row.units
        event = AllocationShort(
            owner_id=owner_id,
            line_id=row.line_id,
            reservation_id=row.cut_id,
            variant_id=row.variant_id,
            location_id=location_id,
            quantity=row.units,
            cause=reason,
        )
        outbox.publish(session, event, actor=actor, now=now)
    for variant_id, units in totals.items():
        told = {"variant_id": variant_id, "location_id": location_id, "reason": reason}
        change = StockSetAside(**told, quantity=units) if reason == DAMAGED else StockAdjusted(**told, delta=-units)  # type: ignore[arg-type]
        outbox.publish(session, change, actor=actor, now=now)
    if reason == DAMAGED:
        filling.fill(session, keys=keys, actor=actor, now=now)
        return
    for (variant_id, _), level in queries.lock_levels(session, keys=keys).items():
        free = level.on_hand - (level.allocated - level.backordered) - level.held - level.unavailable
        if free > 0:
            set_aside(
                session,
                location_id=location_id,
                variant_id=variant_id,
                quantity=free,
                reason="inspection",
                key=None,
                cause_id=owner_id,
                actor=actor,
                now=now,
            )
