"""What has left of an order and is not documented yet becomes a supply. The caller holds the order's lock."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from orders.documents import figures
from orders.documents.figures import Sold
from orders.queries import documents as queries
from orders.queries.documents import Departure, DocumentedOrder, LeftLine
from retail import queries as ground
from retail import taxes
from retail.kernel.ids import new_id

HOME = "JP"
_SUPPLY = text(
    """
    WITH made AS (
        INSERT INTO supply (id, order_id, position, figures, created_at)
        SELECT :id, :order_id, count(*) + 1, CAST(:figures AS jsonb), :now FROM supply WHERE order_id = :order_id
    )
    INSERT INTO supply_line (supply_id, order_line_id, quantity)
    SELECT :id, line.id, line.quantity FROM unnest(CAST(:ids AS uuid[]), CAST(:units AS integer[])) AS line (id, quantity)
    """
)


def note(session: Session, *, order: DocumentedOrder, now: datetime) -> None:
    """Write down as one supply all units that have left and are in none; nothing when there are none."""
    lines = queries.left_lines(session, order_id=order.id)
    due = {line.id: units for line in lines if (units := _due(line, lines, order)) > 0}
    gone = queries.departures(session, order_id=order.id)
    if not due:
        return
    told = figures.of_supply(
        [_sold(line, due[line.id]) for line in lines if line.id in due],
        tax_inclusive=order.tax_inclusive,
        reduced_bp=_reduced(session, order, gone, now),
    )
    earlier = queries.supplies_of(session, order_id=order.id)
    told |= _where_and_when(session, order, gone, after=earlier[-1].created_at if earlier else None)
    given = {"id": new_id(), "order_id": order.id, "figures": json.dumps(told, ensure_ascii=False), "now": now}
    session.execute(_SUPPLY, given | {"ids": list(due), "units": list(due.values())})


def _due(line: LeftLine, lines: Sequence[LeftLine], order: DocumentedOrder) -> int:
    """Units to be documented now. Goods count when they have left; fees and gift cards with the first goods, or, in an
    order without goods, when it is paid."""
    if line.kind == "goods":
        return line.collected - line.documented
    goods = [one for one in lines if one.kind == "goods"]
    begun = any(one.collected for one in goods) if goods else order.confirmed_at is not None
    standing = order.cancelled_at is None or any(one.collected for one in goods)
    return line.quantity - line.cancelled_quantity - line.documented if begun and standing else 0


def _sold(line: LeftLine, units: int) -> Sold:
    return Sold(
        order_line_id=line.id,
        kind=line.kind,
        sku=line.sku,
        title=line.title,
        quantity=line.quantity,
        unit_price_minor=line.unit_price_minor,
        discount_minor=line.discount_minor,
        subtotal_minor=line.subtotal_minor,
        tax_rate_bp=line.tax_rate_bp,
        total_minor=line.total_minor,
        documented=line.documented,
        units=units,
    )


def _region(session: Session, order: DocumentedOrder, gone: Sequence[Departure]) -> str:
    """Where what left is taxed: at its destination, or at the store that handed it over."""
    last = gone[-1] if gone else None
    if order.ship_to and (last is None or last.method == "ship"):
        area = taxes.area_of(str(order.ship_to.get("region") or ""))
        found = ground.tax_region_of(session, country=str(order.ship_to["country"]), area=area)
        if found is not None:
            return found
    return last.tax_region if last else HOME


def _reduced(session: Session, order: DocumentedOrder, gone: Sequence[Departure], now: datetime) -> int | None:
    """The reduced rate of the region, where it has one beside the standard rate."""
    region = _region(session, order, gone)
    at = gone[-1].at if gone else now
    reduced = ground.tax_rate_in(session, region=region, tax_class="reduced", now=at)
    standard = ground.tax_rate_in(session, region=region, tax_class="standard", now=at)
    return reduced if reduced and reduced != standard else None


def _where_and_when(
    session: Session, order: DocumentedOrder, gone: Sequence[Departure], *, after: datetime | None
) -> dict[str, Any]:
    """The days of supply (from, to) and the place, as the document will say them."""
    new = [one for one in gone if after is None or one.at > after] or list(gone)
    moments = [one.at for one in new] or [order.confirmed_at or order.placed_at]
    place = new[-1] if new else None
    return {
        "region": _region(session, order, gone),
        "supplied_from": min(moments).isoformat(),
        "supplied_to": max(moments).isoformat(),
        "place": None
        if place is None
        else {"name": place.name, "name_ja": place.name_ja, "address": place.address, "zone": place.zone},
    }


def units_of(figures_: Sequence[dict[str, Any]]) -> dict[UUID, int]:
    """Units per order line over several figures."""
    found: dict[UUID, int] = {}
    for line in (line for one in figures_ for line in one["lines"] if line["order_line_id"]):
        line_id = UUID(line["order_line_id"])
        found[line_id] = found.get(line_id, 0) + line["quantity"]
    return found
