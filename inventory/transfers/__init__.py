"""Goods between locations: draft -> ready -> in_transit -> partly_received -> received; cancelled from any but the last.

Ready: the units are allocated at the origin, in the same count as orders, so that nobody sells them. Shipped: they leave the
origin and are nowhere on hand; `transfer_line.outstanding` is on its way. From then on, per line and at every moment,
shipped = received + returned + shrunk + outstanding (a CHECK, and audit_documents.py holds it against the movements).

Everybody locks the transfer's row first. Of shipping twice at once, receiving twice, or cancelling what is being received,
one waits, and finds a state from which it cannot go on.
"""

from inventory.transfers.arriving import ChoiceNeeded, MoreThanOutstanding, PromisedToOrder, cancel, receive
from inventory.transfers.drafting import SamePlace, Wanted, draft, edit
from inventory.transfers.promised import send, take_in
from inventory.transfers.reading import browse, view
from inventory.transfers.shipping import (
    MoreThanRequested,
    NothingToShip,
    NotOnTransfer,
    Shortfall,
    make_ready,
    ship,
)
from inventory.transfers.steps import CAUSE, RETURN, SHRINK, STATES, NoSuchTransfer

__all__ = [
    "CAUSE",
    "RETURN",
    "SHRINK",
    "STATES",
    "ChoiceNeeded",
    "MoreThanOutstanding",
    "MoreThanRequested",
    "NoSuchTransfer",
    "NotOnTransfer",
    "NothingToShip",
    "PromisedToOrder",
    "SamePlace",
    "Shortfall",
    "Wanted",
    "browse",
    "cancel",
    "draft",
    "edit",
    "make_ready",
    "receive",
    "send",
    "ship",
    "take_in",
    "view",
]
