"""Facts others must hear. Past tense, ids and plain values only; `aggregate` names the field keyed in the feed."""

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
class OrderPlaced(OrderEvent):
    """The order is confirmed: stock is allocated and payment secured (or due at pickup). Never reads as ready."""

    total_minor: int
    currency: str
    location_id: uuid.UUID | None
    method: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderCancelled(OrderEvent):
    """Nothing of the order will happen; stock and points were given back."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRefunded(OrderEvent):
    """Money and points went back to their tenders."""

    refund_id: uuid.UUID
    amount_minor: int
    currency: str
    points: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GiftCardIssued(Event):
    """A gift card or store credit was issued; its number is worked out when it is shown."""

    aggregate: ClassVar[str] = "gift_card_id"
    gift_card_id: uuid.UUID
    customer_id: uuid.UUID | None
    kind: str
    amount_minor: int
    currency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentFailed(OrderEvent):
    """The card was declined; the order was cancelled."""

    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PickupEvent(OrderEvent):
    """Anything that happened to one pickup."""

    fulfillment_id: uuid.UUID
    location_id: uuid.UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class PickupPicking(PickupEvent):
    """Staff began to pick."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PickupReady(PickupEvent):
    """The goods wait at the counter."""

    collect_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PickupCollected(PickupEvent):
    """The goods were handed over, with what proof."""

    proof: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PickupCodeIssued(PickupEvent):
    """A new code replaced the old one."""

    rotation: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PointsEarned(Event):
    """Points were credited for an order."""

    aggregate: ClassVar[str] = "order_id"
    customer_id: uuid.UUID
    order_id: uuid.UUID | None
    points: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerRegistered(Event):
    """A customer record was made."""

    aggregate: ClassVar[str] = "customer_id"
    customer_id: uuid.UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginCodeRequested(Event):
    """A customer asked for a one-time code; the code itself is worked out when the message is sent."""

    aggregate: ClassVar[str] = "code_id"
    code_id: uuid.UUID
    customer_id: uuid.UUID | None
    address: str
    locale: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactNoted(Event):
    """An agent noted a word with the customer."""

    aggregate: ClassVar[str] = "order_id"
    contact_id: uuid.UUID
    customer_id: uuid.UUID | None
    order_id: uuid.UUID | None
    channel: str
    direction: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StockAdjusted(Event):
    """Somebody changed stock by hand, and why."""

    aggregate: ClassVar[str] = "variant_id"
    variant_id: uuid.UUID
    location_id: uuid.UUID
    delta: int
    reason: str
    customer_id: uuid.UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StockEvent(Event):
    """Anything that happened to one variant at one location."""

    aggregate: ClassVar[str] = "variant_id"
    variant_id: uuid.UUID
    location_id: uuid.UUID
    customer_id: uuid.UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StockSetAside(StockEvent):
    """Units became unfit for sale, or fit again, or were thrown away: `reason` is ``damaged``, ``inspection``,
    ``restored`` or ``written_off``."""

    quantity: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StockLow(StockEvent):
    """What is left to sell fell to the threshold or below; told once per crossing."""

    left: int
    threshold: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StockLimitsChanged(StockEvent):
    """Safety, backorder limit, low-stock threshold or shelf were changed by hand; `fields` names which."""

    fields: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocationShort(Event):
    """Units promised to `owner_id` (an order or a transfer) turned out to be missing: they have to be found elsewhere.

    `cause` says how it came to light: ``count``, ``damaged``, ``pick_failed`` ..."""

    aggregate: ClassVar[str] = "owner_id"
    owner_id: uuid.UUID
    line_id: uuid.UUID | None
    reservation_id: uuid.UUID
    variant_id: uuid.UUID
    location_id: uuid.UUID
    quantity: int
    cause: str
    customer_id: uuid.UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocationFilled(Event):
    """Units that `owner_id` waited for (backordered or short) are here now."""

    aggregate: ClassVar[str] = "owner_id"
    owner_id: uuid.UUID
    line_id: uuid.UUID | None
    reservation_id: uuid.UUID
    variant_id: uuid.UUID
    location_id: uuid.UUID
    quantity: int
    customer_id: uuid.UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocationMoved(Event):
    """Units promised to `owner_id` are taken from another location from now on."""

    aggregate: ClassVar[str] = "owner_id"
    owner_id: uuid.UUID
    line_ids: list[uuid.UUID]
    from_location_id: uuid.UUID
    to_location_id: uuid.UUID
    customer_id: uuid.UUID | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StockRuleChanged(Event):
    """A safety or buffer rule was made, changed or retired; `fields` names what."""

    aggregate: ClassVar[str] = "rule_id"
    rule_id: uuid.UUID
    fields: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class SupplyPolicyChanged(Event):
    """When a variant is released, or how long its backorders take, was changed."""

    aggregate: ClassVar[str] = "variant_id"
    variant_id: uuid.UUID
    fields: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class InboundShipmentChanged(Event):
    """A supplier's delivery was announced, changed, received (in part) or cancelled. `differences` has
    ``{sku, expected, received, damaged}`` of the lines that did not come as announced, once it is closed."""

    aggregate: ClassVar[str] = "shipment_id"
    shipment_id: uuid.UUID
    reference: str
    location_id: uuid.UUID
    state: str
    differences: list[dict[str, Any]]
    reason: str = ""  # of a cancellation


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferChanged(Event):
    """A transfer was made, changed, made ready, shipped, received (in part) or cancelled. `differences` has
    ``{sku, shipped, received, damaged, returned, shrunk}`` of the lines that did not arrive whole, once it is closed."""

    aggregate: ClassVar[str] = "transfer_id"
    transfer_id: uuid.UUID
    reference: str
    from_location_id: uuid.UUID
    to_location_id: uuid.UUID
    state: str
    differences: list[dict[str, Any]]
    reason: str = ""  # of a cancellation


@dataclass(frozen=True, slots=True, kw_only=True)
class StockCountChanged(Event):
    """A cycle count was begun, waits for approval, was applied or cancelled; `differences` has ``{sku, difference}``."""

    aggregate: ClassVar[str] = "count_id"
    count_id: uuid.UUID
    reference: str
    location_id: uuid.UUID
    state: str
    differences: list[dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class StockImported(Event):
    """A file of stock writes was read to its end."""

    aggregate: ClassVar[str] = "import_id"
    import_id: uuid.UUID
    source: str
    applied: int
    refused: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BarcodeChanged(Event):
    """A barcode was given to a variant, or taken from it."""

    aggregate: ClassVar[str] = "variant_id"
    variant_id: uuid.UUID
    gtin: str
    linked: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleChanged(Event):
    """What a bundle consists of was set; an empty list: it is a bundle no more."""

    aggregate: ClassVar[str] = "variant_id"
    variant_id: uuid.UUID
    components: list[dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductChanged(Event):
    """A product was made or changed; `fields` names what (``created``, ``variants``, or columns)."""

    aggregate: ClassVar[str] = "product_id"
    product_id: uuid.UUID
    fields: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class PricesSet(Event):
    """Prices were set in one list."""

    aggregate: ClassVar[str] = "price_list_id"
    price_list_id: uuid.UUID
    skus: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class LocationChanged(Event):
    """A location was made or changed; `fields` names what (``created``, ``hours``, ``holidays``, or columns)."""

    aggregate: ClassVar[str] = "location_id"
    location_id: uuid.UUID
    fields: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerChanged(Event):
    """A customer's name or language was changed."""

    aggregate: ClassVar[str] = "customer_id"
    customer_id: uuid.UUID
    fields: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityLinked(Event):
    """An address or number now names this customer, with this assurance."""

    aggregate: ClassVar[str] = "identity_id"
    customer_id: uuid.UUID
    identity_id: uuid.UUID
    kind: str
    assurance: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityUnlinked(Event):
    """An address or number no longer names this customer: ``removed`` by hand, or ``proven`` by another person."""

    aggregate: ClassVar[str] = "identity_id"
    customer_id: uuid.UUID
    identity_id: uuid.UUID
    kind: str
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StaffChanged(Event):
    """A member of staff was added, changed or switched off; `fields` names what, never a password."""

    aggregate: ClassVar[str] = "staff_id"
    staff_id: uuid.UUID
    fields: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientChanged(Event):
    """An API client was made or changed, or a key issued or revoked; `fields` names what, never a key."""

    aggregate: ClassVar[str] = "client_id"
    client_id: uuid.UUID
    fields: list[str]
