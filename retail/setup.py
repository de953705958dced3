"""What must exist before anything can be sold: tax classes, rates and regions, price lists, channels. Made if missing, never changed.

Tax rates are law and channels are wiring: they come with the installation (the demo, an import), not through the API.
"""

from collections.abc import Iterable, Mapping
from datetime import date

from sqlalchemy import text
from sqlalchemy.orm import Session

from retail.kernel.ids import new_id
from retail.taxes import area_of

TAX_CLASSES: Mapping[str, str] = {"standard": "Standard", "reduced": "Reduced", "exempt": "Exempt"}


def ensure_tax_classes(session: Session) -> None:
    """standard, reduced, exempt."""
    statement = text("INSERT INTO tax_class (code, name) VALUES (:code, :name) ON CONFLICT (code) DO NOTHING")
    session.execute(statement, [{"code": code, "name": name} for code, name in TAX_CLASSES.items()])


def ensure_tax_rates(session: Session, *, region: str, valid_from: date, rates_bp: Mapping[str, int]) -> None:
    """The rates of a region (class to basis points) from a day on; the classes are made if missing."""
    ensure_tax_classes(session)
    statement = text(
        "INSERT INTO tax_rate (region, tax_class_code, valid_from, rate_bp) "
        "VALUES (:region, :tax_class, :valid_from, :rate_bp) ON CONFLICT DO NOTHING"
    )
    rows = [
        {"region": region, "tax_class": tax_class, "valid_from": valid_from, "rate_bp": rate}
        for tax_class, rate in rates_bp.items()
    ]
    session.execute(statement, rows)


def ensure_tax_region(
    session: Session,
    *,
    code: str,
    zone: str,
    tax_inclusive: bool | None = None,
    destinations: Iterable[tuple[str, str]] = (),
) -> None:
    """A region's zone and price mode (None: as the price list says), and the (country, area) that it taxes; area "" is all
    of the country that has no other row."""
    session.execute(
        text(
            "INSERT INTO tax_region (code, zone, tax_inclusive) VALUES (:code, :zone, :tax_inclusive) "
            "ON CONFLICT (code) DO NOTHING"
        ),
        {"code": code, "zone": zone, "tax_inclusive": tax_inclusive},
    )
    rows = [{"country": country, "area": area_of(area), "code": code} for country, area in destinations]
    if rows:
        statement = text(
            "INSERT INTO tax_destination (country, area, region_code) VALUES (:country, :area, :code) "
            "ON CONFLICT (country, area) DO NOTHING"
        )
        session.execute(statement, rows)


def ensure_price_list(session: Session, *, code: str, currency: str, tax_inclusive: bool) -> None:
    """A price list without prices."""
    statement = text(
        "INSERT INTO price_list (id, code, currency, tax_inclusive) VALUES (:id, :code, :currency, :tax_inclusive) "
        "ON CONFLICT (code) DO NOTHING"
    )
    session.execute(statement, {"id": new_id(), "code": code, "currency": currency, "tax_inclusive": tax_inclusive})


def ensure_channel(session: Session, *, code: str, name: str, price_list: str) -> None:
    """A channel that sells from the price list of that code, which must exist."""
    statement = text(
        "INSERT INTO channel (code, name, price_list_id) VALUES (:code, :name, "
        "(SELECT id FROM price_list WHERE code = :price_list)) ON CONFLICT (code) DO NOTHING"
    )
    session.execute(statement, {"code": code, "name": name, "price_list": price_list})
