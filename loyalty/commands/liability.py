"""`retail points liability`: what all members' points come to."""

from datetime import datetime

import click
from rich.console import Console
from rich.table import Table

from loyalty import liability
from retail.kernel import clock, db
from retail.shop import Shop


@click.group("points")
def points() -> None:
    """Members' points."""


@points.command("liability")
@click.option(
    "--at", type=click.DateTime(["%Y-%m-%d"]), help="The end of this day of the shop's zone; now, if not given."
)
@click.pass_obj
def show_liability(shop: Shop, at: datetime | None) -> None:
    """Show outstanding points by the month they run out in; exit status 1 when they do not equal the ledger."""
    with shop.opened(), db.snapshot() as session:
        found = liability.report(session, at=None if at is None else at.date(), now=clock.now())
    table = Table(title=f"Outstanding points at {found['at']:%Y-%m-%d %H:%M} UTC, months of {found['zone']}")
    for column in ("Month", *liability.PARTS):
        table.add_column(column.capitalize(), justify="left" if column == "Month" else "right")
    for month in found["months"]:
        table.add_row(month["month"], *(f"{month[part]:,}" for part in liability.PARTS))
    table.add_section()
    table.add_row("All", *(f"{found['outstanding'][part]:,}" for part in liability.PARTS))
    Console().print(table)
    books = found["ledger"]
    for name in ("issued", "goodwill", "burned", "expired", "owed"):
        click.echo(f"{name:<12}{books[name]:>18,}")
    for value in found["values"]:
        click.echo(f"{'worth':<12}{value['amount_minor']:>18,} {value['currency']} (minor units)")
    for one in found["differences"]:
        click.echo(f"Wrong: {one['figure']} is {one['reported']:,}, the ledger says {one['ledger']:,}.")
    if found["differences"]:
        raise click.exceptions.Exit(1)
    click.echo("The report equals the ledger.")
