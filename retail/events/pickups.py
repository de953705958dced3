"""What happens to goods on their way to the customer once something does not go as planned, and what all such events share."""

import uuid
from dataclasses import dataclass
from typing import Any, ClassVar

from retail.kernel.outbox import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderEvent(Event):
    """Anything that happened to one order."""

    aggregate: ClassVar[str] = "order_id"
    order_id: uuid.UUID
    reference: str
    customer_id: uuid.UUID | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PickupEvent(OrderEvent):
    """Anything that happened to one pickup."""

    fulfillment_id: uuid.UUID
    location_id: uuid.UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class PickupShort(PickupEvent):
    """Goods of a fulfillment (of any method) are missing; `lines` says which: ``{order_line_id, sku, quantity}``."""

    method: str
    lines: list[dict[str, Any]]
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ShortfallFilled(PickupEvent):
    """What was missing has been found, or has come in."""

    lines: list[dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShortfallResolved(PickupEvent):
    """What becomes of missing goods: resourced, shipped, substituted or refunded; `to_fulfillment_id` brings them instead."""

    resolution: str
    lines: list[dict[str, Any]]
    to_fulfillment_id: uuid.UUID | None
    amount_minor: int
    currency: str
    points: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SubstituteProposed(PickupEvent):
    """The customer is asked whether another article will do."""

    proposal_id: uuid.UUID
    order_line_id: uuid.UUID
    sku: str
    quantity: int
    expires_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SubstituteAnswered(PickupEvent):
    """The customer said yes or no to a substitute, or nothing in time: accepted, declined, expired, withdrawn."""

    proposal_id: uuid.UUID
    answer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PickupMoved(PickupEvent):
    """The pickup is at another store now; its goods are promised there, and its code is not valid any more."""

    from_location_id: uuid.UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreShipmentDispatched(PickupEvent):
    """Goods that the customer collects at `location_id` left the location that sends them."""

    from_location_id: uuid.UUID
    transfer_id: uuid.UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreShipmentArrived(PickupEvent):
    """The goods are at the store, promised to the order. They are not ready yet, and nothing is completed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PickupExpired(PickupEvent):
    """Nobody came: the goods are for sale again, money and points go back."""

    amount_minor: int
    currency: str
    points: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ShipmentPicking(PickupEvent):
    """Staff began to pick what is sent to the customer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShipmentPacked(PickupEvent):
    """Everything that is sent is in parcels."""

    parcels: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ParcelShipped(PickupEvent):
    """A parcel left with a carrier; `lines` says what is in it: ``{order_line_id, sku, quantity}``."""

    parcel_id: uuid.UUID
    carrier: str
    tracking: str
    lines: list[dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShipmentDelivered(PickupEvent):
    """Every parcel of the shipment has reached the customer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PickupExtended(PickupEvent):
    """The goods are kept longer, until `collect_by`."""

    collect_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PickupReminded(PickupEvent):
    """Nobody has come yet, and the time runs out at `collect_by`."""

    collect_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PickupArrived(PickupEvent):
    """The customer stands before the store, on `place`, in `vehicle`; `again`: she said so before in this visit."""

    place: str
    vehicle: str
    again: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PickupProxyNamed(PickupEvent):
    """Somebody else may collect, too."""

    proxy_id: uuid.UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class PickupProxyCodeIssued(PickupEvent):
    """Whoever was named has a code, or a new one."""

    proxy_id: uuid.UUID
    rotation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PickupProxyRevoked(PickupEvent):
    """Whoever was named may not collect any more."""

    proxy_id: uuid.UUID
