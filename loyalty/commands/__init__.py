"""The command line of this package: `retail points liability`, and `retail replay loyalty`."""

import click

from loyalty.commands import replaying  # noqa: F401 - it stands in a group that is listed elsewhere
from loyalty.commands.liability import points

COMMANDS: list[click.Command] = [points]
