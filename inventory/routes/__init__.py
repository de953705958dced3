"""Stock over HTTP, a module per noun."""

from inventory.routes import levels
from retail.kernel.web import ApiBlueprint

BLUEPRINTS: list[ApiBlueprint] = [levels.api]
