"""The program of the replay, as data: so short that within nine months of invoices points run out, caps are reached, and
members rise and fall. A real shop's lots would last a year."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from loyalty import rules
from loyalty.earning.facts import AMOUNT, MULTIPLIER, ORDER, WHOLE_BP
from loyalty.tiers import program as tiers
from loyalty.tiers.standing import ROLLING, SPEND
from retail import imports
from retail.invoice_lines import CURRENCY, ZONE
from retail.kernel import db, outbox

ACTOR = outbox.SYSTEM
NAMESPACE = "online-retail"
CHANNEL = "web"
BATCH = 1_000

PER_MINOR = 100  # of what is paid with money: a penny's worth of points for a pound
LOT_DAYS = 90
WELCOME_POINTS, WELCOME_DAYS = 100, 45
LARGE_FROM_MINOR, LARGE_POINTS, LARGE_DAYS = 30_000, 25, 60
LARGE_MOST, LARGE_WITHIN_DAYS = 60, 30  # of one member
THURSDAY, THURSDAY_BP, THURSDAY_MOST = 4, 20_000, 300  # of one order
THURSDAY_PENDING_DAYS = 14
WINDOW_DAYS, GRACE_DAYS = 120, 14
TIERS: Mapping[str, tuple[int, int]] = {  # minor units spent, times the points of a purchase (basis points)
    "silver": (50_000, 11_000),
    "gold": (200_000, 12_500),
    "platinum": (1_000_000, 15_000),
}
TIER_LOT_DAYS = 365  # a tier's surplus comes with no rule's dates
WHOLE = WHOLE_BP

_RULE: Mapping[str, Any] = {
    "name_ja": None, "currency": None, "points": 0, "referrer_points": 0, "per_minor": 0, "factor_bp": 0, "skus": [],
    "categories": [], "channels": [], "locations": [], "weekdays": [], "tiers": [], "from_on": None, "to_on": None,
    "first_purchase": False, "birthday": None, "min_amount_minor": 0, "stack_group": None, "priority": 100,
    "cap_per_order": None, "cap_per_member": None, "cap_days": None, "pending_days": 0, "lot_days": None, "active": True,
}  # fmt: skip
RULES: tuple[Mapping[str, Any], ...] = (
    {
        "code": "base", "name": "Points on every purchase", "basis": AMOUNT, "currency": CURRENCY, "points": 1,
        "per_minor": PER_MINOR, "lot_days": LOT_DAYS,
    },
    {
        "code": "welcome", "name": "The first purchase", "basis": ORDER, "points": WELCOME_POINTS, "first_purchase": True,
        "lot_days": WELCOME_DAYS,
    },
    {
        "code": "large", "name": "Large orders", "basis": ORDER, "currency": CURRENCY, "points": LARGE_POINTS,
        "min_amount_minor": LARGE_FROM_MINOR, "cap_per_member": LARGE_MOST, "cap_days": LARGE_WITHIN_DAYS,
        "lot_days": LARGE_DAYS,
    },
    {
        "code": "thursday", "name": "Twice on Thursdays", "basis": MULTIPLIER, "factor_bp": THURSDAY_BP,
        "weekdays": [THURSDAY], "cap_per_order": THURSDAY_MOST, "pending_days": THURSDAY_PENDING_DAYS, "lot_days": LOT_DAYS,
    },
)  # fmt: skip


def make(*, now: datetime) -> None:
    """Make rules and tiers; they hold from `now` on."""
    with db.transaction() as session:
        for rule in RULES:
            rules.create(session, facts={**_RULE, **rule}, actor=ACTOR, now=now)
        facts = {
            "basis": SPEND, "currency": CURRENCY, "window": ROLLING, "window_days": WINDOW_DAYS, "zone": ZONE.key,
            "grace_days": GRACE_DAYS, "soft_landing": True,
        }  # fmt: skip
        tiers.put(session, facts=facts, version=0, actor=ACTOR, now=now)
        for rank, (code, (threshold, factor_bp)) in enumerate(TIERS.items(), start=1):
            _tier(session, code, rank * 10, threshold, factor_bp, now)


def _tier(session: Session, code: str, rank: int, threshold: int, factor_bp: int, now: datetime) -> None:
    facts = {
        "code": code, "name": code.title(), "name_ja": None, "rank": rank, "threshold": threshold,
        "multiplier_bp": factor_bp, "free_shipping": False, "active": True,
    }  # fmt: skip
    tiers.create_tier(session, facts=facts, actor=ACTOR, now=now)


def enroll(numbers: list[str], *, now: datetime) -> dict[str, UUID]:
    """A customer for each number in the file."""
    made: dict[str, UUID] = {}
    for first in range(0, len(numbers), BATCH):
        names = {number: f"Customer {number}" for number in numbers[first : first + BATCH]}
        with db.transaction() as session:
            made |= imports.ensure_customers(
                session, namespace=NAMESPACE, names=names, locale="en", actor=ACTOR, now=now
            )
    return made


def days(number: int) -> timedelta:
    """So many days."""
    return timedelta(days=number)
