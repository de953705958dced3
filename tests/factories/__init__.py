"""Rows for tests: each function writes the least that is needed, with `session`, and returns a frozen dataclass.

They write tables directly, so that a test of one package does not depend on the business code of another.
"""

from tests.factories.catalog import CHANNELS, Variant, channels, price, taxes, variant, variants
from tests.factories.people import Actor, api_client, customer, identity, staff
from tests.factories.stores import Place, location

__all__ = [
    "CHANNELS",
    "Actor",
    "Place",
    "Variant",
    "api_client",
    "channels",
    "customer",
    "identity",
    "location",
    "price",
    "staff",
    "taxes",
    "variant",
    "variants",
]
