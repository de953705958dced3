"""Files of stock writes over HTTP: sent in one request of any length, resumed by sending them again."""

from typing import Any
from uuid import UUID

from flask import request
from sqlalchemy.orm import Session

from inventory import imports
from inventory.imports import Order
from inventory.queries.imports import imports_of, refused_lines
from inventory.schemas import imports as schemas
from inventory.stock import refuse_customers
from retail import limits
from retail.kernel.web import ApiBlueprint
from retail.kernel.web.api import Call
from retail.kernel.web.cursor import Page, decode_cursor
from retail.kernel.web.uploads import Body, LengthRequired, content_digest, upload

Json = dict[str, Any]
api = ApiBlueprint("imports", __name__, url_prefix="/api/v1", description="Files of stock writes")


@upload(
    api,
    "/imports",
    permission="stock.write",
    query=schemas.ImportQuery,
    answer=schemas.ImportReportSchema,
    media_types=list(schemas.MEDIA_TYPES),
    most_bytes=limits.IMPORT_BYTES,
)
def import_file(call: Call, query: Json, body: Body, key: str) -> Json:
    """Apply a file of stock writes: CSV with the heading `location,sku|barcode,mode,quantity,expected,version,as_of`, or JSON
    Lines like the lines of /stock/updates.

    Read as it comes in and applied in batches; refused lines are listed under /imports/{id}/lines, the others are applied.
    If the connection breaks, send the whole file again with the same Idempotency-Key: it goes on where it stopped, and a
    finished file is answered again. 422 `truncated`: the file ended too early (its last line, fewer than `lines`, or less
    than its length); with a Content-Digest (sha-256) all of it is checked. A body without a length needs `lines` or a
    Content-Digest.
    """
    refuse_customers(call.principal)
    digest = content_digest()
    if not body.has_length and digest is None and query["lines"] is None:
        raise LengthRequired("Send Content-Length, a Content-Digest or lines=")
    order = Order(
        key=f"{call.actor}:{key}",
        name=query["name"],
        source=query["source"],
        format=schemas.MEDIA_TYPES[request.mimetype],
        lines=query["lines"],
        digest=digest,
        may_write=call.principal.at_location,
        actor=call.actor,
    )
    return imports.run(stream=body, order=order)


@api.read("/imports", permission="stock.write", query=schemas.ImportsQuery, answer=schemas.ImportPageSchema)
def list_imports(session: Session, call: Call, query: Json) -> Page:
    """The caller's own imports, the newest first."""
    before = decode_cursor(query["cursor"], [UUID]) or [None]
    rows = imports_of(session, actor=call.actor, before=before[0], limit=query["limit"] + 1)
    return Page.of(rows, query["limit"], lambda row: [row["id"]])


@api.read("/imports/<uuid:import_id>", permission="stock.write", answer=schemas.ImportReportSchema)
def get_import(session: Session, call: Call, import_id: UUID) -> Json:
    """How far an import has come. One's own; staff of all stores see every import."""
    return imports.report(session, import_id=import_id, caller=call.principal)


@api.read(
    "/imports/<uuid:import_id>/lines",
    permission="stock.write",
    query=schemas.LinesQuery,
    answer=schemas.RefusedLinePageSchema,
)
def list_refused_lines(session: Session, call: Call, import_id: UUID, query: Json) -> Page:
    """The lines that were refused, in the order of the file."""
    imports.report(session, import_id=import_id, caller=call.principal)
    after = decode_cursor(query["cursor"], [int]) or [0]
    rows = refused_lines(session, import_id=import_id, after=after[0], limit=query["limit"] + 1)
    return Page.of(rows, query["limit"], lambda row: [row["line"]])
