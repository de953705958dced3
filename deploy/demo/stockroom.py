"""What the demo's stores know about their goods beyond numbers: barcodes, shelves, rules, a bundle, a pre-order, a delivery.

The article of the tour's second part, a wind bell made by hand, is here too: few are left, and more are on their way.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.orm import Session

from inventory import bundles, inbound, rules, stock, supply_policies
from inventory.inbound import Expected
from inventory.queries import Scope
from retail import barcodes, catalog, queries
from retail.bundles import Component
from retail.catalog import NewPrice, NewVariant

SYSTEM = "system"
STORE, WAREHOUSE = "SHIBUYA", "KAWASAKI"
BELL, GIFT, HARVEST = "LIMITED-FURIN", "GIFT-UJI", "TEA-SHINCHA-27"
GIFT_PARTS = (Component("TEA-SENCHA-80", 1), Component("WARE-YUNOMI-AO", 2))
BELLS = {STORE: 3, WAREHOUSE: 40}
BELLS_BEYOND = 10  # how many may be ordered before they are here
RUNNING_LOW = 5
SHELF_PLACES = 24
# (sku, title, Japanese title, category, tax class, yen, cents)
EXTRAS = (
    (BELL, "Wind bell, hand-blown", "江戸風鈴 手吹き", "household", "standard", 3300, 2000),
    (GIFT, "Gift set: Uji sencha and two cups", "宇治煎茶と湯呑二客の贈り物", "gifts", "standard", 5500, 3300),
    (HARVEST, "First harvest 2027, 100 g", "新茶 2027 100g", "tea", "reduced", 2160, 1300),
)
# GTINs beginning with 20 to 29 are for use inside a company (GS1 General Specifications, 2.1.11).
_COMPANY = "20"


def barcode_of(position: int) -> str:
    """The demo's GTIN-13 of the article at this place (from 0) of the sorted SKUs, check digit included."""
    body = f"{_COMPANY}{position + 1:010}"
    total = sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(body))
    return body + str(-total % 10)


def furnish(
    session: Session, *, skus: Mapping[str, UUID], located: Mapping[str, UUID], opened: datetime, now: datetime
) -> dict[str, UUID]:
    """Add all of it; returns the variants by SKU, the extras among them."""
    variants = {**skus, **_extras(session, opened)}
    for position, sku in enumerate(sorted(variants)):
        barcodes.add(session, sku=sku, barcode=barcode_of(position), actor=SYSTEM, now=opened)
    _shelves(session, skus, located[STORE], opened)
    for code, units in BELLS.items():
        lines = [(variants[BELL], units)]
        stock.receive(
            session, location_id=located[code], lines=lines, key=f"demo-bells-{code}", actor=SYSTEM, now=opened
        )
    bundles.set_components(session, sku=GIFT, components=GIFT_PARTS, actor=SYSTEM, now=opened)
    _pre_order(session, variants[HARVEST], located, opened, now)
    _limits(session, variants[BELL], located[STORE], {"backorder_limit": BELLS_BEYOND}, opened)
    rules.create(
        session, scope=Scope(category="sweets", channel_code="web"), quantity=2, actor=SYSTEM, now=opened
    )  # fresh sweets: the last two of each are kept for who comes into the store
    expected = [Expected(variants[sku], 24) for sku in ("TEA-SENCHA-80", "TEA-HOJICHA-80", "SWEET-DORA-10")]
    inbound.announce(
        session,
        location_id=located[STORE],
        lines=expected,
        due_at=now + timedelta(days=1),
        supplier="宇治製茶",
        actor=SYSTEM,
        now=now - timedelta(hours=3),
    )
    return variants


def _extras(session: Session, opened: datetime) -> dict[str, UUID]:
    for sku, title, title_ja, category, tax_class, _, _ in EXTRAS:
        facts = {"code": sku, "title": title, "title_ja": title_ja, "category": category, "tax_class": tax_class}
        catalog.create_product(
            session, facts=facts, variants=[NewVariant(sku, title, title_ja, {})], actor=SYSTEM, now=opened
        )
    for price_list, column in (("JPY", 5), ("USD", 6)):
        prices = [NewPrice(str(extra[0]), int(extra[column]), price_list) for extra in EXTRAS]
        catalog.set_prices(session, price_list=price_list, prices=prices, actor=SYSTEM, now=opened)
    return queries.variants_by_sku(session, skus=[extra[0] for extra in EXTRAS])


def _shelves(session: Session, skus: Mapping[str, UUID], location_id: UUID, opened: datetime) -> None:
    """Shelves A-01, A-02 ... in the order of the SKUs, and a word when an article runs low."""
    for position, sku in enumerate(sorted(skus)):
        aisle, place = divmod(position, SHELF_PLACES)
        shelf = f"{chr(ord('A') + aisle)}-{place + 1:02}"
        _limits(session, skus[sku], location_id, {"shelf": shelf, "low_stock_threshold": RUNNING_LOW}, opened)


def _limits(
    session: Session, variant_id: UUID, location_id: UUID, changes: dict[str, object], opened: datetime
) -> None:
    stock.set_limits(
        session,
        location_id=location_id,
        variant_id=variant_id,
        changes=changes,
        version=stock.level_of(session, location_id=location_id, variant_id=variant_id, now=opened)["version"],
        actor=SYSTEM,
        now=opened,
    )


def _pre_order(
    session: Session, variant_id: UUID, located: Mapping[str, UUID], opened: datetime, now: datetime
) -> None:
    """Next spring's tea: ordered from now on, promised for the day of its release, and not handed over before."""
    released = now + timedelta(days=120)
    supply_policies.put(
        session, variant_id=variant_id, releases_at=released, lead_days=0, version=0, actor=SYSTEM, now=opened
    )
    for code in ("SHIBUYA", "KYOTO", "SAPPORO"):
        stock.open_levels(session, location_id=located[code], variant_ids=[variant_id], actor=SYSTEM, now=opened)
        _limits(session, variant_id, located[code], {"backorder_limit": 50}, opened)
