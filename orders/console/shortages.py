"""Something is missing at the counter: staff say what, and then what becomes of it. On the pickup's own page."""

from typing import Any
from uuid import UUID

from flask import Blueprint
from sqlalchemy.orm import Session

from orders import resolution, shortfalls
from orders.console.counter import again, pages
from orders.schemas.shortfalls import ReportShortSchema, ResolveSchema
from orders.shortfalls import Lack
from retail.kernel.errors import Invalid
from retail.kernel.i18n import N_
from retail.kernel.idempotency import Claim
from retail.kernel.web.api import Call
from retail.kernel.web.pages import settle

BLUEPRINTS: list[Blueprint] = []  # its forms are on the counter's pages
LINE = "short-"  # a field per line: how many of it are missing
ADDRESS = ("name", "postal_code", "region", "city", "line1", "line2")


@pages.form("/<uuid:pickup_id>/short", permission="pickups.work", again=again)
def report_short(session: Session, call: Call, form: dict[str, str], pickup_id: UUID) -> str:
    """These units were not found, or are damaged."""
    given = [
        {"order_line_id": name.removeprefix(LINE), "quantity": int(value) if value.isdecimal() else value}
        for name, value in form.items()
        if name.startswith(LINE) and value not in ("", "0")
    ]
    if not given:
        raise Invalid(
            errors=[{"field": "short", "code": "required", "detail": N_("Say how many of what are missing.")}]
        )
    body = ReportShortSchema().load({"lines": given, "reason": form.get("reason", "not_found")})
    lines = [Lack(line["order_line_id"], line["quantity"], line.get("sku")) for line in body["lines"]]
    shortfalls.report(
        session, fulfillment_id=pickup_id, lines=lines, reason=body["reason"], caller=call.principal, now=call.now
    )
    return f"/console/pickups/{pickup_id}?done=short"


@pages.workflow_form("/<uuid:pickup_id>/resolution", permission="shortfalls.resolve", again=again)
def resolve(call: Call, form: dict[str, str], claim: Claim, pickup_id: UUID) -> str:
    """What becomes of what is missing: the choices of the API."""
    asked: dict[str, Any] = {"resolution": form.get("resolution", "")}
    if form.get("line"):
        asked["lines"] = [form["line"]]
    if asked["resolution"] == "substitute":
        asked["sku"] = form.get("sku") or None
    if asked["resolution"] == "ship" and form.get("postal_code"):
        asked["ship_to"] = {name: form[name] for name in ADDRESS if form.get(name)}
    target = f"/console/pickups/{pickup_id}?done=resolution"
    resolution.resolve(
        fulfillment_id=pickup_id,
        **ResolveSchema().load(asked),
        caller=call.principal,
        now=call.now,
        begin=claim.begin,
        end=lambda session, _: settle(claim, session, target),
    )
    return target
