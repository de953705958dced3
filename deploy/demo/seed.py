"""Fills an empty database with the demo's shop, through the same functions that the shop itself runs on.

Everything is written in ONE transaction by `seed`: there is all of it or nothing, and a second run finds it there.
Nobody is told: the process that seeds has no handlers, so no mails about the past are sent. The keys of the API clients
cannot be read again, so they are kept in a file of the demo's folder and issued anew when it is lost (`keys`).
"""

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from deploy.demo import people, places, stockroom
from deploy.demo.assortment import families
from deploy.demo.past import Past, Store
from inventory import stock
from loyalty import ledger
from orders import shipping_fees, till
from orders.sourcing import policy
from orders.sourcing.rules import DEFAULT_CHAIN
from retail import catalog, clients, customers, issuer, queries, setup, staff, stores
from retail.catalog import NewPrice, NewVariant
from retail.identities import NewIdentity
from retail.kernel.auth import CLIENT, CUSTOMER, STAFF, Principal, token_hash
from retail.roles import CUSTOMER_PERMISSIONS, ROLES
from retail.staff import OPERATOR

SYSTEM = "system"
OPEN_DAYS = 120  # how long ago the shop opened
WELCOME_POINTS = 500
STORE_UNITS = 60
WAREHOUSE_UNITS = 400
JPY, USD = "JPY", "USD"
# What Kyoto's potter makes does not go to the warehouse, and the large bags of stem tea do not fit into Kyoto's store.
NOT_HERE = {("KAWASAKI", "WARE-KYUSU-BIZEN"), ("KYOTO", "TEA-KUKI-200")}
SHIPPING = {"amount_minor": 550, "free_from_minor": 5_000, "tax_class": "standard"}
CHANNELS = {"web": ("Web store", JPY), "app": ("App", JPY), "store": ("Stores", JPY), "phone": ("Telephone", JPY)}
GLOBAL = ("International web store", USD)
# The number has the right check digit and is nobody's: 123456789012 is the textbook's own example.
ISSUER = {
    "name": "株式会社青葉商店（デモ）",
    "name_en": "Aoba Stores, Ltd. (demo)",
    "address": "東京都渋谷区神南1-2-3",
    "phone": "03-0000-0000",
    "registration_number": "T7123456789012",
    "corporate": True,
}
KEYS_FILE = "keys.json"


@dataclass(frozen=True, slots=True)
class Summary:
    """What there is after seeding; `new` says whether this call made it."""

    new: bool
    variants: int = 0
    orders: int = 0


def seed(session: Session, *, now: datetime) -> Summary:
    """Make the demo's shop as it would look `now`, 120 days after it opened; or nothing, if it is there."""
    if queries.staff_login(session, login=people.STAFF[0].login) is not None:
        return Summary(new=False)
    opened = now - timedelta(days=OPEN_DAYS)
    _wiring(session, opened)
    located = {
        facts["code"]: stores.create(session, facts=facts, actor=SYSTEM, now=opened) for facts in places.locations()
    }
    skus = _catalog(session, opened)
    _shipping(session, opened)
    _stock(session, skus, located, opened)
    everything = stockroom.furnish(session, skus=skus, located=located, opened=opened, now=now)
    associates = _staff(session, located, opened)
    tills = _clients(session, located, opened)
    shoppers = _customers(session, opened)
    open_stores = [
        Store(code, located[code], tills[code], associates[code]) for code in ("SHIBUYA", "KYOTO", "SAPPORO")
    ]
    rare = {sku for _, sku in NOT_HERE}
    sold = {sku: variant_id for sku, variant_id in skus.items() if sku not in rare}
    past = Past(session, random.Random(20261123), skus=sold, shoppers=shoppers, stores=open_stores)  # noqa: S311
    past.happen(opened + timedelta(days=5), now)
    return Summary(new=True, variants=len(everything), orders=past.orders)


def _wiring(session: Session, opened: datetime) -> None:
    """Taxes of Japan since October 2019 and of California; who issues invoices; prices in yen with tax and in dollars without; channels."""
    rates = {"standard": 1000, "reduced": 800, "exempt": 0}
    setup.ensure_tax_rates(session, region="JP", valid_from=date(2019, 10, 1), rates_bp=rates)
    abroad = {"standard": 725, "reduced": 0, "exempt": 0}
    setup.ensure_tax_rates(session, region="US-CA", valid_from=date(2017, 1, 1), rates_bp=abroad)
    california = [("US", "CA"), ("US", "California")]
    setup.ensure_tax_region(
        session, code="US-CA", zone="America/Los_Angeles", tax_inclusive=False, destinations=california
    )
    issuer.put(session, facts=ISSUER, version=0, now=opened)
    setup.ensure_price_list(session, code=JPY, currency=JPY, tax_inclusive=True)
    setup.ensure_price_list(session, code=USD, currency=USD, tax_inclusive=False)
    for code, (name, price_list) in {**CHANNELS, "global": GLOBAL}.items():
        setup.ensure_channel(session, code=code, name=name, price_list=price_list)


def _catalog(session: Session, opened: datetime) -> dict[str, UUID]:
    yen: list[NewPrice] = []
    dollars: list[NewPrice] = []
    for family in families():
        variants = [
            NewVariant(article.sku, article.title, article.title_ja, dict([article.option]))
            for article in family.articles
        ]
        facts = {"code": family.code, "title": family.title, "title_ja": family.title_ja}
        facts |= {"category": family.category, "tax_class": family.tax_class}
        catalog.create_product(session, facts=facts, variants=variants, actor=SYSTEM, now=opened)
        yen += [NewPrice(article.sku, article.yen, JPY) for article in family.articles]
        dollars += [NewPrice(article.sku, article.cents, USD) for article in family.articles]
    for price_list, prices in ((JPY, yen), (USD, dollars)):
        catalog.set_prices(session, price_list=price_list, prices=prices, actor=SYSTEM, now=opened)
    return queries.variants_by_sku(session, skus=[price.sku for price in yen])


def _shipping(session: Session, opened: datetime) -> None:
    """What sending costs within Japan, and by which rules it is decided from where."""
    shipping_fees.put(
        session, currency=JPY, country="JP", region="all", rate=SHIPPING, version=0, actor=SYSTEM, now=opened
    )
    rules = [{"rule": rule.name, "step": rule.step} for rule in DEFAULT_CHAIN]
    chain = {"rules": rules, "most_parts": 3, "no_split_below_minor": 1_500, "areas": places.AREAS}
    policy.put(session, policy=chain, version=0, actor=SYSTEM, now=opened)


def _stock(session: Session, skus: Mapping[str, UUID], located: Mapping[str, UUID], opened: datetime) -> None:
    for code, location_id in located.items():
        units = WAREHOUSE_UNITS if code == "KAWASAKI" else STORE_UNITS
        lines = [(variant_id, units) for sku, variant_id in skus.items() if (code, sku) not in NOT_HERE]
        key = f"demo-opening-{code}"
        stock.receive(session, location_id=location_id, lines=lines, key=key, actor=SYSTEM, now=opened)


def _staff(session: Session, located: Mapping[str, UUID], opened: datetime) -> dict[str, Principal]:
    """Staff of every role; returns each store's associate."""
    associates = {}
    for colleague in people.STAFF:
        bound = [located[colleague.store]] if colleague.store else []
        staff_id = staff.create(
            session,
            caller=OPERATOR,
            login=colleague.login,
            name=colleague.name,
            password=people.PASSWORD,
            role=colleague.role,
            locale=colleague.locale,
            location_ids=bound,
            now=opened,
        )
        if colleague.role == "associate" and colleague.store:
            associates[colleague.store] = Principal(
                STAFF, staff_id, ROLES[colleague.role], name=colleague.name, locations=frozenset(bound)
            )
    return associates


def _clients(session: Session, located: Mapping[str, UUID], opened: datetime) -> dict[str, Principal]:
    """Storefronts, the app, and a till per store with its register for people; returns the tills."""
    tills = {}
    for client in people.CLIENTS:
        location_id = located[client.store] if client.store else None
        facts: dict[str, Any] = {"name": client.name, "channel": client.channel, "scopes": list(client.scopes)}
        facts["location_id"] = location_id
        client_id = clients.create(session, caller=OPERATOR, facts=facts, now=opened)
        if client.store and location_id:
            code = f"{client.store}-1"
            till.create(session, code=code, name="レジ1", location=client.store, caller=OPERATOR, now=opened)
            tills[client.store] = Principal(
                CLIENT,
                client_id,
                frozenset(client.scopes),
                name=client.name,
                channel=client.channel,
                locations=frozenset({location_id}),
            )
    return tills


def _customers(session: Session, opened: datetime) -> list[Principal]:
    """Thirty people with email, phone and card, each with a welcome gift of points."""
    found = []
    for number, person in enumerate(people.CUSTOMERS):
        joined = opened + timedelta(hours=number)
        customer_id = customers.register(
            session,
            name=person.name,
            locale=person.locale,
            identities=[
                NewIdentity("email", people.email_of(person), "attested"),
                NewIdentity("phone", people.phone_of(person), "verified"),
                NewIdentity("card", people.card_of(person), "verified"),
            ],
            actor=SYSTEM,
            now=joined,
        )
        points = WELCOME_POINTS * (2 if person is people.HANAKO else 1)
        ledger.earn(
            session,
            customer_id=customer_id,
            order_id=None,
            points=points,
            key=f"demo-welcome-{customer_id}",
            reason="welcome gift",
            actor=SYSTEM,
            now=joined,
        )
        channel = ("web", "app")[number % 2]
        found.append(
            Principal(
                CUSTOMER, customer_id, CUSTOMER_PERMISSIONS, name=person.name, channel=channel, locale=person.locale
            )
        )
    return found


def keys(session: Session, *, folder: Path, now: datetime) -> dict[str, str]:
    """The API key of every client by its name: those of the file, if they work, else new ones; the old ones then end."""
    path = folder / KEYS_FILE
    try:
        kept = dict(json.loads(path.read_text()))
    except (OSError, ValueError):
        kept = {}
    known = {client["name"]: client["id"] for client in queries.list_clients(session, after=None, limit=1000, now=now)}
    found: dict[str, str] = {}
    for client in people.CLIENTS:
        key = str(kept.get(client.name, ""))
        principal = queries.principal_by_token(session, token_hash=token_hash(key), now=now) if key else None
        if principal is None or principal.id != known[client.name]:
            key = clients.issue_key(
                session, caller=OPERATOR, client_id=known[client.name], overlap_hours=0, now=now
            ).key
        found[client.name] = key
    if found != kept:
        part = path.with_suffix(".part")
        part.touch(mode=0o600)
        part.write_text(json.dumps(found, indent=2))
        part.replace(path)
    return found
