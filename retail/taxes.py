"""Where something is taxed: what leaves over a counter at the store's rates, what is sent somewhere at the destination's."""

import unicodedata
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from retail import queries
from retail.kernel.errors import Invalid


class NoTaxThere(Invalid):
    """No tax is known for the destination, so nothing can be sold there: nothing is sold untaxed by accident."""

    code, title = "destination_not_taxed", "We cannot send there"


def tax_region_for(session: Session, *, ship_to: Mapping[str, Any]) -> str:
    """The tax region of an address (AddressSchema: `country` and `region` are read), for `queries.offers_for(tax_region=)`.

    The most specific row of `tax_destination` counts: the area's (state, prefecture), else its country's; a country without
    rows is the region called like it, if that has rates.

    Raises:
        NoTaxThere: nothing is known about this destination.
    """
    country = str(ship_to["country"])
    region = queries.tax_region_of(session, country=country, area=area_of(str(ship_to.get("region") or "")))
    if region is None:
        detail = "No tax is known for this destination"
        raise NoTaxThere(errors=[{"field": "ship_to.country", "code": NoTaxThere.code, "detail": detail}])
    return region


def rate_for(session: Session, *, region: str, tax_class: str = "standard", now: datetime) -> int:
    """The rate of what is no product, such as a shipping fee, in basis points.

    Raises:
        NoTaxThere: the class has no rate in the region.
    """
    rate_bp = queries.tax_rate_in(session, region=region, tax_class=tax_class, now=now)
    if rate_bp is None:
        raise NoTaxThere(f"There is no rate of class {tax_class} in {region}")
    return rate_bp


def area_of(written: str) -> str:
    """A state or prefecture as `tax_destination.area` has it: width, case and space at the ends do not matter."""
    return unicodedata.normalize("NFKC", written).strip().casefold()
