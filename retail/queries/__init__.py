"""Questions others may ask the ground floor. Each is one statement; frozen dataclasses, ids and dicts come out."""

from retail.queries.access import principal_by_token
from retail.queries.catalog import Offer, VariantName, offers_for, skus_by_variant, variants_by_sku
from retail.queries.customers import CustomerFacts, customer_by_identity, customer_facts, identities_of
from retail.queries.stores import LocationFacts, LocationName, locations_by_id, pickup_location

__all__ = [
    "CustomerFacts",
    "LocationFacts",
    "LocationName",
    "Offer",
    "VariantName",
    "customer_by_identity",
    "customer_facts",
    "identities_of",
    "locations_by_id",
    "offers_for",
    "pickup_location",
    "principal_by_token",
    "skus_by_variant",
    "variants_by_sku",
]
