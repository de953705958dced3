"""The agent desk: one search box, the customer seen whole, and what may be done for her there."""

from flask import Blueprint

from support.console import frame, goodwill, order_actions, seen

BLUEPRINTS: list[Blueprint] = [frame.pages, goodwill.pages]

# imported for the pages they add
__all__ = ["BLUEPRINTS", "goodwill", "order_actions", "seen"]
