"""`retail replay grocery DIR`."""

import csv
import sys
from collections import Counter
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from inventory import replay
from inventory.importers import grocery
from inventory.importers.grocery import Journey
from inventory.replay import Account
from retail.kernel.command import explained, replay_group
from retail.kernel.progress import told
from retail.shop import Shop, here_option

PLAIN_WIDTH = 110


@replay_group.command("grocery")
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.option("--weeks", type=click.IntRange(1, 1000), help="Only the first weeks of it.")
@click.option(
    "--fill",
    "fill_percent",
    type=click.IntRange(1, 1000),
    default=100,
    show_default=True,
    help="What a weekly delivery refills to, in percent of the most that the store ever sold of the product in a week.",
)
@click.option("--report", is_flag=True, help="Replay nothing: print which lines are left out and why, as CSV.")
@here_option
@click.pass_obj
def replay_grocery(shop: Shop, directory: Path, weeks: int | None, fill_percent: int, report: bool, here: bool) -> None:
    """Live through nine months of a grocer: products, opening stock, weekly deliveries and every basket at its moment.

    DIRECTORY holds "The Complete Journey" (products.csv, transactions*.csv, also gzipped). Everything goes through the
    functions that the shop works with. Exit status 0 only if in each store units received - sold = on hand, the books
    tell what tills and docks have counted, and the audit is clean. Broken off with --here, it goes on where it stopped.
    """
    with explained():
        journey = grocery.read(directory, weeks=weeks)
    if report:
        _print_report(journey)
        return
    with shop.replaying("grocery", here=here) as verdict:
        with told(replay.STEPS, "done") as tell:
            account = replay.run(journey, fill_percent=fill_percent, tell=tell)
        _print_account(journey, account)
        for sentence in account.faults:
            verdict.fault(sentence)


def _print_account(journey: Journey, account: Account) -> None:
    console = Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH, highlight=False)
    if account.already:
        console.print(f"{account.already:,} baskets had been served by an earlier run, which this one goes on from.")
    console.print(_stores(account))
    console.print(_counts(journey, account))


def _stores(account: Account) -> Table:
    table = Table("store", title="Units per store, from the database: received - sold = on hand", title_justify="left")
    for column in ("baskets", "lines", "refused lines", "received", "sold", "on hand", "difference"):
        table.add_column(column, justify="right")
    sums: Counter[int] = Counter()
    for code, store in account.stores.items():
        books = store.balance
        if books is None:
            continue
        figures = (store.baskets, store.lines, store.refused_lines, books.received, books.sold, books.on_hand)
        row = (*figures, books.received - books.sold - books.on_hand)
        sums.update(dict(enumerate(row)))
        table.add_row(code, *(f"{figure:,}" for figure in row))
    table.add_section()
    table.add_row("all", *(f"{sums[place]:,}" for place in range(7)))
    return table


def _counts(journey: Journey, account: Account) -> Table:
    table = Table("what", title="The replay", title_justify="left")
    table.add_column("number", justify="right")
    stores = account.stores.values()
    reasons = Counter(line.reason for line in journey.left_out)
    rows = {
        "products": f"{account.products:,}",
        "till lines read": f"{journey.lines:,}",
        **{f"left out: {grocery.REASONS[reason]}": f"{count:,}" for reason, count in reasons.most_common()},
        "after the last week asked for": f"{journey.cut_off:,}",
        "baskets": f"{sum(store.baskets for store in stores):,}",
        "lines sold": f"{sum(store.lines for store in stores):,}",
        "lines refused, too little stock": f"{sum(store.refused_lines for store in stores):,}",
        "units refused": f"{sum(store.refused_units for store in stores):,}",
        "deliveries": f"{account.deliveries:,}",
        "movements of stock": f"{account.movements:,}",
        "seconds": f"{account.seconds:,.1f}",
        "movements per second": f"{account.movements / account.seconds:,.0f}",
        "baskets per second": f"{sum(store.baskets for store in stores) / account.selling_seconds:,.0f}",
    }
    for what, number in rows.items():
        table.add_row(what, number)
    return table


def _print_report(journey: Journey) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(("file", "line", "reason", "raw"))
    for left_out in journey.left_out:
        writer.writerow((left_out.file, left_out.line, left_out.reason, left_out.raw))
