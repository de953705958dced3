"""Points accounts, lots, holds and entries; the rules that earn them; tiers; and how members come, give and go."""

from loyalty.models.ledger import (
    LEDGER_ACCOUNTS,
    PointsAccount,
    PointsEntry,
    PointsHold,
    PointsLot,
    PointsSlice,
    PointsTransaction,
)
from loyalty.models.members import (
    GoodwillGift,
    MemberTokenUse,
    PointsReminder,
    PointsTransfer,
    Referral,
    ReferralCode,
)
from loyalty.models.rules import EarningRecord, EarningRule, PointsReason
from loyalty.models.tiers import MemberTier, Tier, TierChange, TierProgram

__all__ = [
    "LEDGER_ACCOUNTS",
    "EarningRecord",
    "EarningRule",
    "GoodwillGift",
    "MemberTier",
    "MemberTokenUse",
    "PointsAccount",
    "PointsEntry",
    "PointsHold",
    "PointsLot",
    "PointsReason",
    "PointsReminder",
    "PointsSlice",
    "PointsTransaction",
    "PointsTransfer",
    "Referral",
    "ReferralCode",
    "Tier",
    "TierChange",
    "TierProgram",
]
