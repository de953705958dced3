"""The pages of orders: the pickup counter, returns, shipments and documents for staff, and what customers open by a link."""

from flask import Blueprint

from orders.console import (
    counter,
    documents,
    gift_receipts,
    pick_lists,
    pickup_pages,
    returns,
    shipments,
    shortages,
    substitutes,
    till,
)

BLUEPRINTS: list[Blueprint] = [
    *counter.BLUEPRINTS,
    *shipments.BLUEPRINTS,
    *returns.BLUEPRINTS,
    *documents.BLUEPRINTS,
    *gift_receipts.BLUEPRINTS,
    *pick_lists.BLUEPRINTS,
    *pickup_pages.BLUEPRINTS,
    *shortages.BLUEPRINTS,
    *substitutes.BLUEPRINTS,
    *till.BLUEPRINTS,
]
