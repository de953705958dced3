"""What comes in and goes out by hand: receive, put back, adjust, set aside, limits. With inventory.reservations (and what
serves both: filling, shortage) the only writer of levels.

Every change writes the level and its movements in one statement; a movement's idempotency key makes it happen once. What
becomes free goes to those who wait for it, in the same transaction.
"""

from inventory.stock.adjusting import ADJUSTMENT_REASONS, FACTS, WrongDirection, adjust
from inventory.stock.limits import set_limits
from inventory.stock.picking import pick_failed
from inventory.stock.places import (
    BundleHasNoStock,
    NoSuchLevel,
    UnknownLocation,
    level,
    level_of,
    locate,
    refuse_customers,
    variants,
)
from inventory.stock.rebuilding import NotRepairable, rebuild
from inventory.stock.receiving import (
    AVAILABLE,
    UNAVAILABLE,
    AlreadyRecorded,
    TooManyUnits,
    arrived,
    open_levels,
    put_back,
    receive,
)
from inventory.stock.setting_aside import (
    SET_ASIDE_REASONS,
    NotSetAside,
    SetAsideReasonInvalid,
    restore,
    set_aside,
    write_off,
)
from inventory.stock.sold import Gone, take_sold
from inventory.stock.taking import BelowPromised, take_out

__all__ = [
    "ADJUSTMENT_REASONS",
    "AVAILABLE",
    "FACTS",
    "SET_ASIDE_REASONS",
    "UNAVAILABLE",
    "AlreadyRecorded",
    "BelowPromised",
    "BundleHasNoStock",
    "Gone",
    "NoSuchLevel",
    "NotRepairable",
    "NotSetAside",
    "SetAsideReasonInvalid",
    "TooManyUnits",
    "UnknownLocation",
    "WrongDirection",
    "adjust",
    "arrived",
    "level",
    "level_of",
    "locate",
    "open_levels",
    "pick_failed",
    "put_back",
    "rebuild",
    "receive",
    "refuse_customers",
    "restore",
    "set_aside",
    "set_limits",
    "take_out",
    "take_sold",
    "variants",
    "write_off",
]
