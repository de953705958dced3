"""Why a level is what it is: movement by movement, now or as of any moment."""

import re
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from flask import g, request
from sqlalchemy.orm import Session

from inventory import history, queries, stock
from inventory.console.fields import moment
from inventory.console.frame import pages, show
from inventory.console.words import LIMITS, REASONS
from retail import queries as ground
from retail.kernel.errors import Invalid
from retail.kernel.web.api import Call
from retail.kernel.web.rendering import texts

SHOWN = 50
CHANGE = re.compile(r"(\w+) (.* -> .*)")
MADE_BY = re.compile(r"\((by hand|by rule)\)")


@pages.page("/history", permission="stock.read")
def past(session: Session, call: Call) -> Any:
    """The movements of one SKU at one store, newest first, with what was there after each."""
    sku, asked = request.args.get("sku", ""), request.args.get("as_of", "")
    place = stock.locate(session, name=request.args.get("at", ""), caller=call.principal)
    zone = ground.locations_by_id(session, location_ids=[place["id"]])[place["id"]].zone

    def page_of(as_of: datetime | None) -> dict[str, Any]:
        cursor = request.args.get("cursor")
        return history.of_level(session, location=place, sku=sku, as_of=as_of, cursor=cursor, limit=SHOWN, now=call.now)

    try:
        found = page_of(datetime.fromisoformat(at) if (at := moment(request.args, "as_of", zone)) else None)
    except Invalid as refused:
        if not asked:
            raise
        g.problem, asked = refused, ""
        found = page_of(None)
    for one in found["items"]:
        one["reason"] = _reason(one["reason"]) if one["reason"] else ""
    return show(
        "stock/history.html",
        session,
        call,
        tab="lookup",
        found=found,
        place_zone=zone,
        as_of=asked,
        latest=call.now.astimezone(ZoneInfo(zone)).strftime("%Y-%m-%dT%H:%M"),
        actors=queries.actors_named(session, actors=[one["actor"] for one in found["items"]]),
    )


def _reason(reason: str) -> str:
    """Why, in the reader's language; a change of limits is noted as ``safety 0 (by rule) -> 2 (by hand), ...``."""
    language = texts()
    if reason in REASONS:
        return language.gettext(REASONS[reason])
    told = []
    for part in reason.split(", "):
        change = CHANGE.match(part)
        if change is None or change[1] not in LIMITS:
            return reason
        values = MADE_BY.sub(lambda by: f"({language.gettext(LIMITS[by[1]])})", change[2])
        told.append(f"{language.gettext(LIMITS[change[1]])}: {values.replace('none', '–').replace('->', '→')}")
    return ", ".join(told)
