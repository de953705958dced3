"""The console pages of points: the rules by which they are earned."""

from flask import Blueprint

from loyalty.console import rules

BLUEPRINTS: list[Blueprint] = [rules.pages]
