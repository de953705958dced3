"""What a bundle consists of."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from retail.kernel.hot import Hot

_COMPONENTS = Hot(
    """
    SELECT bundle_id, component_id, quantity FROM bundle_component
    WHERE bundle_id = ANY(CAST((SELECT CAST(:ids AS uuid[])) AS uuid[])) ORDER BY bundle_id, component_id
    """
)
# Sorted, so that two calls that share rows wait for each other instead of locking each other out. Whoever only refers to a
# variant (every movement of stock does) is not in their way ...
_LOCK = text("SELECT id FROM variant WHERE id = ANY(CAST(:ids AS uuid[])) ORDER BY id FOR NO KEY UPDATE")
# ... and here he is: this waits until those who moved stock of the variant are done, and lets nobody begin.
_LOCK_ALONE = text("SELECT id FROM variant WHERE id = :variant_id FOR UPDATE")
_DICTS = text(
    """
    SELECT v.id AS variant_id, v.sku, v.title, v.title_ja, c.quantity
    FROM bundle_component AS c JOIN variant AS v ON v.id = c.component_id
    WHERE c.bundle_id = :bundle_id ORDER BY v.sku
    """
)
_USED_IN = text(
    """
    SELECT c.component_id, v.sku FROM bundle_component AS c JOIN variant AS v ON v.id = c.bundle_id
    WHERE c.component_id = ANY(CAST(:ids AS uuid[])) ORDER BY v.sku
    """
)


def components_of(session: Session, *, variant_ids: Sequence[UUID]) -> dict[UUID, list[tuple[UUID, int]]]:
    """``{bundle_id: [(component_id, quantity), ...]}`` of those among `variant_ids` that are bundles. One statement."""
    found: dict[UUID, list[tuple[UUID, int]]] = {}
    for row in _COMPONENTS.run(session, {"ids": list(variant_ids)}):
        found.setdefault(row.bundle_id, []).append((row.component_id, row.quantity))
    return found


def component_dicts(session: Session, *, bundle_id: UUID) -> list[dict[str, Any]]:
    """What one bundle consists of, by SKU: ``{variant_id, sku, title, title_ja, quantity}``; none: it is no bundle."""
    return [dict(row) for row in session.execute(_DICTS, {"bundle_id": bundle_id}).mappings()]


def lock_variants(session: Session, *, variant_ids: Sequence[UUID]) -> None:
    """Lock variants against changes of their barcodes and of what they consist of; stock of them goes on moving."""
    session.execute(_LOCK, {"ids": list(variant_ids)}).all()


def lock_variant_alone(session: Session, *, variant_id: UUID) -> None:
    """Lock a variant against its stock moving too, after `lock_variants`. Statements after this one see what had moved."""
    session.execute(_LOCK_ALONE, {"variant_id": variant_id}).one()


def bundles_with(session: Session, *, component_ids: Sequence[UUID]) -> dict[UUID, list[str]]:
    """``{component_id: [sku of a bundle it is part of, ...]}``; variants that are in none are missing."""
    found: dict[UUID, list[str]] = {}
    for row in session.execute(_USED_IN, {"ids": list(component_ids)}):
        found.setdefault(row.component_id, []).append(row.sku)
    return found
