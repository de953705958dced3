"""A plain count of everybody's points beside the ledger: dictionaries and lists, knowing nothing of how the shop does it.

It is told what happens (who bought what, what came back, that a day has ended), works out for itself what that does to the
member's points, lots and tier by the program's figures, and the books must say the same.
"""

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from loyalty.replay import program
from loyalty.replay.program import TIERS, days

RANK = {code: rank for rank, code in enumerate(TIERS, start=1)}
BY_RANK = dict(zip(RANK.values(), RANK, strict=True))


@dataclass(slots=True)
class Lot:
    """Points of one order with one pair of dates."""

    order: str
    left: int
    begins: datetime
    ends: datetime


@dataclass(slots=True)
class Order:
    """What one invoice did to its member's points. `taken`: the lots it put points aside from; `back`: refunded of these."""

    earned: int = 0
    earned_at: datetime | None = None
    spend: int = 0
    clawed: int = 0
    clawed_spend: int = 0
    taken: list[tuple[Lot, int]] = field(default_factory=list)
    back: int = 0


@dataclass(slots=True)
class Member:
    """One member. `tiers`: since when she is in which (None: none), the latest last; `large`: what a capped rule gave, when."""

    lots: list[Lot] = field(default_factory=list)
    orders: dict[str, Order] = field(default_factory=dict)
    earned: int = 0
    burned: int = 0
    refunded: int = 0
    clawed: int = 0
    expired: int = 0
    held: int = 0
    owed: int = 0
    tier: str | None = None
    below_since: datetime | None = None
    tiers: list[tuple[datetime, str | None]] = field(default_factory=list)
    large: list[tuple[datetime, int]] = field(default_factory=list)

    @property
    def points(self) -> int:
        """What her lots hold, run out or not."""
        return sum(lot.left for lot in self.lots)

    def spendable(self, now: datetime) -> int:
        """What she can pay with."""
        return sum(lot.left for lot in self.lots if lot.begins <= now < lot.ends)

    def order(self, number: str) -> Order:
        """Her order of this number."""
        return self.orders.setdefault(number, Order())

    def tier_at(self, at: datetime) -> str | None:
        """In which tier she was."""
        return next((tier for since, tier in reversed(self.tiers) if since <= at), None)


class Count:
    """Everybody."""

    def __init__(self) -> None:
        self.members: dict[str, Member] = {}
        self.rises = self.falls = 0

    def member(self, customer: str) -> Member:
        """The member of this number."""
        return self.members.setdefault(customer, Member())

    def hold(self, customer: str, number: str, points: int, now: datetime) -> None:
        """Points are put aside, of the lots that run out first."""
        member = self.member(customer)
        order, rest = member.order(number), points
        for lot in sorted((lot for lot in member.lots if lot.begins <= now < lot.ends), key=lambda lot: lot.ends):
            part = min(rest, lot.left)
            if part:
                lot.left -= part
                order.taken.append((lot, part))
                rest -= part
        member.held += points

    def burn(self, customer: str, number: str) -> None:
        """They are spent."""
        member = self.member(customer)
        points = sum(part for _, part in member.order(number).taken)
        member.held -= points
        member.burned += points

    def release(self, customer: str, number: str) -> None:
        """They come back to their lots."""
        member = self.member(customer)
        order = member.order(number)
        for lot, part in order.taken:
            lot.left += part
            member.held -= part
        order.taken = []

    def earn(
        self, customer: str, number: str, *, paid_minor: int, placed_at: datetime, day: date, now: datetime
    ) -> int:
        """Goods of which `paid_minor` is paid with money are hers; returns what they earn."""
        member = self.member(customer)
        grants = self._earned(member, paid_minor, placed_at, day, now)
        points = sum(part for part, _, _ in grants)
        if paid_minor > 0:  # counts towards her tier, also when it is too little for a point
            order = member.order(number)
            order.earned, order.earned_at, order.spend = points, now, paid_minor
            member.earned += points
            for part, begins, ends in sorted(grants, key=lambda grant: grant[1:]):
                netted = min(member.owed, part)
                member.owed -= netted
                member.lots.append(Lot(number, part - netted, begins, ends))
            self._stand(member, now)
        return points

    def _earned(
        self, member: Member, paid_minor: int, placed_at: datetime, day: date, now: datetime
    ) -> list[tuple[int, datetime, datetime]]:
        """(points, from, until)"""
        if paid_minor <= 0:
            return []
        base = paid_minor // program.PER_MINOR
        first = not any(order.earned for order in member.orders.values())
        large = 0
        if paid_minor >= program.LARGE_FROM_MINOR:
            since = now - days(program.LARGE_WITHIN_DAYS)
            given = sum(points for at, points in member.large if at > since)
            large = max(0, min(program.LARGE_POINTS, program.LARGE_MOST - given))
            member.large.append((now, large))
        thursday = 0
        if day.isoweekday() == program.THURSDAY:
            thursday = min(base * (program.THURSDAY_BP - program.WHOLE) // program.WHOLE, program.THURSDAY_MOST)
        tier = member.tier_at(placed_at)
        better = base * (TIERS[tier][1] - program.WHOLE) // program.WHOLE if tier else 0
        later = now + days(program.THURSDAY_PENDING_DAYS)
        parts = [
            (base, now, now + days(program.LOT_DAYS)),
            (program.WELCOME_POINTS if first else 0, now, now + days(program.WELCOME_DAYS)),
            (large, now, now + days(program.LARGE_DAYS)),
            (thursday, later, later + days(program.LOT_DAYS)),
            (better, now, now + days(program.TIER_LOT_DAYS)),
        ]
        return [part for part in parts if part[0]]

    def give_back(self, customer: str, number: str, returned: int, whole: int, now: datetime) -> tuple[int, int]:
        """`returned` of an order of `whole` has come back by now, in all; returns (points refunded, points clawed back)."""
        member = self.member(customer)
        order = member.order(number)
        spent = sum(part for _, part in order.taken)
        refunded = self._refund(member, order, spent * returned // whole - order.back) if spent else 0
        due = max(0, order.earned * returned // whole - order.clawed)
        order.clawed += due
        order.clawed_spend = order.spend * returned // whole  # also where it is worth no point
        member.clawed += due
        self._take(member, number, due, now)
        self._stand(member, now)
        return refunded, due

    def _refund(self, member: Member, order: Order, points: int) -> int:
        """Back to the lots they came from, those that run out first; what went back before is passed over."""
        passed, rest = order.back, points
        for lot, part in sorted(order.taken, key=lambda taken: taken[0].ends):
            over = min(passed, part)
            passed -= over
            put = min(rest, part - over)
            lot.left += put
            rest -= put
        order.back += points
        member.refunded += points
        return points

    def _take(self, member: Member, number: str, points: int, now: datetime) -> None:
        """Of the order's own lots, then of those that run out first; the rest is owed."""
        lots = [lot for lot in member.lots if lot.left and lot.ends > now]
        for lot in sorted(lots, key=lambda lot: (lot.order != number, lot.ends)):
            part = min(points, lot.left)
            lot.left -= part
            points -= part
        member.owed += points

    def end_day(self, now: datetime) -> None:
        """What has run out is gone, and time changes tiers."""
        for member in self.members.values():
            for lot in member.lots:
                if lot.left and lot.ends <= now:
                    member.expired += lot.left
                    lot.left = 0
            if member.tier:
                self._stand(member, now)

    def _stand(self, member: Member, now: datetime) -> None:
        """In which tier she is: up at once; after the days of grace below it down by one."""
        since = now - days(program.WINDOW_DAYS)
        spent = sum(
            max(0, order.spend - order.clawed_spend)
            for order in member.orders.values()
            if order.earned_at is not None and order.earned_at > since
        )
        reached = sum(threshold <= spent for threshold, _ in TIERS.values())
        rank = RANK[member.tier] if member.tier else 0
        if reached >= rank:
            lands, member.below_since = reached, None
        else:
            member.below_since = member.below_since or now
            over = now >= member.below_since + timedelta(days=program.GRACE_DAYS)
            lands = rank - 1 if over else rank
            if over:
                member.below_since = None if lands == reached else now
        if lands != rank:
            self.rises += lands > rank
            self.falls += lands < rank
            member.tier = BY_RANK.get(lands)
            member.tiers.append((now, member.tier))
