"""The command line of this package: `retail import online-retail FILE`."""

import csv
import sys
from decimal import Decimal
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from orders.importers import running
from orders.importers.online_retail import REASONS
from orders.importers.running import Account
from retail.kernel.command import attached, import_group
from retail.kernel.progress import told

PLAIN_WIDTH = 110
STEPS = {"reading": "Reading the file", "booking": "Booking", "checking": "Reconciling"}


@import_group.command("online-retail")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--report", is_flag=True, help="Import nothing: print what was remarked about which line, as CSV.")
@click.option("--reason", help="With --report: only lines with this reason.")
@click.option("--batch-lines", type=click.IntRange(1, 100_000), default=running.BATCH_LINES, show_default=True)
def online_retail(file: Path, report: bool, reason: str | None, batch_lines: int) -> None:
    """Take invoice lines of UCI "Online Retail" (CSV, also gzipped) over as order history.

    Orders, returns, products and customers are made; no stock, money or points move and nobody is told. Interrupted,
    the same command goes on where it stopped; repeated, it changes nothing. Exit status 1 unless every month's total
    equals the file's.
    """
    if reason is not None and not report:
        raise click.UsageError("--reason belongs to --report")
    with attached():
        if report:
            _print_report(file, reason)
            return
        with told(STEPS, "lines") as progress:
            account = running.run(file, progress=progress, batch_lines=batch_lines)
    _print_account(account)
    if not account.reconciled:
        raise click.ClickException("The totals do not reconcile with the file: see the table.")


def _print_account(account: Account) -> None:
    console = Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH, highlight=False)
    if not account.new:
        day = f"{account.finished_at:%Y-%m-%d %H:%M} UTC"
        console.print(f"This file was imported already (finished {day}): nothing was changed.")
    console.print(_counts(account))
    console.print(_remarks(account))
    console.print(_months(account))
    for fault in account.faults:
        console.print(f"Wrong: {fault}")


def _counts(account: Account) -> Table:
    table = Table("what", title="The file in the shop", title_justify="left")
    table.add_column("number", justify="right")
    counts = account.counts
    rows = {
        "lines read": counts["lines"],
        "invoices": counts["invoices"],
        "orders": counts["orders"],
        "returns": counts["returns"],
        "invoices left out whole (see below)": counts["invoices"] - counts["orders"] - counts["returns"],
        "lines of returns": counts["returned_lines"],
        "of these, linked to the line they return": counts["linked_lines"],
        "products in them": counts["products"],
        "customers in them": counts["customers"],
    }
    for what, number in rows.items():
        table.add_row(what, f"{number:,}")
    return table


def _remarks(account: Account) -> Table:
    table = Table("reason", "outcome", title="Remarks, by reason (--report lists the lines)", title_justify="left")
    table.add_column("lines", justify="right")
    for row in account.remarks:
        table.add_row(row["reason"], REASONS.get(row["reason"], row["outcome"]), f"{row['lines']:,}")
    return table


def _months(account: Account) -> Table:
    title = "Totals in GBP: the file = orders - returns + left out + rounding"
    table = Table("month", title=title, title_justify="left")
    for column in ("file", "orders", "returns", "left out", "rounding", "shop", "difference"):
        table.add_column(column, justify="right")
    for month in account.months:
        amounts = (month.file, month.orders, month.returns, month.left_out, month.rounding, month.shop)
        table.add_row(month.month or "no date", *map(_pounds, amounts), _pounds(month.difference))
    table.add_section()
    sums = [
        sum((getattr(month, name) for month in account.months), Decimal(0))
        for name in ("file", "orders", "returns", "left_out", "rounding", "shop", "difference")
    ]
    table.add_row("all", *map(_pounds, sums))
    return table


def _pounds(amount: Decimal) -> str:
    """Two decimals, more where the amount has more."""
    return f"{amount:,.2f}" if amount == round(amount, 2) else f"{amount.normalize():,f}"


def _print_report(file: Path, reason: str | None) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(("line", "outcome", "reason", "amount_minor", "month", "raw"))
    for row in running.remarks_of(file, reason=reason):
        writer.writerow(row.values())


COMMANDS: list[click.Command] = []  # ours stands in the group `import`, which retail lists
