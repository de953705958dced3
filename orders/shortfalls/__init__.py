"""What was promised and is missing: noted on the order, and then found elsewhere, replaced, or paid back.

Stock tells the truth first (a failed pick, a count, damage: `inventory.shortage`); `note` brings an order into line with
it, however often it is called. A shortfall is settled once: everybody locks the order first, and who comes second finds
nothing open. Nothing is lost: what is short stays promised to the order, as short, until it is settled.
"""

from orders.shortfalls.noting import CAUSES, Lack, MoreThanToDo, note, report
from orders.shortfalls.parts import LineUnknown, illegal, keys, lock_part, move_on, told, view
from orders.shortfalls.settling import (
    REFUND,
    Chosen,
    NothingShort,
    add_part,
    call_off,
    choose,
    drop,
    give_back,
    keep_open,
    refund,
    settle,
)

__all__ = [
    "CAUSES",
    "REFUND",
    "Chosen",
    "Lack",
    "LineUnknown",
    "MoreThanToDo",
    "NothingShort",
    "add_part",
    "call_off",
    "choose",
    "drop",
    "give_back",
    "illegal",
    "keep_open",
    "keys",
    "lock_part",
    "move_on",
    "note",
    "refund",
    "report",
    "settle",
    "told",
    "view",
]
