"""Barcodes of variants."""

from typing import Any

from sqlalchemy.orm import Session

from retail import barcodes, queries
from retail.kernel.web import ApiBlueprint, Call
from retail.schemas import barcodes as schemas

Json = dict[str, Any]
blueprint = ApiBlueprint("barcodes", __name__, url_prefix="/api/v1", description="Barcodes of variants")


@blueprint.read("/barcodes/<path:barcode>", permission="catalog.read", answer=schemas.BarcodeSchema)
def get_barcode(*, session: Session, call: Call, barcode: str) -> Json:  # noqa: ARG001
    """The variant that a barcode names. Digits, or what a scanner sends of a GS1 code (percent-encoded).

    422 when it is no barcode of goods, 404 when no variant has it.
    """
    found = queries.variant_of_barcode(session, gtin=barcodes.normalize(barcode))
    if found is None:
        raise barcodes.UnknownBarcode
    return found


@blueprint.write(
    "POST",
    "/variants/<path:sku>/barcodes",
    permission="catalog.write",
    body=schemas.AddBarcodeSchema,
    answer=schemas.BarcodeSchema,
    status=201,
)
def add_barcode(*, session: Session, call: Call, sku: str, body: Json) -> Json:
    """Give a variant a barcode. 409 names the variant that has it already; giving it twice is the same as once."""
    gtin = barcodes.add(session, sku=sku, barcode=body["barcode"], actor=call.actor, now=call.now)
    found = queries.variant_of_barcode(session, gtin=gtin)
    if found is None:
        raise barcodes.UnknownBarcode
    return found


@blueprint.write(
    "DELETE",
    "/variants/<path:sku>/barcodes/<path:barcode>",
    permission="catalog.write",
    answer=None,
    status=204,
)
def remove_barcode(*, session: Session, call: Call, sku: str, barcode: str) -> None:
    """Take a barcode from a variant. 404 when it does not have it."""
    barcodes.remove(session, sku=sku, barcode=barcode, actor=call.actor, now=call.now)
