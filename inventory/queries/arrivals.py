"""What has to be known where goods come in: can they be in stock at all, and does somebody wait for them."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory.queries.promises import split_keys
from retail.kernel.hot import Hot

_GOODS = text(
    """
    SELECT sku, id, EXISTS (SELECT FROM bundle_component WHERE bundle_id = variant.id) AS is_bundle
    FROM variant WHERE sku = ANY(CAST(:skus AS text[]))
    """
)
# A statement of its own, after the one that locked the levels: who began to wait, or became a bundle, before we had the
# lock is seen here, and nobody can begin while we have it.
_ARRIVALS = Hot(
    """
    SELECT variant_id, location_id, waited_for, is_bundle
    FROM (SELECT key.*,
                 EXISTS (SELECT FROM reservation
                         WHERE variant_id = key.variant_id AND location_id = key.location_id
                           AND (state = 'short' OR backordered > 0)) AS waited_for,
                 EXISTS (SELECT FROM bundle_component WHERE bundle_id = key.variant_id) AS is_bundle
          FROM unnest((SELECT CAST(:variants AS uuid[])), (SELECT CAST(:locations AS uuid[]))) AS key (variant_id, location_id)
         ) AS arrival
    WHERE waited_for OR is_bundle
    """
)


@dataclass(frozen=True, slots=True)
class Arrival:
    """A level where goods came in. `waited_for`: somebody's units are short or backordered there."""

    variant_id: uuid.UUID
    location_id: uuid.UUID
    waited_for: bool
    is_bundle: bool


def goods_by_sku(session: Session, *, skus: Sequence[str]) -> dict[str, tuple[uuid.UUID, bool]]:
    """``{sku: (variant_id, is_bundle)}``; unknown SKUs are missing. One statement."""
    return {row.sku: (row.id, row.is_bundle) for row in session.execute(_GOODS, {"skus": list(skus)})}


def arrivals_of_note(session: Session, *, keys: Sequence[tuple[uuid.UUID, uuid.UUID]]) -> list[Arrival]:
    """The levels among `keys` (variant, location) where somebody waits, or whose variant is a bundle. One statement."""
    return [Arrival(*row) for row in _ARRIVALS.run(session, split_keys(keys))]
