"""Where and what: the locations, variants and levels that a caller names."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from inventory import queries
from inventory.availability import UnknownSku
from retail.kernel.auth import CUSTOMER, Principal
from retail.kernel.errors import Forbidden, Invalid, NotFound
from retail.queries import variants_by_sku


class UnknownLocation(NotFound):
    """There is no such location, or it is not the caller's."""

    code, title = "unknown_location", "Unknown location"


class NoSuchLevel(NotFound):
    """This variant has never been at this location."""

    title = "This SKU has never been stocked here"


class BundleHasNoStock(Invalid):
    """At least one SKU is a bundle: its components stand on the shelf, it does not; `errors` names each."""

    code, title = "bundle_has_no_stock", "A bundle has no stock of its own"


def refuse_customers(caller: Principal) -> None:
    """Raises:
    Forbidden: customers see availability, not the shop's books.
    """
    if caller.kind == CUSTOMER:
        raise Forbidden("Customers ask for availability")


def locate(session: Session, *, name: str, caller: Principal, writing: bool = False) -> dict[str, Any]:
    """The location that is called `name` (id or code): ``{id, code, name, name_ja}``.

    Raises:
        Forbidden: customers see availability, not the shop's books.
        UnknownLocation: there is none, or with `writing` it is not one of the caller's own.
    """
    refuse_customers(caller)
    place = queries.locations_named(session, names=[name]).get(name)
    if place is None or (writing and not caller.at_location(place["id"])):
        raise UnknownLocation(f"There is no location {name}")
    return place


def variants(session: Session, *, skus: Sequence[str]) -> dict[str, uuid.UUID]:
    """The variant of each SKU, if it is one that can be in stock. One statement.

    Raises:
        UnknownSku: naming every one with its line.
        BundleHasNoStock: naming every bundle with its line.
    """
    found = queries.goods_by_sku(session, skus=skus)
    unknown = [(line, sku) for line, sku in enumerate(skus, start=1) if sku not in found]
    if unknown:
        raise UnknownSku(
            "Not in the catalog: " + ", ".join(sku for _, sku in unknown),
            errors=[{"line": line, "sku": sku, "code": "unknown_sku", "detail": sku} for line, sku in unknown],
        )
    bundles = [(line, sku) for line, sku in enumerate(skus, start=1) if found[sku][1]]
    if bundles:
        raise BundleHasNoStock(
            "Bundles: " + ", ".join(sku for _, sku in bundles),
            errors=[{"line": line, "sku": sku, "code": BundleHasNoStock.code, "detail": sku} for line, sku in bundles],
        )
    return {sku: variant_id for sku, (variant_id, _) in found.items()}


def level(session: Session, *, location_id: uuid.UUID, sku: str, now: datetime) -> dict[str, Any]:
    """One level as LevelSchema shows it.

    Raises:
        NoSuchLevel: the SKU has never been there, or does not exist.
    """
    variant_id = variants_by_sku(session, skus=[sku]).get(sku)
    if variant_id is None:
        raise NoSuchLevel
    return level_of(session, location_id=location_id, variant_id=variant_id, now=now)


def level_of(session: Session, *, location_id: uuid.UUID, variant_id: uuid.UUID, now: datetime) -> dict[str, Any]:
    """One level by its key, as LevelSchema shows it.

    Raises:
        NoSuchLevel: the variant has never been there.
    """
    levels = queries.levels_for(session, location_id=location_id, variant_ids=[variant_id], now=now)
    if not levels:
        raise NoSuchLevel
    return levels[0]
