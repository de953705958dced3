"""The shop of tau2-bench's retail domain (db.json: products, users, orders), taken over as a living shop.

`reading` knows the format, `loading` writes it with the shop's own functions where there are any.
"""

from orders.importers.tau2.loading import Loaded, load
from orders.importers.tau2.reading import Source, Unreadable, read
from orders.importers.tau2.sales import CHANNEL

__all__ = ["CHANNEL", "Loaded", "Source", "Unreadable", "load", "read"]
