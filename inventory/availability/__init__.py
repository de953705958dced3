"""What can be promised, per SKU and location, now or at a moment to come, and why.

* ``available`` = on_hand - allocated - held - unavailable - safety - buffer of the channel, never below 0: what is here to
  be sold. Before a variant's release nothing is.
* ``orderable``: what an order could be promised, with what may be sold beyond what is here (backorder_limit) and before it
  is released (pre-order).
* A bundle has no stock: at each location it has what its scarcest component makes.

Now is the hottest question of the shop: one statement, plain tuples in, plain dicts out (now.py). A hold stops counting at
the moment it expires, whether or not a sweep has met it. What comes later and why takes another statement (details.py).
"""

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from inventory.availability.details import detailed
from inventory.availability.now import UnknownChannel, UnknownSku, available_now
from inventory.queries import locations_named
from retail import limits
from retail.kernel.errors import Invalid

__all__ = ["MomentInvalid", "UnknownChannel", "UnknownLocations", "UnknownSku", "for_skus", "locate"]


class UnknownLocations(Invalid):
    """At least one location asked for does not exist; `errors` names each."""

    code, title = "unknown_location", "Unknown location"


class MomentInvalid(Invalid):
    """The moment is past, or too far away to know anything about."""

    code, title = "moment_invalid", "Availability is told for now and for the future"


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
    session: Session,
    *,
    skus: Sequence[str],
    location_ids: Sequence[uuid.UUID] | None,
    channel: str | None = None,
    at: datetime | None = None,
    explain: bool = False,
    promise: bool = False,
    names: bool = True,
    now: datetime,
) -> list[dict[str, Any]]:
    """Per SKU, in the order asked: what can be sold in all and at each location (by code); one statement (and a
    second when the first buffer of the channel has just been set).

    With `location_ids` (each must exist) exactly these locations are listed; without, those that have ever had the SKU
    (or, asked with `at`, `explain` or `promise`, will). Ids and moments are strings, ready for JSON:
    ``{sku, variant_id, title, title_ja, bundle, available, orderable, preorder: {releases_at} | None, locations: [{location:
    {id, code, name, name_ja}, on_hand, allocated, held, unavailable, safety, buffer, backorder_limit, available,
    orderable}]}``; of a bundle a location has only ``location, available, orderable``.

    `channel`: whose buffers are kept back (None: nobody's). `at`: a moment up to limits.DAYS_AHEAD from now, counting what
    has come in by then, after those who wait for it (``incoming``, ``short`` in each location). `explain`: each location has
    ``terms`` whose quantities add up to `available`, ``orderable_terms`` that add up to `orderable`, and ``arrivals``; a
    bundle's has ``components`` with all of that. `promise` (also with `at` and `explain`): what somebody who orders one (more)
    now is promised, in each location and in the SKU's best: ``{from: stock | backorder | preorder | none, at}``.
    Without `names` an explanation is numbers and dates alone: no rules, references and suppliers.

    Raises:
        UnknownSku: naming every one. UnknownChannel. MomentInvalid.
    """
    if not (at or explain or promise):
        return available_now(session, skus=skus, location_ids=location_ids, channel=channel, now=now)
    if at is not None and not now < at <= now + timedelta(days=limits.DAYS_AHEAD):
        raise MomentInvalid(
            f"From now to {limits.DAYS_AHEAD} days ahead", errors=[{"field": "at", "code": "moment_invalid"}]
        )
    return detailed(
        session,
        skus=skus,
        location_ids=location_ids,
        channel=channel,
        at=at,
        explain=explain,
        names=names,
        now=now,
    )
