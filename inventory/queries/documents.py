"""Deliveries and transfers against the movements that they caused: what audit_documents.py compares."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

_INBOUND = text(
    """
    WITH moved AS (
        SELECT cause_id AS shipment_id, variant_id, sum(quantity) AS received,
               coalesce(sum(quantity) FILTER (WHERE to_bucket = 'unavailable'), 0) AS damaged
        FROM stock_movement AS movement JOIN inbound_shipment AS shipment ON shipment.id = movement.cause_id
        WHERE cause = 'inbound' AND from_bucket = 'outside' AND movement.location_id = shipment.location_id
        GROUP BY cause_id, variant_id
    ), compared AS (
        SELECT shipment_id, variant_id,
               CASE WHEN line.position IS NOT NULL THEN CAST(ARRAY[line.received, line.damaged] AS bigint[]) END AS stored,
               CAST(ARRAY[coalesce(moved.received, 0), coalesce(moved.damaged, 0)] AS bigint[]) AS from_movements
        FROM inbound_line AS line FULL JOIN moved USING (shipment_id, variant_id)
    )
    SELECT shipment.reference, variant.sku, stored, from_movements
    FROM compared
    JOIN inbound_shipment AS shipment ON shipment.id = shipment_id
    JOIN variant ON variant.id = variant_id
    WHERE stored IS DISTINCT FROM from_movements
    ORDER BY shipment.id, variant.sku COLLATE "C"
    """
)
_TRANSFERS = text(
    """
    WITH moved AS (
        SELECT cause_id AS transfer_id, variant_id,
               coalesce(sum(quantity) FILTER (WHERE to_bucket = 'outside' AND location_id = from_location_id), 0) AS shipped,
               coalesce(sum(quantity) FILTER (WHERE from_bucket = 'outside' AND location_id = to_location_id), 0) AS received,
               coalesce(sum(quantity) FILTER (WHERE from_bucket = 'outside' AND to_bucket = 'unavailable'
                                                AND location_id = to_location_id), 0) AS damaged,
               coalesce(sum(quantity) FILTER (WHERE from_bucket = 'outside' AND location_id = from_location_id), 0) AS returned
        FROM stock_movement AS movement JOIN transfer ON transfer.id = movement.cause_id
        WHERE cause = 'transfer' AND 'outside' IN (from_bucket, to_bucket)
        GROUP BY cause_id, variant_id
    ), compared AS (
        SELECT transfer_id, variant_id,
               CASE WHEN line.position IS NOT NULL
                    THEN CAST(ARRAY[line.shipped, line.received, line.damaged, line.returned] AS bigint[]) END AS stored,
               CAST(ARRAY[coalesce(moved.shipped, 0), coalesce(moved.received, 0), coalesce(moved.damaged, 0),
                          coalesce(moved.returned, 0)] AS bigint[]) AS from_movements
        FROM transfer_line AS line FULL JOIN moved USING (transfer_id, variant_id)
    )
    SELECT transfer.reference, variant.sku, stored, from_movements
    FROM compared
    JOIN transfer ON transfer.id = transfer_id
    JOIN variant ON variant.id = variant_id
    WHERE stored IS DISTINCT FROM from_movements
    ORDER BY transfer.id, variant.sku COLLATE "C"
    """
)
_UNFINISHED = text(
    """
    SELECT 'inbound_shipment' AS document, reference, state, sum(outstanding) AS units, 'outstanding' AS what
    FROM inbound_line JOIN inbound_shipment ON inbound_shipment.id = shipment_id
    WHERE outstanding > 0 AND state IN ('received', 'cancelled')
    GROUP BY inbound_shipment.id
    UNION ALL
    SELECT 'transfer', reference, state, sum(outstanding), 'outstanding'
    FROM transfer_line JOIN transfer ON transfer.id = transfer_id
    WHERE outstanding > 0 AND state IN ('draft', 'ready', 'received', 'cancelled')
    GROUP BY transfer.id
    UNION ALL
    SELECT 'transfer', reference, transfer.state, sum(quantity), 'promised'
    FROM reservation JOIN transfer ON transfer.id = owner_id
    WHERE reservation.state IN ('held', 'allocated', 'short') AND transfer.state <> 'ready'
    GROUP BY transfer.id
    ORDER BY 1, 2, 5
    """
)


def inbound_against_movements(session: Session) -> Sequence[Any]:
    """Lines of deliveries that their movements do not explain: (reference, sku, stored, from_movements), the last two
    arrays of (received, damaged); stored None: there is no such line."""
    return session.execute(_INBOUND).all()


def transfers_against_movements(session: Session) -> Sequence[Any]:
    """Lines of transfers that their movements do not explain: (reference, sku, stored, from_movements), the last two
    arrays of (shipped, received, damaged, returned); stored None: there is no such line."""
    return session.execute(_TRANSFERS).all()


def unfinished_documents(session: Session) -> Sequence[Any]:
    """Documents whose state says that nothing is on its way or promised, and something is: (document, reference, state,
    units, what)."""
    return session.execute(_UNFINISHED).all()
