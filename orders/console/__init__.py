"""The pages of orders: the pickup counter and documents for staff, and what customers open by a link."""

from flask import Blueprint

from orders.console import counter, documents, substitutes

BLUEPRINTS: list[Blueprint] = [*counter.BLUEPRINTS, *documents.BLUEPRINTS, *substitutes.BLUEPRINTS]
