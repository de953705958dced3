"""An order before it is written: everything about it is decided, every id is made."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from orders.pricing import GOODS, Priced, PricedLine
from orders.queries.gift_cards import GiftCardFacts
from retail.queries import LocationFacts, LocationName

PICKUP, CARRY_OUT, SHIP, SHIP_TO_STORE = "pickup", "carry_out", "ship", "ship_to_store"


@dataclass(frozen=True, slots=True)
class Part:
    """One tender's part of the total, minor units."""

    payment_id: UUID
    tender: str
    amount_minor: int
    points: int | None = None
    provider_method: str | None = None
    gift_card: GiftCardFacts | None = None


@dataclass(frozen=True, slots=True)
class Planned:
    """Units that will leave ONE location by one method: a fulfillment of the order.

    Attributes:
        place: where the customer gets them, or where they are sent from. source: of ship_to_store, where they come from.
        units: (position of the line from 0, units), each position once.
    """

    fulfillment_id: UUID
    method: str
    place: LocationName
    units: tuple[tuple[int, int], ...]
    ready_by: datetime | None = None
    slot_at: datetime | None = None
    source: LocationName | None = None

    @property
    def stock_at(self) -> UUID:
        """Where its stock is promised."""
        return self.place.id if self.source is None else self.source.id


@dataclass(frozen=True, slots=True)
class Draft:
    """An order as it will be written; every id is made already. `decision` says how its plan was chosen, where there was
    a choice (sourcing.Decision.told)."""

    order_id: UUID
    reference: str
    channel: str
    customer_id: UUID | None
    contact_name: str
    contact_email: str | None
    contact_phone: str | None
    locale: str
    placed_by: str
    priced: Priced
    line_ids: tuple[UUID, ...]
    method: str
    plan: tuple[Planned, ...]
    parts: tuple[Part, ...]
    points: int
    confirmed: bool
    cart_id: UUID | None
    cart_version: int | None
    now: datetime
    ship_to: Mapping[str, Any] | None = None
    decision: Mapping[str, Any] | None = None

    @property
    def holder(self) -> UUID:
        """The customer whose points are spent.

        Raises:
            ValueError: a guest's order has no points.
        """
        if self.customer_id is None:
            raise ValueError("a guest has no points")
        return self.customer_id

    @property
    def at_till(self) -> bool:
        """Whether the goods leave at once."""
        return self.method == CARRY_OUT

    @property
    def state(self) -> str:
        """The state its fulfillments are born in."""
        return "collected" if self.at_till else "allocated" if self.confirmed else "pending"

    def state_of(self, part: Part) -> str:
        """The state a tender's payment is born in."""
        if self.at_till or part.gift_card is not None:
            return "captured"
        return "authorized" if part.tender == "points" else "pending"

    def title(self, line: PricedLine) -> str:
        """What a line is called in the order's language."""
        return line.title_ja or line.title if self.locale == "ja" else line.title


def whole(priced: Priced) -> tuple[tuple[int, int], ...]:
    """All goods of an order, as `Planned.units`."""
    return tuple((position, line.quantity) for position, line in enumerate(priced.lines) if line.kind == GOODS)


def named(place: LocationFacts) -> LocationName:
    """What a location is called, of all that is known of it."""
    return LocationName(place.id, place.code, place.name, place.name_ja, place.zone)
