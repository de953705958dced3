"""The API of points and members."""

from loyalty.routes import members, points
from retail.kernel.web import ApiBlueprint

BLUEPRINTS: list[ApiBlueprint] = [points.points, members.members]
