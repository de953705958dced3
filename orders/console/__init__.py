"""The console's pages of this package, a module per thing that people do."""

from flask import Blueprint

from orders.console import counter, documents, gift_receipts, substitutes

BLUEPRINTS: list[Blueprint] = [
    *counter.BLUEPRINTS,
    *documents.BLUEPRINTS,
    *gift_receipts.BLUEPRINTS,
    *substitutes.BLUEPRINTS,
]
