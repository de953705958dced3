"""What is done to one SKU in one store: adjust it. Each form stands on the page of the goods."""

from typing import Any

from sqlalchemy.orm import Session

from inventory import stock
from inventory.console.fields import load, required
from inventory.console.frame import key_of, own_store, pages, target
from inventory.console.lookup import item
from inventory.schemas.levels import AdjustStockSchema
from retail.kernel.web.api import Call


@pages.form("/adjustments", permission="stock.write", again=item)
def adjust(session: Session, call: Call, form: dict[str, str]) -> str:
    """More or fewer on hand, and why."""
    store = own_store(session, call)
    units = required(form, "quantity")
    delta = -units if form.get("direction") == "less" else units
    given = {"location": store["code"], "sku": form.get("sku", ""), "delta": delta, "reason": form.get("reason", "")}
    body = load(AdjustStockSchema(), given, {"delta": "quantity"})
    stock.adjust(
        session,
        location_id=store["id"],
        variant_id=_variant(session, form),
        delta=body["delta"],
        reason=body["reason"],
        key=key_of(call),
        actor=call.actor,
        now=call.now,
    )
    return target("/item", store, sku=body["sku"], done="adjusted")


def _variant(session: Session, form: dict[str, str]) -> Any:
    sku = form.get("sku", "")
    return stock.variants(session, skus=[sku])[sku]
