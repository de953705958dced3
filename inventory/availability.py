"""What can be promised now, per SKU and location: available = on_hand - allocated - held - unavailable - safety.

The hottest question of the shop: one statement, plain tuples in, plain dicts out. A hold stops counting at the moment it
expires, whether or not a sweep has met it.
"""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from inventory.queries import EXPIRED, locations_named
from retail.kernel.errors import Invalid
from retail.kernel.hot import Hot


class UnknownSku(Invalid):
    """At least one SKU is not in the catalog; `errors` names each."""

    code, title = "unknown_sku", "Unknown SKU"


class UnknownLocations(Invalid):
    """At least one location asked for does not exist; `errors` names each."""

    code, title = "unknown_location", "Unknown location"


# The array stands in a sub-select so that the planner cannot see its length: seeing it, it would plan anew for every
# question (a plan for one SKU always looks cheaper than the general one), and planning takes longer than answering.
_NUMBERS = f"""
    SELECT wanted.sku, CAST(variant.id AS text), variant.title, variant.title_ja,
           CAST(location.id AS text), location.code, location.name, location.name_ja,
           coalesce(level.on_hand, 0), coalesce(level.allocated, 0), coalesce(level.held - ({EXPIRED}), 0),
           coalesce(level.unavailable, 0), coalesce(level.safety, 0)
    FROM unnest((SELECT CAST(:skus AS text[]))) WITH ORDINALITY AS wanted (sku, position)
    LEFT JOIN variant ON variant.sku = wanted.sku
"""  # noqa: S608 - two constants
# Everywhere: the locations that have ever had it. At some locations: these, with zeros where it has never been.
_EVERYWHERE = Hot(
    _NUMBERS
    + """
    LEFT JOIN stock_level AS level ON level.variant_id = variant.id
    LEFT JOIN location ON location.id = level.location_id
    ORDER BY wanted.position, location.code
    """
)
_AT = Hot(
    _NUMBERS
    + """
    LEFT JOIN location ON location.id = ANY(CAST(:location_ids AS uuid[]))
    LEFT JOIN stock_level AS level ON level.variant_id = variant.id AND level.location_id = location.id
    ORDER BY wanted.position, location.code
    """
)


def locate(session: Session, *, names: Sequence[str]) -> list[uuid.UUID]:
    """The ids of locations called by id or code, for `for_skus`.

    Raises:
        UnknownLocations: naming every one.
    """
    found = locations_named(session, names=names)
    unknown = [name for name in dict.fromkeys(names) if name not in found]
    if unknown:
        errors = [{"field": "location", "code": "unknown_location", "detail": name} for name in unknown]
        raise UnknownLocations("There is no location " + ", ".join(unknown), errors=errors)
    return list({place["id"] for place in found.values()})


def for_skus(
    session: Session, *, skus: Sequence[str], location_ids: Sequence[uuid.UUID] | None, now: datetime
) -> list[dict[str, Any]]:
    """Per SKU, in the order asked: what is available in all and at each location (by code); one statement.

    With `location_ids` (each must exist) exactly these locations are listed; without, those that have ever had the SKU.
    Ids are strings, ready for JSON: ``{sku, variant_id, title, title_ja, available, locations: [{location: {id, code,
    name, name_ja}, on_hand, allocated, held, unavailable, safety, available}]}``.

    Raises:
        UnknownSku: naming every one.
    """
    wanted = list(dict.fromkeys(skus))
    if location_ids is None:
        rows = _EVERYWHERE.run(session, {"skus": wanted, "now": now}).all()
    else:
        rows = _AT.run(session, {"skus": wanted, "location_ids": list(location_ids), "now": now}).all()
    answer: list[dict[str, Any]] = []
    unknown: list[str] = []
    item: dict[str, Any] = {"sku": None}
    for (
        sku,
        variant_id,
        title,
        title_ja,
        place,
        code,
        name,
        name_ja,
        on_hand,
        allocated,
        held,
        unavailable,
        safety,
    ) in rows:
        if variant_id is None:
            if sku not in unknown:
                unknown.append(sku)
            continue
        if sku != item["sku"]:
            item = {
                "sku": sku,
                "variant_id": variant_id,
                "title": title,
                "title_ja": title_ja,
                "available": 0,
                "locations": [],
            }
            answer.append(item)
        if place is None:
            continue
        available = max(0, on_hand - allocated - held - unavailable - safety)
        item["available"] += available
        item["locations"].append(
            {
                "location": {"id": place, "code": code, "name": name, "name_ja": name_ja},
                "on_hand": on_hand,
                "allocated": allocated,
                "held": held,
                "unavailable": unavailable,
                "safety": safety,
                "available": available,
            }
        )
    if unknown:
        detail = "Not in the catalog: " + ", ".join(unknown)
        raise UnknownSku(
            detail, errors=[{"field": "sku", "code": "unknown_sku", "sku": sku, "detail": sku} for sku in unknown]
        )
    return answer
