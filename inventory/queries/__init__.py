"""What may be asked about stock, and how its rows are found. Nothing here changes anything."""

from inventory.queries.buffers import BUFFER, most_specific
from inventory.queries.bundles import stock_use_of
from inventory.queries.finding import find_variants, variants_named
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
from inventory.queries.supply import Incoming, incoming

__all__ = [
    "BUCKETS",
    "BUFFER",
    "ELSEWHERE_MOST",
    "EXPIRED",
    "PROMISES",
    "Incoming",
    "find_variants",
    "incoming",
    "is_recorded",
    "level_dict",
    "levels_at",
    "levels_for",
    "locations_named",
    "lock_level",
    "most_specific",
    "movements_of",
    "places_for",
    "stock_use_of",
    "variants_named",
]
