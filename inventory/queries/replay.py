"""What a replay of a shop's past asks: what is there, how far it came, and what came in and went out of each store."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session

_ON_HAND = text("SELECT variant_id, on_hand FROM stock_level WHERE location_id = :location_id")
_SERVED = text("SELECT DISTINCT owner_id FROM reservation WHERE owner_id = ANY(CAST(:owner_ids AS uuid[]))")
_STORES = text(
    """
    SELECT location.id AS location_id, location.code, coalesce(moved.received, 0) AS received, coalesce(moved.sold, 0) AS sold,
           coalesce(moved.net, 0) - coalesce(moved.received, 0) + coalesce(moved.sold, 0) AS other,
           coalesce(level.on_hand, 0) AS on_hand, coalesce(moved.movements, 0) AS movements
    FROM location
    LEFT JOIN (
        SELECT location_id, count(*) AS movements,
               sum(quantity) FILTER (WHERE from_bucket = 'outside' AND cause IN ('receive', 'inbound')) AS received,
               sum(quantity) FILTER (WHERE to_bucket = 'outside' AND cause = 'consume') AS sold,
               sum(CASE 'outside' WHEN from_bucket THEN quantity WHEN to_bucket THEN -quantity END) AS net
        FROM stock_movement WHERE location_id = ANY(CAST(:location_ids AS uuid[])) GROUP BY location_id
    ) AS moved ON moved.location_id = location.id
    LEFT JOIN (
        SELECT location_id, sum(on_hand) AS on_hand
        FROM stock_level WHERE location_id = ANY(CAST(:location_ids AS uuid[])) GROUP BY location_id
    ) AS level ON level.location_id = location.id
    WHERE location.id = ANY(CAST(:location_ids AS uuid[])) ORDER BY location.code
    """
)


@dataclass(frozen=True, slots=True)
class StoreBalance:
    """One location's units over all variants, as its movements tell: received from suppliers, sold (handed over), every
    other change of what is on hand; `on_hand` is what its levels say. And how many movements there are."""

    location_id: uuid.UUID
    code: str
    received: int
    sold: int
    other: int
    on_hand: int
    movements: int

    @property
    def difference(self) -> int:
        """What the levels have more than the movements explain: 0, or something is wrong."""
        return self.on_hand - (self.received - self.sold + self.other)


def on_hand_at(session: Session, *, location_id: uuid.UUID) -> dict[uuid.UUID, int]:
    """Units of every variant that has ever been at one location. One statement."""
    return {row.variant_id: row.on_hand for row in session.execute(_ON_HAND, {"location_id": location_id})}


def owners_served(session: Session, *, owner_ids: Sequence[uuid.UUID]) -> set[uuid.UUID]:
    """Those who have, or had, anything reserved. One statement."""
    return set(session.execute(_SERVED, {"owner_ids": list(owner_ids)}).scalars())


def store_balances(session: Session, *, location_ids: Sequence[uuid.UUID]) -> dict[str, StoreBalance]:
    """What came in and went out of each of these locations, by its code. One pass over the movements."""
    rows = session.execute(_STORES, {"location_ids": list(location_ids)})
    return {row.code: StoreBalance(*row) for row in rows}
