"""When there is less than was thought: the youngest promises give way, nothing is forgotten, and somebody is told."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import queries
from retail.events import AllocationShort
from retail.kernel import outbox
from retail.kernel.errors import Conflict

Key = tuple[UUID, UUID]


class MoreThanOnHand(Conflict):
    """More units are to be taken away than lie on the shelf; `errors` names each variant with requested and there."""

    code, title = "more_than_on_hand", "There is less than that on hand"


@dataclass(frozen=True, slots=True)
class Shorted:
    """`quantity` units promised to `owner_id` are not there: reservation `reservation_id` is short now."""

    owner_id: UUID
    line_id: UUID | None
    reservation_id: UUID
    variant_id: UUID
    location_id: UUID
    quantity: int


# Runs under the locks of the levels, in a statement of its own: nobody changes a reservation without its level's lock, so what
# is read here is true until the end. Who gives way: expired holds, then the youngest holds, then the youngest of what is promised
# and here. A reservation that gives up a part of its units is split; the given part is the new row.
_CUT = text(
    """
    WITH lack AS (
        SELECT * FROM unnest(CAST(:variants AS uuid[]), CAST(:locations AS uuid[]), CAST(:units AS integer[])) AS lack (variant_id, location_id, units)
    ), locked AS (
        SELECT level.* FROM stock_level AS level
        JOIN lack ON lack.variant_id = level.variant_id AND lack.location_id = level.location_id
        ORDER BY level.variant_id, level.location_id
        FOR UPDATE OF level
    ), standing AS (
        SELECT promised.*, lack.units, promised.quantity - promised.backordered AS has,
               CASE WHEN promised.state = 'allocated' THEN 2 WHEN promised.expires_at > :now THEN 1 ELSE 0 END AS rank
        FROM reservation AS promised
        JOIN lack ON lack.variant_id = promised.variant_id AND lack.location_id = promised.location_id
        WHERE promised.state IN ('held', 'allocated') AND promised.quantity > promised.backordered
          AND (SELECT count(*) FROM locked) > 0
    ), queue AS (
        SELECT *, sum(has) OVER (PARTITION BY variant_id, location_id ORDER BY rank, created_at DESC, id DESC) AS until
        FROM standing
    ), cut AS (
        SELECT id, variant_id, location_id, owner_id, line_id, per_unit, rank, expires_at, promised_at, created_at, least(has, units - until + has) AS units,
               CASE rank WHEN 0 THEN 'expired' WHEN 1 THEN 'released' ELSE 'short' END AS becomes,
               CASE WHEN least(has, units - until + has) < quantity THEN gen_random_uuid() ELSE id END AS cut_id
        FROM queue WHERE units > until - has
    ), change AS (
        SELECT locked.*, unheld, unallocated
        FROM locked
        JOIN (SELECT variant_id, location_id, CAST(coalesce(sum(units) FILTER (WHERE rank < 2), 0) AS integer) AS unheld,
                     CAST(coalesce(sum(units) FILTER (WHERE rank = 2), 0) AS integer) AS unallocated
              FROM cut GROUP BY variant_id, location_id) AS sums USING (variant_id, location_id)
    ), kept AS (
        UPDATE reservation AS promised
        SET state = CASE WHEN cut.cut_id = cut.id THEN cut.becomes ELSE promised.state END,
            quantity = CASE WHEN cut.cut_id = cut.id THEN promised.quantity ELSE promised.quantity - cut.units END,
            settled_at = CASE WHEN cut.cut_id = cut.id AND rank < 2 THEN CAST(:now AS timestamptz) END
        FROM cut WHERE promised.id = cut.id
    ), made AS (
        INSERT INTO reservation (id, variant_id, location_id, quantity, state, owner_id, line_id, per_unit, expires_at, promised_at, created_at, settled_at)
        SELECT cut_id, variant_id, location_id, units, becomes, owner_id, line_id, per_unit, expires_at, promised_at, created_at,
               CASE WHEN rank < 2 THEN CAST(:now AS timestamptz) END
        FROM cut WHERE cut_id <> id
    ), levels AS (
        UPDATE stock_level AS level
        SET on_hand = change.on_hand, allocated = change.allocated - unallocated, backordered = change.backordered,
            held = change.held - unheld, unavailable = change.unavailable, backorder_limit = change.backorder_limit,
            version = change.version + 1, updated_at = :now
        FROM change WHERE level.variant_id = change.variant_id AND level.location_id = change.location_id
    ), moved AS (
        INSERT INTO stock_movement (variant_id, location_id, from_bucket, to_bucket, quantity, cause, cause_id, reason, actor, at)
        SELECT variant_id, location_id, CASE rank WHEN 2 THEN 'allocated' ELSE 'held' END, 'available', units,
               CASE rank WHEN 0 THEN 'expire' ELSE 'short' END, owner_id, CASE WHEN rank > 0 THEN CAST(:cause AS text) END, :actor, :now
        FROM cut
    )
    SELECT owner_id, line_id, cut_id, variant_id, location_id, units FROM cut WHERE rank = 2
    ORDER BY variant_id, location_id, created_at DESC, id DESC
    """
)


def make_room(session: Session, *, demands: Mapping[Key, int], cause: str, actor: str, now: datetime) -> list[Shorted]:
    """Lock these levels and see to it that so many units at each lie on the shelf and are nobody's: the caller takes them
    away next, in this transaction, and then calls `filling.fill_waiting` if he took less.

    Who gives way: holds that have expired, then the youngest holds, then the youngest allocations that have their goods,
    which become short. What waits for goods anyway is left alone. Announces AllocationShort for each; `cause` says why
    (``count``, ``damaged``, ``pick_failed`` ...). Levels must be locked by one call: pass all of the transaction.

    Raises:
        MoreThanOnHand: so much is not there at all, or only set aside; nobody gives way.
    """
    levels = queries.lock_levels(session, keys=list(demands))
    missing: dict[Key, int] = {}
    lacking: dict[Key, int] = {}
    for key, units in demands.items():
        level = levels.get(key)
        there = 0 if level is None else level.on_hand - level.unavailable
        if units > there:
            missing[key] = there
        elif level is not None:
            lacking[key] = units - (there - (level.allocated - level.backordered) - level.held)
    if missing:
        raise MoreThanOnHand(
            errors=[
                {"code": "more_than_on_hand", "variant_id": key[0], "requested": demands[key], "there": there}
                for key, there in missing.items()
            ]
        )
    short = {key: units for key, units in lacking.items() if units > 0}
    if not short:
        return []
    params = {**queries.split_keys(list(short)), "units": list(short.values())}
    rows = session.execute(_CUT, {**params, "cause": cause, "actor": actor, "now": now}).all()
    shorted = [Shorted(*row) for row in rows]
    for one in shorted:
        event = AllocationShort(
            owner_id=one.owner_id,
            line_id=one.line_id,
            reservation_id=one.reservation_id,
            variant_id=one.variant_id,
            location_id=one.location_id,
            quantity=one.quantity,
            cause=cause,
        )
        outbox.publish(session, event, actor=actor, now=now)
    return shorted
