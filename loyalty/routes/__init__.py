"""The API of points and members."""

from loyalty.routes import goodwill, lots, members, points, rules, tiers, transfers
from retail.kernel.web import ApiBlueprint

BLUEPRINTS: list[ApiBlueprint] = [
    points.points,
    members.members,
    goodwill.blp,
    transfers.blp,
    lots.blp,
    rules.blp,
    tiers.blp,
]
