"""The stock pages of store staff: look up, receive, adjust, transfer, count. The API with templates, usable on a phone."""

from flask import Blueprint

from inventory.console import attention, counts, deliveries, frame, levels, lookup, past, receiving, transfers

BLUEPRINTS: list[Blueprint] = [frame.pages]

# imported for the pages they add
__all__ = ["BLUEPRINTS", "attention", "counts", "deliveries", "levels", "lookup", "past", "receiving", "transfers"]
