"""What `retail audit` compares: a stored figure and the same figure rebuilt from the rows that explain it.

Each package has an `audit.py` with `divergences(session)`; app.py hands them to the command. Retail itself keeps no
ledger; its own comparison is of the identities, where a pair of active links would mean two owners of one address.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from sqlalchemy import text
from sqlalchemy.orm import Session

Repair = Callable[[Session], None]


@dataclass(frozen=True, slots=True)
class Divergence:
    """One row whose stored figure is not what its history says.

    Attributes:
        ledger: which one, e.g. ``stock_level``. key: the row, as a person would look it up.
        stored, rebuilt: the two figures, as text.
        repair: sets the stored figure to the rebuilt one in the caller's transaction; None when a person must decide.
    """

    ledger: str
    key: str
    stored: str
    rebuilt: str
    repair: Repair | None = field(default=None, compare=False)


Audit = Callable[[Session], Iterator[Divergence]]

_MERGED_BUT_LINKED = text(
    """
    SELECT c.reference, count(*) AS links, into_c.reference AS into_reference, c.id, c.merged_into
    FROM customer AS c
    JOIN customer AS into_c ON into_c.id = c.merged_into
    JOIN identity_link AS l ON l.customer_id = c.id AND l.to_at IS NULL
    GROUP BY c.id, into_c.reference
    ORDER BY c.reference
    """
)


def divergences(session: Session) -> Iterator[Divergence]:
    """Merged customers that still own addresses: what reaches those addresses would be filed under a tombstone."""
    for row in session.execute(_MERGED_BUT_LINKED).all():
        yield Divergence(
            "identity_link", row.reference, f"{row.links} active links", f"0, all moved to {row.into_reference}"
        )
