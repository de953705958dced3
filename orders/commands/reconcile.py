"""`retail reconcile`."""

from datetime import datetime, timedelta

import click

from orders import reconciliation
from retail.kernel import clock
from retail.kernel.command import attached


@click.command("reconcile")
@click.option("--date", "day", type=click.DateTime(["%Y-%m-%d"]), help="A day in UTC; yesterday, if left out.")
def reconcile(day: datetime | None) -> None:
    """Compare the card provider's charges and refunds of a day with our ledger, both ways; exit status 1 if anything differs.

    Names the first difference and counts all. Changes nothing.
    """
    with attached():
        wanted = day.date() if day is not None else (clock.now() - timedelta(days=1)).date()
        account = reconciliation.reconcile(day=wanted)
    click.echo(f"{wanted} (UTC): {account.theirs:,} transactions of the card provider, {account.ours:,} of our ledger")
    if account.differences:
        click.echo(f"{len(account.differences):,} differ. The first:")
        click.echo(f"  {reconciliation.sentence(account.differences[0])}")
        raise click.exceptions.Exit(1)
    click.echo("They agree.")


COMMANDS: list[click.Command] = [reconcile]
