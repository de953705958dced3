"""Which permissions exist and which role holds which. One permission string stands on each route; denied by default."""

from collections.abc import Mapping

PERMISSIONS = frozenset(
    [
        "catalog.read",
        "catalog.write",
        "stores.read",
        "stores.write",
        "customers.read",
        "customers.write",
        "staff.manage",
        "clients.manage",
        "gift_cards.write",
        "deliveries.manage",
        "documents.issue",
        "stock.read",
        "stock.write",
        "stock.work",
        "stock.approve",
        "carts.write",
        "orders.place",
        "orders.read",
        "orders.cancel",
        "orders.change",
        "orders.goodwill",
        "orders.policy",
        "orders.refund",
        "pickups.read",
        "pickups.work",
        "pickups.move",
        "pickups.expire",
        "shortfalls.resolve",
        "customers.merge",
        "members.work",
        "points.approve",
        "points.block",
        "points.give",
        "points.read",
        "points.report",
        "points.rules",
        "points.spend_for",
        "returns.approve",
        "returns.policy",
        "returns.work",
        "me",
        "support.read",
        "support.write",
        "auth.customers",
        "till.manage",
        "till.sell",
    ]
)
CUSTOMER_PERMISSIONS = frozenset(
    {"me", "carts.write", "orders.place", "catalog.read", "stores.read", "stock.read", "pickups.move"}
)
# points.report is what all members' points come to; it is no store's business.
# members.work is looking members up and enrolling them; points.give gives goodwill within one's cap, points.approve above it.
# points.spend_for spends a member's points without the proof of a look-up: staff who identify her by their own procedure, and
# storefronts, which place for who is logged in with them. Never a till: before it stands somebody who can show her card.
# stock.work is what everybody in a store does (receive, ship and take in transfers, enter counts, set damaged goods aside);
# stock.write also changes numbers, limits and rules; stock.approve lets a large difference of a count through.
GRANTABLE = PERMISSIONS - {"me"}  # `me` is what only a customer has

_LOOK = frozenset({"catalog.read", "stores.read", "stock.read", "orders.read", "points.read"})
_RESOLVE = frozenset({"pickups.read", "pickups.move", "shortfalls.resolve"})
_ASSOCIATE = (
    _LOOK
    | _RESOLVE
    | {
        "members.work",
        "pickups.work",
        "carts.write",
        "orders.place",
        "till.sell",
        "stock.work",
        "returns.work",
        "documents.issue",
    }
)
_AGENT = (
    _LOOK
    | _RESOLVE
    | {
        "customers.read",
        "customers.write",
        "documents.issue",
        "members.work",
        "orders.cancel",
        "orders.change",
        "orders.refund",
        "points.give",
        "points.spend_for",
        "returns.approve",
        "support.read",
        "support.write",
    }
)

ROLES: Mapping[str, frozenset[str]] = {
    "associate": _ASSOCIATE,
    "manager": _ASSOCIATE
    | {
        "stock.write",
        "stock.approve",
        "orders.cancel",
        "orders.change",
        "orders.refund",
        "orders.goodwill",
        "gift_cards.write",
        "pickups.expire",
        "returns.approve",
        "till.manage",
    },
    "agent": _AGENT,
    "supervisor": _AGENT
    | {
        "customers.merge",
        "deliveries.manage",
        "gift_cards.write",
        "orders.goodwill",
        "points.approve",
        "points.block",
        "points.report",
    },
    "analyst": _LOOK | {"points.report"},
    "admin": GRANTABLE,
}
STORE_ROLES = frozenset({"associate", "manager"})  # bound to the stores of `staff_location`; the others act everywhere
