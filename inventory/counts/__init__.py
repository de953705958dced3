"""Cycle counts: somebody says what is on the shelf, a difference is looked at again, and what is left of it is booked.

A line goes open -> applied when it was found as the books say; else open -> recount, and the second figure counts:
-> applied when the difference is small, -> approval when it is not, and then -> applied, or back to recount. What is booked is
the DIFFERENCE between a figure and the books in the moment of that figure, never the figure itself: what was sold since stays sold.

Everybody who changes a count locks its row first, then the levels of its lines, sorted; so two entries for one line are one
after the other, and an entry reads on_hand while nobody can sell.
"""

from inventory.counts.deciding import NotWaiting, Overtaken, OwnCount, Unsettled, cancel, complete, decide
from inventory.counts.entering import (
    DuplicateLine,
    Entry,
    LineSettled,
    NothingToCount,
    NotOnList,
    ScopeInvalid,
    TooManyLines,
    begin,
    enter,
)
from inventory.counts.progress import CountClosed, NoSuchCount
from inventory.counts.reading import browse, view

__all__ = [
    "CountClosed",
    "DuplicateLine",
    "Entry",
    "LineSettled",
    "NoSuchCount",
    "NotOnList",
    "NotWaiting",
    "NothingToCount",
    "Overtaken",
    "OwnCount",
    "ScopeInvalid",
    "TooManyLines",
    "Unsettled",
    "begin",
    "browse",
    "cancel",
    "complete",
    "decide",
    "enter",
    "view",
]
