"""The pages of orders: the pickup counter for staff, and what customers open by a link."""

from flask import Blueprint

from orders.console import counter, substitutes

BLUEPRINTS: list[Blueprint] = [*counter.BLUEPRINTS, *substitutes.BLUEPRINTS]
