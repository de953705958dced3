"""Questions about points that others may ask, and the locks of the ledger."""

from loyalty.queries.ledger import (
    HoldFacts,
    TransactionFacts,
    entries_of,
    hold_of,
    holds_for,
    lock_accounts_with_expired,
    points_of,
    transaction_by_key,
)

__all__ = [
    "HoldFacts",
    "TransactionFacts",
    "entries_of",
    "hold_of",
    "holds_for",
    "lock_accounts_with_expired",
    "points_of",
    "transaction_by_key",
]
