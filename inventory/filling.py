"""Giving what is there to those who wait: what turned out to be missing first, then backorders, in order of promise.

Runs in the transaction that made the units free, under the locks of the levels: whoever comes after finds what is left.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import queries
from retail.events import AllocationFilled
from retail.kernel import outbox


@dataclass(frozen=True, slots=True)
class Filled:
    """`quantity` units that `owner_id` waited for are here now."""

    owner_id: UUID
    line_id: UUID | None
    reservation_id: UUID
    variant_id: UUID
    location_id: UUID
    quantity: int


# Nobody changes a reservation without its level's lock, which this transaction has had since an earlier statement: what this
# one reads is true until the end. `spare`: on the shelf, and nobody's. What is short counts in no level until it is filled, and
# cannot bring the promises above what the level allows (`open`). A short reservation that is filled in part is split.
_FILL = text(
    """
    WITH locked AS (
        SELECT level.*, greatest(0, on_hand - allocated + backordered - held - unavailable - safety) AS spare,
               greatest(0, on_hand + backorder_limit - allocated - held - unavailable) AS open
        FROM stock_level AS level
        JOIN unnest(CAST(:variants AS uuid[]), CAST(:locations AS uuid[])) AS wanted (variant_id, location_id)
          ON wanted.variant_id = level.variant_id AND wanted.location_id = level.location_id
        ORDER BY level.variant_id, level.location_id
        FOR UPDATE OF level
    ), waiting AS (
        SELECT promised.*, CASE WHEN promised.state = 'short' THEN promised.quantity ELSE promised.backordered END AS needs
        FROM reservation AS promised
        JOIN locked ON locked.variant_id = promised.variant_id AND locked.location_id = promised.location_id
        WHERE promised.state = 'short' OR promised.backordered > 0
    ), budget AS (
        SELECT locked.variant_id, locked.location_id, spare, least(spare, open, coalesce(sum(needs), 0)) AS for_short
        FROM locked
        LEFT JOIN waiting ON waiting.variant_id = locked.variant_id AND waiting.location_id = locked.location_id AND waiting.state = 'short'
        GROUP BY locked.variant_id, locked.location_id, spare, open
    ), queue AS (
        SELECT waiting.*, CASE state WHEN 'short' THEN for_short ELSE spare - for_short END AS given,
               sum(needs) OVER (PARTITION BY variant_id, location_id, state ORDER BY promised_at NULLS LAST, created_at, id) AS until
        FROM waiting JOIN budget USING (variant_id, location_id)
    ), filled AS (
        SELECT id, variant_id, location_id, state, owner_id, line_id, per_unit, promised_at, created_at, quantity,
               CAST(least(needs, given - until + needs) AS integer) AS got,
               CASE WHEN state = 'short' AND given < until THEN gen_random_uuid() ELSE id END AS filled_id
        FROM queue WHERE given > until - needs
    ), change AS (
        SELECT locked.*, short, backed
        FROM locked
        JOIN (SELECT variant_id, location_id, CAST(coalesce(sum(got) FILTER (WHERE state = 'short'), 0) AS integer) AS short,
                     CAST(coalesce(sum(got) FILTER (WHERE state <> 'short'), 0) AS integer) AS backed
              FROM filled GROUP BY variant_id, location_id) AS sums USING (variant_id, location_id)
    ), kept AS (
        UPDATE reservation AS promised
        SET state = CASE WHEN filled.filled_id = filled.id THEN 'allocated' ELSE 'short' END,
            quantity = CASE WHEN filled.filled_id = filled.id THEN promised.quantity ELSE promised.quantity - got END,
            backordered = CASE WHEN filled.state = 'short' THEN 0 ELSE promised.backordered - got END
        FROM filled WHERE promised.id = filled.id
    ), made AS (
        INSERT INTO reservation (id, variant_id, location_id, quantity, state, owner_id, line_id, per_unit, promised_at, created_at)
        SELECT filled_id, variant_id, location_id, got, 'allocated', owner_id, line_id, per_unit, promised_at, created_at
        FROM filled WHERE filled_id <> id
    ), levels AS (
        UPDATE stock_level AS level
        SET on_hand = change.on_hand, allocated = change.allocated + short, backordered = change.backordered - backed,
            held = change.held, unavailable = change.unavailable, backorder_limit = change.backorder_limit,
            version = change.version + 1, updated_at = :now
        FROM change WHERE level.variant_id = change.variant_id AND level.location_id = change.location_id
    ), moved AS (
        INSERT INTO stock_movement (variant_id, location_id, from_bucket, to_bucket, quantity, cause, cause_id, actor, at)
        SELECT variant_id, location_id, CASE state WHEN 'short' THEN 'available' ELSE 'backordered' END, 'allocated',
               got, 'fill', owner_id, :actor, :now
        FROM filled
    )
    SELECT owner_id, line_id, filled_id, variant_id, location_id, got
    FROM filled ORDER BY state = 'short' DESC, promised_at NULLS LAST, created_at, id
    """
)


def fill(session: Session, *, keys: Sequence[tuple[UUID, UUID]], actor: str, now: datetime) -> list[Filled]:
    """Give what is spare at these levels to those who wait there, in order; announces AllocationFilled for each.

    An earlier statement of this transaction has locked the levels (each change of a level does).
    """
    if not keys:
        return []
    rows = session.execute(_FILL, {**queries.split_keys(keys), "actor": actor, "now": now}).all()
    filled = [Filled(*row) for row in rows]
    for one in filled:
        event = AllocationFilled(
            owner_id=one.owner_id,
            line_id=one.line_id,
            reservation_id=one.reservation_id,
            variant_id=one.variant_id,
            location_id=one.location_id,
            quantity=one.quantity,
        )
        outbox.publish(session, event, actor=actor, now=now)
    return filled


def fill_waiting(session: Session, *, keys: Sequence[tuple[UUID, UUID]], actor: str, now: datetime) -> list[Filled]:
    """`fill` where somebody waits at all: what is called after units became free. One statement as a rule."""
    return fill(session, keys=queries.waiting_keys(session, keys=keys), actor=actor, now=now)
