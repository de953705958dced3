"""The API of this package: carts, orders, pickups and payments."""

from orders.routes import carts, orders, payments, pickups

BLUEPRINTS = [*carts.BLUEPRINTS, *orders.BLUEPRINTS, *pickups.BLUEPRINTS, *payments.BLUEPRINTS]
