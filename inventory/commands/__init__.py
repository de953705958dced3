"""The command line of this package: `retail import stock`, `retail stock`, and `retail replay grocery`."""

import click

from inventory.commands import replaying  # noqa: F401 - stands in the group `replay`, which retail lists
from inventory.commands.stock import stock_group

COMMANDS: list[click.Command] = [stock_group]
