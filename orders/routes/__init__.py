"""The API of this package: carts, orders, pickups and payments."""

from orders.routes import carts, changes, orders, payments, pickups, shortfalls

BLUEPRINTS = [
    *carts.BLUEPRINTS,
    *changes.BLUEPRINTS,
    *orders.BLUEPRINTS,
    *payments.BLUEPRINTS,
    *pickups.BLUEPRINTS,
    *shortfalls.BLUEPRINTS,
]
