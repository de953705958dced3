"""`retail import tau2 FILE` and `retail replay tau2 TASKS --expected FILE`."""

import sys
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from orders.importers import tau2
from orders.replay.tau2 import running
from orders.replay.tau2.running import Account
from retail.kernel import clock
from retail.kernel.command import explained, import_group, replay_group
from retail.kernel.progress import told
from retail.shop import Shop

PLAIN_WIDTH = 110
STEPS = {"products": "Products", "customers": "Customers", "orders": "Orders"}
FILE = click.Path(path_type=Path, dir_okay=False, exists=True)


@import_group.command("tau2")
@click.argument("file", type=FILE)
@click.pass_obj
def import_tau2(shop: Shop, file: Path) -> None:
    """Take over the shop of tau2-bench's retail domain (db.json, also gzipped): products, users, orders as living ones.

    All of it or nothing; a second time is refused. The data set's policy becomes this shop's order policy of the channel
    and return policy of the category.
    """
    with shop.opened():
        source = tau2.read(file)
        with told(STEPS, "done") as tell:
            loaded = tau2.load(source, tell=tell, now=clock.now())
    click.echo(
        f"{loaded.products:,} products with {loaded.variants:,} variants, {loaded.customers:,} customers with "
        f"{loaded.gift_cards:,} gift cards, {loaded.orders:,} orders"
    )


@replay_group.command("tau2")
@click.argument("tasks", type=FILE)
@click.option("--expected", type=FILE, required=True, help="The end state of each task, and what is refused.")
@click.option("--shop", "shop_file", type=FILE, help="The shop's db.json; by default db.json.gz beside TASKS.")
@click.pass_obj
def replay_tau2(shop: Shop, tasks: Path, expected: Path, shop_file: Path | None) -> None:
    """Do the expected actions of tau2-bench's retail tasks over HTTP, and compare the end state to the cent.

    Tasks that touch the same user are done in shops of their own. Exit status 0 only if every task ends as expected, what
    the reference tools refuse is refused, nothing else has changed, and the audits are clean.
    """
    with explained():
        source = tau2.read(shop_file or tasks.with_name("db.json.gz"))
        wanted = running.tasks_of(tasks, expected)
    with told({"tasks": "Tasks"}, "done") as tell:
        account = running.run(source, wanted, shops=lambda: shop.replaying("tau2", here=False), tell=tell)
    _print(account)
    if account.equal != len(account.outcomes):
        raise click.exceptions.Exit(1)


def _print(account: Account) -> None:
    console = Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH, highlight=False)
    table = Table("task", "difference", title="What came out otherwise", title_justify="left")
    for outcome in account.outcomes:
        for difference in outcome.differences:
            table.add_row(outcome.task, difference)
    if table.row_count:
        console.print(table)
    defects = [outcome.task for outcome in account.outcomes if outcome.defect]
    if defects:
        console.print(
            f"In {len(defects)} of them ({', '.join(defects)}) the data set's tool wrote the price of the last new item onto "
            "every changed item; ours writes each item's own, and charges the same."
        )
    refusals = sum(outcome.refusals for outcome in account.outcomes)
    console.print(f"{account.actions} actions in {account.shops} shops, {refusals} refused")
    console.print(f"{account.equal} of {len(account.outcomes)} tasks end as expected")


COMMANDS: list[click.Command] = []  # ours stand in the groups `import` and `replay`, which retail lists
