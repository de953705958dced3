"""The API of this package: carts, orders, pickups and payments."""

from orders.routes import (
    carts,
    changes,
    documents,
    drawers,
    gift_cards,
    orders,
    payments,
    pick_lists,
    pickups,
    promotions,
    returns,
    shipments,
    shortfalls,
    slots,
    sourcing,
    till,
)

BLUEPRINTS = [
    *carts.BLUEPRINTS,
    *changes.BLUEPRINTS,
    *documents.BLUEPRINTS,
    *drawers.BLUEPRINTS,
    *gift_cards.BLUEPRINTS,
    *orders.BLUEPRINTS,
    *payments.BLUEPRINTS,
    *pick_lists.BLUEPRINTS,
    *pickups.BLUEPRINTS,
    *promotions.BLUEPRINTS,
    *returns.BLUEPRINTS,
    *shipments.BLUEPRINTS,
    *shortfalls.BLUEPRINTS,
    *slots.BLUEPRINTS,
    *sourcing.BLUEPRINTS,
    *till.BLUEPRINTS,
]
