"""Stock writes from outside over HTTP."""

from typing import Any

from flask import request
from sqlalchemy.orm import Session

from inventory import updates
from inventory.schemas import updates as schemas
from inventory.stock import refuse_customers
from inventory.updates import APPLIED, REFUSED, UNCHANGED, Line
from retail.kernel.web import ApiBlueprint
from retail.kernel.web.api import Call

Json = dict[str, Any]
api = ApiBlueprint("stock-updates", __name__, url_prefix="/api/v1", description="Stock writes from outside systems")


@api.write(
    "POST",
    "/stock/updates",
    permission="stock.write",
    body=schemas.UpdateStockSchema,
    answer=schemas.UpdateReportSchema,
    idempotent=True,
)
def update_stock(session: Session, call: Call, body: Json) -> Json:
    """Changes, comparisons or absolute numbers from another system, each line by itself: some may be refused.

    Lines of one level are applied in their order. When less is on hand than is promised, the youngest promises become short
    and are announced (`AllocationShort`); when more is, whoever waits gets it. The answer is 200 with a report, also when
    every line was refused.
    """
    refuse_customers(call.principal)
    lines = [
        Line(
            number,
            line["location"],
            line["mode"],
            line["delta"] if line["mode"] == updates.DELTA else line["quantity"],
            line.get("sku"),
            line.get("barcode"),
            line.get("expected"),
            line.get("version"),
            line.get("as_of"),
        )
        for number, line in enumerate(body["lines"], start=1)
    ]
    results = updates.apply(
        session,
        lines=lines,
        source=body["source"],
        key=f"{call.actor}:{request.headers['Idempotency-Key']}",
        may_write=call.principal.at_location,
        actor=call.actor,
        now=call.now,
    )
    counts = {outcome: sum(row.outcome == outcome for row in results) for outcome in (APPLIED, UNCHANGED, REFUSED)}
    return {"source": body["source"], **counts, "lines": results}
