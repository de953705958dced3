"""The shop a week is lived through in: three stores and a warehouse, the file's products at the file's prices, its customers by
their numbers, opening stock, and the keys of a web shop and three tills."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from inventory import stock
from orders import shipping_fees
from orders.importers.online_retail import FORMAT
from orders.replay.online_retail.ways import STORES, WAREHOUSE, way_of
from orders.replay.online_retail.week import SALE, Goods, Week
from retail import catalog, clients, imports, setup, stores
from retail import queries as ground
from retail.catalog import NewPrice, NewVariant
from retail.invoice_lines import CURRENCY, ZONE
from retail.kernel import clock, db
from retail.kernel.auth import STAFF, Principal
from retail.kernel.outbox import SYSTEM
from retail.kernel.progress import Tell
from retail.roles import GRANTABLE

REGION, EXEMPT = "GB", "exempt"  # the file has no taxes
CATEGORY = "Online Retail"
BATCH = 250
HOURS = [{"weekday": day, "opens": time(8), "closes": time(20)} for day in range(7)]
CAPTURES = dict(zip((*STORES, WAREHOUSE), ("placed", "ready", "collected", "collected"), strict=True))
WEB_SCOPES = ("orders.place", "orders.read", "pickups.work", "returns.work")
TILL_SCOPES = ("orders.place", "till.sell")
LEARNED = "product, variant, price, customer, identity, identity_link, stock_level, stock_movement"


@dataclass(frozen=True, slots=True)
class Floor:
    """The shop: its locations by code, variants by SKU, customers by number, what each location opened with (units), the key
    of the web shop and of each store's till."""

    locations: Mapping[str, UUID]
    variants: Mapping[str, UUID]
    customers: Mapping[str, UUID]
    opened: Mapping[str, int]
    web_key: str
    till_keys: Mapping[str, str]


def build(week: Week, *, fill_percent: int, cards: bool, tell: Tell) -> Floor:
    """Write the shop into the database at hand, which must be empty.

    fill_percent: each location opens with so much of the units that the week asks of it, of each SKU, rounded up.
    """
    now = clock.now()
    locations = _locations(now)
    variants = _catalog(list(week.goods.values()), now, tell)
    with db.transaction() as session:
        customers = imports.ensure_customers(
            session, namespace=FORMAT, names=week.customers, locale="en", actor=SYSTEM, now=now
        )
        keys = {code: _client(session, f"till {code}", TILL_SCOPES, locations[code], now) for code in STORES}
        web_key = _client(session, "web", WEB_SCOPES, None, now)
    opened = _open(week, locations, variants, fill_percent=fill_percent, cards=cards, now=now, tell=tell)
    with db.transaction() as session:  # tables that were empty a moment ago are full: tell the planner
        session.execute(text(f"ANALYZE {LEARNED}"))
    return Floor(locations, variants, customers, opened, web_key, keys)


def _locations(now: datetime) -> dict[str, UUID]:
    """Taxes, prices' list, channel, the places, and what sending costs: nothing, as the file's postage is left out."""
    with db.transaction() as session:
        setup.ensure_tax_rates(session, region=REGION, valid_from=date(2000, 1, 1), rates_bp={EXEMPT: 0})
        setup.ensure_tax_region(session, code=REGION, zone=ZONE.key, destinations=[(REGION, "")])
        setup.ensure_price_list(session, code=FORMAT, currency=CURRENCY, tax_inclusive=True)
        setup.ensure_channel(session, code=FORMAT, name="Online Retail", price_list=FORMAT)
        made = {}
        for code, capture_at in CAPTURES.items():
            sends = code == WAREHOUSE
            facts = {
                "code": code,
                "kind": "warehouse" if sends else "store",
                "name": code,
                "zone": ZONE.key,
                "tax_region": REGION,
                "pickup_enabled": not sends,
                "ship_enabled": sends,
                "capture_at": capture_at,
                "hours": HOURS,
            }
            made[code] = stores.create(session, facts=facts, actor=SYSTEM, now=now)
        rate = {"amount_minor": 0, "free_from_minor": None, "tax_class": EXEMPT}
        shipping_fees.put(
            session, currency=CURRENCY, country=REGION, region="all", rate=rate, version=0, actor=SYSTEM, now=now
        )
    return made


def _catalog(goods: Sequence[Goods], now: datetime, tell: Tell) -> dict[str, UUID]:
    """A product per code with a variant per price; returns the variant of each SKU."""
    by_code: dict[str, list[Goods]] = {}
    for one in goods:
        by_code.setdefault(one.code, []).append(one)
    codes = list(by_code)
    for first in range(0, len(codes), BATCH):
        tell("products", first, len(codes))
        batch = [by_code[code] for code in codes[first : first + BATCH]]
        with db.transaction() as session:
            for variants in batch:
                facts = {"code": variants[0].code, "title": variants[0].title or variants[0].code}
                catalog.create_product(
                    session,
                    facts=facts | {"category": CATEGORY, "tax_class": EXEMPT},
                    variants=[
                        NewVariant(sku=one.sku, title=facts["title"], title_ja=None, options={"price": one.sku})
                        for one in variants
                    ],
                    actor=SYSTEM,
                    now=now,
                )
            prices = [NewPrice(one.sku, one.price_minor, CURRENCY) for variants in batch for one in variants]
            catalog.set_prices(session, price_list=FORMAT, prices=prices, actor=SYSTEM, now=now)
    tell("products", len(codes), len(codes))
    with db.reading() as session:
        return ground.variants_by_sku(session, skus=[one.sku for one in goods])


def _client(session: Session, name: str, scopes: Sequence[str], location_id: UUID | None, now: datetime) -> str:
    owner = Principal(kind=STAFF, id=None, permissions=GRANTABLE)
    facts = {"name": f"online retail {name}", "channel": FORMAT, "scopes": scopes, "location_id": location_id}
    client_id = clients.create(session, caller=owner, facts=facts, now=now)
    return clients.issue_key(session, caller=owner, client_id=client_id, overlap_hours=None, now=now).key


def _open(
    week: Week,
    locations: Mapping[str, UUID],
    variants: Mapping[str, UUID],
    *,
    fill_percent: int,
    cards: bool,
    now: datetime,
    tell: Tell,
) -> dict[str, int]:
    """Receive what each location opens with."""
    asked: dict[str, Counter[str]] = {code: Counter() for code in locations}
    for invoice in week.invoices:
        if invoice.kind == SALE:
            for line in invoice.lines:
                asked[way_of(invoice, cards=cards).source][line.sku] += line.quantity
    opened = {}
    for done, (code, units) in enumerate(asked.items()):
        tell("opening", done, len(asked))
        lines = [(variants[sku], -(-count * fill_percent // 100)) for sku, count in units.items()]
        with db.transaction() as session:
            db.take_time(session)
            if lines:
                stock.receive(
                    session, location_id=locations[code], lines=lines, key=f"opening/{code}", actor=SYSTEM, now=now
                )
        opened[code] = sum(count for _, count in lines)
    tell("opening", len(asked), len(asked))
    return opened
