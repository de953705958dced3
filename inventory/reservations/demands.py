"""What is wanted, what is promised for it, and how a wish is refused."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from inventory import queries
from retail import queries as ground
from retail.kernel.errors import Conflict

Key = tuple[UUID, UUID]


@dataclass(frozen=True, slots=True)
class Demand:
    """`quantity` units of one variant (or bundle) wanted at one location; `line_id` is the order line it is for."""

    variant_id: UUID
    location_id: UUID
    quantity: int
    line_id: UUID | None = None

    @property
    def key(self) -> Key:
        """The level this draws on; a bundle draws on the levels of its components."""
        return self.variant_id, self.location_id


@dataclass(frozen=True, slots=True)
class Promise:
    """Units that cannot be handed over yet: `backordered` of `quantity` wait for goods, or they are not released before
    `promised_at`. None: nobody knows when. `variant_id` is what lies on the shelf: of a bundle, a component."""

    line_id: UUID | None
    variant_id: UUID
    location_id: UUID
    quantity: int
    backordered: int
    promised_at: datetime | None


class OutOfStock(Conflict):
    """At least one line cannot be served where it was wanted; nothing was taken.

    `errors` has every short line: ``line`` (position from 1), line_id, variant_id, sku, requested, available (what this
    caller could have at that location, backorder included, over all its lines of that SKU), location and
    ``elsewhere: [{location, available}]``, most first.
    """

    code, title = "out_of_stock", "Not enough stock"


class NotAllocated(Conflict):
    """There is nothing (or not every line) left to hand over: it was handed over, released or never promised."""

    code, title = "not_allocated", "These units are not allocated (any more)"


class NotOnHand(Conflict):
    """The units are promised on backorder and have not come in yet, or turned out to be missing."""

    code, title = "not_on_hand", "These units are not on hand yet"


class NotReleased(Conflict):
    """The goods may be ordered but not handed over before their day of release."""

    code, title = "not_released", "These goods are not released yet"


def out_of_stock(
    session: Session,
    *,
    demands: Sequence[Demand],
    free: dict[Key, int],
    channel: str | None,
    now: datetime,
) -> OutOfStock:
    """The refusal, with every short line and where else its SKU is available.

    `free` has what the caller could have at each level of a variant; a level that is missing has nothing. A bundle is
    short when any of its components is, and as many can be had as the scarcest of them allows.
    """
    components = ground.components_of(session, variant_ids=[demand.variant_id for demand in demands])
    parts: dict[Key, list[tuple[Key, int]]] = {}
    wanted: dict[Key, int] = {}
    for demand in demands:
        needs = components.get(demand.variant_id, [(demand.variant_id, 1)])
        parts[demand.key] = [((variant_id, demand.location_id), each) for variant_id, each in needs]
        for key, each in parts[demand.key]:
            wanted[key] = wanted.get(key, 0) + each * demand.quantity
    short = {
        whole: min(max(free.get(key, 0), 0) // each for key, each in needs)
        for whole, needs in parts.items()
        if any(free.get(key, 0) < wanted[key] for key, _ in needs)
    }
    known = queries.places_for(session, keys=list(short), channel=channel, now=now)
    errors: list[dict[str, Any]] = []
    for position, demand in enumerate(demands, start=1):
        if demand.key not in short:
            continue
        sku, here, elsewhere = known[demand.key]
        errors.append(
            {
                "line": position,
                "code": "short",
                "detail": f"{sku}: {demand.quantity} wanted, {short[demand.key]} available at {here.get('name', here['id'])}",
                "line_id": demand.line_id,
                "variant_id": demand.variant_id,
                "sku": sku,
                "requested": demand.quantity,
                "available": short[demand.key],
                "location": here,
                "elsewhere": elsewhere,
            }
        )
    return OutOfStock(errors=errors)
