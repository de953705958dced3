"""A part of what is allocated leaves: which reservations these units are, split off from what stays."""

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
    """
)
# Runs under the locks of the levels, in a statement of its own: nobody changes a reservation without its level's lock, so what is
# read here is true until the end. Oldest first; units that wait for goods stay. What leaves keeps its row, the rest is the new one.
_PART = text(
    """
    WITH wanted AS (
        SELECT * FROM unnest(CAST(:line_ids AS uuid[]), CAST(:units AS integer[])) AS wanted (line_id, units)
    ), standing AS (
        SELECT promised.*, wanted.units, CASE WHEN state = 'allocated' THEN quantity - backordered ELSE 0 END AS has,
               sum(CASE WHEN state = 'allocated' THEN quantity - backordered ELSE 0 END)
                   OVER (PARTITION BY promised.line_id ORDER BY created_at, id) AS until
        FROM reservation AS promised JOIN wanted ON wanted.line_id = promised.line_id
        WHERE owner_id = :owner_id AND state IN ('allocated', 'short')
    ), verdict AS (
        SELECT coalesce(bool_and(coalesce(promised, 0) >= units), true) AS promised, coalesce(bool_and(coalesce(here, 0) >= units), true) AS here
        FROM wanted
        LEFT JOIN (SELECT line_id, sum(quantity) AS promised, sum(has) AS here FROM standing GROUP BY line_id) AS sums USING (line_id)
    ), leaving AS (
        SELECT *, CAST(least(has, units - until + has) AS integer) AS part FROM standing
        WHERE has > 0 AND until - has < units AND (SELECT here FROM verdict)
    ), stays AS (
        INSERT INTO reservation (id, variant_id, location_id, quantity, state, owner_id, line_id, backordered, promised_at, created_at)
        SELECT gen_random_uuid(), variant_id, location_id, quantity - part, 'allocated', owner_id, line_id, backordered, promised_at, created_at
        FROM leaving WHERE part < quantity
    ), leaves AS (
        UPDATE reservation AS promised SET quantity = part, backordered = 0
        FROM leaving WHERE promised.id = leaving.id AND part < leaving.quantity
    )
    SELECT promised, here, ARRAY(SELECT id FROM leaving ORDER BY id) AS ids FROM verdict
    """
)


def part(session: Session, *, owner_id: UUID, quantities: Mapping[UUID, int]) -> list[UUID]:
    """Lock the levels of these lines, and split their reservations so that exactly ``{line_id: units}`` stand in the ones
    whose ids are returned; the caller settles them next, in this transaction.

    Raises:
        ValueError: not at least one unit of each line.
        NotAllocated: so many are not promised. NotOnHand: they are, but wait for goods or are missing.
    """
    if not quantities or min(quantities.values()) <= 0:
        raise ValueError("at least one unit of each line")
    params: dict[str, Any] = {"owner_id": owner_id, "line_ids": list(quantities), "units": list(quantities.values())}
    keys: list[Key] = [(row.variant_id, row.location_id) for row in session.execute(_KEYS, params)]
    queries.lock_levels(session, keys=keys)
    row = session.execute(_PART, params).one()
    if not row.promised:
        raise NotAllocated
    if not row.here:
        raise NotOnHand
    return list(row.ids)
