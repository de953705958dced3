"""What may be asked about stock, and how its rows are found. Nothing here changes anything."""

from inventory.queries.buffers import BUFFER, most_specific
from inventory.queries.bundles import stock_use_of
from inventory.queries.counts import (
    COUNT_PREFIX,
    WHOLE_PLACE,
    CountLine,
    CountProgress,
    LockedCount,
    count_dict,
    count_lines,
    count_progress,
    list_counts,
    lock_count,
    lock_on_hand,
    variants_on_shelf,
)
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
    "COUNT_PREFIX",
    "ELSEWHERE_MOST",
    "EXPIRED",
    "PROMISES",
    "WHOLE_PLACE",
    "CountLine",
    "CountProgress",
    "Incoming",
    "LockedCount",
    "count_dict",
    "count_lines",
    "count_progress",
    "find_variants",
    "incoming",
    "is_recorded",
    "level_dict",
    "levels_at",
    "levels_for",
    "list_counts",
    "locations_named",
    "lock_count",
    "lock_level",
    "lock_on_hand",
    "most_specific",
    "movements_of",
    "places_for",
    "stock_use_of",
    "variants_named",
    "variants_on_shelf",
]
