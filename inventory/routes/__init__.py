"""Stock over HTTP, a module per noun."""

from inventory.routes import (
    availability,
    bundles,
    changes,
    counts,
    history,
    imports,
    inbound,
    levels,
    rules,
    shortages,
    transfers,
    updates,
)
from retail.kernel.web import ApiBlueprint

BLUEPRINTS: list[ApiBlueprint] = [
    availability.api,
    bundles.api,
    changes.api,
    counts.api,
    history.api,
    imports.api,
    inbound.api,
    levels.api,
    rules.api,
    shortages.api,
    transfers.api,
    updates.api,
]
