"""The API of this package: carts, orders, pickups and payments."""

from orders.routes import carts, changes, orders, payments, pickups

BLUEPRINTS = [*carts.BLUEPRINTS, *changes.BLUEPRINTS, *orders.BLUEPRINTS, *pickups.BLUEPRINTS, *payments.BLUEPRINTS]
