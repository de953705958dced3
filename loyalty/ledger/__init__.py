"""The points ledger: the only writer of points. Hold -> burn | release | expire, and earn, refund, claw back, expire.

Double entry. Each transaction moves points between ledger accounts; its signed entries sum to zero (a trigger of the
database refuses any other). `+` puts points into an account, `-` takes them out; `member` entries name their lot:

    kind       entries                                                      when
    earn       issued -p    member +(p - n)    owed +n                      goods handed over; n nets what is owed
    hold       held +p      member -s per slice                             an order is placed
    burn       held -p      burned +p                                       its goods are handed over
    release    held -p      member +s per slice                             it is cancelled or expires
    refund     burned -a    member +s per slice                             it is refunded after the handover
    claw_back  issued +c    member -m per lot    owed -(c - sum of m)       what it earned goes back with the goods
    expire     expired +e   member -r per lot                               a lot's time has passed

So a customer's balances are sums: available = member, held = held, owed = -owed. `points_account` caches them under a
lock, `points_lot.remaining` is the part of `member` in one lot, and `loyalty.audit` compares all of it.

Time. A lot counts while `available_from <= now < expires_at`, decided where it is read, to the moment. The nightly job
only books what has passed. Points given back to a lot that ran out meanwhile go back to that lot with its dates, count
for nothing, and are expired by the job; a hold whose every lot ran out ends as `expired` instead of `released`.

Once. `points_transaction.key` is unique: repeating a door with its key changes nothing and answers what the first call
answered. A key used for something else is refused (`KeyReused`).

Concurrency (READ COMMITTED). Everybody who changes a customer's lots locks and updates her `points_account` row first,
so that row's version tells whether lots have changed. A statement that had to wait for the row would still see the lots
as they were when it started; it therefore compares the version it sees with the version it locked, does nothing when
they differ, and is run again, now holding the lock, with fresh eyes. One statement as a rule, two after a wait.
Locks are taken hold -> account -> lots; take stock locks before calling in here.
"""

from loyalty.ledger.books import KeyReused
from loyalty.ledger.earned import claw_back, earn
from loyalty.ledger.expiring import expire_due
from loyalty.ledger.holds import HoldExists, InsufficientPoints, burn, hold, refund, release
from loyalty.ledger.sold import Sold, settle_sold

__all__ = [
    "HoldExists",
    "InsufficientPoints",
    "KeyReused",
    "Sold",
    "burn",
    "claw_back",
    "earn",
    "expire_due",
    "hold",
    "refund",
    "release",
    "settle_sold",
]
