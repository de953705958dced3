"""Questions about points that others may ask, and the locks of the ledger."""

from loyalty.queries.ledger import (
    HoldFacts,
    TransactionFacts,
    debt_of_merged,
    entries_of,
    hold_of,
    holds_for,
    owners_of,
    points_of,
    transaction_by_key,
)
from loyalty.queries.tiers import TIER_AT, Benefits, benefits_of, tier_at

__all__ = [
    "TIER_AT",
    "Benefits",
    "HoldFacts",
    "TransactionFacts",
    "benefits_of",
    "debt_of_merged",
    "entries_of",
    "hold_of",
    "holds_for",
    "owners_of",
    "points_of",
    "tier_at",
    "transaction_by_key",
]
