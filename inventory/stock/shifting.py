"""Units of several variants at one location go from one bucket to another, all or none, in one statement.

The guard reads the numbers of the locked rows, and every counter is set from them (why: inventory.reservations).
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from inventory import queries
from inventory.stock.places import NoSuchLevel
from inventory.stock.receiving import AlreadyRecorded, line_key
from retail.kernel.hot import Hot

_SHIFT = """
    WITH line AS (
        SELECT variant_id, quantity, key
        FROM unnest((SELECT CAST(:variants AS uuid[])), (SELECT CAST(:quantities AS integer[])), (SELECT CAST(:keys AS text[])))
             AS line (variant_id, quantity, key)
        WHERE NOT EXISTS (SELECT FROM stock_movement WHERE idempotency_key = ANY(CAST((SELECT CAST(:keys AS text[])) AS text[])))
    ), locked AS (
        SELECT level.*, line.quantity, line.key
        FROM stock_level AS level
        JOIN line ON line.variant_id = level.variant_id
        WHERE level.location_id = CAST(:location_id AS uuid)
        ORDER BY level.variant_id
        FOR UPDATE OF level
    ), verdict AS (
        SELECT count(*) = CAST(:wanted AS bigint) AND coalesce(bool_and({guard}), false) AS ok FROM locked
    ), levels AS (
        UPDATE stock_level AS level
        SET on_hand = locked.on_hand {on_hand}, allocated = locked.allocated, backordered = locked.backordered, held = locked.held,
            unavailable = locked.unavailable {unavailable}, backorder_limit = locked.backorder_limit,
            version = locked.version + 1, updated_at = CAST(:now AS timestamptz)
        FROM locked
        WHERE level.variant_id = locked.variant_id AND level.location_id = locked.location_id AND (SELECT ok FROM verdict)
    ), moved AS (
        INSERT INTO stock_movement
               (variant_id, location_id, from_bucket, to_bucket, quantity, cause, cause_id, reason, actor, idempotency_key, at)
        SELECT variant_id, location_id, '{from_bucket}', '{to_bucket}', quantity, CAST(:cause AS text), CAST(:cause_id AS uuid),
               CAST(:reason AS text), CAST(:actor AS text), key, CAST(:now AS timestamptz)
        FROM locked WHERE (SELECT ok FROM verdict) ORDER BY variant_id
    )
    SELECT variant_id, location_id, quantity, on_hand, unavailable, low_stock_threshold, {guard} AS fits, (SELECT ok FROM verdict) AS ok,
           on_hand - allocated - unavailable - safety AS left_before,
           on_hand - allocated - unavailable - safety + (0 {on_hand}) - (0 {unavailable}) AS left_after
    FROM locked ORDER BY variant_id
"""
# What is promised stays promised: to orders for what is here, and with the backorder limit to everybody.
_BEYOND_PROMISES = (
    "on_hand - quantity >= allocated - backordered + unavailable"
    " AND on_hand + backorder_limit - quantity >= allocated + held + unavailable"
)
# Nobody is promised these very units, not even a cart.
_UNPROMISED = "on_hand - (allocated - backordered) - held - unavailable >= quantity"
_SET_ASIDE = "unavailable >= quantity"


@dataclass(frozen=True, slots=True)
class Shift:
    """A way that units go. `what` names it for those who read the code."""

    from_bucket: str
    to_bucket: str
    statement: Hot

    @classmethod
    def of(cls, from_bucket: str, to_bucket: str, guard: str) -> "Shift":
        """The statement that moves units between these buckets where `guard` holds for every line."""
        unavailable = {"to": "+ quantity", "from": "- quantity", "": ""}[
            "to" if to_bucket == "unavailable" else "from" if from_bucket == "unavailable" else ""
        ]
        on_hand = "- quantity" if to_bucket == "outside" else ""
        return cls(
            from_bucket,
            to_bucket,
            Hot(
                _SHIFT.format(
                    from_bucket=from_bucket,
                    to_bucket=to_bucket,
                    guard=guard,
                    on_hand=on_hand,
                    unavailable=unavailable,
                )
            ),
        )


OUT = Shift.of("available", "outside", _BEYOND_PROMISES)
OUT_OF_UNPROMISED = Shift.of("available", "outside", _UNPROMISED)
ASIDE = Shift.of("available", "unavailable", _BEYOND_PROMISES)
ASIDE_OF_UNPROMISED = Shift.of("available", "unavailable", _UNPROMISED)
RESTORE = Shift.of("unavailable", "available", _SET_ASIDE)
WRITE_OFF = Shift.of("unavailable", "outside", _SET_ASIDE)


def shift(
    session: Session,
    *,
    way: Shift,
    location_id: uuid.UUID,
    quantities: Mapping[uuid.UUID, int],
    cause: str,
    cause_id: uuid.UUID | None,
    reason: str | None,
    key: str | None,
    actor: str,
    now: datetime,
) -> list[Any]:
    """Move `quantities` (per variant) that way if all of them can be. Nothing is moved when a row of the answer does not
    fit: ``variant_id, location_id, quantity, on_hand, unavailable, low_stock_threshold, left_before, left_after, fits, ok``,
    by variant.

    Raises:
        AlreadyRecorded: `key` has been used.
        NoSuchLevel: a variant has never been there; `errors` names each.
    """
    keys = [line_key(key, variant_id) for variant_id in quantities]
    params = {
        "variants": list(quantities),
        "quantities": list(quantities.values()),
        "keys": keys,
        "wanted": len(quantities),
        "location_id": location_id,
        "cause": cause,
        "cause_id": cause_id,
        "reason": reason,
        "actor": actor,
        "now": now,
    }
    rows: list[Any] = way.statement.run(session, params).all()
    if len(rows) < len(quantities):
        if key is not None and any(queries.is_recorded(session, key=each) for each in keys):
            raise AlreadyRecorded
        there = {row.variant_id for row in rows}
        missing = [variant_id for variant_id in quantities if variant_id not in there]
        raise NoSuchLevel(errors=[{"variant_id": variant_id, "code": NoSuchLevel.code} for variant_id in missing])
    return rows
