"""The ground floor's API: catalog, stores, customers, staff, API clients, log-in, dead letters."""

from retail.kernel.web import ApiBlueprint
from retail.routes import access, auth, barcodes, campaigns, catalog, customers, deliveries, issuer, stores

BLUEPRINTS: list[ApiBlueprint] = [
    auth.blueprint,
    catalog.blueprint,
    campaigns.blueprint,
    barcodes.blueprint,
    stores.blueprint,
    issuer.blueprint,
    customers.blueprint,
    access.blueprint,
    deliveries.blueprint,
]
