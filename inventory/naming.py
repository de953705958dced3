"""Which variant a line means: people name goods by SKU or by the barcode they scan, and a list may mix both."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from inventory import stock
from inventory.availability import UnknownSku
from retail import barcodes
from retail.kernel.errors import Invalid
from retail.queries import variants_by_barcode


class UnknownGoods(Invalid):
    """At least one line names nothing that can be in stock; `errors` names each with its line (from 1)."""

    code, title = "unknown_goods", "A line names nothing in the catalog"


def variants_of(session: Session, *, lines: Sequence[Mapping[str, Any]]) -> list[UUID]:
    """The variant of each line, in their order; a line has ``sku`` or ``barcode`` (any form `retail.barcodes` reads).

    Raises:
        UnknownGoods: naming every line whose barcode is misread or belongs to nothing, and every unknown SKU.
        UnknownSku: only SKUs are unknown. What else `stock.variants` refuses: bundles.
    """
    errors: list[dict[str, Any]] = []
    gtins: dict[int, str] = {}
    for position, line in enumerate(lines, start=1):
        if line.get("barcode") is not None:
            try:
                gtins[position] = barcodes.normalize(line["barcode"])
            except barcodes.BarcodeInvalid as refused:
                errors.append(_error(position, line, refused.code, refused.detail))
    known = variants_by_barcode(session, gtins=list(gtins.values())) if gtins else {}
    skus: dict[int, str] = {
        position: line["sku"] for position, line in enumerate(lines, start=1) if line.get("barcode") is None
    }
    for position, gtin in gtins.items():
        if gtin in known:
            skus[position] = known[gtin][1]
        else:
            errors.append(_error(position, lines[position - 1], "unknown_barcode", "No variant has this barcode"))
    ordered = sorted(skus)
    found: dict[str, UUID] = {}
    try:
        found = stock.variants(session, skus=[skus[position] for position in ordered])
    except UnknownSku as refused:
        if len(ordered) == len(lines) and not gtins:
            raise
        # it counted the lines that have a SKU alone
        errors += [dict(error) | {"line": ordered[error["line"] - 1]} for error in refused.errors]
    if errors:
        errors.sort(key=lambda error: int(error["line"]))
        raise UnknownGoods(
            "These lines name nothing in the catalog: " + ", ".join(str(error["line"]) for error in errors),
            errors=errors,
        )
    return [found[skus[position]] for position in range(1, len(lines) + 1)]


def _error(position: int, line: Mapping[str, Any], code: str, detail: str) -> dict[str, Any]:
    return {"line": position, "barcode": line["barcode"], "code": code, "detail": detail}
