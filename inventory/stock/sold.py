"""Goods that have left over a till that could not ask us: they are gone, whatever was promised. A whole batch at once."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import low_stock, queries, shortage
from inventory.low_stock import Fall
from inventory.stock.receiving import arrived
from retail.kernel.ids import new_id


class Gone(NamedTuple):
    """`units` of a variant that left for a line of an order; `per_unit` of them make one unit of what the line sold."""

    variant_id: UUID
    owner_id: UUID
    line_id: UUID
    units: int
    per_unit: int = 1


# Movements and settled promises as of any sale: what comes back later finds where it came from.
_TAKE = text(
    """
    WITH part AS MATERIALIZED (
        SELECT * FROM json_to_recordset(CAST(:parts AS json)) AS p (id uuid, variant_id uuid, owner_id uuid, line_id uuid, units integer, per_unit integer)
    ), levels AS (
        UPDATE stock_level AS level SET on_hand = on_hand - sums.units, version = version + 1, updated_at = :now
        FROM (SELECT variant_id, CAST(sum(units) AS integer) AS units FROM part GROUP BY variant_id) AS sums
        WHERE level.variant_id = sums.variant_id AND level.location_id = :location_id
        RETURNING level.variant_id, sums.units, on_hand - allocated - unavailable - safety AS left_after, low_stock_threshold
    ), settled AS (
        INSERT INTO reservation (id, variant_id, location_id, quantity, state, owner_id, line_id, per_unit, created_at, settled_at)
        SELECT id, variant_id, :location_id, units, 'consumed', owner_id, line_id, per_unit, :now, :now FROM part
    ), moved AS (
        INSERT INTO stock_movement (variant_id, location_id, from_bucket, to_bucket, quantity, cause, cause_id, actor, at)
        SELECT variant_id, :location_id, 'available', 'outside', CAST(sum(units) AS integer), 'consume', owner_id, :actor, :now
        FROM part GROUP BY owner_id, variant_id
    )
    SELECT * FROM levels
    """
)


def take_sold(session: Session, *, location_id: UUID, gone: Sequence[Gone], actor: str, now: datetime) -> list[int]:
    """Take what was sold off the shelf as far as it is there, in the given order; returns the units taken of each.

    The youngest promises give way as to a count (shortage); what is set aside is not taken, and nothing becomes negative:
    the caller tells what was missing. The levels are locked in one order.
    """
    wanted: dict[UUID, int] = {}
    for one in gone:
        wanted[one.variant_id] = wanted.get(one.variant_id, 0) + one.units
    keys = [(variant_id, location_id) for variant_id in sorted(wanted)]
    levels = queries.lock_levels(session, keys=keys) if keys else {}
    there = {key[0]: level.on_hand - level.unavailable for key, level in levels.items()}
    demands = {key: min(wanted[key[0]], there.get(key[0], 0)) for key in keys}
    promised = {key: level.allocated - level.backordered + level.held for key, level in levels.items()}
    short = {key: units for key, units in demands.items() if units > there.get(key[0], 0) - promised.get(key, 0)}
    short = {key: units for key, units in short.items() if units > 0}
    if short:
        shortage.make_room(session, demands=short, cause="till", actor=actor, now=now)
    taken = []
    left = dict(there)
    for one in gone:
        units = min(one.units, left.get(one.variant_id, 0))
        left[one.variant_id] = left.get(one.variant_id, 0) - units
        taken.append(units)
    parts = [
        {"id": new_id(), **one._asdict(), "units": units} for one, units in zip(gone, taken, strict=True) if units > 0
    ]
    if not parts:
        return taken
    given = {"parts": json.dumps(parts, default=str), "location_id": location_id, "actor": actor, "now": now}
    rows = session.execute(_TAKE, given).all()
    falls = (
        Fall(
            row.variant_id,
            location_id,
            left_before=row.left_after + row.units,
            left_after=row.left_after,
            threshold_before=row.low_stock_threshold,
            threshold_after=row.low_stock_threshold,
        )
        for row in rows
    )
    low_stock.announce(session, falls=falls, actor=actor, now=now)
    if short:
        arrived(
            session, keys=list(short), actor=actor, now=now
        )  # holds that gave way may have freed more than was taken
    return taken
