"""The command line of this package: `retail import stock`, `retail stock`, and `retail replay grocery`."""

import click

from inventory.commands import replaying, showing  # noqa: F401 - they stand in groups that are listed elsewhere
from inventory.commands.stock import stock_group

COMMANDS: list[click.Command] = [stock_group]
