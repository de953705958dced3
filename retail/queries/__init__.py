"""Questions others may ask the ground floor. Each is one statement; frozen dataclasses, ids and dicts come out."""

from retail.queries.access import principal_by_token
from retail.queries.catalog import Offer, VariantName, offers_for, skus_by_variant, variants_by_sku
from retail.queries.customers import (
    ActiveLink,
    CustomerFacts,
    customer_by_identity,
    customer_dict,
    customer_facts,
    customer_key,
    customers_by_external,
    identities_of,
    identity_value,
    list_customers,
    lock_active_link,
    lock_identity,
)
from retail.queries.stores import LocationFacts, LocationName, locations_by_id, pickup_location

__all__ = [
    "ActiveLink",
    "CustomerFacts",
    "LocationFacts",
    "LocationName",
    "Offer",
    "VariantName",
    "customer_by_identity",
    "customer_dict",
    "customer_facts",
    "customer_key",
    "customers_by_external",
    "identities_of",
    "identity_value",
    "list_customers",
    "locations_by_id",
    "lock_active_link",
    "lock_identity",
    "offers_for",
    "pickup_location",
    "principal_by_token",
    "skus_by_variant",
    "variants_by_sku",
]
