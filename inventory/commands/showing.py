"""`retail stock show LOCATION SKU`: what lies there, why it can or cannot be sold, and what happened to it last."""

from typing import Any

import click
from rich import box
from rich.console import Console
from rich.table import Table

from inventory import history, queries, rules, stock
from inventory.commands.stock import stock_group
from retail.kernel import clock, db
from retail.kernel.command import attached

WIDTH = 110
MOVEMENTS_SHOWN = 10
MOVEMENTS_MOST = 200


@stock_group.command("show")
@click.argument("location")
@click.argument("sku")
@click.option("--channel", help="Show the buffer that is kept from this channel too.")
@click.option(
    "--movements",
    type=click.IntRange(0, MOVEMENTS_MOST),
    default=MOVEMENTS_SHOWN,
    show_default=True,
    help="How many of the last movements.",
)
def show(location: str, sku: str, channel: str | None, movements: int) -> None:
    """Show one SKU at one location: its numbers, the rules that hold there, and its last movements.

    LOCATION is a code or an id.
    """
    with attached(), db.reading() as session:
        now = clock.now()
        place = queries.locations_named(session, names=[location]).get(location)
        if place is None:
            raise stock.UnknownLocation(f"There is no location {location}")
        level = stock.level(session, location_id=place["id"], sku=sku, now=now)
        key = (level["variant_id"], place["id"])
        ruled = rules.explain(session, keys=[key], channel=channel)[key]
        past = history.of_level(
            session, location=place, sku=sku, as_of=None, cursor=None, limit=max(1, movements), now=now
        )
    console = Console(width=WIDTH, highlight=False, markup=False, emoji=False)
    console.print(f"{level['sku']} {level['title']} at {place['code']} {place['name']}")
    console.print(_numbers(level, ruled, channel))
    if movements:
        console.print(_movements(past["items"]))


def _numbers(level: dict[str, Any], ruled: dict[str, Any], channel: str | None) -> Table:
    table = Table(box=box.SIMPLE, show_header=False)
    table.add_column(justify="left")
    table.add_column(justify="right")
    table.add_column(justify="left")
    waiting = f"{level['backordered']} of them wait for goods" if level["backordered"] else ""
    safety = "by hand" if level["safety_by_hand"] else _scope(ruled["safety_rule"])
    rows = [
        ("on hand", level["on_hand"], f"shelf {level['shelf']}" if level["shelf"] else ""),
        ("- allocated", level["allocated"], waiting),
        ("- held", level["held"], ""),
        ("- unavailable", level["unavailable"], ""),
        ("- safety", level["safety"], safety),
    ]
    buffer = ruled["buffer"] if channel else 0
    if channel:
        rows.append((f"- buffer of {channel}", buffer, _scope(ruled["buffer_rule"])))
    sums = [level[name] for name in ("allocated", "held", "unavailable", "safety")]
    rows.append(("available", max(0, level["on_hand"] - sum(sums) - buffer), ""))
    rows.append(("backorder limit", level["backorder_limit"], ""))
    if level["low_stock_threshold"] is not None:
        rows.append(("low at", level["low_stock_threshold"], ""))
    for name, number, why in rows:
        table.add_row(name, f"{number:,}", why)
    return table


def _scope(rule: dict[str, Any] | None) -> str:
    """What a rule speaks of, in words."""
    if rule is None:
        return ""
    parts = [
        f"SKU {rule['sku']}" if rule["sku"] else "",
        f"category {rule['category']}" if rule["category"] else "",
        f"location {rule['location']['code']}" if rule["location"] else "",
    ]
    return f"rule for {', '.join(part for part in parts if part) or 'everything'}: {rule['quantity']}"


def _movements(items: list[dict[str, Any]]) -> Table:
    table = Table("at (UTC)", "from", "to", box=box.SIMPLE)
    table.add_column("units", justify="right")
    table.add_column("on hand", justify="right")
    table.add_column("why")
    table.add_column("by")
    for item in items:
        why = " ".join(part for part in (item["cause"], item["reference"], item["reason"]) if part)
        on_hand = f"{item['after']['on_hand']:,}"
        moved = (item["from_bucket"], item["to_bucket"], f"{item['quantity']:,}", on_hand, why, item["actor"])
        table.add_row(f"{item['at']:%Y-%m-%d %H:%M}", *moved)
    return table
