"""Promises of stock: hold -> allocate -> consume | release | expire. With stock.py the only writer of levels and movements.

Why nothing is ever oversold (READ COMMITTED is enough):

* Each change is one statement. It first locks the level rows it concerns, sorted by (variant_id, location_id), then the
  reservation rows. Everybody locks in this order, so nobody can deadlock.
* `SELECT ... FOR UPDATE` answers the newest version of a row it had to wait for, so the guard compares the numbers that
  the statement will change. A plain subquery would still see the statement's snapshot, which may be older than the lock:
  therefore the guard reads the level's counters alone and never a sum over reservation rows.
* An UPDATE that meets a row changed since its snapshot first makes the new row from the OLD version, and checks the
  constraints on that, before it looks at the newest version. So every counter is set from the locked row: built on the
  old one, an order for units that have just come in would be refused by a CHECK.
* Reservation rows are re-read under their own lock (`state` is checked again), after the levels.
* Rows that were added while a statement waited for a level are not in its snapshot: a promise that was split or moved
  meanwhile would be settled in part. Every change of a reservation raises its level's `version`; a statement that must
  see all rows of an owner compares the version it locked with the one of its snapshot, does nothing if they differ, and
  is run again under the locks it now has.
* The CHECK constraints of `stock_level` stand behind the guard.

The counter `held` includes expired holds that no sweep has met. They are not subtracted in the guard (that would be the
stale sum): when a demand is short, the expired holds of its keys are settled and the statement runs once more.

Whoever waits goes first: every change here that makes units free gives them to those who wait for them (filling.py) in
the same transaction. So units that are free to a newcomer are units nobody waits for.
"""

from inventory.reservations.arriving import Traveled, hand_on, promise_arrived
from inventory.reservations.demands import (
    Demand,
    Key,
    NotAllocated,
    NotOnHand,
    NotReleased,
    OutOfStock,
    Promise,
)
from inventory.reservations.moving import move
from inventory.reservations.settling import consume, expire_at, expire_due, release
from inventory.reservations.taking import allocate, hold

__all__ = [
    "Demand",
    "Key",
    "NotAllocated",
    "NotOnHand",
    "NotReleased",
    "OutOfStock",
    "Promise",
    "Traveled",
    "allocate",
    "consume",
    "expire_at",
    "expire_due",
    "hand_on",
    "hold",
    "move",
    "promise_arrived",
    "release",
]
