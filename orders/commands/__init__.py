"""The command line of this package: imports of other systems' orders, and replays of real ones."""

import click

from orders.commands import history, online_retail, reconcile, tau2

COMMANDS: list[click.Command] = [
    *history.COMMANDS,
    *online_retail.COMMANDS,
    *reconcile.COMMANDS,
    *tau2.COMMANDS,
]  # the others stand in `import` and `replay`, which retail lists
