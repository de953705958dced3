"""The command line of this package."""

import click

COMMANDS: list[click.Command] = []
