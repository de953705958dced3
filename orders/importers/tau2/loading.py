"""Writes the file's shop: products and prices, a warehouse with stock, customers with addresses and payment methods, orders.

Orders come alive: pending ones have their goods allocated, shipped and delivered ones have handed them over; what was paid
by another system stands as such (tender external), gift cards have their own ledger, from which their balance follows. No
messages are sent, and nothing is charged.
"""

import json
from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import stock
from orders import gift_cards, order_policies, payment_methods, return_policies
from orders.importers.tau2 import sales
from orders.importers.tau2.reading import Method, Source
from orders.importers.tau2.sales import ACTOR, CATEGORY, CHANNEL, CURRENCY, Person, Tell
from orders.queries import history as history_queries
from retail import catalog, customers, setup, stores
from retail import queries as ground
from retail.catalog import NewPrice, NewVariant
from retail.customers import NewIdentity
from retail.kernel import db
from retail.kernel.errors import Conflict

REGION, WAREHOUSE = "US", "TAU2"
UNITS = 100_000  # of each variant that can be had: the file says only that it can

# What the data set's policy.md says, in this shop's words.
ORDER_RULES = {
    "cancel_reasons": ["no longer needed", "ordered by mistake"],
    "goods_changes_most": 1,
    "frozen_by_goods_change": True,
    "same_product_only": True,
    "payment_changes_most": 1,
}
RETURN_RULES = {
    "window_days": None,
    "conditions": list(return_policies.CONDITIONS),
    "destinations": ["original", "gift_card"],
    "restocking_fee_bp": 0,
    "final_sale": False,
    "exchange_allowed": True,
    "same_product_only": True,
    "requests_per_order": 1,
    "approval": "by_hand",
}


class LoadedBefore(Conflict):
    """The shop has orders of this channel already."""

    code, title = "loaded_before", "This shop has been taken over before"


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was written."""

    products: int
    variants: int
    customers: int
    gift_cards: int
    orders: int


def load(source: Source, *, tell: Tell, now: datetime) -> Loaded:
    """Write the shop, all of it or nothing, in one transaction.

    Raises:
        LoadedBefore: its channel has orders. Whatever the shop's own functions refuse (a SKU that is taken ...).
    """
    with db.transaction() as session:
        db.take_time(session)
        if history_queries.channel_has_orders(session, channel=CHANNEL):
            raise LoadedBefore
        variants = _catalog(session, source, tell, now)
        place = _warehouse(session, source, variants, now)
        people = _people(session, source, tell, now)
        sales.write(session, source=source, variants=variants, place=place, people=people, tell=tell, now=now)
        order_policies.put(session, channel=CHANNEL, rules=ORDER_RULES, version=0, actor=ACTOR, now=now)
        return_policies.put(
            session, scope="category", scope_key=CATEGORY, rules=RETURN_RULES, version=0, actor=ACTOR, now=now
        )
    cards = sum(method.source == "gift_card" for user in source.users for method in user.methods)
    return Loaded(len(source.products), len(variants), len(source.users), cards, len(source.orders))


def _catalog(session: Session, source: Source, tell: Tell, now: datetime) -> dict[str, UUID]:
    """Products, variants and prices; returns the variant of each item."""
    setup.ensure_tax_rates(session, region=REGION, valid_from=date(2000, 1, 1), rates_bp={"exempt": 0})
    setup.ensure_price_list(session, code=CHANNEL, currency=CURRENCY, tax_inclusive=True)
    setup.ensure_channel(session, code=CHANNEL, name="tau2 retail", price_list=CHANNEL)
    for done, product in enumerate(source.products, start=1):
        catalog.create_product(
            session,
            facts={"code": product.id, "title": product.name, "category": CATEGORY, "tax_class": "exempt"},
            variants=[
                NewVariant(sku=item.id, title=product.name, title_ja=None, options=item.options)
                for item in product.items
            ],
            actor=ACTOR,
            now=now,
        )
        prices = [
            NewPrice(sku=item.id, amount_minor=item.price_minor, currency=CURRENCY, valid_from=None)
            for item in product.items
        ]
        catalog.set_prices(session, price_list=CHANNEL, prices=prices, actor=ACTOR, now=now)
        tell("products", done, len(source.products))
    skus = [item.id for product in source.products for item in product.items]
    return ground.variants_by_sku(session, skus=skus)


def _warehouse(session: Session, source: Source, variants: dict[str, UUID], now: datetime) -> UUID:
    """The one place everything is sent from, with the units of pending orders and plenty of what can be had."""
    place = stores.create(
        session,
        facts={
            "code": WAREHOUSE,
            "kind": "warehouse",
            "name": "tau2 warehouse",
            "zone": "America/New_York",
            "tax_region": REGION,
        },
        actor=ACTOR,
        now=now,
    )
    units = Counter(item.item_id for order in source.orders if order.status == "pending" for item in order.items)
    for product in source.products:
        for item in product.items:
            units[item.id] += UNITS if item.available else 0
    lines = [(variants[sku], count) for sku, count in sorted(units.items()) if count]
    stock.receive(session, location_id=place, lines=lines, key="tau2", actor=ACTOR, now=now)
    return place


_ADDRESS = text("UPDATE customer SET address = CAST(:address AS jsonb) WHERE id = :id")


def _people(session: Session, source: Source, tell: Tell, now: datetime) -> dict[str, Person]:
    """Customers with their addresses and methods; a gift card begins with what it has now and what it paid since."""
    spent: Counter[str] = Counter()
    for order in source.orders:
        for one in order.transactions:
            spent[one.method_id] += one.amount_minor if one.kind == "payment" else -one.amount_minor
    people = {}
    for done, user in enumerate(source.users, start=1):
        customer_id = customers.register(
            session,
            name=user.name,
            locale="en",
            identities=[
                NewIdentity(kind="email", value=user.email, assurance="verified"),
                NewIdentity(kind="external", value=user.id, assurance="verified"),
            ],
            actor=ACTOR,
            now=now,
        )
        session.execute(_ADDRESS, {"id": customer_id, "address": json.dumps(user.address)})
        methods = {one.id: _method(session, customer_id, one, spent[one.id], now) for one in user.methods}
        people[user.id] = Person(customer_id, user.name, user.email, methods)
        tell("customers", done, len(source.users))
    return people


def _method(
    session: Session, customer_id: UUID, method: Method, spent_minor: int, now: datetime
) -> tuple[UUID, UUID | None]:
    card_id = None
    if method.source == "gift_card":
        card_id = gift_cards.issue(
            session,
            amount_minor=method.balance_minor + spent_minor,
            currency=CURRENCY,
            customer_id=customer_id,
            external_reference=method.id,
            reason="taken over",
            actor=ACTOR,
            now=now,
        ).id
    kind = {"gift_card": "gift_card", "credit_card": "card"}.get(method.source, "wallet")
    made = payment_methods.add(
        session,
        customer_id=customer_id,
        kind=kind,
        brand=method.brand or method.source,
        label=method.last_four,
        gift_card_id=card_id,
        external_reference=method.id,
        now=now,
    )
    return made, card_id
