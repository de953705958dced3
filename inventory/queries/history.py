"""What happened to one level, movement by movement, with what the level said after each.

The balance runs backwards from the level, so a page costs what it shows, however long the history is. All pages of one
walk are of the moment of the first. What began to write after it has later numbers; what was running then may have early
ones, so its transactions go along and stay left out.
"""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

COUNTERS = ("on_hand", "allocated", "held", "unavailable", "backordered")

# By how much a movement changes each counter. Goods promised but not here yet are allocated as well as backordered.
_CHANGES = ", ".join(
    f"CASE WHEN to_bucket {inside} THEN quantity ELSE 0 END - CASE WHEN from_bucket {inside} THEN quantity ELSE 0 END AS {counter}"
    for counter, inside in (
        ("on_hand", "<> 'outside'"),
        ("allocated", "IN ('allocated', 'backordered')"),
        ("held", "= 'held'"),
        ("unavailable", "= 'unavailable'"),
        ("backordered", "= 'backordered'"),
    )
)
_SUMS = ", ".join(f"CAST(coalesce(sum({counter}), 0) AS integer) AS {counter}" for counter in COUNTERS)
_HISTORY = text(
    f"""
    WITH level AS MATERIALIZED (
        SELECT level.*, variant.sku, variant.title, variant.title_ja,
               ARRAY(SELECT CAST(CAST(xid AS text) AS bigint) FROM pg_snapshot_xip(pg_current_snapshot()) AS xid) AS running
        FROM variant JOIN stock_level AS level ON level.variant_id = variant.id
        WHERE variant.sku = :sku AND level.location_id = :location_id
    ), movement AS NOT MATERIALIZED (
        SELECT stock_movement.*, {_CHANGES} FROM stock_movement
        WHERE variant_id = (SELECT variant_id FROM level) AND location_id = :location_id
    ), later AS MATERIALIZED (
        SELECT {_SUMS} FROM movement
        WHERE CAST(:as_of AS timestamptz) IS NOT NULL AND CAST(:before AS bigint) IS NULL AND at > :as_of
    ), page AS (
        SELECT * FROM movement
        WHERE seq < coalesce(CAST(:before AS bigint), 9223372036854775807) AND xid <> ALL(CAST(:running AS bigint[]))
          AND (CAST(:as_of AS timestamptz) IS NULL OR at <= :as_of)
        ORDER BY seq DESC LIMIT :limit
    )
    SELECT level.variant_id, level.sku, level.title, level.title_ja, level.running,
           {", ".join(f"level.{counter} - later.{counter} AS level_{counter}" for counter in COUNTERS)},
           page.seq, page.from_bucket, page.to_bucket, page.quantity, page.cause, page.cause_id, page.reason, page.actor,
           page.at, {", ".join(f"page.{counter}" for counter in COUNTERS)},
           CASE WHEN transfer.id IS NOT NULL THEN 'transfer' WHEN shipment.id IS NOT NULL THEN 'inbound'
                WHEN counted.id IS NOT NULL THEN 'count' END AS document,
           coalesce(transfer.reference, shipment.reference, counted.reference) AS reference
    FROM level CROSS JOIN later
    LEFT JOIN page ON true
    LEFT JOIN transfer ON transfer.id = page.cause_id
    LEFT JOIN inbound_shipment AS shipment ON shipment.id = page.cause_id
    LEFT JOIN stock_count AS counted ON counted.id = page.cause_id
    ORDER BY page.seq DESC
    """  # noqa: S608 - constants
)


def history_of(
    session: Session,
    *,
    location_id: uuid.UUID,
    sku: str,
    as_of: datetime | None,
    before: int | None,
    running: Sequence[int],
    limit: int,
) -> list[Any]:
    """Up to `limit` movements of one level, newest first, from the one before number `before` on. One statement.

    Each row carries the level (``level_on_hand`` ...: as of `as_of`, without it now; of no meaning on later pages, which pass
    `before` and the transactions that were `running` at the first one) and what the movement changed (``on_hand`` ...). No row: there is no such level;
    one row with `seq` None: nothing (more) happened.
    """
    params = {"location_id": location_id, "sku": sku, "as_of": as_of, "before": before}
    return list(session.execute(_HISTORY, params | {"running": list(running), "limit": limit}))
