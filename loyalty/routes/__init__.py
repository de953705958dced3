"""The API of points."""

from loyalty.routes import points
from retail.kernel.web import ApiBlueprint

BLUEPRINTS: list[ApiBlueprint] = [points.points]
