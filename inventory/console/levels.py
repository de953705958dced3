"""What is done to one SKU in one store: adjusted, set aside, brought back to sale, thrown away, sold otherwise. Each form
stands on the page of the goods."""

from typing import Any

from sqlalchemy.orm import Session

from inventory import naming, stock
from inventory.console.fields import load, required, whole
from inventory.console.frame import key_of, own_store, pages, target
from inventory.console.lookup import item
from inventory.schemas.levels import (
    AdjustStockSchema,
    OpenLevelsSchema,
    OutOfUnavailableSchema,
    SetAsideSchema,
    UpdateLevelSchema,
)
from inventory.stock import BelowPromised
from retail.kernel.errors import Invalid
from retail.kernel.i18n import N_
from retail.kernel.web.api import Call
from retail.kernel.web.rendering import texts

Json = dict[str, Any]


@pages.form("/adjustments", permission="stock.write", again=item)
def adjust(session: Session, call: Call, form: dict[str, str]) -> str:
    """More or fewer on hand, and why."""
    units = required(form, "quantity")
    given = {"delta": -units if form.get("direction") == "less" else units, "reason": form.get("reason", "")}
    store, here, body = _work(session, call, form, AdjustStockSchema(), given)
    stock.adjust(session, **here, delta=body["delta"], reason=body["reason"], **_by(call))
    return target("/item", store, sku=form["sku"], done="adjusted")


@pages.form("/set-asides", permission="stock.work", again=item)
def set_aside(session: Session, call: Call, form: dict[str, str]) -> str:
    """Units are damaged, or somebody has to look at them."""
    given = {"quantity": required(form, "quantity"), "reason": form.get("reason", "")}
    store, here, body = _work(session, call, form, SetAsideSchema(), given)
    stock.set_aside(session, **here, quantity=body["quantity"], reason=body["reason"], **_by(call))
    return target("/item", store, sku=form["sku"], done="set_aside")


@pages.form("/restorations", permission="stock.work", again=item)
def restore(session: Session, call: Call, form: dict[str, str]) -> str:
    """Units that were set aside can be sold again."""
    store, here, body = _work(session, call, form, OutOfUnavailableSchema(), {"quantity": required(form, "quantity")})
    stock.restore(session, **here, quantity=body["quantity"], **_by(call))
    return target("/item", store, sku=form["sku"], done="restored")


@pages.form("/write-offs", permission="stock.write", again=item)
def write_off(session: Session, call: Call, form: dict[str, str]) -> str:
    """Units that were set aside are thrown away."""
    store, here, body = _work(session, call, form, OutOfUnavailableSchema(), {"quantity": required(form, "quantity")})
    stock.write_off(session, **here, quantity=body["quantity"], **_by(call))
    return target("/item", store, sku=form["sku"], done="written_off")


@pages.form("/limits", permission="stock.write", again=item)
def set_limits(session: Session, call: Call, form: dict[str, str]) -> str:
    """What is kept back, how far ahead it may be sold, when somebody wants to hear that it runs out, and its shelf."""
    given: Json = {
        "safety": whole(form, "safety"),
        "backorder_limit": whole(form, "backorder_limit") or 0,
        "low_stock_threshold": whole(form, "low_stock_threshold"),
        "shelf": form.get("shelf") or None,
    }
    store = own_store(session, call)
    body = load(UpdateLevelSchema(), given)
    before = stock.level(session, location_id=store["id"], sku=form.get("sku", ""), now=call.now)
    try:
        stock.set_limits(
            session,
            location_id=store["id"],
            variant_id=before["variant_id"],
            changes=body,
            version=required(form, "version"),
            actor=call.actor,
            now=call.now,
        )
    except BelowPromised as refused:
        least = refused.extra["lowest_backorder_limit"]
        told = texts().gettext(N_("At least %(units)s: so many wait for goods."), units=least)
        raise Invalid(errors=[{"field": "backorder_limit", "code": refused.code, "detail": told}]) from refused
    return target("/item", store, sku=before["sku"], done="limits")


@pages.form("/levels", permission="stock.write", again=item)
def open_level(session: Session, call: Call, form: dict[str, str]) -> str:
    """Let the store have this SKU before the first delivery, so that limits can be set."""
    store = own_store(session, call)
    body = load(OpenLevelsSchema(), {"location": store["code"], "skus": [form.get("sku", "")]}, {"skus": "sku"})
    ids = list(stock.variants(session, skus=body["skus"]).values())
    stock.open_levels(session, location_id=store["id"], variant_ids=ids, actor=call.actor, now=call.now)
    return target("/item", store, sku=body["skus"][0])


def _work(session: Session, call: Call, form: dict[str, str], schema: Any, given: Json) -> tuple[Json, Json, Json]:
    """The store, the level's key and the loaded body of one of these forms."""
    store = own_store(session, call)
    named = {"location": store["code"], "sku": form.get("sku", "")}
    body = load(schema, named | given, {"delta": "quantity"})
    (variant_id,) = naming.variants_of(session, lines=[body])
    return store, {"location_id": store["id"], "variant_id": variant_id}, body


def _by(call: Call) -> Json:
    return {"key": key_of(call), "actor": call.actor, "now": call.now}
