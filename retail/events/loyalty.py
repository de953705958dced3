"""Facts about points, tiers and members."""

import uuid
from dataclasses import dataclass
from typing import ClassVar

from retail.kernel.outbox import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class PointsEarned(Event):
    """Points were credited for an order."""

    aggregate: ClassVar[str] = "order_id"
    customer_id: uuid.UUID
    order_id: uuid.UUID | None
    points: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PointsClawedBack(Event):
    """What an order had earned went back with its goods; `owed` of it was not there any more."""

    aggregate: ClassVar[str] = "order_id"
    customer_id: uuid.UUID
    order_id: uuid.UUID
    points: int
    owed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SpendCounted(Event):
    """What counts towards a member's tier changed without any points: `spend_minor` was bought or, below zero, came back."""

    aggregate: ClassVar[str] = "order_id"
    customer_id: uuid.UUID
    order_id: uuid.UUID
    spend_minor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PointsExpiring(Event):
    """Points will run out on a day of the shop's zone (ISO date), unless they are spent before."""

    aggregate: ClassVar[str] = "customer_id"
    customer_id: uuid.UUID
    points: int
    expires_on: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PointsTransferred(Event):
    """A member gave points to another; in the history of the one who gave."""

    aggregate: ClassVar[str] = "transfer_id"
    transfer_id: uuid.UUID
    customer_id: uuid.UUID
    to_customer_id: uuid.UUID
    points: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GoodwillAsked(Event):
    """An agent wants to give more points than she may alone; a supervisor decides."""

    aggregate: ClassVar[str] = "gift_id"
    gift_id: uuid.UUID
    customer_id: uuid.UUID
    points: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GoodwillDecided(Event):
    """Points of goodwill were ``given`` or ``declined``."""

    aggregate: ClassVar[str] = "gift_id"
    gift_id: uuid.UUID
    customer_id: uuid.UUID
    points: int
    reason: str
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberBlockedOrNot(Event):
    """A member's points were blocked, or not any more."""

    aggregate: ClassVar[str] = "customer_id"
    customer_id: uuid.UUID
    blocked: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberEnrolled(Event):
    """A customer became a member: ``till``, ``app``, ``web`` or ``agent``, and where."""

    aggregate: ClassVar[str] = "customer_id"
    customer_id: uuid.UUID
    channel: str
    location_id: uuid.UUID | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferralMade(Event):
    """A member was brought by another."""

    aggregate: ClassVar[str] = "referral_id"
    referral_id: uuid.UUID
    customer_id: uuid.UUID
    referrer_id: uuid.UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferralDecided(Event):
    """A referral was ``rewarded`` or ``refused``, and why."""

    aggregate: ClassVar[str] = "referral_id"
    referral_id: uuid.UUID
    customer_id: uuid.UUID
    referrer_id: uuid.UUID
    state: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TierChanged(Event):
    """A member's tier changed; None is no tier."""

    aggregate: ClassVar[str] = "customer_id"
    customer_id: uuid.UUID
    from_code: str | None
    to_code: str | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EarningRuleChanged(Event):
    """A rule was made, changed or switched off: this version holds from now on."""

    code: str
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TierProgramChanged(Event):
    """Tiers, or how they are computed, were changed; `fields` names what."""

    fields: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomersMerged(Event):
    """Two records were found to be one person; in the history of the one that stays."""

    aggregate: ClassVar[str] = "merge_id"
    merge_id: uuid.UUID
    customer_id: uuid.UUID
    gone_id: uuid.UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomersUnmerged(Event):
    """A merge was undone."""

    aggregate: ClassVar[str] = "merge_id"
    merge_id: uuid.UUID
    customer_id: uuid.UUID
    gone_id: uuid.UUID
