"""What `retail audit` compares: a stored figure and the same figure rebuilt from the rows that explain it.

Each package has an `audit.py` with `divergences(session)`; app.py hands them to the command. Retail itself keeps no
ledger; its own comparison is of merged customers: where each tombstone leads, against the merges that hold.
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

# From each record that was merged along the merges that hold to the end: where its tombstone must lead, in one step.
_WRONG_TOMBSTONES = text(
    """
    WITH RECURSIVE way AS (
        SELECT gone_id AS id, stays_id AS at_id, 1 AS steps FROM customer_merge WHERE undone_at IS NULL
        UNION ALL
        SELECT way.id, m.stays_id, way.steps + 1 FROM way
        JOIN customer_merge AS m ON m.gone_id = way.at_id AND m.undone_at IS NULL
        WHERE way.steps < 100
    ), survivor AS (
        SELECT DISTINCT ON (id) id, at_id FROM way ORDER BY id, steps DESC
    )
    SELECT c.reference, into_c.reference AS stored, s.reference AS rebuilt
    FROM customer AS c
    LEFT JOIN survivor ON survivor.id = c.id
    LEFT JOIN customer AS into_c ON into_c.id = c.merged_into
    LEFT JOIN customer AS s ON s.id = survivor.at_id
    WHERE (c.merged_into IS NOT NULL OR survivor.id IS NOT NULL) AND c.merged_into IS DISTINCT FROM survivor.at_id
    ORDER BY c.reference
    """
)
# What a merge re-pointed is what had been merged into the record that went, directly or not, and still is.
_WRONG_REPOINTED = text(
    """
    WITH RECURSIVE below AS (
        SELECT m.id AS merge_id, other.gone_id, 1 AS steps
        FROM customer_merge AS m JOIN customer_merge AS other ON other.stays_id = m.gone_id AND other.undone_at IS NULL
        WHERE m.undone_at IS NULL
        UNION ALL
        SELECT below.merge_id, other.gone_id, below.steps + 1
        FROM below JOIN customer_merge AS other ON other.stays_id = below.gone_id AND other.undone_at IS NULL
        WHERE below.steps < 100
    ), rebuilt AS (
        SELECT m.id, ARRAY(SELECT one FROM unnest(m.repointed) AS one ORDER BY one) AS stored,
               ARRAY(SELECT gone_id FROM below WHERE merge_id = m.id ORDER BY gone_id) AS rebuilt
        FROM customer_merge AS m WHERE m.undone_at IS NULL
    )
    SELECT id, stored, rebuilt FROM rebuilt WHERE stored <> rebuilt ORDER BY id
    """
)


def divergences(session: Session) -> Iterator[Divergence]:
    """Tombstones that lead elsewhere than their merges say, and merges that would not be undone exactly."""
    for row in session.execute(_WRONG_TOMBSTONES).all():
        yield Divergence("customer", row.reference, f"leads to {row.stored}", f"leads to {row.rebuilt}")
    for row in session.execute(_WRONG_REPOINTED).all():
        stored, rebuilt = (", ".join(map(str, ids)) or "nobody" for ids in (row.stored, row.rebuilt))
        yield Divergence("customer_merge", str(row.id), f"re-pointed {stored}", f"re-pointed {rebuilt}")
