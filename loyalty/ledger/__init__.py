"""The points ledger: the only writer of points. Hold -> burn | release | expire, and earn, refund, claw back, expire.

Double entry. Each transaction moves points between ledger accounts; its signed entries sum to zero (a trigger of the
database refuses any other). `+` puts points into an account, `-` takes them out; `member` entries name their lot:

    kind       entries                                                      when
    earn       issued -p    member +(p - n) per lot    owed +n              goods handed over; n nets what is owed
    goodwill   goodwill -p  member +p                                       an agent gives them
    hold       held +p      member -s per slice                             an order is placed
    burn       held -p      burned +p                                       its goods are handed over
    release    held -p      member +s per slice                             it is cancelled or expires
    refund     burned -a    member +s per slice                             it is refunded after the handover
    claw_back  issued +c    member -m per lot    owed -(c - sum of m)       what it earned goes back with the goods
               issued +e    member -r    owed -(e - r)                  what gave a reward did not last: its lot, before it counts
    expire     expired +e   member -r per lot                               a lot's time has passed
    transfer   transferred +p  member -s per lot  | transferred -p  member +s per new lot       she gives them to another
    merge      merged +(r - o)  member -r per lot  owed +o  | the same with the other sign      two records are one person
    unmerge    as merge, the other way                                      they are two after all

What counts towards a tier though it is worth no point (`spend_minor`) is an `earn` or `claw_back` without entries.
A transfer and a merge are two transactions, one in each member's history, which sum to zero each.

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
Locks are taken hold -> accounts of merged records by id -> other accounts by id -> lots; take stock locks before calling in
here. What goes through a merged record locks its account too, so that undoing the merge cannot pass it halfway.

Members. Whoever names a customer who was merged means who she was merged into (`members`). A hold stays with the account it
was made in; what comes back from it goes to the slices' lots, whoever owns these by then.
"""

from loyalty.ledger.books import KeyReused
from loyalty.ledger.expiring import Swept, expire_all, expire_due
from loyalty.ledger.giving import GivenToHerself, transfer
from loyalty.ledger.granting import Grant, Reason, TooManyPoints, earn, give
from loyalty.ledger.holds import HoldExists, InsufficientPoints, burn, hold, refund, release, spend
from loyalty.ledger.members import AccountBlocked, Member, lock_member, lock_members
from loyalty.ledger.merging import merge, unmerge
from loyalty.ledger.returning import claw_back
from loyalty.ledger.sold import Sold, settle_sold
from loyalty.ledger.withdrawing import withdraw

__all__ = [
    "AccountBlocked",
    "GivenToHerself",
    "Grant",
    "HoldExists",
    "InsufficientPoints",
    "KeyReused",
    "Member",
    "Reason",
    "Sold",
    "Swept",
    "TooManyPoints",
    "burn",
    "claw_back",
    "earn",
    "expire_all",
    "expire_due",
    "give",
    "hold",
    "lock_member",
    "lock_members",
    "merge",
    "refund",
    "release",
    "settle_sold",
    "spend",
    "transfer",
    "unmerge",
    "withdraw",
]
