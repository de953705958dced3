"""The API of points and members."""

from loyalty.routes import (
    books,
    goodwill,
    lots,
    members,
    merging,
    points,
    referrals,
    rules,
    tiers,
    transfers,
)
from retail.kernel.web import ApiBlueprint

BLUEPRINTS: list[ApiBlueprint] = [
    books.books,
    goodwill.blp,
    lots.blp,
    members.members,
    merging.blp,
    points.points,
    referrals.blueprint,
    rules.blp,
    tiers.blp,
    transfers.blp,
]
