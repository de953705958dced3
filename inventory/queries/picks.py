"""What is to be taken from which shelf for lines of orders."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session

_PICKS = text(
    """
    SELECT DISTINCT own.line_id, own.variant_id, variant.sku, variant.title, variant.title_ja, level.shelf, own.per_unit
    FROM (SELECT * FROM reservation WHERE owner_id = ANY(CAST(:owner_ids AS uuid[])) OFFSET 0) AS own
    JOIN variant ON variant.id = own.variant_id
    JOIN stock_level AS level ON level.location_id = own.location_id AND level.variant_id = own.variant_id
    WHERE own.state = 'allocated' AND own.location_id = :location_id
    """
)


@dataclass(frozen=True, slots=True)
class Pick:
    """`per_unit` of a variant are taken from `shelf` for each unit of an order's line; a bundle has one per component."""

    line_id: uuid.UUID
    variant_id: uuid.UUID
    sku: str
    title: str
    title_ja: str | None
    shelf: str | None
    per_unit: int


def picks(session: Session, *, owner_ids: Sequence[uuid.UUID], location_id: uuid.UUID) -> list[Pick]:
    """What is promised to these orders at a location and where it lies; one statement."""
    given = {"owner_ids": list(owner_ids), "location_id": location_id}
    return [Pick(*row) for row in session.execute(_PICKS, given)]
