"""Do the stock levels say what happened? Levels against movements, and both against the reservations.

Three accounts of the same units exist: the level (a cache that can be locked), the movements (the ledger) and the
reservations (who was promised what). Writers change all three in one statement; here each is rebuilt from the others.
"""

import uuid
from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import stock
from inventory.audit_documents import divergences_of_documents
from inventory.queries import BUCKETS, PROMISES
from retail.audit import Divergence

# One pass over each table, whatever its size; only divergent keys are looked up by name and sorted.
_DIVERGENT = text(
    f"""
    WITH moved AS (
        SELECT variant_id, location_id, {BUCKETS}
        FROM stock_movement GROUP BY variant_id, location_id
    ), promised AS (
        SELECT variant_id, location_id, {PROMISES}
        FROM reservation WHERE state IN ('held', 'allocated') GROUP BY variant_id, location_id
    ), compared AS (
        SELECT variant_id, location_id,
               CASE WHEN level.version IS NOT NULL
                    THEN CAST(ARRAY[level.on_hand, level.allocated, level.backordered, level.held, level.unavailable] AS bigint[])
               END AS stored,
               ARRAY[coalesce(moved.on_hand, 0), coalesce(moved.allocated, 0), coalesce(moved.backordered, 0), coalesce(moved.held, 0),
                     coalesce(moved.unavailable, 0)] AS from_movements,
               ARRAY[coalesce(promised.allocated, 0), coalesce(promised.backordered, 0), coalesce(promised.held, 0)] AS from_reservations
        FROM stock_level AS level
        FULL JOIN moved USING (variant_id, location_id)
        FULL JOIN promised USING (variant_id, location_id)
    )
    SELECT compared.*, variant.sku, location.code
    FROM compared
    JOIN variant ON variant.id = compared.variant_id
    JOIN location ON location.id = compared.location_id
    WHERE stored IS DISTINCT FROM from_movements OR from_movements[2:4] <> from_reservations
    ORDER BY variant.sku COLLATE "C", location.code COLLATE "C"
    """  # noqa: S608 - two constants
)


def divergences(session: Session) -> Iterator[Divergence]:
    """Every level that its movements do not explain, and every promise that the reservations do not, by SKU and location.

    The repair takes on_hand and unavailable from the movements and the promises from the reservations: a correcting
    movement (cause ``audit``) is added where the ledger misses one; no row of it is edited.
    """
    for row in session.execute(_DIVERGENT).all():
        key = f"{row.sku} @ {row.code}"
        repair = _repair(row.variant_id, row.location_id)
        moved, promised = _five(row.from_movements), _three(row.from_reservations)
        if row.stored is None or list(row.stored) != list(row.from_movements):
            yield Divergence("stock_level", key, _five(row.stored) if row.stored else "no level", moved, repair)
        if list(row.from_movements[1:4]) != list(row.from_reservations):
            yield Divergence("reservation", key, _three(row.from_movements[1:4]), promised, repair)
    yield from divergences_of_documents(session)


def _repair(variant_id: uuid.UUID, location_id: uuid.UUID) -> Callable[[Session], None]:
    return lambda session: stock.rebuild(session, variant_id=variant_id, location_id=location_id)


def _five(numbers: Any) -> str:
    return "on_hand {}, allocated {}, backordered {}, held {}, unavailable {}".format(*numbers)


def _three(numbers: Any) -> str:
    return "allocated {}, backordered {}, held {}".format(*numbers)
