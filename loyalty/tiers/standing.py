"""Which tier a member is in, by what she bought and when: pure, no database.

What she earned counts until it leaves the window; what an order gave back is taken off that order alone, so that a return
never weighs longer than its purchase.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from loyalty.queries.tiers import MemberFacts

SPEND, POINTS = "spend", "points"
ROLLING, CALENDAR = "rolling", "calendar"
_TICK = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Tier:
    """What it asks for and gives (loyalty.models.Tier)."""

    code: str
    name: str
    name_ja: str | None
    rank: int
    threshold: int
    multiplier_bp: int
    free_shipping: bool
    active: bool
    version: int


@dataclass(frozen=True, slots=True)
class Program:
    """How tiers are computed (loyalty.models.TierProgram), and all of them by rank, those switched off too."""

    basis: str
    currency: str
    window: str
    window_days: int
    zone: str
    grace_days: int
    soft_landing: bool
    version: int
    tiers: tuple[Tier, ...]
    walk_after: UUID | None = None

    @property
    def active(self) -> list[Tier]:
        """Those that can be reached, lowest first."""
        return [tier for tier in self.tiers if tier.active]

    @property
    def grace(self) -> timedelta:
        """How long a tier is kept below its threshold."""
        return timedelta(days=self.grace_days)

    def tier(self, code: str | None) -> Tier | None:
        """The tier of this code; None for none."""
        return next((tier for tier in self.tiers if tier.code == code), None)

    def rank(self, code: str | None) -> int:
        """Higher is better; 0 for no tier."""
        tier = self.tier(code)
        return 0 if tier is None else tier.rank

    def reached(self, figure: int) -> Tier | None:
        """The best tier that `figure` suffices for."""
        return max((tier for tier in self.active if tier.threshold <= figure), key=lambda tier: tier.rank, default=None)

    def counts_after(self, now: datetime) -> datetime:
        """What was earned after this moment counts at `now`."""
        if self.window == ROLLING:
            return now - timedelta(days=self.window_days)
        return _new_year(now.astimezone(ZoneInfo(self.zone)).year - 1, self.zone) - _TICK

    def leaves_at(self, at: datetime) -> datetime:
        """From which moment on what was earned at `at` counts no more."""
        if self.window == ROLLING:
            return at + timedelta(days=self.window_days)
        return _new_year(at.astimezone(ZoneInfo(self.zone)).year + 2, self.zone)


def _new_year(year: int, zone: str) -> datetime:
    return datetime(year, 1, 1, tzinfo=ZoneInfo(zone)).astimezone(UTC)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a member stands (loyalty.models.MemberTier); all None: in no tier."""

    tier_code: str | None = None
    since: datetime | None = None
    below_since: datetime | None = None
    due_at: datetime | None = None


def held(member: MemberFacts) -> Standing:
    """As it is stored."""
    return Standing(member.tier_code, member.since, member.below_since, member.due_at)


def decide(program: Program, *, member: MemberFacts, before: Standing, now: datetime) -> Standing:
    """Where a member stands at `now` who stood at `before`: up at once; down only when her grace is over.

    A tier that was switched off is reached by nobody: who is in it is below it. With a soft landing she falls by one tier
    and has a new grace there; without days of grace that would be no landing, and she falls to what she has reached.
    """
    now_in, reached = program.tier(before.tier_code), program.reached(member.figure)
    if reached is not None and (now_in is None or reached.rank >= now_in.rank):
        since = before.since if reached == now_in else now
        return Standing(reached.code, since, None, _leaves(program, member))
    if now_in is None:
        return Standing()
    below_since = before.below_since or now
    if now < below_since + program.grace:
        return Standing(now_in.code, before.since, below_since, below_since + program.grace)
    next_lower = max(
        (tier for tier in program.active if tier.rank < now_in.rank), key=lambda tier: tier.rank, default=None
    )
    lands = next_lower if program.soft_landing and program.grace_days else reached
    if lands is None:
        return Standing()
    if lands == reached:
        return Standing(lands.code, now, None, _leaves(program, member))
    return Standing(lands.code, now, now, now + program.grace)


def keeps_until(program: Program, standing: Standing) -> datetime | None:
    """Until when she is in her tier if she earns nothing more; None in none."""
    if standing.due_at is None or standing.below_since is not None:
        return standing.due_at
    return standing.due_at + program.grace


def explained(program: Program, *, now: datetime) -> Mapping[str, Any]:
    """The window and the thresholds that a figure was held against, as `tier_change.detail` keeps them."""
    return {
        "basis": program.basis,
        "window": program.window,
        "counts_after": program.counts_after(now).isoformat(),
        "thresholds": {tier.code: tier.threshold for tier in program.active},
    }


def _leaves(program: Program, member: MemberFacts) -> datetime | None:
    return None if member.falls_with is None else program.leaves_at(member.falls_with)
