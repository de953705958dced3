"""When goods that are not here yet can be promised for. Plain arithmetic; the database is asked by queries/supply.py.

What is on its way to a level is spoken for by whoever waits there already; a new promise stands behind all of them.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol


class Arrival(Protocol):
    """Units on their way: queries.Incoming is one. Without `due_at` nobody knows when."""

    @property
    def due_at(self) -> datetime | None: ...
    @property
    def quantity(self) -> int: ...


def covered_at(arrivals: Sequence[Arrival], *, units: int) -> datetime | None:
    """The moment by which `units` have come in; None when less is on its way, or nobody knows when it comes."""
    dated = sorted((one.due_at, one.quantity) for one in arrivals if one.due_at is not None)
    for due_at, quantity in dated:
        units -= quantity
        if units <= 0:
            return due_at
    return None


def promised_at(
    *,
    arrivals: Sequence[Arrival],
    ahead: int,
    quantity: int,
    lead_days: int | None,
    releases_at: datetime | None,
    now: datetime,
) -> datetime | None:
    """When a promise of `quantity` units (0: they are here) can be kept behind the `ahead` units that others wait for.

    The arrival that covers it, else `lead_days` from now, else nobody knows (None); never in the past, and never before
    `releases_at`. Units that are here and released are promised for now.
    """
    if quantity == 0:
        due_at: datetime | None = now
    else:
        due_at = covered_at(arrivals, units=ahead + quantity)
        if due_at is None and lead_days is not None:
            due_at = now + timedelta(days=lead_days)
    return None if due_at is None else max(due_at, now, releases_at or now)
