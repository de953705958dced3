"""The stock pages of store staff: look up, receive, adjust, transfer, count. The API with templates, usable on a phone."""

from flask import Blueprint

from inventory.console import counts, frame, levels, lookup, receiving

BLUEPRINTS: list[Blueprint] = [frame.pages]

__all__ = ["BLUEPRINTS", "counts", "levels", "lookup", "receiving"]  # imported for the pages they add
