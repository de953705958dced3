"""Changing an order that is placed and not begun: its goods, where it goes, who is told, how it is paid.

Each change locks the order, is refused with the reason or done whole, and leaves a row of `order_change` with what was
before and after, and an event. What a shop allows is data (`order_policies`); what can be done at all is here:
nothing that anybody has begun to pick, nothing of a cancelled or imported order.
"""

from orders.changing.address import change_address, change_contact
from orders.changing.goods import change_goods
from orders.changing.method import change_method
from orders.changing.reading import browse
from orders.changing.rewriting import Addition, LineChange
from orders.changing.rules import NotAllowed, NotChangeable, NothingChanges

__all__ = [
    "Addition",
    "LineChange",
    "NotAllowed",
    "NotChangeable",
    "NothingChanges",
    "browse",
    "change_address",
    "change_contact",
    "change_goods",
    "change_method",
]
