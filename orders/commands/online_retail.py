"""`retail replay online-retail FILE`."""

import csv
import sys
from collections import Counter
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from orders.replay import cards as card_network
from orders.replay.online_retail import running
from orders.replay.online_retail import week as weeks
from orders.replay.online_retail.account import Account
from orders.replay.online_retail.week import CREDIT, SALE, Week
from retail.kernel.command import explained, replay_group
from retail.kernel.progress import told
from retail.shop import Shop

PLAIN_WIDTH = 110
WHY = {
    "no_sale": "no sale of this customer in the week has the code at that price and enough units",
    "several_sales": "several sales fit, and nothing says which",
    "no_customer": "the credit names no customer",
    "out_of_stock": "too little stock",
}


@replay_group.command("online-retail")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--from", "first", type=click.DateTime(["%Y-%m-%d"]), help="The first day; else the file's first Monday.")
@click.option("--days", type=click.IntRange(1, 366), default=7, show_default=True)
@click.option(
    "--fill",
    "fill_percent",
    type=click.IntRange(0, 1000),
    default=100,
    show_default=True,
    help="What each location opens with, in percent of the units that the week asks of it, of each SKU.",
)
@click.option("--no-cards", is_flag=True, help="Nobody pays by card, and nothing is sent.")
@click.option(
    "--report", type=click.Path(path_type=Path, dir_okay=False), help="Write every missed line there, as CSV."
)
@click.pass_obj
def replay_online_retail(
    shop: Shop, file: Path, first: datetime | None, days: int, fill_percent: int, no_cards: bool, report: Path | None
) -> None:
    """Live through a week of UCI "Online Retail" over HTTP, in a scratch database with a real web server.

    Each invoice becomes an order at one of three stores (till or pickup) or is sent from the warehouse, by a hash of the
    customer's number; each is picked, handed over or shipped, and paid in cash, at the counter or by card (Stripe's
    stand-in). Credits become returns of the order they came from, with their refund. Exit status 0 only if every day's
    money equals the file's, received - sold + returned = on hand at each location, and the audits are clean.
    """
    cards = card_network.available() and not no_cards
    with explained(), told(running.STEPS, "done") as tell:
        tell("reading", 0, 0)
        week = weeks.read(file, first=None if first is None else first.date(), days=days)
    with shop.replaying("online_retail", here=False) as verdict:
        with told(running.STEPS, "done") as tell:
            account = running.run(week, fill_percent=fill_percent, cards=cards, tell=tell)
        _print(week, account)
        if report is not None:
            _report(report, account)
        for sentence in account.faults:
            verdict.fault(sentence)


def _print(week: Week, account: Account) -> None:
    console = Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH, highlight=False)
    console.print(_days(account, SALE, "charged", "refused"))
    console.print(_days(account, CREDIT, "refunded", "unmatched"))
    console.print(_places(account))
    console.print(_counts(week, account))


def _days(account: Account, kind: str, lived: str, missed: str) -> Table:
    title = f"{kind.capitalize()}s in GBP by the file's day: the file = {lived} + {missed} + left out + rounding"
    table = Table("day", title=title, title_justify="left")
    columns = {"file": "file", "lived": lived, "missed": missed, "left_out": "left out", "rounding": "rounding"}
    columns["difference"] = "difference"
    for column in columns.values():
        table.add_column(column, justify="right")
    days = [day for day in account.days if day.kind == kind]
    for day in days:
        table.add_row(f"{day.day:%Y-%m-%d}", *(_pounds(getattr(day, name)) for name in columns))
    table.add_section()
    sums = (sum((getattr(day, name) for day in days), Decimal(0)) for name in columns)
    table.add_row("all", *map(_pounds, sums))
    return table


def _pounds(amount: Decimal) -> str:
    """Two decimals, more where the amount has more."""
    return f"{amount:,.2f}" if amount == round(amount, 2) else f"{amount.normalize():,f}"


def _places(account: Account) -> Table:
    title = "Units per location, from the books: received - sold + returned = on hand"
    table = Table("location", title=title, title_justify="left")
    for column in ("received", "sold", "returned", "on hand", "difference"):
        table.add_column(column, justify="right")
    for code, books in account.places.items():
        figures = (books.received, books.sold, books.other, books.on_hand, books.difference)
        table.add_row(code, *(f"{figure:,}" for figure in figures))
    return table


def _counts(week: Week, account: Account) -> Table:
    ends = f"{week.days} {'day' if week.days == 1 else 'days'} from {week.first:%Y-%m-%d}"
    table = Table("what", title=f"The replay of {ends}", title_justify="left")
    table.add_column("number", justify="right")
    missed = Counter((one.what, one.why) for one in account.missed)
    rows = {
        "invoices of sales": f"{sum(one.kind == SALE for one in week.invoices):,}",
        "invoices of credits": f"{sum(one.kind == CREDIT for one in week.invoices):,}",
        "orders": f"{len(account.orders):,}",
        **{f"  {method}, {payment}": f"{count:,}" for (method, payment), count in sorted(account.ways.items())},
        "lines": f"{account.lines:,}",
        "units sold": f"{sum(account.sold.values()):,}",
        "returns": f"{len(account.returns):,}",
        "lines returned": f"{account.returned_lines:,}",
        "units returned": f"{sum(account.returned.values()):,}",
        "GBP charged": _pounds(account.money(SALE)),
        "GBP refunded": _pounds(account.money(CREDIT)),
        **{f"lines {what}: {WHY[why]}": f"{count:,}" for (what, why), count in sorted(missed.items())},
        **{f"lines left out: {why}": f"{count:,}" for why, count in week.left_out.most_common()},
        "requests": f"{account.calls:,}",
        "seconds": f"{account.seconds:,.1f}",
        "orders per second": f"{len(account.orders) / account.seconds:,.1f}",
    }
    for what, number in rows.items():
        table.add_row(what, number)
    return table


def _report(path: Path, account: Account) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("what", "invoice", "day", "sku", "quantity", "amount_minor", "why"))
        for one in account.missed:
            writer.writerow((one.what, one.invoice, one.day, one.sku, one.quantity, one.amount_minor, one.why))


COMMANDS: list[click.Command] = []  # ours stands in the group `replay`, which retail lists
