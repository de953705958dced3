"""Stock over HTTP, a module per noun."""

from inventory.routes import availability, levels
from retail.kernel.web import ApiBlueprint

BLUEPRINTS: list[ApiBlueprint] = [availability.api, levels.api]
