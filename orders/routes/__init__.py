"""The API of this package: carts, orders, pickups and payments."""

from orders.routes import carts, changes, orders, payments, pickups, returns, shortfalls

BLUEPRINTS = [
    *carts.BLUEPRINTS,
    *changes.BLUEPRINTS,
    *orders.BLUEPRINTS,
    *payments.BLUEPRINTS,
    *pickups.BLUEPRINTS,
    *returns.BLUEPRINTS,
    *shortfalls.BLUEPRINTS,
]
