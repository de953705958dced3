"""What may be asked about stock, and how its rows are found. Nothing here changes anything."""

from inventory.queries.levels import (
    BUCKETS,
    ELSEWHERE_MOST,
    EXPIRED,
    PROMISES,
    is_recorded,
    level_dict,
    levels_at,
    levels_for,
    locations_named,
    lock_level,
    movements_of,
    places_for,
)

__all__ = [
    "BUCKETS",
    "ELSEWHERE_MOST",
    "EXPIRED",
    "PROMISES",
    "is_recorded",
    "level_dict",
    "levels_at",
    "levels_for",
    "locations_named",
    "lock_level",
    "movements_of",
    "places_for",
]
