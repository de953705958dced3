"""Goods that come back, at any location and from any channel: asked for, decided, taken in, inspected, paid back or swapped.

requested -> approved -> received -> refunded | exchanged, with the exits rejected and cancelled. Every step locks the order
first, so that of two returns of one unit exactly one is accepted. What inspection finds decides where the goods go and what
is paid; stock, money, points and the return's state change in one transaction. A card's share follows by
`cancellation.settle` once that is over.
"""

from orders.returning.asking import ask
from orders.returning.deciding import approve, cancel, reject
from orders.returning.exchanging import ExchangeRefused, Wanted
from orders.returning.finding import browse, returnability, show
from orders.returning.rules import REFERENCE_PREFIX, DestinationNotAllowed, NotReturnable, ReturnMoved
from orders.returning.taking_in import NotCounted, inspect, receive

__all__ = [
    "REFERENCE_PREFIX",
    "DestinationNotAllowed",
    "ExchangeRefused",
    "NotCounted",
    "NotReturnable",
    "ReturnMoved",
    "Wanted",
    "approve",
    "ask",
    "browse",
    "cancel",
    "inspect",
    "receive",
    "reject",
    "returnability",
    "show",
]
