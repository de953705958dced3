"""Does a variant have stock, or is some on its way? A bundle must not."""

import uuid

from sqlalchemy import text
from sqlalchemy.orm import Session

_IN_USE = text(
    """
    SELECT CASE
        WHEN EXISTS (SELECT FROM stock_level WHERE variant_id = :variant_id
                     AND (on_hand > 0 OR allocated > 0 OR held > 0 OR unavailable > 0)) THEN 'on_hand'
        WHEN EXISTS (SELECT FROM reservation WHERE variant_id = :variant_id
                     AND state IN ('held', 'allocated', 'short')) THEN 'promised'
        WHEN EXISTS (SELECT FROM inbound_line WHERE variant_id = :variant_id AND outstanding > 0) THEN 'expected'
        WHEN EXISTS (SELECT FROM transfer_line AS line JOIN transfer ON transfer.id = line.transfer_id
                     WHERE line.variant_id = :variant_id AND transfer.closed_at IS NULL) THEN 'in_transfer'
        WHEN EXISTS (SELECT FROM stock_count_line WHERE variant_id = :variant_id
                     AND state IN ('open', 'recount', 'approval')) THEN 'in_count'
    END
    """
)


def stock_use_of(session: Session, *, variant_id: uuid.UUID) -> str | None:
    """Why a variant cannot become a bundle: ``on_hand``, ``promised``, ``expected``, ``in_transfer``, ``in_count``; else
    None. One statement."""
    found: str | None = session.execute(_IN_USE, {"variant_id": variant_id}).scalar_one()
    return found
