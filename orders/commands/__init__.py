"""The command line of this package: imports of other systems' orders, and replays of real ones."""

import click

from orders.commands import history, online_retail, tau2

COMMANDS: list[click.Command] = [
    *history.COMMANDS,
    *online_retail.COMMANDS,
    *tau2.COMMANDS,
]  # ours stand in `import` and `replay`, which retail lists
