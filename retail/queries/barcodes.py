"""Which variant a barcode names, and what a bundle consists of."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

_BY_GTIN = text(
    """
    SELECT b.gtin, v.id, v.sku FROM barcode AS b JOIN variant AS v ON v.id = b.variant_id
    WHERE b.gtin = ANY(CAST(:gtins AS text[]))
    """
)
_VARIANT_OF_BARCODE = text(
    """
    SELECT b.gtin, v.id AS variant_id, v.sku, v.title, v.title_ja, p.code AS product_code, p.title AS product_title,
           p.title_ja AS product_title_ja, p.status
    FROM barcode AS b JOIN variant AS v ON v.id = b.variant_id JOIN product AS p ON p.id = v.product_id
    WHERE b.gtin = :gtin
    """
)
_BARCODES_OF = text("SELECT gtin FROM barcode WHERE variant_id = :variant_id ORDER BY gtin")


def variants_by_barcode(session: Session, *, gtins: Sequence[str]) -> dict[str, tuple[UUID, str]]:
    """``{gtin: (variant_id, sku)}`` of GTINs of 14 digits (retail.barcodes.normalize); unknown ones are missing. One
    statement."""
    return {row.gtin: (row.id, row.sku) for row in session.execute(_BY_GTIN, {"gtins": list(gtins)}).all()}


def variant_of_barcode(session: Session, *, gtin: str) -> dict[str, Any] | None:
    """The variant a GTIN of 14 digits names, as BarcodeSchema shows it."""
    row = session.execute(_VARIANT_OF_BARCODE, {"gtin": gtin}).mappings().one_or_none()
    return None if row is None else dict(row)


def barcodes_of(session: Session, *, variant_id: UUID) -> list[str]:
    """The GTINs of one variant."""
    return list(session.execute(_BARCODES_OF, {"variant_id": variant_id}).scalars())
