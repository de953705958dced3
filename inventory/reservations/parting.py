"""A part of what is promised goes its own way: which reservations these units are, split off from what stays."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import queries
from inventory.reservations.demands import Key, NotAllocated, NotOnHand

_KEYS = text(
    """
    SELECT DISTINCT variant_id, location_id FROM reservation
    WHERE owner_id = :owner_id AND state IN ('allocated', 'short') AND line_id = ANY(CAST(:line_ids AS uuid[]))
      AND (CAST(:location_id AS uuid) IS NULL OR location_id = :location_id)
    """
)
# Runs under the locks of the levels, in a statement of its own: nobody changes a reservation without its level's lock, so what is
# read here is true until the end. A unit of a line is `per_unit` units of each variant that is promised for it. A reservation has
# up to two pieces: what is missing (0) or waits for goods (1), and what is here (2). Handing over takes what is here, oldest first;
# giving up begins with what is missing, and takes the youngest first. What goes keeps its row, the rest is the new one.
_PART = text(
    """
    WITH wanted AS (
        SELECT * FROM unnest(CAST(:line_ids AS uuid[]), CAST(:units AS integer[])) AS wanted (line_id, units)
    ), standing AS (
        SELECT promised.*, wanted.units * promised.per_unit AS needs,
               CASE state WHEN 'allocated' THEN quantity - backordered ELSE 0 END AS here
        FROM reservation AS promised JOIN wanted ON wanted.line_id = promised.line_id
        WHERE owner_id = :owner_id AND state IN ('allocated', 'short')
          AND (CAST(:location_id AS uuid) IS NULL OR location_id = :location_id)
    ), sums AS (
        SELECT line_id, sum(quantity) >= max(needs) AS promised, sum(here) >= max(needs) AS here
        FROM standing GROUP BY line_id, variant_id
    ), verdict AS (
        SELECT coalesce(bool_and(coalesce(sums.promised, false)), true) AS promised, coalesce(bool_and(sums.here), true) AS here
        FROM wanted LEFT JOIN sums ON sums.line_id = wanted.line_id
    ), piece AS (
        SELECT standing.id, needs, kind, has,
               sum(has) OVER (PARTITION BY line_id, variant_id
                              ORDER BY kind, CASE WHEN :giving_up THEN NULL ELSE created_at END,
                                       CASE WHEN :giving_up THEN created_at END DESC, standing.id) AS until
        FROM standing
        CROSS JOIN LATERAL (VALUES (0, CASE state WHEN 'short' THEN quantity ELSE 0 END), (1, backordered), (2, here)) AS piece (kind, has)
        WHERE has > 0 AND (kind = 2 OR :giving_up)
    ), going AS (
        SELECT id, CAST(sum(least(has, needs - until + has)) AS integer) AS part,
               CAST(coalesce(sum(least(has, needs - until + has)) FILTER (WHERE kind = 1), 0) AS integer) AS waits
        FROM piece WHERE until - has < needs AND (SELECT promised AND (here OR :giving_up) FROM verdict) GROUP BY id
    ), stays AS (
        INSERT INTO reservation (id, variant_id, location_id, quantity, state, owner_id, line_id, per_unit, backordered, promised_at, created_at)
        SELECT gen_random_uuid(), variant_id, location_id, quantity - part, state, owner_id, line_id, per_unit, backordered - waits, promised_at,
               created_at
        FROM going JOIN standing ON standing.id = going.id WHERE part < quantity
    ), goes AS (
        UPDATE reservation AS promised SET quantity = part, backordered = waits
        FROM going WHERE promised.id = going.id AND part < promised.quantity
    )
    SELECT promised, here, ARRAY(SELECT id FROM going ORDER BY id) AS ids FROM verdict
    """
)


def part(
    session: Session,
    *,
    owner_id: UUID,
    quantities: Mapping[UUID, int],
    location_id: UUID | None = None,
    giving_up: bool = False,
) -> list[UUID]:
    """Lock the levels of these lines (at one location, or None: wherever they are), and split their reservations so that
    exactly ``{line_id: units}`` stand in the ones whose ids are returned; the caller settles them next, in this transaction.

    A unit of a bundle is its components, each with its share. Units that leave the shop must be here; of what is given up
    (`giving_up`), what is missing goes first, then what waits for goods.

    Raises:
        ValueError: not at least one unit of each line.
        NotAllocated: so many are not promised. NotOnHand: they are, but wait for goods or are missing.
    """
    if not quantities or min(quantities.values()) <= 0:
        raise ValueError("at least one unit of each line")
    params: dict[str, Any] = {"owner_id": owner_id, "location_id": location_id, "giving_up": giving_up}
    params |= {"line_ids": list(quantities), "units": list(quantities.values())}
    keys: list[Key] = [(row.variant_id, row.location_id) for row in session.execute(_KEYS, params)]
    queries.lock_levels(session, keys=keys)
    row = session.execute(_PART, params).one()
    if not row.promised:
        raise NotAllocated
    if not (row.here or giving_up):
        raise NotOnHand
    return list(row.ids)
