"""What a bundle consists of."""

from collections.abc import Sequence
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
# Sorted, so that two calls that share rows wait for each other instead of locking each other out.
_LOCK = text("SELECT id, sku FROM variant WHERE id = ANY(CAST(:ids AS uuid[])) ORDER BY id FOR UPDATE")
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


def lock_variants(session: Session, *, variant_ids: Sequence[UUID]) -> None:
    """Lock variants against changes of what they consist of, and against stock moving (movements refer to them)."""
    session.execute(_LOCK, {"ids": list(variant_ids)}).all()


def bundles_with(session: Session, *, component_ids: Sequence[UUID]) -> dict[UUID, list[str]]:
    """``{component_id: [sku of a bundle it is part of, ...]}``; variants that are in none are missing."""
    found: dict[UUID, list[str]] = {}
    for row in session.execute(_USED_IN, {"ids": list(component_ids)}):
        found.setdefault(row.component_id, []).append(row.sku)
    return found
