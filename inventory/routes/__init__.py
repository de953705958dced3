"""Stock over HTTP, a module per noun."""

from inventory.routes import availability, bundles, counts, history, levels
from retail.kernel.web import ApiBlueprint

BLUEPRINTS: list[ApiBlueprint] = [availability.api, bundles.api, counts.api, history.api, levels.api]
