"""Members' points as they must be, in plain Python: lots, holds, debts, and records that are merged and taken apart."""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID


@dataclass(eq=False)
class Lot:
    """Points of one date. `by_right`: whose they are once no merge is left."""

    id: UUID
    owner: UUID
    by_right: UUID
    order_id: UUID | None
    available_from: datetime
    expires_at: datetime
    remaining: int

    @property
    def place(self) -> tuple[datetime, UUID]:
        return self.expires_at, self.id

    def counts(self, now: datetime) -> bool:
        return self.remaining > 0 and self.available_from <= now < self.expires_at


@dataclass(eq=False)
class Hold:
    """Points of an order, in the account it was made in, with what each lot gave, oldest expiry first."""

    account: UUID
    points: int
    slices: list[tuple[Lot, int]]
    state: str = "open"
    refunded: int = 0


@dataclass(eq=False)
class Merge:
    """One merge that stands. `debt`: what the merged ones owe of what the survivor owes."""

    id: UUID
    gone: UUID
    stays: UUID
    also: list[UUID]
    at: datetime
    debt: int


@dataclass
class Order:
    """What an order earned, through whom, and what of it went back."""

    through: UUID
    earned: int = 0
    clawed: int = 0
    share: int = 0


@dataclass
class Books:
    """Everybody's points."""

    people: list[UUID]
    lots: list[Lot] = field(default_factory=list)
    holds: dict[UUID, Hold] = field(default_factory=dict)
    orders: dict[UUID, Order] = field(default_factory=dict)
    into: dict[UUID, UUID] = field(default_factory=dict)
    merges: list[Merge] = field(default_factory=list)
    owed: dict[UUID, int] = field(default_factory=dict)
    blocked: set[UUID] = field(default_factory=set)

    def account(self, who: UUID) -> UUID:
        return self.into.get(who, who)

    def alive(self) -> list[UUID]:
        return [who for who in self.people if who not in self.into]

    def spendable(self, account: UUID, now: datetime) -> list[Lot]:
        return sorted((lot for lot in self.lots if lot.owner == account and lot.counts(now)), key=lambda lot: lot.place)

    def available(self, account: UUID, now: datetime) -> int:
        return sum(lot.remaining for lot in self.spendable(account, now))

    def pending(self, account: UUID, now: datetime) -> int:
        return sum(lot.remaining for lot in self.lots if lot.owner == account and lot.available_from > now)

    def held(self, account: UUID) -> int:
        return sum(hold.points for hold in self.holds.values() if hold.account == account and hold.state == "open")

    def net(self, who: UUID, points: int) -> int:
        """Pay what is owed with what is earned; how much of it went there."""
        account = self.account(who)
        netted = min(self.owed.get(account, 0), points)
        self.owe(who, -netted)
        return netted

    def owe(self, who: UUID, points: int) -> None:
        """More or less is owed because of `who`: every merge that `who` came by remembers."""
        account = self.account(who)
        self.owed[account] = self.owed.get(account, 0) + points
        for merge in self.merges:
            if who in (merge.gone, *merge.also):
                merge.debt += points

    def claw_back(self, order_id: UUID, share: int, now: datetime) -> int:
        """Sevenths of what it earned go back in all: from its own lots, then the first to expire; the rest is owed."""
        order = self.orders[order_id]
        order.share = share
        due = order.earned * share // 7 - order.clawed
        order.clawed += due
        account = self.account(order.through)
        lots = [lot for lot in self.lots if lot.owner == account and lot.remaining and lot.expires_at > now]
        lots.sort(key=lambda lot: (lot.order_id != order_id, lot.place))
        taken = sum(part for _, part in take(lots, due))
        if due > taken:
            self.owe(order.through, due - taken)
        return due

    def give_back(self, hold: Hold, points: int) -> None:
        """One point after the other, the oldest first, from where the last refund stopped."""
        line = [lot for lot, part in hold.slices for _ in range(part)]
        for lot in line[hold.refunded : hold.refunded + points]:
            lot.remaining += 1
        hold.refunded += points

    def merge(self, merge_id: UUID, gone: UUID, stays: UUID, now: datetime) -> Merge:
        also = [who for who in self.people if self.into.get(who) == gone]
        made = Merge(merge_id, gone, stays, also, now, self.owed.get(gone, 0))
        self.merges.append(made)
        for who in (gone, *also):
            self.into[who] = stays
        self._move(gone, stays, made.debt, {lot.by_right for lot in self.lots})
        return made

    def unmerge(self, made: Merge) -> None:
        self.merges.remove(made)
        del self.into[made.gone]
        for who in made.also:
            self.into[who] = made.gone
        debt = max(0, min(made.debt, self.owed.get(made.stays, 0)))
        self._move(made.stays, made.gone, debt, {made.gone, *made.also})

    def _move(self, giver: UUID, receiver: UUID, debt: int, rights: set[UUID]) -> None:
        self.owed[giver] = self.owed.get(giver, 0) - debt
        self.owed[receiver] = self.owed.get(receiver, 0) + debt
        for lot in self.lots:
            if lot.owner == giver and lot.by_right in rights:
                lot.owner = receiver


def take(lots: list[Lot], points: int) -> list[tuple[Lot, int]]:
    """Empty `lots` in order until `points` are taken; what was taken from which."""
    slices = []
    for lot in lots:
        part = min(lot.remaining, points)
        if part:
            lot.remaining -= part
            points -= part
            slices.append((lot, part))
    return slices
