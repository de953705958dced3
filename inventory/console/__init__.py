"""The stock pages of store staff: look up, receive, adjust, transfer, count. The API with templates, usable on a phone."""

from flask import Blueprint

from inventory.console import frame, lookup

BLUEPRINTS: list[Blueprint] = [frame.pages]

__all__ = ["BLUEPRINTS", "lookup"]
